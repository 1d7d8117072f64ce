package s3store

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestUploadsAreDatedByThisClock: whoever reads of the upload of a moment ago
// compares with this machine's clock.
func TestUploadsAreDatedByThisClock(t *testing.T) {
	clean(t)
	stores := time.Now().Add(-20 * time.Minute).UTC()
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response {
		return answered(200, `<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u</UploadId><Initiated>`+stores.Add(-time.Minute).Format(time.RFC3339Nano)+
			`</Initiated></Upload></ListMultipartUploadsResult>`, "Date", stores.Format(http.TimeFormat))
	})
	open, err := s.ListUploads(t.Context(), object.Ref{Bucket: "b", Key: "k"})
	if err != nil || len(open) != 1 || (time.Since(open[0].Initiated)-time.Minute).Abs() > 3*time.Second {
		t.Errorf("%v, %v", open, err)
	}
}

// TestEachCompleteFindsItsKey: the customer key that one Complete wanted need not be that of the
// next. MinIO wants that of the object that is there: none, an older one, or the target's already
// where a storage class is to change.
func TestEachCompleteFindsItsKey(t *testing.T) {
	clean(t)
	older, target := customerKeyOf(t, "o"), customerKeyOf(t, "t")
	shown := func(key object.CustomerKey) string {
		if key.IsZero() {
			return ""
		}
		return key.MD5()
	}
	for store, wants := range map[string]func(there object.CustomerKey) object.CustomerKey{
		"MinIO": func(there object.CustomerKey) object.CustomerKey { return there },
		"Ceph":  func(object.CustomerKey) object.CustomerKey { return target },
	} {
		var there object.CustomerKey
		s, p := opened(t, Options{EndpointURL: "https://127.0.0.1:9"}, func(r *http.Request) *http.Response {
			switch {
			case r.Method == http.MethodHead && !there.IsZero():
				return answered(http.StatusBadRequest, "")
			case r.Method == http.MethodHead:
				return answered(http.StatusOK, "")
			case r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key-Md5") == shown(wants(there)):
				return answered(http.StatusOK, `<CompleteMultipartUploadResult><ETag>"e-1"</ETag></CompleteMultipartUploadResult>`)
			case store == "MinIO" && there.Equal(older):
				return answered(http.StatusForbidden, errorXML("AccessDenied", "Access Denied."))
			default:
				return answered(http.StatusBadRequest, errorXML("InvalidRequest", "it is under another key"))
			}
		})
		most := 1 // request of each, and two to learn it, where all want the same key
		if store == "MinIO" {
			most = 3
		}
		keys := []object.CustomerKey{{}, {}, target, {}, older, target, older, {}}
		for i, key := range keys {
			there = key
			req := &object.CompleteRequest{Dest: object.Ref{Bucket: "b", Key: "k"}, UploadID: "u", DestETag: "e",
				Target: &object.Target{SSE: object.SSEC, CustomerKey: target, SourceKey: older}}
			if _, err := s.CompleteUpload(t.Context(), req); err != nil {
				t.Errorf("%s, object %d: %v", store, i, err)
			}
		}
		if n := len(p.seen); n > len(keys)*most+2 {
			t.Errorf("%s: %d requests", store, n)
		}
	}
}

// TestNoCompleteWithoutItsKey: where the question under which key the old object is fails for a moment,
// nothing is sent under a key that nobody has asked for, and the Complete is sent again.
func TestNoCompleteWithoutItsKey(t *testing.T) {
	clean(t)
	older, target := customerKeyOf(t, "o"), customerKeyOf(t, "t")
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusBadGateway, http.StatusTooManyRequests} {
		asked := 0
		s, _ := opened(t, Options{EndpointURL: "https://127.0.0.1:9"}, func(r *http.Request) *http.Response {
			switch {
			case r.Method == http.MethodHead:
				if asked++; asked == 1 {
					return answered(status, "")
				}
				return answered(http.StatusBadRequest, "")
			case r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key-Md5") == older.MD5():
				return answered(http.StatusOK, `<CompleteMultipartUploadResult><ETag>"e-1"</ETag></CompleteMultipartUploadResult>`)
			case r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key-Md5") == "":
				return answered(http.StatusBadRequest, errorXML("InvalidRequest", "it is under a key"))
			}
			return answered(http.StatusForbidden, errorXML("AccessDenied", "Access Denied."))
		})
		req := &object.CompleteRequest{Dest: object.Ref{Bucket: "b", Key: "k"}, UploadID: "u", DestETag: "e",
			Target: &object.Target{SSE: object.SSEC, CustomerKey: target, SourceKey: older}}
		_, err := s.CompleteUpload(t.Context(), req)
		if e, ok := errors.AsType[*object.Error](err); !ok || !e.Class.Retryable() || !e.NotSent || e.Op != "CompleteMultipartUpload" {
			t.Errorf("%d: %v", status, err)
		}
		if _, err := s.CompleteUpload(t.Context(), req); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func customerKeyOf(t *testing.T, letter string) object.CustomerKey {
	t.Helper()
	key, err := object.ParseCustomerKey([]byte(strings.Repeat(letter, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}
