package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// pruneCase is one key: what was there before the job, what others do after it, and
// what becomes of its old version.
type pruneCase struct {
	older  []s3test.Object // below the one that the job copies
	object s3test.Object
	after  func(st *stage, key, old string)
	state  string
	reason string
}

var longAgo = time.Date(2023, 4, 5, 6, 7, 8, 0, time.UTC)

func pruneCases() map[string]pruneCase {
	locked := func(change func(a *s3test.Attrs)) s3test.Object {
		o := s3test.Object{}
		change(&o.Attrs)
		return o
	}
	return map[string]pruneCase{
		"plain":   {state: job.PruneDeleted},
		"history": {state: job.PruneDeleted, older: []s3test.Object{{Body: s3test.Bytes("a"), LastModified: longAgo}, {Body: s3test.Bytes("b"), LastModified: longAgo}}},
		"null":    {state: job.PruneDeleted, object: s3test.Object{VersionID: "null"}},
		"newer": {state: job.PruneKept, reason: job.KeptNewer, after: func(st *stage, key, _ string) {
			st.server.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("newer")})
		}},
		"marker": {state: job.PruneKept, reason: job.KeptDeleted, after: func(st *stage, key, _ string) {
			st.server.Put("b", s3test.Object{Key: key, DeleteMarker: true})
		}},
		// Somebody else's version of the same bytes lies there now.
		"same-bytes": {state: job.PruneKept, reason: job.KeptOther, older: []s3test.Object{{LastModified: longAgo}}, after: func(st *stage, key, old string) {
			st.server.Remove("b", key, old)
		}},
		"gone": {state: job.PruneGone, after: func(st *stage, key, old string) { st.server.Remove("b", key, old) }},
		"held": {state: job.PruneKept, reason: job.KeptLocked, object: locked(func(a *s3test.Attrs) { a.LegalHold = true })},
		"retained": {state: job.PruneKept, reason: job.KeptLocked, object: locked(func(a *s3test.Attrs) {
			a.LockMode, a.RetainUntil = "GOVERNANCE", time.Now().Add(time.Hour)
		})},
		"expired": {state: job.PruneDeleted, object: locked(func(a *s3test.Attrs) {
			a.LockMode, a.RetainUntil = "GOVERNANCE", time.Now().Add(-time.Hour)
		})},
		// Somebody has brought the current version under another key, in place.
		"other-key": {state: job.PruneKept, reason: job.KeptUnproved, after: func(st *stage, key, _ string) {
			now := st.server.Snapshot("b").Find(key)
			o := now[len(now)-1]
			for _, v := range now {
				if v.Latest {
					o = v
				}
			}
			st.server.Remove("b", key, o.VersionID)
			o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyA}
			st.server.Put("b", o)
		}},
	}
}

// TestPruneTakesNothingElse: of all that is in a bucket, exactly the versions go that
// the job's copies superseded and that the store proves.
func TestPruneTakesNothingElse(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
	cases := pruneCases()
	old := map[string]string{}
	for name, c := range cases {
		for _, o := range c.older {
			st.put(name, o)
		}
		old[name] = st.put(name, c.object)
	}
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	for name, c := range cases {
		if c.after != nil {
			c.after(st, name, old[name])
		}
	}
	before := st.server.Snapshot("b")
	dry := st.pruned(t, 3, "--job", dir)
	if after := st.server.Snapshot("b"); len(after.Objects) != len(before.Objects) {
		t.Fatalf("a dry prune left %d versions of %d", len(after.Objects), len(before.Objects))
	}
	file := filepath.Join(t.TempDir(), "rows.csv")
	p := st.pruned(t, 3, "--job", dir, "--yes", "-o", file)
	if dry.WouldDelete != p.Deleted || dry.Bytes != p.Bytes || dry.Kept != p.Kept || !p.Complete {
		t.Errorf("told %+v, did %+v", dry, p)
	}
	rows := tableIn(t, file).by(t, byKey)
	for name, c := range cases {
		if r := rows[name]; r["state"] != c.state || r["reason"] != c.reason {
			t.Errorf("%s is %s because of %q (%s), want %s because of %q", name, r["state"], r["reason"], r["message"], c.state, c.reason)
		}
	}
	want := map[string]bool{}
	for name, c := range cases {
		if c.state == job.PruneDeleted {
			want[name+"?"+old[name]] = true
		}
	}
	left := versionsOf(st.server.Snapshot("b"))
	for id := range versionsOf(before) {
		if left[id] == want[id] {
			t.Errorf("%s: it is there: %t, it was to go: %t", id, left[id], want[id])
		}
	}
}

func (st *stage) put(key string, o s3test.Object) string {
	o.Key = key
	if o.Body == nil {
		o.Body = s3test.Bytes("what was there: " + key)
	}
	return st.server.Put("b", o)
}

func versionsOf(b s3test.Bucket) map[string]bool {
	all := map[string]bool{}
	for _, o := range b.Objects {
		all[o.Key+"?"+o.VersionID] = true
	}
	return all
}

