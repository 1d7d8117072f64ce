package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	testkms "github.com/resealhq/reseal/engine/s3test/kms"
)

// More of what was true when a job began and is not when it goes on.

// suspend is what an operator does to a bucket that kept versions.
func suspend(c *s3test.BucketConfig) { c.Versioning = "Suspended" }

// suspendedWith runs a job over keys that have an older null version each, in a bucket whose
// versioning is suspended, or forgotten, before the tenth write. It wants the run to stop,
// and a row for each null version that is gone.
func (st *stage) suspendedWith(t *testing.T, op string, change func(c *s3test.BucketConfig), o s3test.Object, args ...string) {
	t.Helper()
	const objects = 40
	var changed s3test.BucketConfig
	change(&changed)
	forgets := changed.Versioning == ""
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	for i := range objects {
		key := fmt.Sprint("k", i)
		st.put(key, s3test.Object{VersionID: "null", Body: s3test.Bytes("from before: " + key)})
		st.put(key, o)
	}
	st.meanwhileAt(op, 10, change)
	dir := filepath.Join(st.dir, "job")
	s := st.reseal(t, append([]string{"run", "s3://b", "--sse", "aws:kms", "--concurrency", "2", "--quiet", "--job", dir}, args...)...)
	if s.code != 1 || !strings.Contains(s.stderr, "versioning of s3://b was enabled when the run began and is "+map[bool]string{true: "off", false: "suspended"}[forgets]+" now") {
		t.Errorf("exit code %d\n%s", s.code, s.stderr)
	}
	lost := objects
	for _, o := range st.server.Snapshot("b").Objects {
		if o.VersionID == "null" && o.Encryption.Type == object.SSENone {
			lost--
		}
	}
	if lost == 0 || lost > 4 {
		t.Errorf("the null versions of %d keys are overwritten", lost)
	}
	rows := st.reseal(t, "report", "--job", dir, "--format", "csv").stdout
	if n := strings.Count(rows, "took the place of the key's null version"); n != lost {
		t.Errorf("%d null versions are overwritten, and %d rows say so\n%s", lost, n, rows)
	}
}

// withoutKMS is a store that has a key by name and no KMS of AWS's kind.
func withoutKMS(t *testing.T, profile s3test.Profile) *stage {
	t.Helper()
	st := newStage(t, s3test.Config{Profile: profile, Seed: 1})
	st.server.KMS.CreateNamedKey("named-key")
	st.env = slices.DeleteFunc(st.env, func(e string) bool { return strings.HasPrefix(e, "AWS_ENDPOINT_URL_KMS=") })
	return st
}

// TestSuspendedWhereNoReplyNamesVersions: on Ceph no reply names what was made, and a HEAD
// does.
func TestSuspendedWhereNoReplyNamesVersions(t *testing.T) {
	t.Parallel()
	st := withoutKMS(t, s3test.Ceph16())
	st.suspendedWith(t, "CompleteMultipartUpload", suspend, s3test.Object{},
		"--sse-kms-key-id", "named-key")
}

// TestSuspendedUnderUploads: S3's answers to PutObject and CompleteMultipartUpload name no
// version where versioning is suspended.
func TestSuspendedUnderUploads(t *testing.T) {
	t.Parallel()
	for op, args := range map[string][]string{"PutObject": {"--operation", "rewrite"}, "CompleteMultipartUpload": inParts} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			onTwoStores(t, func(t *testing.T, _ string, st *stage) {
				st.suspendedWith(t, op, suspend, s3test.Object{}, append([]string{"--sse-kms-key-id", st.keyB}, args...)...)
			})
		})
	}
}

// TestSuspendedOnMinIO: no answer names a version there, and nobody looks at what a listing
// has told, so that a row cannot tell whether the version before is left.
func TestSuspendedOnMinIO(t *testing.T) {
	t.Parallel()
	st := withoutKMS(t, s3test.MinIO())
	st.suspendedWith(t, "CopyObject", suspend, s3test.Object{},
		"--sse-kms-key-id", "named-key", "--operation", "copy", "--accept", "concurrent-writes,expires")
	if rows := st.reseal(t, "report", "--job", filepath.Join(st.dir, "job"), "--format", "csv").stdout; !strings.Contains(rows, "what was copied may be there still") {
		t.Errorf("no row tells of the version before:\n%s", rows)
	}
}

