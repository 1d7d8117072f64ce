package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

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

// excluding sends a document in place of the request's own: the SDK knows nothing of
// prefixes that keep no versions.
func excluding(prefix string) func(*s3.Options) {
	doc := `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status><ExcludedPrefixes><Prefix>` + prefix + `</Prefix></ExcludedPrefixes></VersioningConfiguration>`
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Serialize.Add(middleware.SerializeMiddlewareFunc("exclude", func(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
			r, err := in.Request.(*smithyhttp.Request).SetStream(strings.NewReader(doc))
			if err == nil {
				in.Request = r
			}
			return next.HandleSerialize(ctx, in)
		}), middleware.After)
	})
}

// TestExcludedPrefixOnRealServer runs over keys with an older null version each, below a
// prefix that MinIO has been told since to keep no versions of. All but the first few are
// left, and of these a row tells.
func TestExcludedPrefixOnRealServer(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	for name, args := range map[string][]string{"rewrite": {"--operation", "rewrite"}, "parts": inParts, "copy": {"--operation", "copy", "--accept", "concurrent-writes,expires"}} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, server, "excluded-"+name)
			const objects = 40
			keep := func(opts ...func(*s3.Options)) {
				if _, err := b.client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &b.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}, opts...); err != nil {
					t.Fatal(err)
				}
			}
			put := func(key string) {
				if _, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: strings.NewReader("body")}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range objects {
				put(fmt.Sprintf("tmp/k%03d", i))
			}
			keep()
			for i := range objects {
				put(fmt.Sprintf("tmp/k%03d", i))
			}
			put("kept")
			keep(excluding("tmp/*"))
			put("tmp/x")
			dir := filepath.Join(t.TempDir(), "job")
			b.reseal(3, append([]string{"run", "s3://" + b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0], "--quiet", "--concurrency", "2", "--job", dir}, args...)...)
			lost, told, left := 0, 0, 0
			for i := range objects {
				h, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: aws.String(fmt.Sprintf("tmp/k%03d", i)), VersionId: aws.String("null")})
				if err != nil {
					t.Fatal(err)
				}
				if h.ServerSideEncryption != "" {
					lost++
				}
			}
			for _, row := range b.rows(dir) {
				if strings.Contains(row["message"], "took the place of the key's null version") {
					told++
				}
				if row["reason"] == "null-version" {
					left++
				}
			}
			if lost == 0 || lost > 4 || told != lost || left != objects-lost {
				t.Errorf("%d null versions are overwritten, %d rows say so, and %d keys were left", lost, told, left)
			}
		})
	}
}
