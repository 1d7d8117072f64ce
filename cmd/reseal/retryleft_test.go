package main

import (
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestRetryFailedTakesWhatWasLeft: whatever an object was left for, once that is mended as
// docs/reasons.md says, --retry-failed does it. Nothing has to be accepted for that.
func TestRetryFailedTakesWhatWasLeft(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		bucket s3test.BucketConfig
		mend   func(*s3test.BucketConfig)
		run    []string // flags of the first run
		retry  []string // and of the second
	}{
		"acl": {bucket: s3test.BucketConfig{Ownership: "ObjectWriter", Deny: []s3test.Deny{{Action: "s3:GetObjectAcl", Keys: "k"}}},
			mend: func(b *s3test.BucketConfig) { b.Deny = nil }},
		"null-version": {bucket: s3test.BucketConfig{Versioning: "Suspended"},
			mend: func(b *s3test.BucketConfig) { b.Versioning = "Enabled" }},
		"excluded": {run: []string{"--operation", "update"}, retry: []string{"--operation", "auto"}},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{Seed: 61})
			st.server.CreateBucket("b", s3test.BucketConfig{})
			st.server.Put("b", s3test.Object{Key: "a", Body: s3test.Bytes("the one that is asked about permissions")})
			st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("before versions were kept")})
			st.server.ConfigureBucket("b", func(b *s3test.BucketConfig) { b.Versioning = "Enabled" })
			st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("now")})
			st.server.ConfigureBucket("b", func(b *s3test.BucketConfig) { *b = c.bucket })
			job := filepath.Join(st.dir, "job")
			run := append([]string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--job", job, "--no-progress"}, c.run...)
			end := st.reseal(t, run...)
			if row := st.rows(t, job)["k"]; end.code != exitSome || row["state"] != "left" || row["reason"] != reason {
				t.Fatalf("exit code %d, %v\n%s", end.code, row, end.stderr)
			}
			if c.mend != nil {
				st.server.ConfigureBucket("b", c.mend)
			}
			end = st.reseal(t, append([]string{"run", "--job", job, "--retry-failed", "--no-progress"}, c.retry...)...)
			if row := st.rows(t, job)["k"]; end.code != 0 || row["state"] != "done" {
				t.Errorf("mended: exit code %d, %v\n%s", end.code, row, end.stderr)
			}
		})
	}
}
