package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestL1PlantedNote: a note on throwaway objects that this job cannot have written
// leads to no deletion, in whichever bucket, and the job does not begin.
func TestL1PlantedNote(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 5})
	for _, b := range []string{"b", "other"} {
		st.server.CreateBucket(b, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
		for _, key := range []string{"precious/1", "x.reseal-canary-0123456789abcdef01234567-precious", "in/.reseal-canary-0123456789abcdef01234567-secret"} {
			st.server.Put(b, s3test.Object{Key: key, Body: s3test.Bytes("kept"), Attrs: s3test.Attrs{LockMode: "GOVERNANCE", RetainUntil: time.Now().Add(time.Hour)}})
		}
	}
	const name = "in/.reseal-canary-0123456789abcdef01234567-"
	digest := st.digest(t, "s3://b/in/", "--sse", "AES256")
	note := func(bucket, name string) string {
		return fmt.Sprintf(`{"endpoint":%q,"bucket":%q,"name":%q,"for":"%x"}`, st.server.URL(), bucket, name, digest)
	}
	for _, tc := range []struct {
		name, content string
		mode          os.FileMode
		link          bool
	}{
		{"the report's", `{"bucket":"other","name":"precious/"}`, 0o600, false},
		{"the report's, of this bucket", `{"bucket":"b","name":"precious/"}`, 0o600, false},
		{"another bucket", note("other", name), 0o600, false},
		{"no canary", note("b", "in/precious/"), 0o600, false},
		{"everything", note("b", ""), 0o600, false},
		{"outside the prefix", note("b", "x.reseal-canary-0123456789abcdef01234567-"), 0o600, false},
		{"too short a name", note("b", "in/.reseal-canary-0123456789abcdef0123456-"), 0o600, false},
		{"another job's", strings.Replace(note("b", name), fmt.Sprintf("%x", digest), strings.Repeat("0", 64), 1), 0o600, false},
		{"another store's", strings.Replace(note("b", name), st.server.URL(), "http://127.0.0.1:1", 1), 0o600, false},
		{"more words than a note has", strings.Replace(note("b", name), "{", `{"more":1,`, 1), 0o600, false},
		{"others may write it", note("b", name), 0o606, false},
		{"a link", note("b", name), 0o600, true},
		{"no note at all", "precious/", 0o600, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := [2]s3test.Bucket{st.server.Snapshot("b"), st.server.Snapshot("other")}
			for _, verb := range []string{"plan", "run"} {
				dir := t.TempDir()
				path := filepath.Join(dir, "job.json.probe")
				if tc.link {
					path = filepath.Join(t.TempDir(), "elsewhere")
					if err := os.Symlink(path, filepath.Join(dir, "job.json.probe")); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, tc.mode); err != nil {
					t.Fatal(err)
				}
				s := st.reseal(t, verb, "s3://b/in/", "--sse", "AES256", "--job", dir)
				if s.code != 2 || !strings.Contains(s.stderr, "nothing was deleted") || !strings.Contains(s.stderr, "job.json.probe") {
					t.Errorf("%s: exit code %d: %s", verb, s.code, s.stderr)
				}
				if _, err := os.Lstat(filepath.Join(dir, "job.json.probe")); err != nil {
					t.Errorf("%s: the note is gone: %v", verb, err)
				}
			}
			for i, b := range []string{"b", "other"} {
				if now := st.server.Snapshot(b); len(now.Objects) != len(before[i].Objects) {
					t.Errorf("%s had %d versions and has %d", b, len(before[i].Objects), len(now.Objects))
				}
			}
		})
	}
	if n := st.server.Count("Delete") + st.server.Count("DeleteObjects") + st.server.Count("PutObjectLegalHold"); n != 0 {
		t.Errorf("%d deletions were sent", n)
	}
}

