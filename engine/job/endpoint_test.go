package job

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The zone of an address is left out of the Host header, so that no signature would hold.
func TestTheZoneOfAnAddress(t *testing.T) {
	for endpoint, usable := range map[string]bool{
		"http://[fe80::1]:9000": true, "http://[::1]": true,
		"http://[fe80::1%25eth0]:9000": false, "https://[fe80::1%25eth0]": false, "http://[fe80::1%eth0]": false,
	} {
		c := Connection{EndpointURL: endpoint}
		var unusable *UnusableError
		if err := c.Validate(); (err == nil) != usable || err != nil && !errors.As(err, &unusable) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

// TestJobsOfAListThatLeadsBack: pages of folders that lead from one to the other and back
// are read once each, and no part of the jobs is taken for all.
func TestJobsOfAListThatLeadsBack(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
	next := map[string]string{"": "2", "1": "2", "2": "1"}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked > 20 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken></ListBucketResult>", next[r.URL.Query().Get("continuation-token")])
	}))
	defer server.Close()
	places, err := Below(t.Context(), "s3://state/jobs", Connection{EndpointURL: server.URL, Region: "us-east-1"})
	if err == nil || asked > 3 {
		t.Errorf("asked %d times, %v, %v", asked, places, err)
	}
}

// A job that was begun on AWS knows that its store does UpdateObjectEncryption.
// Configuration files that lead elsewhere by now must not let it be sent there.
func TestAJobStaysWithItsStore(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("[default]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:9/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", config)
	s := &session{job: &Job{Dir: "job", local: "job", begun: true}, opt: &Options{}}
	defer s.Close()
	var unusable *UnusableError
	if err := s.openStore(t.Context()); !errors.As(err, &unusable) || !strings.Contains(err.Error(), "http://127.0.0.1:9 now") {
		t.Errorf("begun on AWS: %v", err)
	}
	// A job that begins here is frozen to the endpoint, in the form in which a
	// resumed one names it.
	s.job = &Job{}
	if err := s.openStore(t.Context()); err != nil || s.job.Spec.Connection.EndpointURL != "http://127.0.0.1:9" {
		t.Errorf("a new job: %q, %v", s.job.Spec.Connection.EndpointURL, err)
	}
}
