//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestTheStateIsOutOfReach: while the place of the state does not answer, nothing is sent
// once the lease has run out; when it answers again the run goes on to its end. Told to
// stop in such a time, it stops.
func TestTheStateIsOutOfReach(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 3000)
	st.server.SetLatency(map[string]time.Duration{"CopyObject": 30 * time.Millisecond})
	begin := func() (*exec.Cmd, *bytes.Buffer) {
		cmd := st.elsewhere(t, st.order()...)
		var said bytes.Buffer
		cmd.Stderr = &said
		before := st.server.Count("CopyObject")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); st.server.Count("CopyObject") < before+100; <-time.After(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it never began: %s", said.String())
			}
		}
		return cmd, &said
	}
	cutOff := func() {
		if err := st.server.SetRules(`(If (Key "jobs/*") (Error 503 ServiceUnavailable "not now"))`); err != nil {
			t.Fatal(err)
		}
		<-time.After(3 * time.Second) // the lease lasts one
	}
	first, said := begin()
	cutOff()
	copies := st.server.Count("CopyObject")
	<-time.After(time.Second)
	if n := st.server.Count("CopyObject"); n != copies || copies >= 3000 {
		t.Errorf("%d copies were sent without a lease, after %d", n-copies, copies)
	}
	if err := first.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Second)
	if err := first.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); first.ProcessState.ExitCode() != exitInterrupted && first.ProcessState.ExitCode() != exitStopped {
		t.Errorf("%v: %s", err, said.String())
	}
	if !strings.Contains(said.String(), "does not answer as it should") {
		t.Errorf("it said: %s", said.String())
	}
	if err := st.server.SetRules(""); err != nil {
		t.Fatal(err)
	}
	second, said := begin()
	cutOff()
	if err := st.server.SetRules(""); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
	st.checkOnce(t)
}

// TestAShardOfAKilledProcess: a task that is begun anew, of a process that was killed, says
// whom it waits for, by host since every pod has a process 1, and not that he is at work.
func TestAShardOfAKilledProcess(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 300)
	order := st.order()
	if s := answered(t, st.elsewhere(t, append([]string{"plan"}, append(order[1:8:8], "--shards", "2")...)...)); s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	task := func() *exec.Cmd {
		cmd := st.elsewhere(t, "run", "--job", bucketPlace, "--shard", "auto", "--lease-duration", "2s", "--no-progress", "--json")
		cmd.Env = append(cmd.Env, "JOB_COMPLETION_INDEX=1")
		return cmd
	}
	st.server.SetLatency(map[string]time.Duration{"CopyObject": time.Minute})
	first := task()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	taken := func() bool {
		return slices.ContainsFunc(st.server.Snapshot("state").Objects, func(o s3test.Object) bool { return o.Key == "jobs/one/leases/0001" })
	}
	for deadline := time.Now().Add(time.Minute); !taken(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never began")
		}
	}
	_ = first.Process.Kill()
	_ = first.Wait()
	st.server.SetLatency(nil)
	second := listen(t, task())
	want := fmt.Sprintf("another process has the lease of this shard; waiting until it gives it back or is seen to be gone; shard: %s/shards/0001; host: %s; pid: %d",
		bucketPlace, host, first.Process.Pid)
	if second.code != 0 || !strings.Contains(second.stderr, want) || !strings.Contains(second.stdout, `"remaining":0`) {
		t.Errorf("exit code %d: %s%s", second.code, second.stdout, second.stderr)
	}
}
