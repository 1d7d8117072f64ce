//go:build kubernetes

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// What these tests read and write of the API's objects; the rest passes them by.
type (
	kubeMeta struct {
		Name              string            `json:"name"`
		UID               string            `json:"uid"`
		Labels            map[string]string `json:"labels"`
		Annotations       map[string]string `json:"annotations"`
		DeletionTimestamp string            `json:"deletionTimestamp"`
	}
	kubePod struct {
		Metadata kubeMeta `json:"metadata"`
		Spec     struct {
			NodeName        string          `json:"nodeName"`
			Grace           int64           `json:"terminationGracePeriodSeconds"`
			SecurityContext kubeIdentity    `json:"securityContext"`
			Containers      []kubeContainer `json:"containers"`
			Volumes         []struct {
				Name     string           `json:"name"`
				EmptyDir *json.RawMessage `json:"emptyDir"`
			} `json:"volumes"`
		} `json:"spec"`
		Status struct {
			Phase      string          `json:"phase"`
			Conditions []kubeCondition `json:"conditions"`
			Containers []struct {
				State struct {
					Terminated *struct {
						ExitCode int `json:"exitCode"`
					} `json:"terminated"`
				} `json:"state"`
			} `json:"containerStatuses"`
		} `json:"status"`
	}
	kubeIdentity struct {
		User  uint32 `json:"runAsUser"`
		Group uint32 `json:"runAsGroup"`
	}
	kubeContainer struct {
		Name  string   `json:"name"`
		Image string   `json:"image"`
		Args  []string `json:"args"`
		Env   []struct {
			Name      string `json:"name"`
			Value     string `json:"value"`
			ValueFrom *struct {
				FieldRef struct {
					FieldPath string `json:"fieldPath"`
				} `json:"fieldRef"`
			} `json:"valueFrom"`
		} `json:"env"`
		Mounts []struct {
			Name string `json:"name"`
			Path string `json:"mountPath"`
		} `json:"volumeMounts"`
	}
	kubeCondition struct {
		Type    string `json:"type"`
		Status  string `json:"status"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}
	kubeJob struct {
		Status struct {
			Active           int             `json:"active"`
			Succeeded        int             `json:"succeeded"`
			Failed           int             `json:"failed"`
			CompletedIndexes string          `json:"completedIndexes"`
			FailedIndexes    string          `json:"failedIndexes"`
			Conditions       []kubeCondition `json:"conditions"`
		} `json:"status"`
	}
	fields = map[string]any
)

// has tells whether a condition is there, and is true.
func has(conditions []kubeCondition, kind string) (kubeCondition, bool) {
	i := slices.IndexFunc(conditions, func(c kubeCondition) bool { return c.Type == kind && c.Status == "True" })
	if i < 0 {
		return kubeCondition{}, false
	}
	return conditions[i], true
}

// kubeAPI is the API server as its clients see it: it may be away for a while.
type kubeAPI struct{ *realserver.Kubernetes }

// Where things are.
const (
	kubePods = "/api/v1/namespaces/default/pods"
	kubeJobs = "/apis/batch/v1/namespaces/default/jobs"
)

// call sends one request. An answer that is not a success is an error that tells it.
func (k kubeAPI) call(ctx context.Context, method, path, contentType string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, k.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	resp, err := k.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return &kubeError{resp.StatusCode, fmt.Sprintf("%s %s: %s: %s", method, path, resp.Status, data)}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(data, into)
}

// kubeError is what the API server refused.
type kubeError struct {
	status int
	text   string
}

func (e *kubeError) Error() string { return e.text }

// send sends a JSON document: a new object, or with PATCH what changes of one.
func (k kubeAPI) send(ctx context.Context, method, path string, doc fields) error {
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	contentType := "application/json"
	if method == http.MethodPatch {
		contentType = "application/merge-patch+json"
	}
	return k.call(ctx, method, path, contentType, body, nil)
}

func (k kubeAPI) get(ctx context.Context, path string, into any) error {
	return k.call(ctx, http.MethodGet, path, "", nil, into)
}

// pods are those that a selector of the API finds: fieldSelector, labelSelector.
func (k kubeAPI) pods(ctx context.Context, kind, selector string) (pods []kubePod, err error) {
	var list struct {
		Items []kubePod `json:"items"`
	}
	return list.Items, k.get(ctx, kubePods+"?"+url.Values{kind: {selector}}.Encode(), &list)
}

// apply gives what `reseal kubernetes` printed to the API server, byte for byte, which is
// told to refuse every field that it does not know or finds twice. A service account that
// an earlier job brought along is there already.
func (k kubeAPI) apply(t *testing.T, manifest string) {
	t.Helper()
	for doc := range strings.SplitSeq(manifest, "\n---\n") {
		path := kubeJobs
		if strings.Contains(doc, "\nkind: ServiceAccount\n") {
			path = "/api/v1/namespaces/default/serviceaccounts"
		}
		err := k.call(t.Context(), http.MethodPost, path+"?fieldValidation=Strict", "application/yaml", []byte(doc), nil)
		if e, ok := err.(*kubeError); ok && e.status == http.StatusConflict && path != kubeJobs {
			continue
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
	}
}

// podsOf are the Pods of a Job that there are.
func (k kubeAPI) podsOf(t *testing.T, job string) []kubePod {
	t.Helper()
	pods, err := k.pods(t.Context(), "labelSelector", "batch.kubernetes.io/job-name="+job)
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

// end waits until the Job controller calls the job complete or failed.
func (k kubeAPI) end(t *testing.T, job string, within time.Duration) (kubeJob, kubeCondition) {
	t.Helper()
	var j kubeJob
	for deadline := time.Now().Add(within); time.Now().Before(deadline); <-time.After(200 * time.Millisecond) {
		j = kubeJob{}
		if err := k.get(t.Context(), kubeJobs+"/"+job, &j); err != nil {
			continue // away for a moment
		}
		for _, kind := range []string{"Complete", "Failed"} {
			if c, there := has(j.Status.Conditions, kind); there {
				return j, c
			}
		}
	}
	t.Fatalf("the job does not end: %+v\n%s", j.Status, k.Logs())
	return j, kubeCondition{}
}
