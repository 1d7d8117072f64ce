package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// limited is a job of one or two buckets, of whose six objects each has one noncurrent version.
func limited(t *testing.T, inBucket bool, args ...string) (st *stage, dir string, write func(bucket string), left func() int) {
	t.Helper()
	st = newStage(t, s3test.Config{Seed: 3})
	write = func(bucket string) { // as the job wants it
		for i := range 6 {
			st.server.Put(bucket, s3test.Object{Key: fmt.Sprint("k", i), Body: s3test.Bytes("x"),
				Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyB}}})
		}
	}
	for _, bucket := range []string{"b", "c"} {
		st.server.CreateBucket(bucket, s3test.BucketConfig{Versioning: "Enabled"})
		for i := range 6 {
			st.server.Put(bucket, s3test.Object{Key: fmt.Sprint("k", i), Body: s3test.Bytes("x")})
		}
		write(bucket)
	}
	if dir = filepath.Join(t.TempDir(), "job"); inBucket {
		st.server.CreateBucket("home", s3test.BucketConfig{})
		dir = "s3://home/job"
	}
	st.does(t, append([]string{"plan", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", dir}, args...)...)
	st.does(t, "run", "--job", dir, "--no-progress")
	return st, dir, write, func() int { return len(st.server.Snapshot("b").Objects) + len(st.server.Snapshot("c").Objects) }
}

func (st *stage) prunedTo(t *testing.T, code int, dir, limit string) uint64 {
	t.Helper()
	return st.pruned(t, code, "--job", dir, "--versions", "noncurrent", "--limit", limit, "--yes").Versions
}

// TestALimitCountsWhatACrashLeftUntold: a prune that died after it had deleted, and before it wrote
// that down, has taken of its limit all the same.
func TestALimitCountsWhatACrashLeftUntold(t *testing.T) {
	t.Parallel()
	st, dir, _, left := limited(t, false, "s3://b")
	if n := st.prunedTo(t, 0, dir, "2"); n != 2 || left() != 22 {
		t.Fatalf("%d versions, %d are left", n, left())
	}
	forget(t, dir)
	for range 2 {
		if n := st.prunedTo(t, 0, dir, "2"); n != 2 || left() != 22 {
			t.Errorf("%d versions, %d are left", n, left())
		}
	}
}

// forget takes from the record what was deleted, as after a crash.
func forget(t *testing.T, dir string) {
	t.Helper()
	record := filepath.Join(dir, "prune.versions")
	lines, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(record, regexp.MustCompile(`(?m)^d .*\n`).ReplaceAll(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestALimitCountsWhatNobodyTells: a version of which an earlier prune did not record what became of it,
// and of which the store does not tell whether it is there, may have been taken.
func TestALimitCountsWhatNobodyTells(t *testing.T) {
	t.Parallel()
	st, dir, _, left := limited(t, false, "s3://b")
	if n := st.prunedTo(t, 0, dir, "2"); n != 2 || left() != 22 {
		t.Fatalf("%d versions, %d are left", n, left())
	}
	forget(t, dir)
	st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = []s3test.Deny{{Action: "s3:GetObjectVersion", Keys: "k0"}} })
	for range 2 {
		s := st.reseal(t, "prune", "--job", dir, "--versions", "noncurrent", "--limit", "2", "--yes")
		if s.code != exitSome || left() != 22 {
			t.Errorf("exit code %d, %d are left\n%s%s", s.code, left(), s.stdout, s.stderr)
		}
	}
}

// TestALimitCountsWhatWasTakenOfOthers: what a prune has taken of later places counts when it comes to
// more in an earlier one: a bucket that could not be looked at, or of which there are more versions now.
func TestALimitCountsWhatWasTakenOfOthers(t *testing.T) {
	t.Parallel()
	t.Run("denied", func(t *testing.T) {
		t.Parallel()
		st, dir, _, left := limited(t, false, "s3://b", "s3://c")
		st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = []s3test.Deny{{Action: "s3:ListBucketVersions"}} })
		if n := st.prunedTo(t, exitStopped, dir, "4"); n != 4 || left() != 20 {
			t.Fatalf("%d versions, %d are left", n, left())
		}
		st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = nil })
		if n := st.prunedTo(t, 0, dir, "4"); n != 4 || left() != 20 {
			t.Errorf("%d versions, %d are left", n, left())
		}
		if n := st.prunedTo(t, 0, dir, "5"); n != 5 || left() != 19 {
			t.Errorf("one more: %d versions, %d are left", n, left())
		}
	})
	t.Run("denied since", func(t *testing.T) {
		t.Parallel()
		st, dir, _, left := limited(t, false, "s3://b", "s3://c")
		if n := st.prunedTo(t, 0, dir, "4"); n != 4 || left() != 20 {
			t.Fatalf("%d versions, %d are left", n, left())
		}
		st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = []s3test.Deny{{Action: "s3:GetBucketVersioning"}} })
		s := st.reseal(t, "prune", "--job", dir, "--versions", "noncurrent", "--limit", "4", "--yes")
		if s.code == 0 || left() != 20 {
			t.Errorf("exit code %d, %d are left\n%s%s", s.code, left(), s.stdout, s.stderr)
		}
	})
	shards := []string{"s3://b", "--shards", "3"}
	for name, args := range map[string][]string{"written since": {"s3://b", "s3://c"}, "of shards": shards, "of shards in a bucket": shards} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, dir, write, left := limited(t, name == "of shards in a bucket", args...)
			if n := st.prunedTo(t, 0, dir, "4"); n != 4 || left() != 20 {
				t.Fatalf("%d versions, %d are left", n, left())
			}
			st.server.Put("b", s3test.Object{Key: "k0", Body: s3test.Bytes("x")})
			write("b") // a noncurrent version more of each, and one of them plain
			was := left()
			for range 2 {
				if n := st.prunedTo(t, 0, dir, "4"); n != 4 || left() != was {
					t.Errorf("%d versions, %d are left of %d", n, left(), was)
				}
			}
		})
	}
}
