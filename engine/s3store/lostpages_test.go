package s3store_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/resealhq/reseal/engine/s3store"
)

// TestListsThatDoNotGoOn: a list that says that there is more, and not where to go on, is
// no whole one for whoever asks what depends on a key.
func TestListsThatDoNotGoOn(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("uploads"):
			fmt.Fprint(w, `<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>`)
		case r.URL.Query().Has("inventory"):
			fmt.Fprint(w, `<ListInventoryConfigurationsResult><IsTruncated>true</IsTruncated></ListInventoryConfigurationsResult>`)
		default:
			fmt.Fprint(w, `<ListAllMyBucketsResult><Buckets><Bucket><Name>b</Name></Bucket></Buckets><ContinuationToken>again</ContinuationToken></ListAllMyBucketsResult>`)
		}
	}))
	defer srv.Close()
	s := openFake(t, nil, s3store.Options{EndpointURL: srv.URL})
	if names, err := s.Buckets(t.Context()); err == nil {
		t.Errorf("buckets: %v", names)
	}
	if n, err := s.OpenUploads(t.Context(), "b", ""); err == nil {
		t.Errorf("%d uploads", n)
	}
	if keys, told, err := s.InventoryKeys(t.Context(), "b"); err != nil || told.Known {
		t.Errorf("inventories: %v, %+v, %v", keys, told, err)
	}
}
