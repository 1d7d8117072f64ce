package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestSuspendedOnRealServer suspends versioning in the middle of a run over keys that have
// an older null version each, however the objects are written. The run stops, and a row
// tells of each null version whose place was taken.
func TestSuspendedOnRealServer(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	for name, args := range map[string][]string{"rewrite": {"--operation", "rewrite"}, "parts": inParts, "copy": {"--operation", "copy", "--accept", "concurrent-writes,expires"}} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, server, "suspended-"+name)
			const objects = 300
			keep := func(s types.BucketVersioningStatus) {
				if _, err := b.client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &b.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: s}}); err != nil {
					t.Error(err)
				}
			}
			put := func() {
				for i := range objects {
					if _, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: aws.String(fmt.Sprintf("k%03d", i)), Body: strings.NewReader("body")}); err != nil {
						t.Fatal(err)
					}
				}
			}
			put()
			keep(types.BucketVersioningStatusEnabled)
			put()
			dir := filepath.Join(t.TempDir(), "job")
			go func() { // once the run is at work
				for t.Context().Err() == nil {
					h, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: aws.String("k005")})
					if err == nil && h.ServerSideEncryption != "" {
						keep(types.BucketVersioningStatusSuspended)
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}()
			s := listen(t, b.command(append([]string{"run", "s3://" + b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0], "--quiet", "--concurrency", "2",
				"--max-requests-per-second", "100", "--job", dir}, args...)...))
			if s.code != 1 || !strings.Contains(s.stderr, "was enabled when the run began and is suspended now") {
				t.Errorf("exit code %d\n%s", s.code, s.stderr)
			}
			lost := objects
			for i := range objects {
				h, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: aws.String(fmt.Sprintf("k%03d", i)), VersionId: aws.String("null")})
				if err != nil {
					t.Fatal(err)
				}
				if h.ServerSideEncryption == "" {
					lost--
				}
			}
			told := 0
			for _, row := range b.rows(dir) {
				if strings.Contains(row["message"], "took the place of the key's null version") {
					told++
				}
			}
			if lost == 0 || lost > 4 || told != lost {
				t.Errorf("%d null versions are overwritten, and %d rows say so", lost, told)
			}
		})
	}
}
