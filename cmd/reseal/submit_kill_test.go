package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
	"github.com/resealhq/reseal/engine/s3test/s3control"
)

// trigger kills a process at the n-th time that something happens, and waits until it is
// gone, so that nothing it would have been answered reaches it.
type trigger struct {
	mu   sync.Mutex
	left int
	proc *os.Process
	gone chan struct{}
}

func (k *trigger) hit() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.proc == nil {
		return
	}
	if k.left--; k.left >= 0 {
		return
	}
	_ = k.proc.Kill()
	k.proc = nil
	<-k.gone
}

// TestSubmitIsKilled kills submit with SIGKILL at each moment at which something could be
// made twice or lost, and lets another process go on: one job is made, every object is
// changed once, and what the first process had recorded stays.
func TestSubmitIsKilled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts dozens of processes")
	}
	onControl := func(op string, after bool) func(*stage, *s3control.Server, *trigger) {
		return func(_ *stage, ctl *s3control.Server, k *trigger) {
			hook := func(now string) {
				if now == op {
					k.hit()
				}
			}
			if after {
				ctl.After(hook)
			} else {
				ctl.Before(hook)
			}
		}
	}
	onStore := func(op, key string, reply bool) func(*stage, *s3control.Server, *trigger) {
		return func(st *stage, _ *s3control.Server, k *trigger) {
			hook := func(r s3test.Request) {
				if r.Op == op && strings.Contains(r.Key, key) && strings.Contains(r.Header.Get("User-Agent"), "reseal") {
					k.hit()
				}
			}
			if reply {
				st.server.OnEffect(hook)
			} else {
				st.server.OnRequest(hook)
			}
		}
	}
	atOnce := newPool(t, 2)
	for _, moment := range []struct {
		name string
		at   int
		hook func(*stage, *s3control.Server, *trigger)
	}{
		{"the manifest is being written", 0, onStore("PutObject", "control/", false)},
		{"the manifest is written", 0, onStore("PutObject", "control/", true)},
		{"before CreateJob", 0, onControl("CreateJob", false)},
		{"CreateJob is done and not recorded", 0, onControl("CreateJob", true)},
		{"the second CreateJob", 1, onControl("CreateJob", true)},
		{"the first look", 0, onControl("DescribeJob", true)},
		{"confirmed and not recorded", 0, onControl("UpdateJobStatus", true)},
		{"following", 4, onControl("DescribeJob", true)},
		{"the report's manifest", 0, onStore("GetObject", "manifest.json", true)},
		{"in the report", 2, onStore("GetObject", "results/", false)},
		{"proving", 40, onStore("HeadObject", "plain/", false)},
		{"late in proving", 250, onStore("HeadObject", "plain/", true)},
	} {
		atOnce.run(moment.name, func(t *testing.T) { killedAt(t, moment.at, moment.hook) })
	}
	atOnce.wait()
}

