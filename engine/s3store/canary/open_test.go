package canary_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/realserver"
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

// openAt opens a store on a real server, with the environment that a user of it
// would have.
func openAt(t *testing.T, srv *realserver.Server, o s3store.Options) *s3store.Store {
	t.Helper()
	for _, kv := range srv.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	s, err := s3store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func bucket(t *testing.T, c *s3.Client, name string, lock bool) string {
	t.Helper()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: &lock}); err != nil {
		t.Fatal(err)
	}
	return name
}

func customerKey(t *testing.T) object.CustomerKey {
	t.Helper()
	b := make([]byte, 32)
	rand.Read(b)
	k, err := object.ParseCustomerKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
