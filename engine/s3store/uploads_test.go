package s3store

import (
	"net/http"
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
