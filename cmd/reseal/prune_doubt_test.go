package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestPruneTakesNoVersionThatOthersSuperseded: a run that was killed finds objects under
// its target and cannot tell who brought them there. Another client's version of the same
// size, under a bucket default that is the target too, is no copy of the one below it.
func TestPruneTakesNoVersionThatOthersSuperseded(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	old := map[string]string{}
	for _, key := range []string{"k0", "k1", "k2", "k3"} {
		old[key] = st.put(key, s3test.Object{Body: s3test.Bytes("balance 100 of " + key), LastModified: longAgo})
	}
	dir := filepath.Join(t.TempDir(), "job")
	run := []string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--concurrency", "1", "--job", dir}
	st.dieAtEffect(t, "CopyObject", 2, run...)
	st.server.Put("b", s3test.Object{Key: "k3", Body: s3test.Bytes("balance 999 of k3"),
		Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyB}}})
	if s := st.reseal(t, run...); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	before := versionsOf(st.server.Snapshot("b"))
	file := filepath.Join(t.TempDir(), "rows.csv")
	p := st.pruned(t, 3, "--job", dir, "--yes", "-o", file)
	if p.Deleted != 3 || p.Kept != 1 {
		t.Errorf("%+v", p)
	}
	if r := tableIn(t, file).by(t, byKey)["k3"]; r["state"] != job.PruneKept || r["reason"] != job.KeptOther {
		t.Errorf("k3 is %s because of %q (%s)", r["state"], r["reason"], r["message"])
	}
	left := versionsOf(st.server.Snapshot("b"))
	for id := range before {
		gone := id == "k0?"+old["k0"] || id == "k1?"+old["k1"] || id == "k2?"+old["k2"]
		if left[id] == gone {
			t.Errorf("%s: it is there: %t, it was to go: %t", id, left[id], gone)
		}
	}
}

// prunable is a bucket of n objects, and the directory of the job that copied them.
func (st *stage) prunable(t *testing.T, n int) (dir string) {
	t.Helper()
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	for i := range n {
		st.put(fmt.Sprint("k", i), s3test.Object{})
	}
	dir = filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	return dir
}

// TestPruneProvesTheFirstDeletionThatIsOne: where the version that was to go first is kept
// after all, the next one is the first that is deleted alone and looked at.
func TestPruneProvesTheFirstDeletionThatIsOne(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	dir := st.prunable(t, 10)
	if err := st.server.SetRules(`(If Delete (Unapplied EmptyBody))`); err != nil {
		t.Fatal(err)
	}
	st.server.ResetRequests()
	st.server.OnRequest(func(r s3test.Request) {
		if r.Op == "ListObjectVersions" && st.server.Count("ListObjectVersions") == 10 { // k0 was looked at before
			st.server.Put("b", s3test.Object{Key: "k0", Body: s3test.Bytes("newer")})
		}
	})
	s := st.reseal(t, "prune", "--job", dir, "--yes", "--concurrency", "1")
	if s.code != 1 || !strings.Contains(s.stderr, "nothing more was deleted") || st.server.Count("DeleteObject") != 1 {
		t.Errorf("exit code %d after %d deletions\n%s", s.code, st.server.Count("DeleteObject"), s.stderr)
	}
}

// TestPruneSaysWhatAnEarlierOneDeleted: a version that a prune deleted before it was killed
// is not told as one that is still there, whatever was written over it since.
func TestPruneSaysWhatAnEarlierOneDeleted(t *testing.T) {
	t.Parallel()
	for name, object := range map[string]s3test.Object{"newer version": {Body: s3test.Bytes("newer")}, "delete marker": {DeleteMarker: true}} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, s3test.Config{Seed: 3})
			dir := st.prunable(t, 2)
			st.dieAtEffect(t, "DeleteObject", 1, "prune", "--job", dir, "--yes", "--quiet", "--concurrency", "1")
			object.Key = "k0"
			st.server.Put("b", object)
			file := filepath.Join(t.TempDir(), "rows.csv")
			if p := st.pruned(t, 0, "--job", dir, "--yes", "-o", file); p.Deleted != 2 || p.Earlier != 1 || p.Kept != 0 {
				t.Errorf("%+v", p)
			}
			if r := tableIn(t, file).by(t, byKey)["k0"]; r["state"] != job.PruneDeleted || r["version_id"] == "" {
				t.Errorf("k0 is %s because of %q (%s)", r["state"], r["reason"], r["message"])
			}
		})
	}
}

