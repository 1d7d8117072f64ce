//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestWhyAndWhen: for every way to stop, status tells why, since when and until when,
// and so does the summary where there is one.
func TestWhyAndWhen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, verb string
		args       []string
		during     func(t *testing.T, st *stage, p *os.Process, job string)
		code       int
		state      string
		class      string
		says       string
		ends       bool // and could say so itself
	}{
		{name: "only planned", verb: "plan", state: report.StatePlanned, class: "planned", says: "nothing of it was begun", ends: true},
		{name: "signal", verb: "run", code: exitInterrupted, state: report.StateStopped, class: "interrupted", says: "in flight was finished", ends: true,
			during: func(t *testing.T, st *stage, p *os.Process, job string) {
				st.awaitStatus(t, job, ", working)")
				_ = p.Signal(os.Interrupt)
			}},
		{name: "SIGKILL", verb: "run", code: -1, state: report.StateStopped, class: "killed", says: "last seen at 2",
			during: func(t *testing.T, st *stage, p *os.Process, job string) {
				st.awaitStatus(t, job, ", working)")
				_ = p.Kill()
			}},
		{name: "disabled key", verb: "run", code: exitStopped, state: report.StateStopped, class: "kms-key", says: "isabled", ends: true,
			during: func(t *testing.T, st *stage, _ *os.Process, job string) {
				st.awaitStatus(t, job, ", working)")
				st.server.KMS.SetKeyState(st.keyA, "Disabled")
			}},
		{name: "stop after", verb: "run", args: []string{"--stop-after", "1s"}, code: exitOnPurpose, state: report.StateStopped, class: "stop-after", says: "--stop-after has passed", ends: true},
		{name: "failures", verb: "run", args: []string{"--max-failures", "0"}, code: exitOnPurpose, state: report.StateStopped, class: "max-failures", says: "--max-failures", ends: true,
			during: func(_ *testing.T, st *stage, _ *os.Process, _ string) {
				st.server.ConfigureBucket("docs", func(b *s3test.BucketConfig) {
					b.Deny = append(b.Deny, s3test.Deny{Action: "s3:PutObject", Keys: "docs/*"})
				})
			}},
		{name: "the end", verb: "run", args: []string{"--limit", "3"}, state: report.StateFinished, ends: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStage(t, s3test.Config{Seed: 4, Latency: map[string]time.Duration{"CopyObject": 30 * time.Millisecond}})
			st.fillDocs(400)
			job := filepath.Join(st.dir, "job")
			cmd := st.command(append([]string{c.verb, "s3://docs", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--operation", "copy", "--job", job, "--concurrency", "1", "--json"}, c.args...)...)
			ended := make(chan said, 1)
			go func() { ended <- listen(t, cmd) }()
			if c.during != nil {
				for cmd.Process == nil {
					<-time.After(time.Millisecond)
				}
				c.during(t, st, cmd.Process, job)
			}
			s := <-ended
			if s.code != c.code {
				t.Fatalf("exit code %d, want %d\n%s%s", s.code, c.code, s.stdout, s.stderr)
			}
			texts := map[string]string{"status": st.reseal(t, "status", "--job", job, "--json").stdout}
			if c.verb == "run" && c.ends {
				texts["summary"] = s.stdout
			}
			for from, text := range texts {
				var is report.Standing
				if err := json.Unmarshal([]byte(text), &is); err != nil {
					t.Fatalf("%s: %v in %q", from, err, text)
				}
				if is.State != c.state || is.Began.IsZero() || is.Ended.IsZero() == c.ends || c.ends && is.Ended.Before(is.Began) || is.ElapsedSeconds <= 0 || is.Version == "" || is.PID == 0 {
					t.Errorf("%s: %s", from, text)
				}
				switch {
				case c.class == "" && is.Cause != nil:
					t.Errorf("%s: a cause for what came to its end: %+v", from, is.Cause)
				case c.class != "" && (is.Cause == nil || is.Cause.Class != c.class || !strings.Contains(is.Cause.Message, c.says)):
					t.Errorf("%s: cause %+v, want %s with %q", from, is.Cause, c.class, c.says)
				}
			}
			text := st.reseal(t, "status", "--job", job).stdout
			if c.class != "" && (!strings.Contains(text, c.class+": ") || !strings.Contains(text, c.says)) || !strings.Contains(text, "began 2") {
				t.Errorf("status in words:\n%s", text)
			}
			page := st.reseal(t, "report", "--job", job, "--format", "html").stdout
			page = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, "") // as it is read
			if !strings.Contains(page, "began 2") || !strings.Contains(page, c.says) {
				t.Errorf("the page does not tell when and why:\n%s", page)
			}
		})
	}
}

// TestStatusWritesNothing: readers leave a directory as it was, and can read one that
// they cannot write.
func TestStatusWritesNothing(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 4})
	st.fillDocs(3)
	job := filepath.Join(st.dir, "job")
	if s := st.reseal(t, "run", "s3://docs", "--sse", "AES256", "--job", job); s.code != 0 {
		t.Fatal(s.stderr)
	}
	before := listed(t, job)
	for _, args := range [][]string{{"status", "--job", job}, {"status", "--job", job, "--watch"}, {"report", "--job", job}, {"jobs", st.dir}} {
		if s := st.reseal(t, args...); s.code != 0 {
			t.Errorf("%v: exit code %d\n%s", args, s.code, s.stderr)
		}
		if after := listed(t, job); after != before {
			t.Errorf("%v: the directory was\n%s\nand is\n%s", args, before, after)
		}
	}
}

// listed names every file of a folder with its size and when it was changed.
func listed(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			b.WriteString(path + " " + info.ModTime().String() + " " + info.Mode().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
