package s3store_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

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

// TestNotTheStores: an ingress without its store answers 404, a firewall 403. No object is gone
// or denied because of that, and nobody is answered.
func TestNotTheStores(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	srv.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("body")})
	var says, styled atomic.Int64
	at, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := says.Load(); code > 0 {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(int(code))
			if styled.Add(1)%2 == 0 {
				fmt.Fprint(w, "<!DOCTYPE html>\n")
			}
			fmt.Fprint(w, "<HTML lang=en><br>default backend</html>")
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	s := openFake(t, srv, s3store.Options{EndpointURL: front.URL})
	gone := object.Ref{Bucket: "b", Key: "gone"}
	here := object.Ref{Bucket: "b", Key: "k"}
	if _, err := s.ListPage(t.Context(), object.ListRequest{Bucket: "b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Head(t.Context(), gone, object.CustomerKey{}); object.ClassOf(err) != object.ClassGone {
		t.Errorf("an object that is gone: %v", err)
	}
	for _, code := range []int64{404, 403, 401, 302, 200} {
		says.Store(code)
		_, headed := s.Head(t.Context(), here, object.CustomerKey{})
		_, copied := s.Copy(t.Context(), &object.CopyRequest{Source: here, Dest: here, SourceETag: "e"})
		_, listed := s.ListPage(t.Context(), object.ListRequest{Bucket: "b"})
		for what, err := range map[string]error{"HEAD": headed, "COPY": copied, "a listing": listed} {
			if object.ClassOf(err) != object.ClassTransient {
				t.Errorf("%d to %s: %v", code, what, err)
			}
		}
		if err := s.Answers(t.Context(), "b"); (err == nil) != (code == 200) {
			t.Errorf("%d: %v", code, err)
		}
		says.Store(0)
	}
}
