package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// history is one key: its versions from the oldest to the one that the job finds, what
// others do after the job, and what becomes of each noncurrent version, "" for nothing.
type history struct {
	versions []s3test.Object
	after    func(st *stage, key string)
	fates    []string
}

func (st *stage) histories() map[string]history {
	plain := s3test.Object{}
	under := func(key string) s3test.Object {
		return s3test.Object{Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: key}}}
	}
	held := s3test.Object{Attrs: s3test.Attrs{LegalHold: true}}
	retained := s3test.Object{Attrs: s3test.Attrs{LockMode: "COMPLIANCE", RetainUntil: time.Now().Add(time.Hour)}}
	const deleted = job.PruneDeleted
	return map[string]history{
		"one":       {versions: []s3test.Object{plain}, fates: []string{deleted}},
		"never":     {versions: []s3test.Object{plain, under(st.keyB)}, fates: []string{deleted}}, // the job copied none of it
		"many":      {versions: []s3test.Object{plain, plain, under(st.keyA), plain}, fates: []string{deleted, deleted, "", deleted}},
		"null":      {versions: []s3test.Object{{VersionID: "null"}, plain}, fates: []string{deleted, deleted}},
		"conform":   {versions: []s3test.Object{under(st.keyB), under(st.keyB)}, fates: []string{""}},
		"held":      {versions: []s3test.Object{plain, held, plain}, fates: []string{deleted, job.KeptLocked, deleted}},
		"retained":  {versions: []s3test.Object{retained, plain}, fates: []string{job.KeptLocked, deleted}},
		"skip/this": {versions: []s3test.Object{plain, plain}, fates: []string{"", ""}},
		"young":     {versions: []s3test.Object{{LastModified: time.Now()}, plain}, fates: []string{"", deleted}},
		// The job left these out, though their current version is as it wants it.
		"theirs/x": {versions: []s3test.Object{plain, under(st.keyB)}, fates: []string{""}},
		"marker": {versions: []s3test.Object{plain, plain}, fates: []string{job.KeptDeleted, job.KeptDeleted, ""}, after: func(st *stage, key string) {
			st.server.Put("b", s3test.Object{Key: key, DeleteMarker: true})
		}},
		// Somebody wrote them since: without encryption, and as the job wants it.
		"newer": {versions: []s3test.Object{plain}, fates: []string{job.KeptUnproved, ""}, after: func(st *stage, key string) {
			st.server.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("newer")})
		}},
		"renewed": {versions: []s3test.Object{plain}, fates: []string{deleted, ""}, after: func(st *stage, key string) {
			o := under(st.keyB)
			o.Key, o.Body = key, s3test.Bytes("newer")
			st.server.Put("b", o)
		}},
		// The job's own version was deleted by its ID, so that the old one is current.
		"back": {versions: []s3test.Object{plain, plain}, fates: []string{job.KeptUnproved}, after: func(st *stage, key string) {
			for _, o := range st.server.Snapshot("b").Find(key) {
				if o.Latest {
					st.server.Remove("b", key, o.VersionID)
				}
			}
		}},
	}
}

var selectNone = []string{"--versions", "noncurrent", "--only-encryption", "none", "--exclude", "skip/*", "--modified-before", "1h"}

