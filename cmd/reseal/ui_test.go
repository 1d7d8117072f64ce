package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestPicturesShareNothing: what one picture says in words of its own is not written into
// what another one is just being drawn from.
func TestPicturesShareNothing(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
		t.Fatalf("exit code %d\n%s", s.code, s.stderr)
	}
	j, err := job.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	const message = "Limits.MaxFailures was reached"
	cause := &report.StopCause{Message: message}
	p := &painter{dir: dir}
	p.mu.job, p.mu.asked = j, time.Now().Add(time.Hour)
	p.mu.status = &job.Status{Summary: &report.Summary{Standing: report.Standing{Cause: cause}}}
	if pic := p.picture(); pic.Cause == nil || !strings.Contains(pic.Cause.Message, "--max-failures") || cause.Message != message {
		t.Errorf("the picture says %+v, and the status %q now", pic.Cause, cause.Message)
	}
}
