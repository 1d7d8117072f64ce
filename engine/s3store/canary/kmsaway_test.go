package canary_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// withoutKMS answers in the store's place from request number from on, 1 being the first, as
// MinIO does whose KMS does not answer: what asks for encryption by it fails.
func withoutKMS(t *testing.T, srv *s3test.Server, from int64) (address string, sent *atomic.Int64) {
	t.Helper()
	at, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host }}
	sent = new(atomic.Int64)
	pass.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	serve := httptest.NewServer
	if at.Scheme == "https" {
		serve = httptest.NewTLSServer
	}
	front := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asks := r.Header.Get("X-Amz-Server-Side-Encryption"); sent.Add(1) >= from && (asks == "AES256" || asks == "aws:kms") {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, "<Error><Code>kms:KeyGenerationFailed</Code><Message>failed to generate data key with KMS key</Message></Error>")
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL, sent
}

// TestTheKMSGoesAway has the KMS of a store go away at any time of a canary: nothing is taken
// for what the store cannot do. One that needs no KMS goes on, with what it knows.
func TestTheKMSGoesAway(t *testing.T) {
	for name, target := range map[string]object.Target{"KMS": {SSE: object.SSEKMS, KMSKeyID: "a-key"}, "SSE-S3": {SSE: object.SSES3}} {
		ask := func(t *testing.T, from int64) (object.Capabilities, int64, error) {
			srv := s3test.New(s3test.Config{Profile: s3test.MinIO()})
			t.Cleanup(func() { srv.Close() })
			srv.CreateBucket("b", s3test.BucketConfig{})
			srv.KMS.CreateNamedKey("a-key")
			address, sent := withoutKMS(t, srv, from)
			s := openFake(t, srv, s3store.Options{EndpointURL: address})
			caps, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: target, Facts: object.BucketFacts{ACLsDisabled: object.Yes}})
			caps.Notes = nil
			if left := srv.Snapshot("b"); len(left.Objects) > 0 || len(left.Uploads) > 0 {
				t.Errorf("left %+v", left)
			}
			return caps, sent.Load(), err
		}
		want, n, err := ask(t, 1<<40)
		if err != nil || n < 20 {
			t.Fatalf("%d requests: %v", n, err)
		}
		for from := int64(1); from <= n; from += 3 {
			t.Run(fmt.Sprint(name, " from ", from), func(t *testing.T) {
				t.Parallel()
				caps, _, err := ask(t, from)
				switch {
				case err != nil && object.ClassOf(err) != object.ClassKMSAway:
					t.Error(err)
				case err != nil && !strings.Contains(err.Error(), "kms:KeyGenerationFailed"):
					t.Error(err)
				case err == nil && !reflect.DeepEqual(caps, want):
					t.Errorf("got  %+v\nwant %+v", caps, want)
				}
			})
		}
	}
}

// TestTheKMSIsNotNeeded: under SSE-C a canary goes on without the KMS, with what it sees. Where
// an earlier one has seen more, it is the KMS that is missing, and no other store.
func TestTheKMSIsNotNeeded(t *testing.T) {
	t.Parallel() // it waits
	target := object.Target{SSE: object.SSEC, CustomerKey: customerKey(t)}
	ask := func(from int64, known *object.Capabilities) (object.Capabilities, error) {
		srv := s3test.New(s3test.Config{Profile: s3test.MinIO(), TLS: true})
		defer srv.Close()
		srv.CreateBucket("b", s3test.BucketConfig{})
		address, _ := withoutKMS(t, srv, from)
		s := openFake(t, srv, s3store.Options{EndpointURL: address, NoVerifySSL: true})
		return s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: target, Known: known, Facts: object.BucketFacts{ACLsDisabled: object.Yes}})
	}
	there, err := ask(1<<40, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := ask(1, nil)
	if err != nil || gone.Encrypts != object.Yes || gone.ListMetadata != object.No || there.ListMetadata != object.Yes {
		t.Fatalf("%v: %+v, and with it %+v", err, gone, there)
	}
	if _, err := ask(1, &gone); err != nil {
		t.Errorf("it never was there: %v", err)
	}
	if _, err := ask(1<<40, &gone); err != nil {
		t.Errorf("it is there now: %v", err)
	}
	if _, err := ask(1, &there); object.ClassOf(err) != object.ClassKMSAway {
		t.Errorf("it is gone now: %v", err)
	}
}
