//go:build stores

package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// recorder stands before a real store and keeps what was asked of it. Requests pass
// through as they were signed.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	sent []sentRequest
}

// sentRequest is one request, and how it was answered.
type sentRequest struct {
	method, path, body string
	query              url.Values
	conditional, copy  bool
	status             int
}

func record(t *testing.T, server *realserver.Server) *recorder {
	t.Helper()
	to, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
		},
		Transport:      server.Transport(),
		ModifyResponse: func(resp *http.Response) error { rec.answered(resp); return nil },
	}
	rec.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Query().Has("delete") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(rec.Close)
	return rec
}

func (rec *recorder) answered(resp *http.Response) {
	r := resp.Request
	s := sentRequest{method: r.Method, path: r.URL.Path, query: r.URL.Query(), status: resp.StatusCode,
		copy: r.Header.Get("X-Amz-Copy-Source") != "", conditional: r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != ""}
	if r.GetBody != nil {
		if body, err := r.GetBody(); err == nil {
			data, _ := io.ReadAll(body) // from memory
			s.body = string(data)
		}
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.sent = append(rec.sent, s)
}

// env points a process at the recorder.
func (rec *recorder) env(t *testing.T) []string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "recorder.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rec.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"AWS_ENDPOINT_URL_S3=" + rec.URL, "AWS_CA_BUNDLE=" + ca}
}

// taken gives what was sent since the last time.
func (rec *recorder) taken() []sentRequest {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	sent := rec.sent
	rec.sent = nil
	return sent
}

// harmless are what a query says without naming a sub-resource.
var harmless = map[string]bool{"uploads": true, "uploadId": true, "partNumber": true, "versionId": true, "x-id": true, "delete": true}

// nothingDangerous: a sub-resource is written to the user's objects only after it was
// tried on a throwaway one, UpdateObjectEncryption never, and nothing of the user is
// deleted, or written over without a condition.
func nothingDangerous(t *testing.T, sent []sentRequest) {
	t.Helper()
	proved := map[string]bool{}
	for _, r := range sent {
		if r.method == http.MethodGet || r.method == http.MethodHead {
			continue
		}
		_, key, _ := strings.Cut(strings.TrimPrefix(r.path, "/"), "/")
		throwaway := strings.Contains(key, ".reseal-canary-")
		upload := r.query.Has("uploadId")
		for sub := range r.query {
			switch {
			case harmless[sub]:
			case throwaway:
				proved[sub] = proved[sub] || r.status < 300
			case sub == "encryption", !proved[sub]:
				t.Errorf("%s %q ?%s was sent, which this store did not prove", r.method, r.path, sub)
			}
		}
		switch {
		case r.method == http.MethodPost && r.query.Has("delete"):
			if n := strings.Count(r.body, "<Key>"); n == 0 || n != strings.Count(r.body, ".reseal-canary-") {
				t.Errorf("a bulk deletion of %s", r.body)
			}
		case throwaway:
		case r.method == http.MethodDelete && !upload:
			t.Errorf("DELETE %q was sent", r.path)
		case r.method == http.MethodPut && len(r.query) == len(r.query["x-id"]) && !r.copy && !r.conditional:
			t.Errorf("PUT %q was sent without a condition", r.path)
		}
	}
	if len(sent) == 0 {
		t.Error("nothing was recorded")
	}
}
