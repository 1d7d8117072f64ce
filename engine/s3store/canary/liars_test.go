package canary_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// liar is a store that checks no signature, behind somebody who changes what is asked
// and what is answered.
func liar(t *testing.T, p s3test.Profile, asked func(*http.Request), answered func(*http.Response)) (*s3test.Server, *s3store.Store) {
	t.Helper()
	p.NoAuth = true
	srv := s3test.New(s3test.Config{Profile: p})
	t.Cleanup(srv.Close)
	to, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	between := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.URL.RawPath, r.Out.URL.Path = r.In.URL.RawPath, r.In.URL.Path
			asked(r.Out)
		},
		ModifyResponse: func(r *http.Response) error { answered(r); return nil },
	})
	t.Cleanup(between.Close)
	return srv, openFake(t, srv, s3store.Options{EndpointURL: between.URL})
}

func asIs(*http.Request)     {}
func replied(*http.Response) {}

// find asks about a plain bucket and looks that nothing stays in it.
func find(t *testing.T, srv *s3test.Server, s *s3store.Store, o s3store.ProbeOptions, cfg s3test.BucketConfig) object.Capabilities {
	t.Helper()
	srv.CreateBucket("b", cfg)
	o.Bucket = "b"
	o.Facts.Versioning = object.VersioningOff
	if cfg.Versioning != "" {
		o.Facts.Versioning = object.VersioningEnabled
	}
	if o.Target.SSE == object.SSEUnknown {
		o.Target.SSE = object.SSES3
	}
	got, err := s.Probe(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if left := srv.Snapshot("b"); len(left.Objects) > 0 || len(left.Uploads) > 0 {
		t.Errorf("left behind: %+v", left)
	}
	return got
}

// decodeSource decodes the source of a copy once more than it should be.
func decodeSource(r *http.Request, parts bool) {
	if source := r.Header.Get("X-Amz-Copy-Source"); source != "" && parts == r.URL.Query().Has("partNumber") {
		if once, err := url.PathUnescape(source); err == nil {
			r.Header.Set("X-Amz-Copy-Source", once)
		}
	}
}

// TestL6SourceDecodedTwice: a store that decodes the source's key twice would copy the
// bytes of another object. It is seen by a key with a percent sign, and encoding twice
// is what works.
func TestL6SourceDecodedTwice(t *testing.T) {
	for _, parts := range []bool{true, false} {
		srv, s := liar(t, s3test.AWS(), func(r *http.Request) { decodeSource(r, parts) }, replied)
		got := find(t, srv, s, s3store.ProbeOptions{}, s3test.BucketConfig{})
		wantCopy, wantPart := object.EncodedTwice, object.EncodedOnce
		if parts {
			wantCopy, wantPart = object.EncodedOnce, object.EncodedTwice
		}
		if got.CopySourceEncoding != wantCopy || got.PartSourceEncoding != wantPart || got.Route != object.RouteSelfCopy || got.Multipart != object.Yes {
			t.Errorf("parts %v: %+v", parts, got)
		}
	}
}

// TestL6SourceNotFound: a store that finds no source with a percent sign in its key,
// however it is written, still copies others.
func TestL6SourceNotFound(t *testing.T) {
	srv, s := liar(t, s3test.AWS(), func(r *http.Request) {
		if source := r.Header.Get("X-Amz-Copy-Source"); strings.Contains(source, "%25") {
			r.Header.Set("X-Amz-Copy-Source", "b/nothing")
		}
	}, replied)
	got := find(t, srv, s, s3store.ProbeOptions{}, s3test.BucketConfig{})
	if got.CopySourceEncoding != object.EncodingBroken || got.PartSourceEncoding != object.EncodingBroken || got.Route != object.RouteSelfCopy {
		t.Errorf("%+v", got)
	}
}

// TestL5EmptyComplete: Complete answers 200 with an empty ETag, and the object is there:
// the route works, and that its reply tells nothing is known.
func TestL5EmptyComplete(t *testing.T) {
	srv, s := liar(t, s3test.AWS(), asIs, func(r *http.Response) {
		if r.Request.Method == http.MethodPost && r.Request.URL.Query().Has("uploadId") && r.StatusCode == http.StatusOK {
			body := "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>"
			r.Body.Close()
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
			r.Header.Set("Content-Length", "76")
			r.Header.Del("Transfer-Encoding")
		}
	})
	got := find(t, srv, s, s3store.ProbeOptions{}, s3test.BucketConfig{})
	if got.Multipart != object.Yes || got.CompleteShowsETag != object.No || got.CompleteIfMatch != object.Yes {
		t.Errorf("%+v", got)
	}
}

// TestBroughtBack: a store that honours If-Match where an object is, and ignores it
// where one was deleted, would bring deleted objects back.
func TestBroughtBack(t *testing.T) {
	for _, versioning := range []string{"", "Enabled"} {
		var srv *s3test.Server
		ignore := func(r *http.Request) {
			key := strings.TrimPrefix(r.URL.Path, "/b/")
			if r.Header.Get("If-Match") == "" || r.Method != http.MethodPut && r.Method != http.MethodPost {
				return
			}
			for _, o := range srv.Snapshot("b").Objects {
				if o.Key == key && o.Latest && !o.DeleteMarker {
					return
				}
			}
			r.Header.Del("If-Match")
		}
		p := s3test.AWS()
		p.IgnoresCopyIfMatch = true // so that a rewrite is worth asking about
		var s *s3store.Store
		srv, s = liar(t, p, func(r *http.Request) { ignore(r) }, replied)
		got := find(t, srv, s, s3store.ProbeOptions{}, s3test.BucketConfig{Versioning: versioning})
		if got.PutIfMatch != object.No || got.CompleteIfMatch != object.No {
			t.Errorf("versioning %q: PutIfMatch %v, CompleteIfMatch %v\n%s", versioning, got.PutIfMatch, got.CompleteIfMatch, strings.Join(got.Notes, "\n"))
		}
	}
}

// TestPutConditions: PutObject's condition is asked about where no copy has one.
func TestPutConditions(t *testing.T) {
	for _, ignores := range []bool{false, true} {
		for _, elsewhere := range []bool{false, true} {
			srv := s3test.New(s3test.Config{Profile: s3test.Profile{IgnoresCopyIfMatch: true, IgnoresPutIfMatch: ignores}})
			defer srv.Close()
			got := find(t, srv, openFake(t, srv, s3store.Options{}), s3store.ProbeOptions{Dest: elsewhere}, s3test.BucketConfig{})
			if got.PutIfMatch != object.Found(!ignores) || got.PutShowsEncryption != object.Yes {
				t.Errorf("ignores %v, elsewhere %v: %+v", ignores, elsewhere, got)
			}
		}
	}
}

// TestOtherKey: where every copy keeps the KMS key that an object is under, only a
// rewrite brings it under another, and that its condition is honoured is then known.
func TestOtherKey(t *testing.T) {
	p := s3test.Profile{Name: "keeps", NoMultipartCopy: true}
	var shown string
	srv, s := liar(t, p, func(r *http.Request) {
		// A source under a KMS key keeps it.
		if r.Header.Get("X-Amz-Copy-Source") != "" && strings.Contains(r.URL.Path, "other-key") {
			r.Header.Set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", shown)
		}
	}, replied)
	shown = srv.KMS.DefaultKeyARN()
	got := find(t, srv, s, s3store.ProbeOptions{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: srv.KMS.CreateKey()}}, s3test.BucketConfig{})
	if got.OtherKey != object.No || got.OtherKeyRoute != object.RouteNone || got.EncryptedRoute != object.RouteSelfCopy || got.PutIfMatch != object.Yes {
		t.Errorf("%+v\n%s", got, strings.Join(got.Notes, "\n"))
	}
}

