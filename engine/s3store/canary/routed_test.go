package canary_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// behind opens a store on an embedded server that something stands in front of, which answers
// itself where status is not 0.
func behind(t *testing.T, srv *s3test.Server, status func(*http.Request) int) *s3store.Store {
	t.Helper()
	t.Cleanup(func() { srv.Close() })
	at, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := status(r); code != 0 {
			http.Error(w, "<html>nothing behind this</html>", code)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return openFake(t, srv, s3store.Options{EndpointURL: front.URL})
}

// TestWhatARouterMayNotKnow: a sub-resource that is refused in front of the store is one that is not
// there, where the store answers otherwise; where it is away, and where it comes back, it is not.
func TestWhatARouterMayNotKnow(t *testing.T) {
	for _, c := range []struct {
		name string
		away func(r *http.Request, n int64) bool // of the nth PutObjectTagging and all that comes after it
		want object.Finding                      // Unknown for an error
	}{
		{"refused alone", func(r *http.Request, _ int64) bool { return tags(r) }, object.No},
		{"came back", func(r *http.Request, n int64) bool { return tags(r) && n <= 6 }, object.Yes},
		{"away", func(r *http.Request, n int64) bool {
			return tags(r) || n > 0 && strings.Trim(r.URL.Path, "/") == "b" && r.Method == http.MethodHead
		}, object.Unknown},
	} {
		for _, status := range []int{http.StatusBadGateway, http.StatusNotFound} {
			t.Run(c.name+" "+http.StatusText(status), func(t *testing.T) {
				t.Parallel() // it waits
				srv := s3test.New(s3test.Config{Profile: s3test.MinIO()})
				srv.CreateBucket("b", s3test.BucketConfig{})
				var n atomic.Int64
				s := behind(t, srv, func(r *http.Request) int {
					if tags(r) {
						n.Add(1)
					}
					if c.away(r, n.Load()) {
						return status
					}
					return 0
				})
				caps, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3}, Facts: object.BucketFacts{ACLsDisabled: object.Yes}})
				if (err == nil) != (c.want != object.Unknown) || err == nil && caps.PutTagging != c.want {
					t.Errorf("%v, %v", caps.PutTagging, err)
				}
			})
		}
	}
}

func tags(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.Query().Has("tagging") }

// TestALockThatIsNotShownOnce: one answer that failed for a moment says nothing of what the store can.
func TestALockThatIsNotShownOnce(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
	var n atomic.Int64
	s := behind(t, srv, func(r *http.Request) int {
		if r.Method == http.MethodGet && r.URL.Query().Has("retention") && strings.Contains(r.URL.Path, "retention") && n.Add(1) == 1 {
			return http.StatusBadGateway
		}
		return 0
	})
	facts := object.BucketFacts{Versioning: object.VersioningEnabled, ObjectLock: object.Yes, ACLsDisabled: object.Yes}
	caps, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3}, Facts: facts, Everything: true, Always: true})
	if err != nil || n.Load() < 1 || caps.GetRetention != object.Yes || caps.PutRetention != object.Yes {
		t.Errorf("asked %d times: %v, %v: %v", n.Load(), caps.GetRetention, caps.PutRetention, err)
	}
}

// TestALockRuleThatIsUntold: where the store does not tell any more how the bucket locks new objects,
// none is made: it would be locked for as long as that rule says.
func TestALockRuleThatIsUntold(t *testing.T) {
	srv := s3test.New(s3test.Config{Profile: s3test.MinIO()})
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, DefaultLockMode: "COMPLIANCE", DefaultLockDays: 3650})
	var off atomic.Bool
	s := behind(t, srv, func(r *http.Request) int {
		if off.Load() && r.URL.Query().Has("object-lock") {
			return http.StatusInternalServerError
		}
		return 0
	})
	facts, err := s.BucketFacts(t.Context(), "b")
	if err != nil || facts.ObjectLock != object.Yes {
		t.Fatal(facts.ObjectLock, err)
	}
	off.Store(true)
	_, err = s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3}, Facts: facts})
	if left := srv.Snapshot("b").Objects; err == nil || len(left) > 0 {
		t.Errorf("left %d: %v", len(left), err)
	}
}
