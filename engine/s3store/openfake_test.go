package s3store_test

import (
	"testing"

	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// openFake opens a store on an embedded server.
func openFake(t testing.TB, srv *s3test.Server, o s3store.Options) *s3store.Store {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.DefaultCredentials.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.DefaultCredentials.SecretAccessKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if o.EndpointURL == "" {
		o.EndpointURL = srv.URL()
	}
	s, err := s3store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