// TestA5LockedPut: a bucket that locks what is put refuses a PutObject without a digest
// of its body.
func TestA5LockedPut(t *testing.T) {
	missing := ""
	srv, s := liar(t, s3test.AWS(), func(r *http.Request) {
		sub := r.URL.Query()
		if r.Method == http.MethodPut && len(sub) == 0 && r.Header.Get("X-Amz-Copy-Source") == "" &&
			r.Header.Get("Content-Md5") == "" && r.Header.Get("X-Amz-Checksum-Crc32") == "" {
			missing = r.URL.Path
		}
	}, replied)
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, DefaultLockMode: "GOVERNANCE", DefaultLockDays: 1})
	facts := object.BucketFacts{Versioning: object.VersioningEnabled, ObjectLock: object.Yes, ACLsDisabled: object.Yes}
	if _, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Facts: facts, Target: object.Target{SSE: object.SSES3}}); err != nil {
		t.Error(err)
	}
	if missing != "" {
		t.Errorf("%s was put without a digest", missing)
	}
}

// TestProbeUnshownLock: where every new object is locked and the store does not show how,
// nothing is tried out, since what was made might stay for years.
func TestProbeUnshownLock(t *testing.T) {
	srv := s3test.New(s3test.Config{Profile: s3test.GoFakeS3()})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, DefaultLockMode: "GOVERNANCE", DefaultLockDays: 30})
	s := openFake(t, srv, s3store.Options{})
	facts := object.BucketFacts{Versioning: object.VersioningEnabled, ObjectLock: object.Yes, ACLsDisabled: object.Yes}
	_, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Facts: facts, Target: object.Target{SSE: object.SSES3}})
	e, ok := errors.AsType[*object.Error](err)
	if !ok || e.Op != "Probe" || e.Class != object.ClassUnsupported || !strings.Contains(e.Hint, "default retention") {
		t.Errorf("%v", err)
	}
	if n := len(srv.Requests("PutObject")); n != 1 {
		t.Errorf("%d objects were made", n)
	}
}

// TestALiarWithOneStrayAnswer: an answer that nobody gives to a PutObject without a condition
// is no refusal of the made-up algorithm, so that a store that takes anything is still caught.
func TestALiarWithOneStrayAnswer(t *testing.T) {
	for _, stray := range []string{`(Error 404 NoSuchKey "no")`, `(Error 412 PreconditionFailed "no")`} {
		srv := s3test.New(s3test.Config{Profile: s3test.Profile{Name: "echoes any algorithm", Encryption: s3test.EncryptEcho},
			Rules: `(If (And (Key "*algorithm*") (First 1)) ` + stray + `)`})
		defer srv.Close()
		got := find(t, srv, openFake(t, srv, s3store.Options{}), s3store.ProbeOptions{}, s3test.BucketConfig{})
		if got.Encrypts != object.No {
			t.Errorf("%s: encrypts %s\n%s", stray, got.Encrypts, strings.Join(got.Notes, "\n"))
		}
	}
}
