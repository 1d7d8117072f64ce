//go:build unix

package main

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// begun starts a process, and waits until it works, and so many requests of the operation
// have come.
func (st *bucketStage) begun(t *testing.T, cmd *exec.Cmd, op string, n int) (said *bytes.Buffer) {
	t.Helper()
	said = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	before := st.server.Count(op)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	works := func() bool {
		return slices.ContainsFunc(st.server.Snapshot("state").Objects, func(o s3test.Object) bool { return o.Key == "jobs/one/status.json" })
	}
	for deadline := time.Now().Add(time.Minute); st.server.Count(op) < before+n || !works(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("it never began: %s", said)
		}
	}
	return said
}

// noLease lets nobody touch the lease of the job.
const noLease = `(If (Key "jobs/one/lease") (Error 403 AccessDenied "no"))`

// TestALeaseThatCannotBeGivenBack: a run that came to its end has done so, whatever becomes of
// its lease.
func TestALeaseThatCannotBeGivenBack(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 40)
	st.server.SetLatency(map[string]time.Duration{"CopyObject": time.Second})
	run := st.elsewhere(t, append(slices.DeleteFunc(st.order(), func(s string) bool { return s == "--lease-duration" || s == "1s" }), "--lease-duration", "1m")...)
	said := st.begun(t, run, "CopyObject", 3)
	if err := st.server.SetRules(noLease); err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err != nil || !strings.Contains(said.String(), "could not be given back") {
		t.Errorf("%v: %s", err, said)
	}
	if err := st.server.SetRules(""); err != nil {
		t.Fatal(err)
	}
	st.checkOnce(t)
}

// TestAPruneThatMayNotKeepItsLease ends, and takes that for no refusal of what it deletes.
func TestAPruneThatMayNotKeepItsLease(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 200)
	if s := answered(t, st.elsewhere(t, st.order()...)); s.code != 0 {
		t.Fatalf("run: exit code %d: %s", s.code, s.stderr)
	}
	st.server.SetLatency(map[string]time.Duration{"DeleteObject": 300 * time.Millisecond})
	prune := st.elsewhere(t, "prune", "--job", bucketPlace, "--yes", "--json", "--lease-duration", "1s", "--concurrency", "8")
	said := st.begun(t, prune, "DeleteObject", 10)
	if err := st.server.SetRules(noLease); err != nil {
		t.Fatal(err)
	}
	_ = prune.Wait()
	if code := prune.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), "the lease of this job cannot be renewed") || !strings.Contains(said.String(), `"failed":0`) {
		t.Errorf("exit code %d: %s", code, said)
	}
	if n := len(st.server.Snapshot("b").Objects); n <= 200 {
		t.Errorf("%d versions are left: it deleted on without its lease", n)
	}
}

// TestAPausedJobSaysHowItGoesOn: the line that resumes it runs as it stands, also where
// flags say how the bucket of its state is reached.
func TestAPausedJobSaysHowItGoesOn(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 300)
	st.env = slices.DeleteFunc(st.env, func(e string) bool { return strings.HasPrefix(e, "AWS_ENDPOINT_URL=") })
	there := []string{"--endpoint-url", st.server.URL(), "--region", "us-east-1", "--path-style"}
	st.server.SetLatency(map[string]time.Duration{"CopyObject": time.Second})
	run := st.elsewhere(t, append(st.order(), there...)...)
	said := st.begun(t, run, "CopyObject", 3)
	if s := answered(t, st.elsewhere(t, append([]string{"set", "--pause", "--job", bucketPlace}, there...)...)); s.code != 0 {
		t.Fatalf("set: exit code %d: %s", s.code, s.stderr)
	}
	hint := ""
	for deadline := time.Now().Add(30 * time.Second); hint == ""; <-time.After(100 * time.Millisecond) {
		s := answered(t, st.elsewhere(t, append([]string{"status", "--job", bucketPlace}, there...)...))
		_, after, _ := strings.Cut(s.stdout, "; `reseal ")
		hint, _, _ = strings.Cut(after, "`")
		if time.Now().After(deadline) {
			t.Fatalf("no hint: %s%s", s.stdout, s.stderr)
		}
	}
	if s := answered(t, st.elsewhere(t, strings.Fields(hint)...)); s.code != 0 {
		t.Errorf("%q: exit code %d: %s", hint, s.code, s.stderr)
	}
	stuck := time.AfterFunc(time.Minute, func() { _ = run.Process.Kill() })
	if err := run.Wait(); err != nil || !stuck.Stop() {
		t.Errorf("%v: %s", err, said)
	}
}

// TestHowFarTheReadingIs is said where it takes its time, with the way to read less.
func TestHowFarTheReadingIs(t *testing.T) {
	var b bytes.Buffer
	said := (&app{stderr: &b}).reading(bucketPlace, 0)
	said(3, 512)
	said(512, 512)
	if want := "reseal: reading the state of all shards of " + bucketPlace + ", 3 of 512 so far; --shard N reads one\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	(&app{stderr: &b}).reading(bucketPlace, time.Minute)(3, 512)
	if b.Len() > 0 {
		t.Errorf("at once: %q", b.String())
	}
}
