package realserver_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

const bucket = "a-bucket"

func put(t *testing.T, s *realserver.Server, in *s3.PutObjectInput) {
	t.Helper()
	in.Bucket = aws.String(bucket)
	in.Body = strings.NewReader("some bytes")
	if _, err := s.Client().PutObject(t.Context(), in); err != nil {
		t.Fatalf("PutObject %s: %v", *in.Key, err)
	}
}

func head(t *testing.T, s *realserver.Server, key string) *s3.HeadObjectOutput {
	t.Helper()
	out, err := s.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		t.Fatalf("HeadObject %s: %v", key, err)
	}
	return out
}

func makeBucket(t *testing.T, s *realserver.Server) {
	t.Helper()
	if _, err := s.Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
}

// TestMinIO shows the promises over HTTP: one key, SIGKILL loses nothing that
// was answered, the address stays, and an unknown KMS key is refused.
func TestMinIO(t *testing.T) {
	s := realserver.StartMinIO(t, realserver.Options{})
	if !strings.HasPrefix(s.Endpoint, "http://127.0.0.1:") || s.CAFile != "" {
		t.Errorf("endpoint %q, CA %q: want plain HTTP on loopback", s.Endpoint, s.CAFile)
	}
	makeBucket(t, s)
	put(t, s, &s3.PutObjectInput{Key: aws.String("k"), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String(s.Keys[0])})
	before := s.Endpoint
	s.Kill()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Endpoint != before {
		t.Errorf("restarted on %s, was on %s", s.Endpoint, before)
	}
	if got := aws.ToString(head(t, s, "k").SSEKMSKeyId); got != realserver.ShownKey(s.Keys[0]) {
		t.Errorf("the key is shown as %q, want %q", got, realserver.ShownKey(s.Keys[0]))
	}
	_, err := s.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("x"), Body: strings.NewReader(""),
		ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String("nobody")})
	if err == nil {
		t.Error("a KMS key that does not exist was taken")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Get(s.Endpoint); err == nil {
		resp.Body.Close()
		t.Error("it answers after Stop")
	}
}

// TestKES shows several keys and SSE-C over TLS, and the KMS going away.
func TestKES(t *testing.T) {
	s := realserver.StartKES(t, realserver.Options{Keys: []string{"one", "two", "three"}})
	if !strings.HasPrefix(s.Endpoint, "https://127.0.0.1:") || s.CAFile == "" {
		t.Fatalf("endpoint %q, CA %q: want TLS on loopback", s.Endpoint, s.CAFile)
	}
	makeBucket(t, s)
	for _, key := range s.Keys {
		put(t, s, &s3.PutObjectInput{Key: aws.String(key), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String(key)})
		if got := aws.ToString(head(t, s, key).SSEKMSKeyId); got != realserver.ShownKey(key) {
			t.Errorf("%s is shown as %q", key, got)
		}
	}
	material := bytes.Repeat([]byte{7}, 32)
	sum := md5.Sum(material)
	put(t, s, &s3.PutObjectInput{Key: aws.String("c"), SSECustomerAlgorithm: aws.String("AES256"),
		SSECustomerKey:    aws.String(base64.StdEncoding.EncodeToString(material)),
		SSECustomerKeyMD5: aws.String(base64.StdEncoding.EncodeToString(sum[:]))})
	if _, err := s.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("c")}); err == nil {
		t.Error("an SSE-C object was shown without its key")
	}

	s.KillKMS()
	in := &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("x"), Body: strings.NewReader("x"),
		ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String("two")}
	once := func(o *s3.Options) { o.Retryer = aws.NopRetryer{} }
	if _, err := s.Client().PutObject(t.Context(), in, once); err == nil {
		t.Error("encrypted without a KMS")
	}
	if err := s.RestartKMS(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, &s3.PutObjectInput{Key: aws.String("x"), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String("two")})
}

// TestKeysWithoutKES: MinIO's static KMS knows one key only, and saying so beats
// an object under the wrong one.
func TestKeysWithoutKES(t *testing.T) {
	if s, err := realserver.Start(t.Context(), realserver.Options{Keys: []string{"a", "b"}}); err == nil {
		s.Close()
		t.Fatal("two keys without KES were taken")
	}
}

// TestStartTellsWhatTheServerSaid: a start that fails carries the server's words.
func TestStartTellsWhatTheServerSaid(t *testing.T) {
	s, err := realserver.Start(t.Context(), realserver.Options{Env: []string{"MINIO_BROWSER=perhaps"}})
	if err == nil {
		s.Close()
		t.Fatal("a wrong setting was taken")
	}
	if !strings.Contains(err.Error(), "MINIO_BROWSER") {
		t.Errorf("the error does not show what MinIO printed: %v", err)
	}
}
