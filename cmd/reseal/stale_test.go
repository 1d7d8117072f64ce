package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// onTwoStores runs a test on AWS, and on a store that has to be asked what it can do.
func onTwoStores(t *testing.T, test func(t *testing.T, name string, st *stage)) {
	t.Helper()
	for name, st := range map[string]*stage{"AWS": newAWS(t, s3test.Config{Seed: 1}), "another store": newStage(t, s3test.Config{Seed: 1})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name, st)
		})
	}
}

// meanwhile changes bucket b once, before the nth copy of the run.
func (st *stage) meanwhile(n int64, change func(c *s3test.BucketConfig)) {
	st.meanwhileAt("CopyObject", n, change)
}

// meanwhileAt is meanwhile before the nth request of another kind.
func (st *stage) meanwhileAt(op string, n int64, change func(c *s3test.BucketConfig)) {
	var sent atomic.Int64
	st.server.OnRequest(func(r s3test.Request) {
		if r.Op == op && !strings.Contains(r.Key, "canary") && sent.Add(1) == n {
			st.server.ConfigureBucket("b", change)
		}
	})
}

// TestVersioningEnabledMeanwhile: a copy that leaves an old version behind says so in its
// row, also where the bucket kept none when the run began.
func TestVersioningEnabledMeanwhile(t *testing.T) {
	t.Parallel()
	onTwoStores(t, func(t *testing.T, _ string, st *stage) {
		st.server.CreateBucket("b", s3test.BucketConfig{})
		for i := range 8 {
			st.putUnder(fmt.Sprint("k", i), st.keyA)
		}
		st.meanwhile(4, func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
		dir := filepath.Join(st.dir, "job")
		s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--operation", "copy", "--concurrency", "1", "--json", "--quiet", "--job", dir)
		if s.code != 0 {
			t.Fatalf("exit code %d\n%s", s.code, s.stderr)
		}
		left := len(st.server.Snapshot("b").Objects) - 8
		var sum struct {
			Old struct{ Objects int } `json:"old_versions_kept"`
		}
		if err := json.Unmarshal([]byte(s.stdout), &sum); err != nil {
			t.Fatal(err)
		}
		if left == 0 || left == 8 || sum.Old.Objects != left {
			t.Errorf("%d old versions are left, and the rows name %d\n%s", left, sum.Old.Objects, s.stdout)
		}
		if p := st.pruned(t, 0, "--job", dir, "--yes"); int(p.Deleted) != left || len(st.server.Snapshot("b").Objects) != 8 {
			t.Errorf("pruned: %+v; %d versions are left", p, len(st.server.Snapshot("b").Objects))
		}
	})
}

// TestVersioningSuspendedMeanwhile: from then on a copy takes the place of the key's null
// version, whatever was in it. The run stops at the first one.
func TestVersioningSuspendedMeanwhile(t *testing.T) {
	t.Parallel()
	onTwoStores(t, func(t *testing.T, _ string, st *stage) {
		st.suspendedWith(t, "CopyObject", suspend, under(st.keyA), "--sse-kms-key-id", st.keyB, "--operation", "copy")
	})
}

// TestLocksSetMeanwhile: an object that shows a lock keeps it, also where its bucket locked
// none when the run began.
func TestLocksSetMeanwhile(t *testing.T) {
	t.Parallel()
	onTwoStores(t, func(t *testing.T, name string, st *stage) {
		st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
		for i := range 6 {
			st.putUnder(fmt.Sprint("k", i), st.keyA)
		}
		until := time.Now().Add(48 * time.Hour).Truncate(time.Second).UTC()
		st.meanwhile(3, func(c *s3test.BucketConfig) {
			c.ObjectLock = true
		})
		var once sync.Once
		st.server.OnEffect(func(r s3test.Request) {
			if r.Op != "CopyObject" || r.Key != "k2" {
				return
			}
			once.Do(func() { // another client locks one that is still to come
				st.put("k5", s3test.Object{Attrs: s3test.Attrs{LockMode: "GOVERNANCE", RetainUntil: until, LegalHold: true}})
			})
		})
		s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--operation", "copy", "--concurrency", "1", "--quiet", "--job", filepath.Join(st.dir, "job"))
		// A store that was never seen to keep a lock is sent no copy of it.
		if left := name != "AWS"; s.code != 0 && !left || s.code != 3 && left {
			t.Fatalf("exit code %d\n%s", s.code, s.stderr)
		}
		for _, o := range st.server.Snapshot("b").Find("k5") {
			if o.Latest && (o.LockMode != "GOVERNANCE" || !o.RetainUntil.Equal(until) || !o.LegalHold || s.code == 0 && o.Encryption.KMSKeyID != st.keyB) {
				t.Errorf("the current version is under %+v, locked %q until %s, hold %t", o.Encryption, o.LockMode, o.RetainUntil, o.LegalHold)
			}
		}
	})
}

// TestLocksByTheStoresClock: a retention that has run out by this machine's clock, and not
// by the store's, protects the object still.
func TestLocksByTheStoresClock(t *testing.T) {
	t.Parallel()
	behind := s3test.Config{Seed: 1, Now: func() time.Time { return time.Now().Add(-3 * time.Hour) }}
	st := newStage(t, behind)
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
	until := time.Now().Add(-2 * time.Hour).Truncate(time.Second).UTC()
	st.put("k", s3test.Object{Attrs: s3test.Attrs{LockMode: "COMPLIANCE", RetainUntil: until}})
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--quiet", "--job", filepath.Join(st.dir, "job")); s.code != 0 {
		t.Fatalf("exit code %d\n%s", s.code, s.stderr)
	}
	for _, o := range st.server.Snapshot("b").Find("k") {
		if o.Latest && (o.LockMode != "COMPLIANCE" || !o.RetainUntil.Equal(until) || o.Encryption.KMSKeyID != st.keyB) {
			t.Errorf("the copy is under %+v, locked %q until %s", o.Encryption, o.LockMode, o.RetainUntil)
		}
	}
}

// TestThrowawayObjectsOfABucketThatKeepsVersionsSince: versioning is enabled between the
// look at the settings and the canary's objects, all of which go with every version.
func TestThrowawayObjectsOfABucketThatKeepsVersionsSince(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.putUnder("k", st.keyA)
	var once sync.Once
	st.server.OnRequest(func(r s3test.Request) {
		if strings.Contains(r.Key, "canary") {
			once.Do(func() { st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Enabled" }) })
		}
	})
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--quiet", "--job", filepath.Join(st.dir, "job")); s.code != 0 {
		t.Errorf("exit code %d\n%s", s.code, s.stderr)
	}
	for id := range versionsOf(st.server.Snapshot("b")) {
		if !strings.HasPrefix(id, "k?") {
			t.Errorf("%s is there still", id)
		}
	}
}