// TestPruneThatIsRefusedKeepsTheRowsOfTheLast: what a prune deleted stands in its file, which
// one that does nothing does not replace by an empty one.
func TestPruneThatIsRefusedKeepsTheRowsOfTheLast(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	dir := st.prunable(t, 1)
	file := filepath.Join(t.TempDir(), "rows.csv")
	st.pruned(t, 0, "--job", dir, "--yes", "-o", file)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Suspended" })
	if s := st.reseal(t, "prune", "--job", dir, "--yes", "-o", file); s.code != 2 {
		t.Errorf("exit code %d\n%s", s.code, s.stderr)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("the file holds %q now: %v", after, err)
	}
}

// TestPruneShards: a shard is pruned by its own directory, and with all others by that of
// the job; what one prune has deleted the other knows.
func TestPruneShards(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	for i := range 10 {
		st.put(fmt.Sprint("k", i), s3test.Object{})
	}
	dir := filepath.Join(t.TempDir(), "job")
	for _, args := range [][]string{{"plan", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--shards", "2"}, {"run", "--no-progress"}} {
		if s := st.reseal(t, append(args, "--job", dir)...); s.code != 0 {
			t.Fatalf("%s: exit code %d\n%s", args[0], s.code, s.stderr)
		}
	}
	one := st.pruned(t, 0, "--job", filepath.Join(dir, "shards", "0001"), "--yes")
	if one.Deleted == 0 || one.Deleted == 10 || one.Deleted != one.Versions {
		t.Errorf("one shard: %+v", one)
	}
	all := st.pruned(t, 0, "--job", dir, "--yes")
	if all.Deleted != 10 || all.Earlier != one.Deleted || len(st.server.Snapshot("b").Objects) != 10 {
		t.Errorf("all: %+v", all)
	}
}

// TestPruneTellsWhatSuspendedBucketsKeep: of a job over several buckets, the versions that
// lie in one whose versioning was suspended when it began cannot be proved and are told as
// kept.
func TestPruneTellsWhatSuspendedBucketsKeep(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	for _, bucket := range []string{"b", "c"} {
		st.server.CreateBucket(bucket, s3test.BucketConfig{Versioning: "Enabled"})
		st.server.Put(bucket, s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	}
	st.server.ConfigureBucket("c", func(c *s3test.BucketConfig) { c.Versioning = "Suspended" })
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "run", "s3://b", "s3://c", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	if p := st.pruned(t, 3, "--job", dir, "--yes"); p.Versions != 2 || p.Deleted != 1 || p.Kept != 1 || p.Reasons[job.KeptVersioning] != 1 {
		t.Errorf("%+v", p)
	}
	if len(st.server.Snapshot("c").Objects) != 2 {
		t.Error("a version of the suspended bucket is gone")
	}
}

// TestPruneAfterALostAnswer: a copy that got no answer and did nothing, while another client
// wrote as many bytes under the same encryption, is taken for done; its old version is not
// taken for one that it superseded. One that was done goes.
func TestPruneAfterALostAnswer(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	ours := st.put("ours", s3test.Object{Body: s3test.Bytes("balance 100 of ours")})
	theirs := st.put("theirs", s3test.Object{Body: s3test.Bytes("balance 100 of theirs")})
	if err := st.server.SetRules("(If (And Copy (Key \"theirs\") (First 1)) (Unapplied ReplyLost))\n(If (And Copy (Key \"ours\") (First 1)) ReplyLost)"); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	st.server.OnRequest(func(r s3test.Request) {
		if r.Op == "CopyObject" && r.Key == "theirs" {
			once.Do(func() {
				st.server.Put("b", s3test.Object{Key: "theirs", Body: s3test.Bytes("balance 999 of theirs"),
					Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyB}}})
			})
		}
	})
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	st.pruned(t, 3, "--job", dir, "--yes")
	left := versionsOf(st.server.Snapshot("b"))
	if left["ours?"+ours] || !left["theirs?"+theirs] {
		t.Errorf("left are %v; %s was to go, %s to stay", left, ours, theirs)
	}
}