// TestL1TrueNote: a canary that died is still swept by the next process of its job.
func TestL1TrueNote(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 6})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Put("b", s3test.Object{Key: "in/1", Body: s3test.Bytes("kept")})
	if err := st.server.SetRules(`(If (And DeleteObjects (First 1)) Stalled)`); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"run", "s3://b/in/", "--sse", "AES256", "--job", dir}
	st.diesAt(t, "DeleteObjects", args...)
	_ = st.server.SetRules("")
	if left := len(st.server.Snapshot("b").Objects); left < 2 {
		t.Fatalf("%d objects; the test shows nothing", left)
	}
	if s := st.reseal(t, args...); s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	if left := st.server.Snapshot("b").Objects; len(left) != 1 {
		t.Errorf("%d objects are left, want 1", len(left))
	}
	if _, err := os.Lstat(filepath.Join(dir, "job.json.probe")); err == nil {
		t.Error("the note is still there")
	}
}

// TestL1LockedThrowaway: an object that may be a dead canary's and is locked as no canary
// locks one ends no run. It stays and is named, all else goes, and a run after its lock has
// run out takes it away.
func TestL1LockedThrowaway(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 7})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
	st.server.Put("b", s3test.Object{Key: "in/1", Body: s3test.Bytes("kept")})
	const name = "in/.reseal-canary-0123456789abcdef01234567-"
	st.server.Put("b", s3test.Object{Key: name + "01-direct", Body: s3test.Bytes("ours")})
	st.server.Put("b", s3test.Object{Key: name + "02-lock-copy", Body: s3test.Bytes("whose?"), Attrs: s3test.Attrs{LockMode: "GOVERNANCE", RetainUntil: time.Now().Add(time.Hour)}})
	const older = "in/.reseal-canary-ba9876543210ba9876543210-"
	st.server.Put("b", s3test.Object{Key: older + "01-direct", Body: s3test.Bytes("ours")})
	digest := st.digest(t, "s3://b/in/", "--sse", "AES256")
	dir := t.TempDir()
	path := filepath.Join(dir, "job.json.probe")
	note := fmt.Appendf(nil, `{"endpoint":%q,"bucket":"b","name":%q,"for":"%x","kept":[%q]}`, st.server.URL(), name, digest, older)
	if err := os.WriteFile(path, note, 0o600); err != nil {
		t.Fatal(err)
	}
	throwaway := func() (keys []string) {
		for _, o := range st.server.Snapshot("b").Objects {
			if strings.Contains(o.Key, ".reseal-canary-") {
				keys = append(keys, o.Key)
			}
		}
		return keys
	}
	s := st.reseal(t, "plan", "s3://b/in/", "--sse", "AES256", "--job", dir)
	if left := throwaway(); s.code != 0 || !strings.Contains(s.stderr, name+"02-lock-copy") || len(left) != 1 || left[0] != name+"02-lock-copy" {
		t.Fatalf("exit code %d, %q are left: %s", s.code, left, s.stderr)
	}
	if now, err := os.ReadFile(path); err != nil || !strings.Contains(string(now), name) || strings.Contains(string(now), older) {
		t.Errorf("the note says %s, %v", now, err)
	}
	st.server.Modify("b", name+"02-lock-copy", "", func(a *s3test.Attrs) { a.RetainUntil = time.Now().Add(-time.Minute) })
	if s := st.reseal(t, "run", "s3://b/in/", "--sse", "AES256", "--job", dir); s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	if left := throwaway(); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the note is still there")
	}
}

// digest is that of the specification of a job.
func (st *stage) digest(t *testing.T, args ...string) [sha256.Size]byte {
	t.Helper()
	j, _, err := understand(t, append(args, "--job", t.TempDir(), "--endpoint-url", st.server.URL())...)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := j.Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// diesAt kills the process once the store has seen a request of this kind, which a rule stalls.
func (st *stage) diesAt(t *testing.T, op string, args ...string) {
	t.Helper()
	dying := st.command(args...)
	if err := dying.Start(); err != nil {
		t.Fatal(err)
	}
	for st.server.Count(op) == 0 {
		<-time.After(5 * time.Millisecond)
	}
	_ = dying.Process.Kill()
	_ = dying.Wait()
}
