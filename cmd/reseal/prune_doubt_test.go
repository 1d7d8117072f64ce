package main

import (
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestPruneTakesNoVersionThatOthersSuperseded: a run that was killed finds objects under
// its target and cannot tell who brought them there. Another client's version of the same
// size, under a bucket default that is the target too, is no copy of the one below it.
func TestPruneTakesNoVersionThatOthersSuperseded(t *testing.T) {
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
	if r := csvRows(t, file)["k3"]; r["state"] != job.PruneKept || r["reason"] != job.KeptOther {
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
