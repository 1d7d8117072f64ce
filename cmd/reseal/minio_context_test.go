package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestRealServerKMSContext: MinIO makes an object under a KMS context unreadable
// by a self-copy that sends none. Whichever way the objects are found and copied,
// their bytes must be there afterwards.
func TestRealServerKMSContext(t *testing.T) {
	t.Parallel()
	server := realserver.StartKES(t, realserver.Options{})
	keyList := filepath.Join(t.TempDir(), "keys")
	for i, run := range []struct {
		name string
		args []string
	}{
		{"listed", nil},
		{"listed, not inspected", []string{"--inspect", "never"}},
		{"key list, not inspected", []string{"--manifest", keyList, "--manifest-format", "keys", "--inspect", "never"}},
		{"guarded", []string{"--guard", "strict"}},
	} {
		t.Run(run.name, func(t *testing.T) {
			b := newBed(t, server, fmt.Sprintf("context-%d", i))
			keys := b.seedContexts(server.Keys[0])
			if err := os.WriteFile(keyList, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			source := []string{"s3://" + b.bucket}
			if strings.HasPrefix(run.name, "key list") {
				source = []string{"--bucket", b.bucket}
			}
			args := append(source, "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[1], "--job", filepath.Join(t.TempDir(), "job"))
			if s := b.summary(append(args, run.args...)...); s.Done != len(keys) {
				t.Errorf("%+v, want %d done", s, len(keys))
			}
			for _, key := range keys {
				b.readsAs(key, "the bytes of "+key, realserver.ShownKey(server.Keys[1]))
			}
		})
	}
}

// seedContexts puts objects under a KMS key, every other one with a context.
func (b *bed) seedContexts(kmsKey string) (keys []string) {
	b.Helper()
	for n := range 20 {
		key := fmt.Sprintf("k%02d", n)
		in := &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: strings.NewReader("the bytes of " + key),
			ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: &kmsKey}
		if n%2 == 0 {
			in.SSEKMSEncryptionContext = aws.String("eyJwcm9qZWN0IjoicmVzZWFsIn0=")
		}
		if _, err := b.client.PutObject(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func (b *bed) readsAs(key, body, kmsKey string) {
	b.Helper()
	out, err := b.client.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		b.Errorf("%s cannot be read any more: %v", key, err)
		return
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err != nil || string(got) != body || aws.ToString(out.SSEKMSKeyId) != kmsKey {
		b.Errorf("%s: %q under %s, %v", key, got, aws.ToString(out.SSEKMSKeyId), err)
	}
}
