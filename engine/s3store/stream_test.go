package s3store

import (
	"net/http"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestReadRange: a reply that does not say that it is the stretch that was asked for,
// of the object that was asked for, is none.
func TestReadRange(t *testing.T) {
	clean(t)
	var reply *http.Response
	s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return reply })
	for _, tc := range []struct {
		name   string
		status int
		etag   string
		stated string
		body   string
		want   object.Class
		ok     bool
	}{
		{"as asked", 206, `"e"`, "bytes 2-5/9", "cdef", 0, true},
		{"the whole object instead", 200, `"e"`, "", "abcdefghi", object.ClassUnsupported, false},
		{"another stretch", 206, `"e"`, "bytes 3-6/9", "defg", object.ClassTransient, false},
		{"of another size", 206, `"e"`, "bytes 2-5/8", "cdef", object.ClassTransient, false},
		{"of another object", 206, `"f"`, "bytes 2-5/9", "cdef", object.ClassChanged, false},
		{"cut", 206, `"e"`, "bytes 2-5/9", "cd", object.ClassTransient, false},
	} {
		reply = answered(tc.status, tc.body, "Etag", tc.etag, "Content-Range", tc.stated)
		into := make([]byte, 4)
		err := s.ReadRange(t.Context(), &object.RangeRequest{Ref: object.Ref{Bucket: "b", Key: "k"}, ETag: "e", Size: 9, First: 2, Into: into})
		if tc.ok != (err == nil) || !tc.ok && object.ClassOf(err) != tc.want || tc.ok && string(into) != tc.body {
			t.Errorf("%s: %q, %v", tc.name, into, err)
		}
	}
	if r := p.seen[0]; r.Header.Get("Range") != "bytes=2-5" || r.Header.Get("If-Match") != `"e"` {
		t.Errorf("it sends %v", r.Header)
	}
}
