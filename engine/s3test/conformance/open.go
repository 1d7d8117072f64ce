package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/s3store"
)

// OpenS3Store is an Opener.
func OpenS3Store(t *testing.T, at Login) Store { return S3Store(t, at) }

// S3Store opens s3store for a server, for implementations that stand before it.
func S3Store(t *testing.T, at Login) *s3store.Store {
	t.Helper()
	isolate(t, at)
	s, err := s3store.Open(t.Context(), s3store.Options{EndpointURL: at.Endpoint, Region: at.Region, CABundle: at.CAFile})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// isolate gives the process the login and nothing of the machine's own AWS
// configuration.
func isolate(t *testing.T, at Login) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": at.AccessKey, "AWS_SECRET_ACCESS_KEY": at.SecretKey, "AWS_SESSION_TOKEN": at.SessionToken,
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CA_BUNDLE": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "",
	} {
		t.Setenv(name, value)
		if value == "" {
			os.Unsetenv(name)
		}
	}
}
