package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestRealServerUpdate asks MinIO for UpdateObjectEncryption, which it answers
// with success and by replacing the object by the request. The job is refused,
// every object stays as it was, and nothing is left behind: no object or version
// of the canary, no upload, no job.
func TestRealServerUpdate(t *testing.T) {
	t.Parallel()
	server := realserver.StartKES(t, realserver.Options{})
	for _, versioning := range []types.BucketVersioningStatus{"", types.BucketVersioningStatusEnabled, types.BucketVersioningStatusSuspended} {
		t.Run(cell(string(versioning)), func(t *testing.T) {
			b := newBed(t, server, "update-"+strings.ToLower(cell(string(versioning))))
			b.bucketVersioning(versioning)
			keys := b.seedContexts(server.Keys[0])
			before := b.look(keys)
			for _, key := range []string{server.Keys[1], "arn:aws:kms:us-east-1:111122223333:key/" + server.Keys[1]} {
				job := filepath.Join(t.TempDir(), "job")
				b.reseal(2, "run", "s3://"+b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", key, "--operation", "update", "--job", job)
				if left, _ := filepath.Glob(job + "*"); len(left) > 0 {
					t.Errorf("%v was left behind", left)
				}
			}
			if after := b.look(keys); !reflect.DeepEqual(before, after) {
				t.Errorf("objects were touched:\n was %.600v\n is  %.600v", before, after)
			}
			for key, versions := range b.nothingElse(keys) {
				if len(versions) != 1 {
					t.Errorf("%q has %d versions", key, len(versions))
				}
			}
		})
	}
}

func (b *bed) bucketVersioning(status types.BucketVersioningStatus) {
	b.Helper()
	if status == "" {
		return
	}
	_, err := b.client.PutBucketVersioning(b.Context(), &s3.PutBucketVersioningInput{Bucket: &b.bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: status}})
	if err != nil {
		b.Fatal(err)
	}
}
