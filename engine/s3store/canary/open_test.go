package canary_test

import (
	"crypto/rand"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// fakeEnvironment is that of whoever uses an embedded server.
var fakeEnvironment = map[string]string{
	"AWS_ACCESS_KEY_ID": s3test.DefaultCredentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": s3test.DefaultCredentials.SecretAccessKey, "AWS_SESSION_TOKEN": "",
	"AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true",
}

// TestMain sets fakeEnvironment once for all tests: those that wait for locks to end do so
// side by side.
func TestMain(m *testing.M) {
	for name, value := range fakeEnvironment {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	if err := flag.Set("test.parallel", "8"); err != nil { // they need no CPU
		panic(err)
	}
	os.Exit(m.Run())
}

// openFake opens a store on an embedded server.
func openFake(t testing.TB, srv *s3test.Server, o s3store.Options) *s3store.Store {
	t.Helper()
	for name, value := range fakeEnvironment {
		if os.Getenv(name) != value { // within a test of a real server
			t.Setenv(name, value)
		}
	}
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
