package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/s3test"
)

// mirrorRule is a rule of MinIO, as mc replicate add writes it.
const mirrorRule = `<ReplicationConfiguration><Role></Role><Rule><ID>r</ID><Status>Enabled</Status><Priority>1</Priority><DeleteMarkerReplication>` +
	`<Status>Disabled</Status></DeleteMarkerReplication><DeleteReplication><Status>%s</Status></DeleteReplication>` +
	`<Destination><Bucket>arn:minio:replication::41:b</Bucket></Destination></Rule></ReplicationConfiguration>`

// TestPruneLeavesReplicas: where deletions of versions are replicated, a version that was
// replicated stays until the current one was. Else nothing is left of the object there.
func TestPruneLeavesReplicas(t *testing.T) {
	t.Parallel()
	fates := []struct{ name, old, now, reason string }{
		{"both", "COMPLETED", "COMPLETED", ""},
		{"pending", "COMPLETED", "PENDING", job.KeptReplica},
		{"failed", "COMPLETED", "FAILED", job.KeptReplica},
		{"replica", "REPLICA", "FAILED", job.KeptReplica},
		{"mutual", "REPLICA", "REPLICA", ""},
		{"since", "COMPLETED", "", job.KeptReplica}, // the rule was disabled meanwhile
		{"never", "", "FAILED", ""},
		{"none", "", "", ""},
	}
	for name, c := range map[string]struct {
		bucket s3test.BucketConfig
		keeps  bool
	}{
		"deletions":    {documents("replication", fmt.Sprintf(mirrorRule, "Enabled")), true},
		"no deletions": {documents("replication", fmt.Sprintf(mirrorRule, "Disabled")), false},
		"no rule":      {s3test.BucketConfig{}, false},
		"not told":     {s3test.BucketConfig{Deny: []s3test.Deny{{Action: "s3:GetReplicationConfiguration"}}}, true},
	} {
		for _, selected := range []bool{false, true} {
			t.Run(fmt.Sprint(name, selected), func(t *testing.T) {
				t.Parallel()
				st := newStage(t, s3test.Config{Seed: 4})
				c.bucket.Versioning = "Enabled"
				st.server.CreateBucket("b", c.bucket)
				for _, f := range fates {
					st.put(f.name, s3test.Object{LastModified: longAgo, Attrs: s3test.Attrs{Replication: f.old}})
				}
				dir := filepath.Join(st.dir, "job")
				if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
					t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
				}
				for _, f := range fates {
					st.server.Modify("b", f.name, "", func(a *s3test.Attrs) { a.Replication = f.now })
				}
				args := []string{"--job", dir, "--yes", "-o", filepath.Join(st.dir, "rows.csv")}
				if selected {
					args = append(args, selectNone...)
				}
				code := map[bool]int{true: exitSome}[c.keeps]
				st.pruned(t, code, args...)
				left := st.server.Snapshot("b")
				rows := tableIn(t, filepath.Join(st.dir, "rows.csv")).by(t, byKey)
				for _, f := range fates {
					want := f.reason
					if !c.keeps {
						want = ""
					}
					state := map[bool]string{true: job.PruneDeleted, false: job.PruneKept}[want == ""]
					if r := rows[f.name]; r["state"] != state || r["reason"] != want || len(noncurrentOf(&left, f.name)) == 1 != (want != "") {
						t.Errorf("%s: %v, want %s", f.name, r, cmp.Or(want, state))
					}
				}
			})
		}
	}
}

// TestPruneLeavesReplicasOfDeletedObjects: where delete markers are not replicated, and deletions of
// versions are, an object that was deleted here is there still on the other side.
func TestPruneLeavesReplicasOfDeletedObjects(t *testing.T) {
	t.Parallel()
	for markers, kept := range map[string]bool{"Disabled": true, "Enabled": false} {
		rule := strings.Replace(fmt.Sprintf(mirrorRule, "Enabled"), "<Status>Disabled</Status>", "<Status>"+markers+"</Status>", 1)
		st := newStage(t, s3test.Config{Seed: 4})
		bucket := documents("replication", rule)
		bucket.Versioning = "Enabled"
		st.server.CreateBucket("b", bucket)
		st.put("k", s3test.Object{LastModified: longAgo, Attrs: s3test.Attrs{Replication: "COMPLETED"}})
		st.put("other", s3test.Object{LastModified: longAgo})
		dir := filepath.Join(st.dir, "job")
		st.does(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir)
		st.server.Modify("b", "k", "", func(a *s3test.Attrs) { a.Replication = "COMPLETED" })
		st.server.Put("b", s3test.Object{Key: "k", DeleteMarker: true})
		code := map[bool]int{true: exitSome}[kept]
		p := st.pruned(t, code, "--job", dir, "--yes", "--versions", "noncurrent", "--deleted-objects")
		if p.Reasons[job.KeptReplica] != uint64(p.Kept) || (p.Kept == 1) != kept || p.Deleted+p.Kept != 2 {
			t.Errorf("markers %s: %+v", markers, p)
		}
	}
}
