package s3store_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/resealhq/reseal/engine/hot"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestAnswers: every answer is one but that of a proxy, of a store that fails for the moment,
// and the lack of one.
func TestAnswers(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	s := openFake(t, srv, s3store.Options{})
	for rule, answers := range map[string]bool{
		"": true, `(If HeadBucket (Error 403 AccessDenied "no"))`: true, `(If HeadBucket (Error 405 MethodNotAllowed "no"))`: true,
		`(If HeadBucket (Error 501 NotImplemented "no"))`: true, "(If HeadBucket Failed)": false, `(If HeadBucket (Error 502 "" ""))`: false,
		`(If HeadBucket (Error 503 "" ""))`: false, "(If HeadBucket ReplyLost)": false,
	} {
		if err := srv.SetRules(rule); err != nil {
			t.Fatal(err)
		}
		if err := s.Answers(t.Context(), "b"); err == nil != answers {
			t.Errorf("%q: %v", rule, err)
		}
	}
	srv.SetRules("")
	for _, bucket := range []string{"nowhere", ""} {
		if err := s.Answers(t.Context(), bucket); err != nil {
			t.Errorf("bucket %q: %v", bucket, err)
		}
	}
	srv.Close()
	if err := s.Answers(t.Context(), "b"); err == nil {
		t.Error("a server that is closed answers")
	}
}

// fronted is a store behind a proxy, which answers for it with that status and a page; 0 lets
// everything through. unnamed takes the IDs from the store's answers.
func fronted(t *testing.T, unnamed bool) (s *s3store.Store, says *atomic.Int64) {
	srv := s3test.New(s3test.Config{})
	t.Cleanup(srv.Close)
	srv.CreateBucket("b", s3test.BucketConfig{})
	srv.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("body")})
	at, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	says = new(atomic.Int64)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			if unnamed {
				r.Header.Del("X-Amz-Request-Id")
				r.Header.Del("X-Amz-Id-2")
			}
			return nil
		}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := says.Load()
		if code < 0 && r.URL.Query().Has("versioning") { // of that alone
			code = -code
		}
		if code > 0 {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("ETag", `"5e1f-2a"`) // as of a file
			w.WriteHeader(int(code))
			fmt.Fprint(w, "<html>default backend</html>")
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return openFake(t, srv, s3store.Options{EndpointURL: front.URL}), says
}

// TestNotTheStores: an ingress without its store answers 404, a firewall 403, a page for all
// 200. No object is gone, denied, under SSE-C or another one because of that, nobody is answered,
// and nothing is written or deleted.
func TestNotTheStores(t *testing.T) {
	gone := object.Ref{Bucket: "b", Key: "gone"}
	here := object.Ref{Bucket: "b", Key: "k"}
	for _, unnamed := range []bool{false, true} {
		t.Run(fmt.Sprint("unnamed ", unnamed), func(t *testing.T) {
			s, says := fronted(t, unnamed)
			wire, err := hot.Client(s)
			if err != nil {
				t.Fatal(err)
			}
			defer wire.Close()
			if _, err := s.ListPage(t.Context(), object.ListRequest{Bucket: "b"}); err != nil {
				t.Fatal(err)
			}
			tagged := func() error { return s.PutTags(t.Context(), here, []object.Tag{{Key: "a", Value: "b"}}) }
			id, _, err := s.CreateUpload(t.Context(), &object.CopyRequest{Source: here, Dest: here, Target: &object.Target{}})
			if err != nil {
				t.Fatal(err)
			}
			aborted := func() error { return s.AbortUpload(t.Context(), here, id) }
			_, read := wire.Get(t.Context(), &object.GetRequest{Ref: here, Max: 100})
			for what, err := range map[string]error{"a bucket": s.Answers(t.Context(), "b"), "tags": tagged(), "an abort": aborted(), "a GET": read} {
				if err != nil {
					t.Fatal(what, err)
				}
			}
			for _, head := range []func(context.Context, object.Ref, object.CustomerKey) (object.Head, error){s.Head, wire.Head} {
				if _, err := head(t.Context(), gone, object.CustomerKey{}); object.ClassOf(err) != object.ClassGone {
					t.Errorf("an object that is gone: %v", err)
				}
				if _, err := head(t.Context(), here, object.CustomerKey{}); err != nil {
					t.Errorf("an object that is there: %v", err)
				}
			}
			for _, code := range []int64{404, 403, 401, 400, 405, 410, 421, 302, 304, 204, 200} {
				if unnamed && code != 404 && code != 403 && code != 401 && code != 302 {
					continue // nobody can tell
				}
				says.Store(code)
				_, headed := s.Head(t.Context(), here, object.CustomerKey{})
				_, wired := wire.Head(t.Context(), here, object.CustomerKey{})
				_, got := wire.Get(t.Context(), &object.GetRequest{Ref: here, Max: 100})
				_, copied := s.Copy(t.Context(), &object.CopyRequest{Source: here, Dest: here, SourceETag: "e"})
				_, recopied := wire.Copy(t.Context(), &object.CopyRequest{Source: here, Dest: here, SourceETag: "e", Target: &object.Target{}})
				all := map[string]error{"HEAD": headed, "HEAD of wire": wired, "GET": got, "COPY": copied, "COPY of wire": recopied}
				if code != 400 && code != 405 && code != 410 && code != 421 && code != 304 && !unnamed {
					_, all["a listing"] = s.ListPage(t.Context(), object.ListRequest{Bucket: "b"})
					all["tags"], all["the bucket"] = tagged(), s.Answers(t.Context(), "b")
				}
				for what, err := range all {
					if object.ClassOf(err) != object.ClassTransient || object.WantsCustomerKey(err) {
						t.Errorf("%d to %s: %v, %v", code, what, object.ClassOf(err), err)
					}
				}
				if err := aborted(); err == nil {
					t.Errorf("%d to an abort: nothing", code)
				}
				says.Store(0)
			}
		})
	}
}

