package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/s3test"
	testkms "github.com/resealhq/reseal/engine/s3test/kms"
)

// What was true when a job began need not be when it goes on.

// TestPruneWhereTheNewKeyIsUnusable: a HEAD shows an object under a key that is disabled,
// or about to be deleted, like any other. Its old version may then be the only one that
// anybody can read, and stays.
func TestPruneWhereTheNewKeyIsUnusable(t *testing.T) {
	t.Parallel()
	selected := []string{"--versions", "noncurrent"}
	for name, c := range map[string]struct {
		st   *stage
		more []string
	}{
		"AWS":                     {st: newAWS(t, s3test.Config{Seed: 1})},
		"another store":           {st: newStage(t, s3test.Config{Seed: 1})},
		"another store, selected": {newStage(t, s3test.Config{Seed: 1}), selected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := c.st
			st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
			for _, key := range []string{"k1", "k2", "k3"} {
				st.putUnder(key, st.keyA)
			}
			dir := filepath.Join(st.dir, "job")
			if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--operation", "copy", "--quiet", "--job", dir); s.code != 0 {
				t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
			}
			for _, state := range []testkms.State{testkms.Disabled, testkms.PendingDeletion} {
				st.server.KMS.SetKeyState(st.keyB, state)
				p := st.pruned(t, 3, append([]string{"--job", dir, "--yes"}, c.more...)...)
				if p.Kept != 3 || p.Reasons[job.KeptUnreadable] != 3 || len(st.server.Snapshot("b").Objects) != 6 {
					t.Errorf("%s: %+v; %d versions are left of 6", state, p, len(st.server.Snapshot("b").Objects))
				}
				if !strings.Contains(p.Examples[0].What, st.keyB) {
					t.Errorf("%s: the key is not named: %s", state, p.Examples[0].What)
				}
			}
			st.server.KMS.SetKeyState(st.keyB, testkms.Enabled)
			if p := st.pruned(t, 0, append([]string{"--job", dir, "--yes"}, c.more...)...); p.Deleted != 3 {
				t.Errorf("enabled again: %+v", p)
			}
		})
	}
}
