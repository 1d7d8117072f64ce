//go:build unix

package main

import (
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
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