// TestSettingsAreNotTheProxys: what a proxy says of a store that is away is no answer to what a
// bucket is set to. Unknown settings have a job decided anew, or stop it as one of a bucket that has
// changed.
func TestSettingsAreNotTheProxys(t *testing.T) {
	s, says := fronted(t, false)
	if _, err := s.Versioning(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	for _, code := range []int64{502, 404} {
		says.Store(code)
		if v, err := s.Versioning(t.Context(), "b"); err == nil {
			t.Errorf("%d: %v", code, v)
		}
		says.Store(-code) // whoever asks for all else is answered
		if v, err := s.Versioning(t.Context(), "b"); err != nil || v != object.VersioningUnknown {
			t.Errorf("%d to this question alone: %v, %v", code, v, err)
		}
	}
}

// TestPermissionsAreNotTheProxys: what a proxy says of a store that is away tells of no permission, and
// of nothing that the store has not. A job goes by it to its end.
func TestPermissionsAreNotTheProxys(t *testing.T) {
	s, says := fronted(t, false)
	ref := object.Ref{Bucket: "b", Key: "k"}
	if _, err := s.CheckRead(t.Context(), ref, ""); err != nil {
		t.Fatal(err)
	}
	for _, code := range []int64{502} { // it takes its time
		says.Store(code)
		if found, err := s.CheckRead(t.Context(), ref, ""); err == nil {
			t.Errorf("%d: %v", code, found)
		}
		says.Store(-code) // whoever asks for all else is answered
		found, err := s.CheckRead(t.Context(), ref, "")
		if err != nil {
			t.Errorf("%d to one question alone: %v", code, err)
		}
		for _, p := range found {
			if is := p.Action == "s3:GetBucketVersioning"; is != (p.Granted == object.Unknown) {
				t.Errorf("%d to one question alone: %s %v", code, p.Action, p.Granted)
			}
		}
	}
}

// TestTheStoreComesBackInBetween: what a proxy says to a HEAD is nothing of the store's, also where
// that answers the GET which asks again: with another refusal, one of the moment among them.
func TestTheStoreComesBackInBetween(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	var says atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead:
			w.WriteHeader(int(says.Load()))
		case r.URL.Query().Has("list-type"):
			w.Header().Set("X-Amz-Request-Id", "1")
			fmt.Fprint(w, `<ListBucketResult><Name>b</Name></ListBucketResult>`)
		default:
			w.Header().Set("X-Amz-Request-Id", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `<Error><Code>XMinioServerNotInitialized</Code><RequestId>2</RequestId></Error>`)
		}
	}))
	defer front.Close()
	s := openFake(t, srv, s3store.Options{EndpointURL: front.URL})
	if _, err := s.ListPage(t.Context(), object.ListRequest{Bucket: "b"}); err != nil {
		t.Fatal(err)
	}
	for _, code := range []int64{404, 403, 400, 405, 410, 401} {
		says.Store(code)
		if _, err := s.Head(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{}); object.ClassOf(err) != object.ClassTransient {
			t.Errorf("%d: %v, %v", code, object.ClassOf(err), err)
		}
	}
}

// TestOnlySomeAnswersHaveAnID: a store may name the requests of its buckets and not those of its
// objects, which another part of it answers. None of these is somebody else's because of that.
func TestOnlySomeAnswersHaveAnID(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("list-type"):
			w.Header().Set("X-Amz-Request-Id", "1")
			fmt.Fprint(w, `<ListBucketResult><Name>b</Name></ListBucketResult>`)
		case r.URL.Path == "/b" || r.URL.Path == "/b/":
			w.Header().Set("X-Amz-Request-Id", "2")
		case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") == "":
			w.Header().Set("X-Amz-Request-Id", "3")
			w.Header().Set("ETag", `"e"`)
		case r.Method == http.MethodPut:
			fmt.Fprint(w, `<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>`)
		default:
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Content-Length", "4")
			if r.Method == http.MethodGet {
				fmt.Fprint(w, "body")
			}
		}
	}))
	defer front.Close()
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	s := openFake(t, srv, s3store.Options{EndpointURL: front.URL})
	wire, err := hot.Client(s)
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	here := object.Ref{Bucket: "b", Key: "k"}
	if _, err := s.ListPage(t.Context(), object.ListRequest{Bucket: "b"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, put := wire.Put(t.Context(), &object.PutRequest{CopyRequest: object.CopyRequest{Dest: here, Target: &object.Target{}}, Body: []byte("body")})
		_, headed := s.Head(t.Context(), here, object.CustomerKey{})
		_, wired := wire.Head(t.Context(), here, object.CustomerKey{})
		_, got := wire.Get(t.Context(), &object.GetRequest{Ref: here, Max: 100})
		_, copied := wire.Copy(t.Context(), &object.CopyRequest{Source: here, Dest: here, SourceETag: "e", Target: &object.Target{}})
		for what, err := range map[string]error{"the bucket": s.Answers(t.Context(), "b"), "PUT": put, "HEAD": headed, "HEAD of wire": wired, "GET": got, "COPY": copied} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}
