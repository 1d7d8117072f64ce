package canary_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestTheStoreGoesAway: what a proxy says from the middle of a canary on, since its store is away,
// is taken for nothing that the store cannot do.
func TestTheStoreGoesAway(t *testing.T) {
	ask := func(t *testing.T, status int, from int64) (object.Capabilities, error) {
		srv := s3test.New(s3test.Config{Profile: s3test.MinIO()})
		t.Cleanup(func() { srv.Close() })
		srv.CreateBucket("b", s3test.BucketConfig{})
		at, err := url.Parse(srv.URL())
		if err != nil {
			t.Fatal(err)
		}
		pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host }}
		sent, away := atomic.Int64{}, atomic.Int64{}
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// It comes back, which may be soon enough, to be cleaned up.
			if n := sent.Add(1); n >= from && r.Method != http.MethodDelete && away.Add(1) < 40 {
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(status)
				fmt.Fprint(w, "<html>nothing behind this</html>")
				return
			}
			pass.ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		s := openFake(t, srv, s3store.Options{EndpointURL: front.URL})
		caps, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3}, Facts: object.BucketFacts{ACLsDisabled: object.Yes}})
		caps.Notes = nil
		return caps, err
	}
	want, err := ask(t, 0, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{http.StatusBadGateway, http.StatusNotFound} {
		for _, from := range []int64{4, 9, 17, 26} {
			t.Run(fmt.Sprint(status, " from ", from), func(t *testing.T) {
				t.Parallel() // it waits
				if caps, err := ask(t, status, from); err == nil && !reflect.DeepEqual(caps, want) {
					t.Errorf("got  %+v\nwant %+v", caps, want)
				}
			})
		}
	}
}

// TestAChecksumThatIsNotShownOnce: MinIO leaves out what it cannot decipher at that moment. No store
// is said to show no checksums, or to lose them, for one answer without.
func TestAChecksumThatIsNotShownOnce(t *testing.T) {
	ask := func(t *testing.T, hidden int64) object.Capabilities {
		srv := s3test.New(s3test.Config{Profile: s3test.MinIO()})
		t.Cleanup(func() { srv.Close() })
		srv.CreateBucket("b", s3test.BucketConfig{})
		at, err := url.Parse(srv.URL())
		if err != nil {
			t.Fatal(err)
		}
		var shown atomic.Int64
		front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host },
			ModifyResponse: func(r *http.Response) error {
				if sum := "X-Amz-Checksum-Crc32"; r.Request.Method == http.MethodGet && r.Header.Get(sum) != "" && shown.Add(1) == hidden {
					r.Header.Del(sum)
				}
				return nil
			}})
		t.Cleanup(front.Close)
		s := openFake(t, srv, s3store.Options{EndpointURL: front.URL})
		caps, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3}, Facts: object.BucketFacts{ACLsDisabled: object.Yes}})
		if err != nil {
			t.Fatal(err)
		}
		caps.Notes = nil
		return caps
	}
	want := ask(t, 0)
	if want.Checksums != object.Yes || want.KeepsChecksums != object.Yes {
		t.Fatalf("%+v", want)
	}
	for hidden := range int64(8) {
		if caps := ask(t, hidden+1); !reflect.DeepEqual(caps, want) {
			t.Errorf("the answer %d:\ngot  %+v\nwant %+v", hidden+1, caps, want)
		}
	}
}
