package s3store_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// TestServerThatPrefersHTTP2: most proxies do, and SeaweedFS. HTTP/2 must not be
// offered to them: it would be answered with frames that nobody here reads.
func TestServerThatPrefersHTTP2(t *testing.T) {
	spoken := make(chan string, 10)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		spoken <- r.Proto
		_, _ = io.WriteString(w, `<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated></ListBucketResult>`)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]s3store.Options{"bundle": {CABundle: ca}, "any certificate": {NoVerifySSL: true}} {
		o.EndpointURL = srv.URL
		s := openFake(t, nil, o)
		if _, err := s.ListPage(t.Context(), object.ListRequest{Bucket: "b"}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := <-spoken; got != "HTTP/1.1" {
			t.Errorf("%s: spoke %s", name, got)
		}
	}
}
