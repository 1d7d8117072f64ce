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
			go b.onceDone("k005", func() { keep(types.BucketVersioningStatusSuspended) })
			s := answered(t, b.command(append([]string{"run", "s3://" + b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0], "--quiet", "--concurrency", "2",
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
// prefix that MinIO was told to keep no versions of: before the run, so that all are left, or
// in its middle, so that a row tells of each that was overwritten until it was noticed.
func TestExcludedPrefixOnRealServer(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	copies := []string{"--operation", "copy", "--accept", "concurrent-writes,expires"}
	for name, c := range map[string]struct {
		below     string // what is done, of the bucket
		meanwhile bool
		args      []string
	}{
		"rewrite":   {args: []string{"--operation", "rewrite"}},
		"parts":     {args: inParts},
		"copy":      {args: copies},
		"below-it":  {below: "/tmp/", args: copies},
		"meanwhile": {meanwhile: true, args: copies},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, server, "excluded-"+name)
			const objects = 150
			keep := func(opts ...func(*s3.Options)) {
				if _, err := b.client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &b.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}, opts...); err != nil {
					t.Error(err)
				}
			}
			put := func() {
				for i := range objects {
					if _, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: aws.String(fmt.Sprintf("tmp/k%03d", i)), Body: strings.NewReader("body")}); err != nil {
						t.Fatal(err)
					}
				}
			}
			put()
			keep()
			put()
			args := append([]string{"run", "s3://" + b.bucket + c.below, "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0], "--quiet", "--concurrency", "2",
				"--max-requests-per-second", "100", "--job", filepath.Join(t.TempDir(), "job")}, c.args...)
			if c.meanwhile {
				go b.onceDone("tmp/k005", func() { keep(excluding("tmp/*")) })
			} else {
				keep(excluding("tmp/*"))
			}
			b.reseal(3, args...)
			rows := b.rows(args[len(args)-len(c.args)-1])
			lost, left := 0, 0
			for i := range objects {
				key := fmt.Sprintf("tmp/k%03d", i)
				h, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: &key, VersionId: aws.String("null")})
				if err != nil {
					t.Fatal(err)
				}
				row, overwritten := rows[key], h.ServerSideEncryption != ""
				if told := strings.Contains(row["message"], "took the place of the key's null version"); told != overwritten {
					t.Errorf("%s: the null version is overwritten: %t, and the row says %q", key, overwritten, row["message"])
				}
				if overwritten {
					lost++
				}
				if row["reason"] == "null-version" {
					left++
				}
			}
			if c.meanwhile && (lost == 0 || lost > 4 || left < objects/2) || !c.meanwhile && (lost > 0 || left < objects) {
				t.Errorf("%d null versions are overwritten, and %d keys were left", lost, left)
			}
		})
	}
}

// onceDone does something once an object of the bucket is encrypted.
func (b *bed) onceDone(key string, then func()) {
	for b.Context().Err() == nil {
		h, err := b.client.HeadObject(b.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: &key})
		if err == nil && h.ServerSideEncryption != "" {
			then()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
