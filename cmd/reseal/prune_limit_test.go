package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestPruneNoncurrentWithALimit: no more versions go than the limit says, of however many
// buckets or shards the job is, and however often it is said.
func TestPruneNoncurrentWithALimit(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"one": {"s3://b"}, "several": {"s3://b", "s3://c"}, "shards": {"s3://b", "--shards", "3"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{Seed: 3})
			for _, bucket := range []string{"b", "c"} {
				st.server.CreateBucket(bucket, s3test.BucketConfig{Versioning: "Enabled"})
				for i := range 6 {
					key := fmt.Sprint("k", i)
					st.server.Put(bucket, s3test.Object{Key: key, Body: s3test.Bytes("x")})
					st.server.Put(bucket, s3test.Object{Key: key, Body: s3test.Bytes("x"), // as the job wants it
						Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyB}}})
				}
			}
			dir := filepath.Join(t.TempDir(), "job")
			st.does(t, append([]string{"plan", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", dir}, args...)...)
			st.does(t, "run", "--job", dir, "--no-progress")
			left := func() int { return len(st.server.Snapshot("b").Objects) + len(st.server.Snapshot("c").Objects) }
			prune := func(limit string, more ...string) uint64 {
				return st.pruned(t, 0, append([]string{"--job", dir, "--versions", "noncurrent", "--limit", limit}, more...)...).Versions
			}
			if n := prune("4"); n != 4 || left() != 24 {
				t.Errorf("dry: %d versions, %d are left", n, left())
			}
			for range 3 {
				if n := prune("4", "--yes"); n != 4 || left() != 20 {
					t.Errorf("%d versions, %d are left", n, left())
				}
			}
			if n := prune("5", "--yes"); n != 5 || left() != 19 {
				t.Errorf("one more: %d versions, %d are left", n, left())
			}
		})
	}
}