// TestVersionsThatAreForgotten: MinIO may forget that a bucket keeps versions when it starts,
// and names none from then on.
func TestVersionsThatAreForgotten(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"HeadObject", "CopyObject"} { // what a HEAD shows by then may be no null version
		t.Run(op, func(t *testing.T) {
			st := newStage(t, s3test.Config{Seed: 1})
			st.suspendedWith(t, op, func(c *s3test.BucketConfig) { c.Versioning = "" }, s3test.Object{}, "--sse-kms-key-id", st.keyB, "--operation", "copy")
		})
	}
}

// TestSuspendedWhereTheRestFails: the copy has taken the place of the null version also
// where what it drops cannot be written again.
func TestSuspendedWhereTheRestFails(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Profile: s3test.Profile{CopyDropsTags: true}, Seed: 1})
	if err := st.server.SetRules(`(If (And PutObjectTagging (Key "k*")) (Error 403 AccessDenied "no"))`); err != nil {
		t.Fatal(err)
	}
	st.suspendedWith(t, "CopyObject", suspend, s3test.Object{Attrs: s3test.Attrs{Tags: []object.Tag{{Key: "a", Value: "b"}}}}, "--sse-kms-key-id", st.keyB, "--operation", "copy")
	failed := 0
	for key, row := range st.rows(t, filepath.Join(st.dir, "job")) {
		if row["state"] != "failed" {
			continue
		}
		if failed++; !strings.Contains(row["message"], "the one before it is left behind") {
			t.Errorf("%s: %s", key, row["message"])
		}
	}
	if failed < 10 {
		t.Errorf("%d rows have failed", failed)
	}
}

// TestOldVersionsOfABucketThatDoesNotTell: where whether versions are kept may not be read,
// replies tell it.
func TestOldVersionsOfABucketThatDoesNotTell(t *testing.T) {
	t.Parallel()
	onTwoStores(t, func(t *testing.T, _ string, st *stage) {
		st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", Deny: []s3test.Deny{{Action: "s3:GetBucketVersioning"}}})
		for i := range 4 {
			st.putUnder(fmt.Sprint("k", i), st.keyA)
		}
		dir := filepath.Join(st.dir, "job")
		s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--operation", "copy", "--json", "--quiet", "--job", dir)
		if s.code != 0 || !strings.Contains(s.stdout, `"old_versions_kept":{"objects":4,`) {
			t.Fatalf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
		}
		st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = nil })
		if p := st.pruned(t, 0, "--job", dir, "--yes"); p.Deleted != 4 {
			t.Errorf("pruned: %+v", p)
		}
	})
}

// TestPruneOfAJobInManyPartsEnabledMeanwhile: what copies left once versioning was enabled
// goes, also where only some shards, or buckets, have left anything.
func TestPruneOfAJobInManyPartsEnabledMeanwhile(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string][]string{"shards": {"s3://b", "--shards", "3"}, "buckets": {"s3://a", "s3://b"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{Seed: 1})
			for _, bucket := range []string{"a", "b"} {
				st.server.CreateBucket(bucket, s3test.BucketConfig{})
			}
			st.server.Put("a", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
			for i := range 9 {
				st.putUnder(fmt.Sprint("k", i), st.keyA)
			}
			dir := filepath.Join(st.dir, "job")
			if s := st.reseal(t, append(append([]string{"plan"}, plan...), "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--operation", "copy", "--quiet", "--job", dir)...); s.code != 0 {
				t.Fatalf("plan: exit code %d\n%s", s.code, s.stderr)
			}
			st.meanwhile(6, func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
			if s := st.reseal(t, "run", "--concurrency", "1", "--quiet", "--job", dir); s.code != 0 {
				t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
			}
			left := len(st.server.Snapshot("b").Objects) - 9
			p := st.pruned(t, 0, "--job", dir, "--yes")
			if left == 0 || int(p.Deleted) != left || int(p.Versions) != left || !p.Complete || len(st.server.Snapshot("b").Objects) != 9 {
				t.Errorf("%d old versions were left, and %d are now: %+v", left, len(st.server.Snapshot("b").Objects)-9, p)
			}
		})
	}
}

