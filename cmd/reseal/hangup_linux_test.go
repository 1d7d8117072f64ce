package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestHangup: a terminal that is closed, or whose connection is gone, stops a run as a
// signal does, with what is in flight brought to its end; under nohup(1) the run goes on.
func TestHangup(t *testing.T) {
	t.Parallel()
	// Where these tests themselves run under nohup, what they start would ignore hangups too.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(caught) })
	for _, c := range []struct {
		name           string
		terminal, hush bool // the hangup is the kernel's; it is ignored
		code           int
	}{{"terminal", true, false, exitInterrupted}, {"signal", false, false, exitInterrupted}, {"nohup", false, true, 0}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{})
			st.server.SetLatency(map[string]time.Duration{"CopyObject": 2 * time.Second}) // it would take minutes
			st.server.CreateBucket("b", s3test.BucketConfig{})
			st.server.Fill("b", 200, func(i int) string { return fmt.Sprint("k", i) }, s3test.Bytes("body"), s3test.Attrs{})
			job := filepath.Join(t.TempDir(), "job")
			cmd := st.command("run", "s3://b", "--sse", "AES256", "--job", job, "--concurrency", "2", "--json")
			if c.hush {
				cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" HUP; exec "$@"`, "sh"}, cmd.Args...)
			}
			var master *os.File
			if c.terminal {
				var slave *os.File
				master, slave = openTerminal(t)
				cmd.Stdin, cmd.Stderr = slave, slave
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
				defer slave.Close()
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			st.awaitStatus(t, job, ", working)")
			var err error
			if c.terminal {
				err = master.Close()
			} else {
				err = cmd.Process.Signal(syscall.SIGHUP)
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.code == 0 {
				st.server.SetLatency(nil)
			}
			_ = cmd.Wait()
			st.server.SetLatency(nil)
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("it ends with %d (%v), want %d", code, cmd.ProcessState, c.code)
			}
			if s := st.reseal(t, "status", "--job", job, "--json"); strings.Contains(s.stdout, `"killed"`) {
				t.Errorf("it did not say why it stopped: %s", s.stdout)
			}
			if s := st.reseal(t, "run", "--job", job, "--json"); s.code != 0 || !strings.Contains(s.stdout, `"done":200,"already":0,`) {
				t.Errorf("the next run: exit code %d: %s%s", s.code, s.stdout, s.stderr)
			}
		})
	}
}