func (st *stage) pruned(t *testing.T, code int, args ...string) (p job.Pruned) {
	t.Helper()
	s := st.reseal(t, append([]string{"prune", "--json", "--quiet"}, args...)...)
	if s.code != code {
		t.Fatalf("prune: exit code %d, want %d\n%s%s", s.code, code, s.stdout, s.stderr)
	}
	if err := json.Unmarshal([]byte(s.stdout), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPruneUnderFaults: answers that are lost, refused and spoiled, and processes that
// die at any deletion's effect, leave no version twice counted, none forgotten and none
// deleted that nobody named. Below each version lies one of the same bytes and date,
// which only the record of the job tells apart.
func TestPruneUnderFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules string
		dies  []int32 // at the effect of this deletion
	}{
		"lost":      {rules: `(If (And Delete (Every 2)) ReplyLost)`},
		"failed":    {rules: `(If (And Delete (Every 3)) Failed)`},
		"throttled": {rules: `(If (And Any (Every 5)) Throttled)`},
		"spoiled":   {rules: `(If (And Any (Random 0.2 4)) ReplyLost)`},
		"killed":    {dies: []int32{1, 7, 20}},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 40
			st := newStage(t, s3test.Config{Seed: 3})
			st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
			want := map[string]bool{}
			for i := range n {
				key := fmt.Sprintf("k%02d", i)
				st.put(key, s3test.Object{LastModified: longAgo})
				want[key+"?"+st.put(key, s3test.Object{LastModified: longAgo})] = true
			}
			dir := filepath.Join(t.TempDir(), "job")
			if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
				t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
			}
			before := versionsOf(st.server.Snapshot("b"))
			if err := st.server.SetRules(c.rules); err != nil {
				t.Fatal(err)
			}
			for _, nth := range c.dies {
				st.dieAtEffect(t, "DeleteObject", nth, "prune", "--job", dir, "--yes", "--quiet", "--concurrency", "1") // no other is on its way
			}
			if p := st.pruned(t, 0, "--job", dir, "--yes"); p.Deleted != n || p.Gone > 0 || !p.Complete {
				t.Errorf("%+v", p)
			}
			if p := st.pruned(t, 0, "--job", dir, "--yes"); p.Deleted != n || p.Earlier != n {
				t.Errorf("again: %+v", p)
			}
			left := versionsOf(st.server.Snapshot("b"))
			for id := range before {
				if left[id] == want[id] {
					t.Errorf("%s: it is there: %t, it was to go: %t", id, left[id], want[id])
				}
			}
		})
	}
}

// TestPruneStopsAtAnotherDeletion: a store that takes the deletion of a version for that
// of the object is found out at the first one, and no second is sent.
func TestPruneStopsAtAnotherDeletion(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	for i := range 10 {
		st.put(fmt.Sprint("k", i), s3test.Object{})
	}
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	// It answers success to the first deletion and does nothing.
	if err := st.server.SetRules(`(If Delete (Unapplied EmptyBody))`); err != nil {
		t.Fatal(err)
	}
	st.server.ResetRequests()
	s := st.reseal(t, "prune", "--job", dir, "--yes")
	if s.code != 1 || !strings.Contains(s.stderr, "nothing more was deleted") || st.server.Count("DeleteObject") != 1 {
		t.Errorf("exit code %d after %d deletions\n%s", s.code, st.server.Count("DeleteObject"), s.stderr)
	}
}

// TestPruneBelievesNoRecord: a record of another job, and one that was cut or edited,
// leads to no deletion.
func TestPruneBelievesNoRecord(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	first := st.put("k", s3test.Object{LastModified: longAgo, Body: s3test.Bytes("the first")})
	st.put("k", s3test.Object{})
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	st.pruned(t, 0, "--job", dir, "--yes")
	record := filepath.Join(dir, "prune.record")
	data, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(data)
	head, _, _ := strings.Cut(whole, "\n")
	before := versionsOf(st.server.Snapshot("b"))
	for name, c := range map[string]struct {
		text string
		code int
	}{
		"another job":  {"reseal prune 1 00\n", 2},
		"no line":      {head + "\nx 0 1\n", 2},
		"no such row":  {head + "\nd 1 1\n", 2},
		"cut":          {whole[:len(whole)-3], 0},
		"an old one":   {head + "\ni 0 \"" + first + "\"\n", 3}, // the version below the pruned one
		"what it said": {whole, 0},
	} {
		if err := os.WriteFile(record, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s := st.reseal(t, "prune", "--job", dir, "--yes"); s.code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s", name, s.code, c.code, s.stderr)
		}
		if after := versionsOf(st.server.Snapshot("b")); len(after) != len(before) {
			t.Errorf("%s: %d versions of %d are left", name, len(after), len(before))
		}
	}
}

// TestPruneLeavesSSEC: old versions under a customer key are looked at with it, and go;
// one under another customer key was never copied, and stays.
func TestPruneLeavesSSEC(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3, TLS: true})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	under := func(key string, with object.CustomerKey) {
		st.server.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("of " + key), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEC}}}, s3test.CustomerKey(with))
	}
	under("ours", st.oldKey)
	under("theirs", st.newKey)
	dir := filepath.Join(t.TempDir(), "job")
	s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--source-sse-c-key-file", st.oldFile, "--no-progress", "--job", dir)
	if s.code != 3 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	if p := st.pruned(t, 0, "--job", dir, "--yes"); p.Versions != 1 || p.Deleted != 1 {
		t.Errorf("%+v", p)
	}
	if left := st.server.Snapshot("b").Objects; len(left) != 2 {
		t.Errorf("%d versions are left", len(left))
	}
}
