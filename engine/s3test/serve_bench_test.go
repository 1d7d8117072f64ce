package s3test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The server's own cost of a request, without network and signature.
func BenchmarkServe(b *testing.B) {
	for _, c := range []struct{ name, method, target, source string }{
		{"Head", "HEAD", "/b/k", ""}, {"Copy", "PUT", "/b/k", "b/k"}, {"List", "GET", "/b?list-type=2", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := New(Config{NoAuth: true, NoLog: true})
			defer s.Close()
			s.CreateBucket("b", BucketConfig{})
			s.Put("b", Object{Key: "k", Body: Bytes("x")})
			if c.name == "List" {
				for i := range 1000 {
					s.Put("b", Object{Key: itoa(i)})
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(c.method, c.target, nil)
				if c.source != "" {
					r.Header.Set(hCopySource, c.source)
					r.Header.Set(hSSE, "AES256")
				}
				w := httptest.NewRecorder()
				s.serve(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
