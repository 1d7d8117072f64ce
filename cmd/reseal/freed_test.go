package main

import (
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestDeletedFromATier: MinIO lists what was deleted from a tier as a delete marker, until it
// comes to take the bytes out of there. Nobody can delete that, and it hides nothing: neither
// the object below it, nor that the throwaway objects are gone, nor what a prune deleted.
func TestDeletedFromATier(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", Tier: "WARM"})
	old, taken := st.put("k", s3test.Object{LastModified: longAgo}), st.put("k", s3test.Object{})
	st.server.Remove("b", "k", taken)
	dir := filepath.Join(st.dir, "job")
	s := st.reseal(t, "run", "s3://b", "--versions", "all", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir)
	if row := st.rows(t, dir)["k"]; s.code != 0 || row["state"] != "done" {
		t.Fatalf("run: exit code %d, %v\n%s", s.code, row, s.stderr)
	}
	now := st.server.Snapshot("b").Find("k")[0].VersionID
	st.server.Remove("b", "k", st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("newer, and taken back")}))
	if p := st.pruned(t, 0, "--job", dir, "--yes"); p.Deleted != 1 {
		t.Errorf("%+v", p)
	}
	left := versionsOf(st.server.Snapshot("b"))
	if !left["k?"+now] || left["k?"+old] || len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// TestManyDeletedFromATier: where MinIO lists more of them than are listed of a key together, what lies
// below is found all the same.
func TestManyDeletedFromATier(t *testing.T) {
	t.Parallel()
	for n := 2; n <= 5; n++ {
		st := newStage(t, s3test.Config{Seed: 3})
		st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", Tier: "WARM"})
		st.put("k", s3test.Object{LastModified: longAgo})
		dir := filepath.Join(st.dir, "job")
		if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
			t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
		}
		for range n {
			st.server.Remove("b", "k", st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("newer, and taken back")}))
		}
		if p := st.pruned(t, 0, "--job", dir, "--yes"); p.Deleted != 1 || len(st.server.Snapshot("b").Find("k")) != 1 {
			t.Errorf("%d of them: %+v", n, p)
		}
	}
}
