package s3store

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestListsThatLeadBack: of a list whose pages lead from one to the other and back each is
// read once, and what depends on a whole list has an error.
func TestListsThatLeadBack(t *testing.T) {
	clean(t)
	asked := 0
	next := func(marker string) string { return map[string]string{"": "2", "1": "2", "2": "1"}[marker] }
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(r *http.Request) *http.Response {
		if asked++; asked > 20 {
			return answered(400, "")
		}
		switch q := r.URL.Query(); {
		case q.Has("uploads"):
			return answered(200, fmt.Sprintf("<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>%s</NextUploadIdMarker></ListMultipartUploadsResult>", next(q.Get("upload-id-marker"))))
		case q.Has("uploadId"):
			return answered(200, fmt.Sprintf("<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>%s</NextPartNumberMarker></ListPartsResult>", next(q.Get("part-number-marker"))))
		case q.Has("attributes"):
			return answered(200, fmt.Sprintf("<GetObjectAttributesResponse><ObjectParts><IsTruncated>true</IsTruncated><NextPartNumberMarker>%s</NextPartNumberMarker></ObjectParts></GetObjectAttributesResponse>", next(r.Header.Get("X-Amz-Part-Number-Marker"))))
		case q.Has("inventory"):
			return answered(200, fmt.Sprintf("<ListInventoryConfigurationsResult><IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken></ListInventoryConfigurationsResult>", next(q.Get("continuation-token"))))
		case q.Has("annotation"):
			return answered(200, fmt.Sprintf("<ListObjectAnnotationsResult><NextContinuationToken>%s</NextContinuationToken></ListObjectAnnotationsResult>", next(q.Get("continuation-token"))))
		}
		return answered(200, fmt.Sprintf("<ListAllMyBucketsResult><ContinuationToken>%s</ContinuationToken></ListAllMyBucketsResult>", next(r.URL.Query().Get("continuation-token"))))
	})
	ref := object.Ref{Bucket: "b", Key: "k"}
	for name, c := range map[string]struct {
		list func() error
		bad  bool
	}{
		"uploads":     {func() error { _, err := s.ListUploads(t.Context(), ref); return err }, false},
		"parts":       {func() error { _, err := s.ListParts(t.Context(), ref, "u", nil); return err }, false},
		"attributes":  {func() error { _, _, _, err := s.attributes(t.Context(), ref, object.CustomerKey{}); return err }, false},
		"annotations": {func() error { _, err := s.Annotations(t.Context(), ref); return err }, true},
		"inventories": {func() error { _, _, err := s.InventoryKeys(t.Context(), "b"); return err }, false},
		"buckets":     {func() error { _, err := s.Buckets(t.Context()); return err }, true},
	} {
		asked = 0
		if err := c.list(); (err != nil) != c.bad || asked != 3 {
			t.Errorf("%s: asked %d times, %v", name, asked, err)
		}
	}
}

// TestNonsenseOfParts: a store that tells of more parts than there can be is not asked for
// each of them.
func TestNonsenseOfParts(t *testing.T) {
	clean(t)
	asked := 0
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response {
		if asked++; asked > 20 {
			return answered(400, "")
		}
		a := answered(200, "")
		a.Header.Set("ETag", `"e"`)
		a.Header.Set("X-Amz-Mp-Parts-Count", "2000000")
		return a
	})
	began := time.Now()
	if sizes, _, err := s.partsByHead(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{}); err != nil || sizes != nil || asked > 2 {
		t.Errorf("%d sizes, asked %d times in %v, %v", len(sizes), asked, time.Since(began), err)
	}
}
