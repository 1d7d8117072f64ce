//go:build stores

package realserver_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestStoresStart shows that each is what it is said to be: TLS on loopback, keys by
// name, the same address after a restart.
func TestStoresStart(t *testing.T) {
	for _, store := range []struct {
		name  string
		start func(testing.TB, realserver.Options) *realserver.Server
	}{
		{"Ceph", realserver.StartCeph},
		{"SeaweedFS", realserver.StartSeaweedFS},
	} {
		t.Run(store.name, func(t *testing.T) {
			s := store.start(t, realserver.Options{Keys: []string{"one", "two"}})
			if !strings.HasPrefix(s.Endpoint, "https://127.0.0.1:") || s.CAFile == "" {
				t.Fatalf("endpoint %q, CA %q: want TLS on loopback", s.Endpoint, s.CAFile)
			}
			makeBucket(t, s)
			for _, key := range s.Keys {
				put(t, s, &s3.PutObjectInput{Key: aws.String(key), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String(key)})
				if got := aws.ToString(head(t, s, key).SSEKMSKeyId); got != key {
					t.Errorf("%s is shown as %q", key, got)
				}
			}
			s.Kill()
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := head(t, s, "two"); aws.ToInt64(got.ContentLength) != int64(len("some bytes")) {
				t.Errorf("after a restart: %+v", got)
			}
		})
	}
}

// TestStoresCephMissing: whoever asks for Ceph hears how to get it.
func TestStoresCephMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s, err := realserver.Ceph(t.Context(), realserver.Options{})
	if err == nil {
		s.Close()
		t.Fatal("it starts without its programs")
	}
	if !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("no word about how to install it: %v", err)
	}
}