// TestPruneOfABucketThatWasSuspended: of a job that began while versioning was suspended,
// what lies below versions with an ID of their own can be proved, and what lies below a null
// version cannot.
func TestPruneOfABucketThatWasSuspended(t *testing.T) {
	t.Parallel()
	onTwoStores(t, func(t *testing.T, _ string, st *stage) {
		st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
		for i := range 8 {
			st.putUnder(fmt.Sprint("k", i), st.keyA)
		}
		st.server.ConfigureBucket("b", suspend)
		st.meanwhile(4, func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
		dir := filepath.Join(st.dir, "job")
		if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--operation", "copy", "--concurrency", "1", "--quiet", "--job", dir); s.code != 0 {
			t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
		}
		p := st.pruned(t, 3, "--job", dir, "--yes")
		if p.Versions != 8 || p.Deleted != 5 || p.Kept != 3 || p.Reasons[job.KeptVersioning] != 3 || len(st.server.Snapshot("b").Objects) != 11 {
			t.Errorf("%d versions are left of 16: %+v", len(st.server.Snapshot("b").Objects), p)
		}
	})
}

// TestThrowawayObjectsThatMarkersHide: versioning is enabled when all throwaway objects are
// written, so that their deletion is the first to tell of it.
func TestThrowawayObjectsThatMarkersHide(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.putUnder("k", st.keyA)
	var once sync.Once
	st.server.OnRequest(func(r s3test.Request) {
		if r.Op == "DeleteObjects" {
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

// TestVerifyTellsOfAnUnusableKey: all objects are under the key, as wanted, and nobody can
// read one.
func TestVerifyTellsOfAnUnusableKey(t *testing.T) {
	t.Parallel()
	onTwoStores(t, func(t *testing.T, name string, st *stage) {
		st.server.CreateBucket("b", s3test.BucketConfig{})
		st.putUnder("k", st.keyA)
		dir := filepath.Join(st.dir, "job")
		if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--quiet", "--job", dir); s.code != 0 {
			t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
		}
		for _, state := range []testkms.State{testkms.Enabled, testkms.PendingDeletion, testkms.Disabled} {
			st.server.KMS.SetKeyState(st.keyB, state)
			s := st.reseal(t, "verify", "--job", dir, "--quiet")
			if told := strings.Contains(s.stdout, "Warning: s3://b/k is under "+st.keyB); s.code != 0 || told != (state != testkms.Enabled) {
				t.Errorf("%s: exit code %d\n%s%s", state, s.code, s.stdout, s.stderr)
			}
		}
	})
}

// TestPruneBelowABucketKey: S3 opens what is under a bucket key for a while after its KMS key
// was disabled, so that reading proves nothing.
func TestPruneBelowABucketKey(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 1, KeepsBucketKeys: true})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	st.putUnder("k", st.keyA)
	dir := filepath.Join(st.dir, "job")
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--bucket-key", "on", "--operation", "copy", "--quiet", "--job", dir); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	st.server.KMS.SetKeyState(st.keyB, testkms.PendingDeletion)
	if p := st.pruned(t, 3, "--job", dir, "--yes"); p.Kept != 1 || p.Reasons[job.KeptUnreadable] != 1 || len(st.server.Snapshot("b").Objects) != 2 {
		t.Errorf("%+v", p)
	}
	st.server.KMS.SetKeyState(st.keyB, testkms.Enabled)
	if p := st.pruned(t, 0, "--job", dir, "--yes"); p.Deleted != 1 {
		t.Errorf("enabled again: %+v", p)
	}
}

// TestNullVersionsElsewhere: where versioning of the destination is suspended, a copy to
// where nothing is would take the place of what a delete marker hides.
func TestNullVersionsElsewhere(t *testing.T) {
	t.Parallel()
	onTwoStores(t, func(t *testing.T, _ string, st *stage) {
		st.server.CreateBucket("b", s3test.BucketConfig{})
		st.server.CreateBucket("c", s3test.BucketConfig{})
		for _, key := range []string{"hidden", "deleted", "new"} {
			st.put(key, s3test.Object{})
			if key != "new" {
				st.server.Put("c", s3test.Object{Key: key, Body: s3test.Bytes("older, of c")})
			}
		}
		st.server.ConfigureBucket("c", func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
		st.server.Put("c", s3test.Object{Key: "hidden", VersionID: "marker", DeleteMarker: true})
		st.server.ConfigureBucket("c", suspend)
		st.server.Put("c", s3test.Object{Key: "deleted", VersionID: "null", DeleteMarker: true})
		dir := filepath.Join(st.dir, "job")
		s := st.reseal(t, "run", "s3://b", "--dest", "s3://c", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--quiet", "--job", dir)
		rows := st.rows(t, dir)
		if s.code != 3 || rows["hidden"]["reason"] != string(object.ReasonNullVersion) || rows["deleted"]["state"] != "done" || rows["new"]["state"] != "done" {
			t.Errorf("exit code %d\n%s\n%v", s.code, s.stderr, rows)
		}
		for _, o := range st.server.Snapshot("c").Find("hidden") {
			if o.VersionID == "null" && (o.DeleteMarker || o.Encryption.Type == object.SSEKMS) {
				t.Errorf("the null version is gone: %+v", o)
			}
		}
	})
}

// TestAnUpdateThatIsRefusedForOneObject: a lock that another client has just set, and a policy
// about some keys, say nothing of the other objects, which are updated in place still.
func TestAnUpdateThatIsRefusedForOneObject(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deny  []s3test.Deny
		locks string // this key, in the moment of its update
	}{
		"the first is locked": {locks: "k0"},
		"a later one is":      {locks: "k5"},
		"a policy on a key":   {deny: []s3test.Deny{{Action: "s3:UpdateObjectEncryption", Keys: "k5"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newAWS(t, s3test.Config{Seed: 1})
			st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Deny: c.deny})
			for i := range 9 {
				st.putUnder(fmt.Sprint("k", i), st.keyA)
			}
			st.server.OnRequest(func(r s3test.Request) {
				if r.Op == "UpdateObjectEncryption" && r.Key == c.locks {
					st.server.Modify("b", c.locks, "", func(a *s3test.Attrs) { a.LegalHold = true })
				}
			})
			s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--concurrency", "1", "--quiet", "--job", filepath.Join(st.dir, "job"))
			if n := st.server.Count("CopyObject"); s.code != 0 || n != 1 {
				t.Errorf("exit code %d, %d copies\n%s", s.code, n, s.stderr)
			}
			for _, o := range st.server.Snapshot("b").Objects {
				if o.Latest && (o.Encryption.KMSKeyID != st.keyB || o.LegalHold != (o.Key == c.locks)) {
					t.Errorf("%s is under %s, hold %t", o.Key, o.Encryption.KMSKeyID, o.LegalHold)
				}
			}
		})
	}
}

// TestVerifyOfTheSameBytesAgain: another client has written an object again, as it was and
// under the target. It is another version, and as wanted.
func TestVerifyOfTheSameBytesAgain(t *testing.T) {
	t.Parallel()
	onTwoStores(t, func(t *testing.T, _ string, st *stage) {
		st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
		st.putUnder("k", st.keyA)
		dir := filepath.Join(st.dir, "job")
		if s := st.reseal(t, "run", "s3://b", "--sse", "AES256", "--quiet", "--job", dir); s.code != 0 {
			t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
		}
		st.put("k", s3test.Object{Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
		if s := st.reseal(t, "verify", "--job", dir, "--json", "--quiet"); s.code != 0 || !strings.Contains(s.stdout, `"changed":1,"gone":0,"different":0,`) {
			t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
		}
	})
}