// TestPruneNoncurrent: of all that is in a bucket, exactly the noncurrent versions go that
// are selected by their own encryption, whoever made them, and whose current version the
// store proves.
func TestPruneNoncurrent(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
	all := st.histories()
	for key, h := range all {
		for i, o := range h.versions {
			if o.LastModified.IsZero() {
				o.LastModified = longAgo.Add(time.Duration(i) * time.Hour)
			}
			st.put(key, o)
		}
	}
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--exclude", "theirs/*", "--no-progress", "--job", dir); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	for key, h := range all {
		if h.after != nil {
			h.after(st, key)
		}
	}
	before := st.server.Snapshot("b")
	args := append([]string{"--job", dir}, selectNone...)
	dry := st.pruned(t, 3, args...)
	if after := st.server.Snapshot("b"); len(after.Objects) != len(before.Objects) {
		t.Fatalf("a dry prune left %d versions of %d", len(after.Objects), len(before.Objects))
	}
	file := filepath.Join(t.TempDir(), "rows.csv")
	p := st.pruned(t, 3, append(args, "--yes", "-o", file)...)
	if dry.WouldDelete != p.Deleted || dry.Bytes != p.Bytes || dry.Kept != p.Kept || dry.Versions != p.Versions || !p.Complete || !p.Noncurrent {
		t.Errorf("told %+v, did %+v", dry, p)
	}
	rows, left := tableIn(t, file).by(t, byVersion), versionsOf(st.server.Snapshot("b"))
	for key, h := range all {
		old := noncurrentOf(&before, key)
		if len(old) != len(h.fates) {
			t.Fatalf("%s has %d noncurrent versions, want %d", key, len(old), len(h.fates))
		}
		for i, fate := range h.fates {
			id := key + "?" + old[i]
			row := rows[id]
			if got := row["state"]; fate != job.PruneDeleted && row["reason"] != fate || fate == job.PruneDeleted && got != fate {
				t.Errorf("%s, version %d: %v, want %q", key, i, row, fate)
			}
			if left[id] != (fate != job.PruneDeleted) {
				t.Errorf("%s, version %d: it is there: %t", key, i, left[id])
			}
		}
	}
	gone := 0
	for id := range versionsOf(before) {
		if !left[id] {
			gone++
		}
	}
	if uint64(gone) != p.Deleted {
		t.Errorf("%d versions are gone, and %d were told", gone, p.Deleted)
	}
	st.pruneMarked(t, args)
}

// pruneMarked: what lies below a delete marker goes where that was asked for by name.
func (st *stage) pruneMarked(t *testing.T, args []string) {
	t.Helper()
	if p := st.pruned(t, 3, append(args, "--yes", "--deleted-objects")...); p.Deleted != p.Earlier+2 {
		t.Errorf("below the marker: %+v", p)
	}
	marker := st.server.Snapshot("b")
	if left := noncurrentOf(&marker, "marker"); len(left) != 1 { // the job's own copy, which is under the target
		t.Errorf("below the marker is left: %v", left)
	}
}

// noncurrentOf are the IDs of a key's noncurrent versions, the oldest first.
func noncurrentOf(b *s3test.Bucket, key string) (ids []string) {
	for _, o := range b.Find(key) {
		if !o.Latest && !o.DeleteMarker {
			ids = append(ids, o.VersionID)
		}
	}
	slices.Reverse(ids)
	return ids
}

// TestPruneNoncurrentUnderFaults: answers that are lost, refused and spoiled, and processes
// that are killed at any request, leave no version told twice, none forgotten and none
// deleted that was not selected.
func TestPruneNoncurrentUnderFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules string
		kills int
	}{
		"lost":      {rules: `(If (And Delete (Every 2)) ReplyLost)`},
		"failed":    {rules: `(If (And Delete (Every 3)) Failed)`},
		"throttled": {rules: `(If (And Any (Every 5)) Throttled)`},
		"spoiled":   {rules: `(If (And Any (Random 0.2 4)) ReplyLost)`},
		"killed":    {kills: 12},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 40
			st := newStage(t, s3test.Config{Seed: 3})
			st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
			want := map[string]bool{}
			for i := range n {
				key := fmt.Sprintf("k%02d \xff\"\n", i)
				want[key+"?"+st.put(key, s3test.Object{LastModified: longAgo})] = true
				st.put(key, s3test.Object{Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
			}
			dir := filepath.Join(t.TempDir(), "job")
			if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
				t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
			}
			before := versionsOf(st.server.Snapshot("b"))
			if err := st.server.SetRules(c.rules); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "rows.csv")
			args := []string{"prune", "--job", dir, "--versions", "noncurrent", "--only-encryption", "none", "--yes", "--quiet", "--json", "-o", file}
			r := rand.New(rand.NewPCG(16, uint64(c.kills)))
			for range c.kills {
				st.dieAtRequest(t, 1+r.Int32N(120), args...)
			}
			if p := st.pruned(t, 0, args[1:]...); p.Deleted != n || p.Gone > 0 || p.Versions != n || !p.Complete || c.kills > 0 && p.Earlier == 0 {
				t.Errorf("%+v", p)
			}
			rows, left := tableIn(t, file).by(t, byVersion), versionsOf(st.server.Snapshot("b"))
			for id := range before {
				if left[id] == want[id] {
					t.Errorf("%q: it is there: %t, it was to go: %t", id, left[id], want[id])
				}
				if want[id] != (rows[id]["state"] == job.PruneDeleted) {
					t.Errorf("%q: its row is %v", id, rows[id])
				}
			}
			if p := st.pruned(t, 0, args[1:]...); p.Deleted != n || p.Earlier != n {
				t.Errorf("again: %+v", p)
			}
		})
	}
}

// dieAtRequest runs the binary and kills it when the nth request has come, if it has not
// ended by then. Requests are counted once there is a process to kill: those of one that
// was killed before may still come in, and came before the next had started.
func (st *stage) dieAtRequest(t *testing.T, nth int32, args ...string) {
	t.Helper()
	cmd := st.command(args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int32
	st.server.OnRequest(func(s3test.Request) {
		if seen.Add(1) == nth {
			_ = cmd.Process.Kill()
		}
	})
	err := cmd.Wait()
	st.server.OnRequest(nil)
	if err == nil && seen.Load() >= nth {
		t.Fatalf("the process was killed at request %d and ended well", nth)
	}
}

// TestPruneNoncurrentStopsAtAnotherDeletion: a store that answers success and does nothing is
// found out at the first deletion, and no second is sent.
func TestPruneNoncurrentStopsAtAnotherDeletion(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	dir := st.prunable(t, 10)
	if err := st.server.SetRules(`(If Delete (Unapplied EmptyBody))`); err != nil {
		t.Fatal(err)
	}
	st.server.ResetRequests()
	s := st.reseal(t, "prune", "--job", dir, "--versions", "noncurrent", "--yes")
	if s.code != 1 || !strings.Contains(s.stderr, "nothing more was deleted") || st.server.Count("DeleteObject") != 1 {
		t.Errorf("exit code %d after %d deletions\n%s", s.code, st.server.Count("DeleteObject"), s.stderr)
	}
}

// TestPruneNoncurrentOfShards: each shard looks at its own keys, one that nobody has begun is
// told, and a suspended bucket keeps all.
func TestPruneNoncurrentOfShards(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	for _, bucket := range []string{"b", "c", "d"} {
		st.server.CreateBucket(bucket, s3test.BucketConfig{Versioning: "Enabled"})
		st.server.Put(bucket, s3test.Object{Key: "k", Body: s3test.Bytes("x")})
		st.server.Put(bucket, s3test.Object{Key: "k", Body: s3test.Bytes("y")})
	}
	dir := filepath.Join(t.TempDir(), "job")
	plan := []string{"plan", "s3://b", "s3://c", "s3://d", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--shards", "3", "--job", dir}
	for _, args := range [][]string{plan, {"run", "--no-progress", "--job", dir, "--shard", "0"}, {"run", "--no-progress", "--job", dir, "--shard", "1"}} {
		if s := st.reseal(t, args...); s.code != 0 {
			t.Fatalf("%s: exit code %d\n%s", args[0], s.code, s.stderr)
		}
	}
	if p := st.pruned(t, 0, "--job", dir); p.WouldDelete != 2 { // a shard that was not begun left none behind
		t.Errorf("those of the job's copies: %+v", p)
	}
	st.server.ConfigureBucket("c", func(c *s3test.BucketConfig) { c.Versioning = "Suspended" })
	p := st.pruned(t, 1, "--job", dir, "--versions", "noncurrent", "--yes")
	if p.Versions != 4 || p.Deleted != 2 || p.Reasons[job.KeptVersioning] != 2 || p.Complete {
		t.Errorf("%+v", p)
	}
	if n := len(st.server.Snapshot("b").Objects) + len(st.server.Snapshot("c").Objects) + len(st.server.Snapshot("d").Objects); n != 1+3+2 {
		t.Errorf("%d versions are left", n)
	}
}

// TestPruneNoncurrentStaysInItsSource: what lies outside of the prefixes of a job is never
// looked at, whether it has one source, several, or shards of one; and all within is.
func TestPruneNoncurrentStaysInItsSource(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"one": {"s3://b/in/"}, "several": {"s3://b/in/", "s3://c/in/"}, "shards": {"s3://b/in/", "--shards", "3"}} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, s3test.Config{Seed: 3})
			for _, bucket := range []string{"b", "c"} {
				st.server.CreateBucket(bucket, s3test.BucketConfig{Versioning: "Enabled"})
				for i := range 12 {
					for _, key := range []string{"in/", "in", "out/"} {
						for range 2 {
							st.server.Put(bucket, s3test.Object{Key: fmt.Sprint(key, i), Body: s3test.Bytes("x")})
						}
						st.server.Put(bucket, s3test.Object{Key: fmt.Sprint(key, i), Body: s3test.Bytes("x"), // as the job wants it
							Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyB}}})
					}
				}
			}
			dir := filepath.Join(t.TempDir(), "job")
			st.does(t, append([]string{"plan", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", dir}, args...)...)
			st.does(t, "run", "--job", dir, "--no-progress")
			places := 1 + strings.Count(strings.Join(args, " "), "s3://c")
			before := len(st.server.Snapshot("b").Objects) + len(st.server.Snapshot("c").Objects)
			if p := st.pruned(t, 0, "--job", dir, "--versions", "noncurrent", "--yes"); p.Deleted != uint64(24*places) || p.Versions != p.Deleted {
				t.Errorf("%+v", p)
			}
			left := 0
			for _, bucket := range []string{"b", "c"} {
				for _, o := range st.server.Snapshot(bucket).Objects {
					left++
					if strings.HasPrefix(o.Key, "in/") && !o.Latest && (bucket == "b" || places == 2) {
						t.Errorf("%s/%s?%s is left", bucket, o.Key, o.VersionID)
					}
				}
			}
			if before-left != 24*places {
				t.Errorf("%d versions are gone", before-left)
			}
		})
	}
}
