package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestRetryFailed takes again what failed and what was left for a reason that
// has gone: restored from the archive, a loss that is accepted now. What is still
// archived is left again, and nothing that was done is touched.
func TestRetryFailed(t *testing.T) {
	t.Parallel()
	for _, planned := range []bool{false, true} {
		st := newStage(t, s3test.Config{Seed: 23})
		st.fillDocs(20)
		for _, key := range []string{"docs/000003", "docs/000004"} {
			st.server.Modify("docs", key, "", func(a *s3test.Attrs) { a.StorageClass = "GLACIER" })
		}
		if err := st.server.SetRules(`(If (And Copy (Key "docs/000007")) (Error 403 AccessDenied))`); err != nil {
			t.Fatal(err)
		}
		job := filepath.Join(st.dir, "job")
		begin := []string{"run", "s3://docs", "--sse", "AES256", "--job", job, "--no-progress", "--json"}
		if planned {
			if s := st.reseal(t, "plan", "s3://docs", "--sse", "AES256", "--job", job, "--no-progress"); s.code != 0 {
				t.Fatalf("plan: exit code %d\n%s", s.code, s.stderr)
			}
			begin = []string{"run", "--job", job, "--no-progress", "--json"}
		}
		if s := st.reseal(t, begin...); s.code != exitSome || !strings.Contains(s.stdout, `"done":17,"already":0,"left":2,"failed":1`) {
			t.Fatalf("planned %v: exit code %d\n%s%s", planned, s.code, s.stdout, s.stderr)
		}
		if err := st.server.SetRules(""); err != nil {
			t.Fatal(err)
		}
		st.server.Modify("docs", "docs/000003", "", func(a *s3test.Attrs) { a.StorageClass = "" })
		before := st.server.Snapshot("docs")
		s := st.reseal(t, "run", "--job", job, "--retry-failed", "--no-progress", "--json")
		if s.code != exitSome || !strings.Contains(s.stdout, `"planned":20,"done":19,"already":0,"left":1,"failed":0,"remaining":0`) {
			t.Errorf("planned %v: exit code %d\n%s%s", planned, s.code, s.stdout, s.stderr)
		}
		st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSES3},
			Intent: only(func(o s3test.Object) bool { return o.Key == "docs/000003" || o.Key == "docs/000007" })})
		if row := st.rows(t, job)["docs/000004"]; row["state"] != "left" || row["reason"] != "archived" {
			t.Errorf("planned %v: still archived: %v", planned, row)
		}
	}
}

// TestSecondSignal: a run that drains while its requests hang is ended by a second
// signal at once, and does not claim that everything was finished.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 24, Latency: map[string]time.Duration{"": 2 * time.Millisecond}})
	before := st.fillDocs(3000)
	job := filepath.Join(st.dir, "job")
	cmd := st.command("run", "s3://docs", "--sse", "AES256", "--job", job, "--concurrency", "8", "--no-progress", "--json")
	ended := make(chan said, 1)
	working := make(chan struct{})
	st.server.OnReply(func(r s3test.Request) {
		if r.Op == "CopyObject" && r.Key == "docs/000100" {
			st.server.Pause()
			close(working)
		}
	})
	go func() { ended <- listen(t, cmd) }()
	<-working
	for st.server.Held() == 0 { // a signal before any request hangs lets the run end at once
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	st.awaitStatus(t, job, "draining")
	<-time.After(oneSignal + 100*time.Millisecond) // sooner, it would be the same one
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s := <-ended
	if s.code != exitInterrupted || strings.Contains(s.stderr, "finished") || !strings.Contains(s.stderr, "in doubt") {
		t.Errorf("exit code %d\n%s", s.code, s.stderr)
	}
	st.server.Resume()
	if s := st.reseal(t, "run", "--job", job, "--no-progress", "--json"); s.code != 0 || !strings.Contains(s.stdout, `"left":0,"failed":0,"remaining":0`) {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSES3}})
}