func killedAt(t *testing.T, at int, hook func(*stage, *s3control.Server, *trigger)) {
	st := newStage(t, s3test.Config{Seed: 3})
	for _, b := range []string{"docs", "control"} {
		st.server.CreateBucket(b, s3test.BucketConfig{Versioning: "Enabled"})
	}
	st.server.Fill("docs", 300, func(i int) string { return fmt.Sprintf("plain/%05d", i) }, s3test.Bytes("x"), s3test.Attrs{})
	st.server.Fill("docs", 300, func(i int) string { return fmt.Sprintf("sse/%05d", i) }, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}})
	ctl := s3control.New(s3control.Config{Store: st.server, RowsPerFile: 100, Rate: 500})
	t.Cleanup(ctl.Close)
	ctl.SetFault(func(key string) *s3control.Fault {
		if !strings.HasSuffix(key, "77") {
			return nil
		}
		return &s3control.Fault{Status: 503, Code: "SlowDown", Applied: strings.HasSuffix(key, "077")}
	})
	st.env = append(st.env, "AWS_ENDPOINT_URL_S3_CONTROL="+ctl.URL())
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "plan", "s3://docs", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", dir, "--quiet"); s.code != 0 {
		t.Fatal(s.stderr)
	}
	before := st.server.Snapshot("docs")

	args := []string{"submit", "--job", dir, "--role-arn", "arn:aws:iam::111122223333:role/batch", "--manifest-to", "s3://control/control", "--yes", "--follow"}
	cmd := st.command(args...)
	k := &trigger{left: at, gone: make(chan struct{})}
	hook(st, ctl, k)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	k.proc = cmd.Process
	k.mu.Unlock()
	err := cmd.Wait()
	close(k.gone)
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Fatalf("submit was not killed: %v", err)
	}
	k.mu.Lock() // nothing more is killed
	k.proc = nil
	k.mu.Unlock()

	if s := st.reseal(t, "run", "--job", dir, "--no-progress"); s.code != 2 && len(ctl.Jobs()) > 0 {
		t.Errorf("run while jobs are under way: exit code %d\n%s", s.code, s.stderr)
	}
	s := st.reseal(t, args...)
	if s.code != 0 && s.code != 3 {
		t.Fatalf("submit again: exit code %d\n%s", s.code, s.stderr)
	}
	if n := len(ctl.Jobs()); n != 2 {
		t.Errorf("%d jobs were made, want one of updates and one of copies", n)
	}
	if s := st.reseal(t, "run", "--job", dir, "--no-progress"); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	if s := st.reseal(t, "verify", "--job", dir, "--no-progress", "--no-dependents"); s.code != 0 {
		t.Errorf("verify: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	want := check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyB}, Intent: only(func(s3test.Object) bool { return true })}
	st.differences(t, before, want)
	if n := len(st.server.Snapshot("docs").Objects); n != 900 { // a copy adds a version, an update none
		t.Errorf("%d versions, want 900", n)
	}
	for key, row := range st.rows(t, dir) {
		if row["state"] != "done" && row["reason"] != "in-doubt" {
			t.Errorf("%s: %v", key, row)
		}
	}
}

// TestSubmitIsInterrupted: a signal ends the following at once, the job goes on, and the
// same command follows it again.
func TestSubmitIsInterrupted(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	for _, b := range []string{"docs", "control"} {
		st.server.CreateBucket(b, s3test.BucketConfig{Versioning: "Enabled"})
	}
	st.server.Fill("docs", 20, func(i int) string { return fmt.Sprintf("plain/%05d", i) }, s3test.Bytes("x"), s3test.Attrs{})
	ctl := s3control.New(s3control.Config{Store: st.server})
	t.Cleanup(ctl.Close)
	ctl.Hold(s3control.Active)
	st.env = append(st.env, "AWS_ENDPOINT_URL_S3_CONTROL="+ctl.URL())
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "plan", "s3://docs", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", dir, "--quiet"); s.code != 0 {
		t.Fatal(s.stderr)
	}
	args := []string{"submit", "--job", dir, "--role-arn", "arn:aws:iam::111122223333:role/batch", "--manifest-to", "s3://control", "--yes", "--follow"}
	cmd := st.command(args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !ctl.Wait(s3control.Active, 20*time.Second) {
		t.Error("no job is at work")
	}
	<-time.After(2 * time.Second) // it follows by now
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	told := time.Now()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || time.Since(told) > 5*time.Second || !strings.Contains(stderr.String(), "jobs that were made go on by themselves") {
		t.Errorf("exit code %d after %v\n%s", code, time.Since(told), stderr.String())
	}
	ctl.Hold("")
	if s := st.reseal(t, "submit", "--job", dir); s.code != 0 || len(ctl.Jobs()) != 1 {
		t.Errorf("exit code %d, %d jobs\n%s", s.code, len(ctl.Jobs()), s.stderr)
	}
}
