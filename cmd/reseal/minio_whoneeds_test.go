package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestWhoNeedsOnRealServer asks a real MinIO before and after a rotation: as many
// versions need the old key as a loop over HEAD counts, then none where no old
// version is kept, and those that are kept where they are.
func TestWhoNeedsOnRealServer(t *testing.T) {
	t.Parallel()
	server := realserver.StartKES(t, realserver.Options{Keys: []string{"key-a", "key-b"}})
	old, fresh := server.Keys[0], server.Keys[1]
	const each = 30
	var beds []*bed
	for _, name := range []string{"needs-plain", "needs-kept"} {
		b := newBed(t, server, name)
		if name == "needs-kept" {
			b.version()
		}
		for i := range 2 * each {
			in := &s3.PutObjectInput{Bucket: &b.bucket, Key: aws.String(fmt.Sprintf("k%03d", i)), Body: strings.NewReader("x"),
				ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: &old}
			if i%2 == 1 {
				in.SSEKMSKeyId = &fresh
			}
			if _, err := b.client.PutObject(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
		beds = append(beds, b)
	}
	for _, b := range beds {
		want := b.versionsUnder(old)
		if got := b.whoNeeds(3, old); got.Current.Objects != each || got.Current.Objects+got.Noncurrent.Objects != want {
			t.Errorf("before: %+v, want %d", got, want)
		}
		b.summary("s3://"+b.bucket, "--only-encryption", "sse-kms="+old, "--sse", "aws:kms", "--sse-kms-key-id", fresh, "--job", filepath.Join(t.TempDir(), "job"))
	}
	if got := beds[0].whoNeeds(0, old); got.Current.Objects+got.Noncurrent.Objects != 0 || beds[0].versionsUnder(old) != 0 {
		t.Errorf("after: %+v", got)
	}
	if got := beds[1].whoNeeds(3, old); got.Current.Objects != 0 || got.Noncurrent.Objects != each || beds[1].versionsUnder(old) != each {
		t.Errorf("after, with old versions kept: %+v", got)
	}
}

type neededHere struct {
	Current, Noncurrent struct{ Objects int }
}

func (b *bed) whoNeeds(code int, key string) neededHere {
	b.Helper()
	var answer struct{ Sources []neededHere }
	out := b.reseal(code, "who-needs", key, "s3://"+b.bucket, "--json")
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Sources) != 1 {
		b.Fatalf("%v: %s", err, out)
	}
	return answer.Sources[0]
}

// versionsUnder counts by HEAD.
func (b *bed) versionsUnder(key string) (n int) {
	b.Helper()
	b.eachVersionUnder(key, func(types.ObjectVersion) { n++ })
	return n
}

// eachVersionUnder visits the versions that a HEAD shows to be under a key.
func (b *bed) eachVersionUnder(key string, visit func(types.ObjectVersion)) {
	b.Helper()
	list, err := b.client.ListObjectVersions(b.Context(), &s3.ListObjectVersionsInput{Bucket: &b.bucket})
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range list.Versions {
		h, err := b.client.HeadObject(b.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: v.Key, VersionId: v.VersionId})
		if err != nil {
			b.Fatal(err)
		}
		if aws.ToString(h.SSEKMSKeyId) == realserver.ShownKey(key) {
			visit(v)
		}
	}
}
