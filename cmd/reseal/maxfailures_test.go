package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestTheShareOfFailuresIsOfAllShards: many small buckets of which everything fails stop the
// run, though none of them has the hundred objects from which on a share counts.
func TestTheShareOfFailuresIsOfAllShards(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3, Rules: `(If (And Copy (Key "k*")) (Error 403 AccessDenied))`})
	args := []string{"run"}
	for b := range 5 {
		bucket := fmt.Sprint("small-", b)
		st.server.CreateBucket(bucket, s3test.BucketConfig{})
		for i := range 40 {
			st.server.Put(bucket, s3test.Object{Key: fmt.Sprint("k", i), Body: s3test.Bytes("x")})
		}
		args = append(args, "s3://"+bucket)
	}
	dir := filepath.Join(t.TempDir(), "job")
	end := st.reseal(t, append(args, "--sse", "AES256", "--operation", "copy", "--job", dir, "--no-progress", "--max-failures", "20%")...)
	if end.code != exitOnPurpose || !strings.Contains(end.stderr, "too many objects failed") {
		t.Errorf("exit code %d\n%s%s", end.code, end.stdout, end.stderr)
	}
}
