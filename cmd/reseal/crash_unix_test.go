//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestM15Crash: a panic in any goroutine, and SIGQUIT, end with another exit code
// than the one that promises that nothing was touched; and the next run goes on.
func TestM15Crash(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, program string
		signal        os.Signal
		code          int // -1: ended by a signal, which shells call 134
		says          string
	}{
		{"panic", "reseal-crashing", nil, -1, "planted"},
		{"SIGQUIT", "reseal", syscall.SIGQUIT, 1, "told to quit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStage(t, s3test.Config{})
			st.server.CreateBucket("b", s3test.BucketConfig{})
			st.server.Fill("b", 80, func(i int) string { return strings.Repeat("k", i+1) }, s3test.Bytes("body"), s3test.Attrs{})
			st.server.SetLatency(map[string]time.Duration{"CopyObject": 200 * time.Millisecond})
			job := filepath.Join(st.dir, "job")
			cmd := st.command("run", "s3://b", "--sse", "AES256", "--job", job, "--concurrency", "2")
			if c.signal == nil {
				cmd.Path, cmd.Args[0] = self, c.program
			}
			cmd.Env = append(cmd.Env, "RESEAL_TEST_STATUS="+filepath.Join(job, "status.json"))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if c.signal != nil {
				st.awaitStatus(t, job, ", working)")
				if err := cmd.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("exit code %d, want %d; it said %.500s", code, c.code, stderr.String())
			}
			st.server.SetLatency(nil)
			if s := st.reseal(t, "run", "--job", job, "--json"); s.code != 0 || !strings.Contains(s.stdout, `"resumed":true,"planned":80`) {
				t.Errorf("the next run: exit code %d: %s%s", s.code, s.stdout, s.stderr)
			}
		})
	}
}

// TestW12TwoSignalsAreOne: as timeout(1) and a terminal send them; what is in flight
// is finished.
func TestW12TwoSignalsAreOne(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Fill("b", 40, func(i int) string { return strings.Repeat("k", i+1) }, s3test.Bytes("body"), s3test.Attrs{})
	st.server.SetLatency(map[string]time.Duration{"CopyObject": 500 * time.Millisecond})
	job := filepath.Join(st.dir, "job")
	cmd := st.command("run", "s3://b", "--sse", "AES256", "--job", job, "--concurrency", "2")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	st.awaitStatus(t, job, ", working)")
	for range 2 {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-time.After(50 * time.Millisecond)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), "everything in flight was finished") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}
