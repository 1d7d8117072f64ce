package s3store

import (
	"net/http"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestCephTellsByGet: a HEAD tells neither that Ceph's KMS is away nor that it has no such key, and
// looks as if the store failed, or the object was gone.
func TestCephTellsByGet(t *testing.T) {
	clean(t)
	for _, c := range []struct {
		id, code, message string
		status            int
		want              object.Class
		requests          int
	}{
		{"tx0000020d3fb31f6d195c6-006b0e1e28-100d-default", "UnknownError", "Failed to retrieve the actual key, kms-keyid: K", 500, object.ClassKMSAway, 2},
		{"tx0000020d3fb31f6d195c6-006b0e1e28-100d-default", "NoSuchKey", "Failed to retrieve the actual key, kms-keyid: K", 404, object.ClassDenied, 2},
		{"tx0000011ea2a0981335745-006b0eb7fa-4113-default", "ServiceUnavailable", "Failed to retrieve the actual key, kms-keyid: K", 503, object.ClassKMSAway, 2}, // Ceph 20
		{"tx0000011ea2a0981335745-006b0eb7fa-4113-default", "ServiceUnavailable", "Failed to retrieve the actual key", 503, object.ClassKMSAway, 2},               // under SSE-S3
		{"tx0000011ea2a0981335745-006b0eb7fa-4113-default", "SlowDown", "", 503, object.ClassThrottled, 2},
		{"tx0000020d3fb31f6d195c6-006b0e1e28-100d-default", "NoSuchKey", "", 404, object.ClassGone, 2},
		{"tx0000020d3fb31f6d195c6-006b0e1e28-100d-default", "UnknownError", "", 500, object.ClassTransient, 2},
		{"tx0000020d3fb31f6d195c6-006b0e1e28", "NoSuchKey", "", 404, object.ClassGone, 1},
		{"4442587FB7D0A2F9", "NoSuchKey", "", 404, object.ClassGone, 1},
	} {
		s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(r *http.Request) *http.Response {
			if r.Method == http.MethodHead {
				return answered(c.status, "", "X-Amz-Request-Id", c.id)
			}
			return answered(c.status, errorXML(c.code, c.message), "X-Amz-Request-Id", c.id)
		})
		_, err := s.Head(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{})
		if object.ClassOf(err) != c.want || len(p.seen) != c.requests {
			t.Errorf("%+v: %v after %d requests", c, err, len(p.seen))
		}
	}
}

// TestCephThrottlesAHead: its limit refuses one request and lets the next through. The rate is to
// come down all the same.
func TestCephThrottlesAHead(t *testing.T) {
	clean(t)
	s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(r *http.Request) *http.Response {
		if r.Method == http.MethodHead {
			return answered(503, "", "X-Amz-Request-Id", "tx0000011ea2a0981335745-006b0eb7fa-4113-default")
		}
		return answered(206, "x", "X-Amz-Request-Id", "tx0000011ea2a0981335746-006b0eb7fa-4113-default")
	})
	_, err := s.Head(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{})
	if object.ClassOf(err) != object.ClassThrottled || len(p.seen) != 2 {
		t.Errorf("%v after %d requests", err, len(p.seen))
	}
}
