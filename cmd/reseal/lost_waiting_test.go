//go:build unix

package main

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestALeaseIsLostWhileNothingIsSent: a run that is paused, or outside its window, ends when
// its lease is gone. Nothing else would wake it: whoever sets the pace finds nobody at work,
// and it would wait for ever.
func TestALeaseIsLostWhileNothingIsSent(t *testing.T) {
	t.Parallel()
	later := time.Now().UTC().Add(6 * time.Hour)
	closed := fmt.Sprintf("%s-%s", later.Format("15:04"), later.Add(time.Hour).Format("15:04"))
	for name, flags := range map[string][]string{"paused": nil, "outside its window": {"--window", closed, "--time-zone", "UTC"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newBucketStage(t, 300)
			st.server.SetLatency(map[string]time.Duration{"CopyObject": 1500 * time.Millisecond})
			run := st.elsewhere(t, append(st.order(), flags...)...)
			var said bytes.Buffer
			run.Stderr = &said
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			if flags == nil {
				st.until(t, func(s *bucketStatus) bool { return s.Done > 10 })
				if s := answered(t, st.elsewhere(t, "set", "--job", bucketPlace, "--pause")); s.code != 0 {
					t.Fatalf("set: exit code %d: %s", s.code, s.stderr)
				}
			} else {
				st.until(t, func(s *bucketStatus) bool { return s.Running && s.State == "waiting" })
			}
			st.server.Remove("state", "jobs/one/lease", "")
			stuck := time.AfterFunc(20*time.Second, func() { _ = run.Process.Signal(syscall.SIGKILL) })
			_ = run.Wait()
			if code := run.ProcessState.ExitCode(); !stuck.Stop() || code != 1 || !strings.Contains(said.String(), "was deleted") {
				t.Errorf("exit code %d: %s", code, said.String())
			}
			if s := answered(t, st.elsewhere(t, "status", "--job", bucketPlace, "--json")); s.code != 0 || !strings.Contains(s.stdout, `"class":"lost"`) {
				t.Errorf("status: exit code %d: %s%s", s.code, s.stdout, s.stderr)
			}
			st.server.SetLatency(nil)
			if s := answered(t, st.elsewhere(t, st.order()...)); s.code != 0 {
				t.Fatalf("the next run: exit code %d: %s", s.code, s.stderr)
			}
			st.checkOnce(t)
		})
	}
}
