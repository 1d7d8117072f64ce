//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// stuckFor is far more than a process takes to end that was told to.
const stuckFor = 2 * time.Minute

// TestToldToStopWhileStuck: a process that writes to what nobody reads, or waits for whoever
// might, ends when it is told to, and the job goes on from there.
func TestToldToStopWhileStuck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		signals int
		full    bool // its standard error takes nothing more, as that of a terminal that was stopped
	}{{"a pipe that nobody opens", 1, false}, {"standard error that nobody reads", 2, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{})
			st.server.CreateBucket("b", s3test.BucketConfig{})
			st.server.Fill("b", 600, func(i int) string { return strings.Repeat("k", i+1) }, s3test.Bytes("body"), s3test.Attrs{})
			dir := t.TempDir()
			job, pipe := filepath.Join(dir, "job"), filepath.Join(dir, "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			st.does(t, "plan", "s3://b", "--sse", "AES256", "--job", job)
			cmd := st.command("run", "--job", job, "--events", pipe)
			if c.full {
				cmd = st.command("run", "--job", job, "--concurrency", "2")
				cmd.Stderr = fullPipe(t)
				st.server.SetLatency(map[string]time.Duration{"CopyObject": 200 * time.Millisecond})
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			if c.full {
				st.awaitStatus(t, job, ", working)")
			}
			time.Sleep(2 * time.Second) // in which it may come to where it is stuck; else the signal comes before that
			for i := range c.signals {
				if i > 0 {
					time.Sleep(oneSignal + 200*time.Millisecond)
				}
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-ended:
			case <-time.After(stuckFor):
				_ = cmd.Process.Kill()
				t.Fatal("it goes on")
			}
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
				t.Errorf("exit code %d", code)
			}
			st.server.SetLatency(nil)
			if s := st.reseal(t, "run", "--job", job, "--json"); s.code != 0 || !strings.Contains(s.stdout, `"planned":600`) {
				t.Errorf("the next run: exit code %d: %s%s", s.code, s.stdout, s.stderr)
			}
		})
	}
}

// fullPipe is the end of a pipe that takes nothing more, and that nobody reads.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(reader.Close(), writer.Close()) })
	if err := writer.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = writer.Write(make([]byte, 4096))
	}
	return writer
}

// TestOutputsThatAreNoFiles: what is no ordinary file is written to, and never replaced: it
// would be /dev/null, in a container that runs as root.
func TestOutputsThatAreNoFiles(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	st.put("k", s3test.Object{})
	dir := t.TempDir()
	job := filepath.Join(dir, "job")
	st.does(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", job)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, begins string }{{"report --job JOB -o PIPE", "bucket,key"}, {"verify --job JOB -o PIPE", "finding,bucket"},
		{"prune --job JOB -o PIPE", "bucket,key"}, {"audit s3://b --format csv -o PIPE", "encryption,"}} {
		reader, err := os.OpenFile(pipe, os.O_RDWR, 0) // what is written stays in it
		if err != nil {
			t.Fatal(err)
		}
		args := strings.Fields(strings.NewReplacer("JOB", job, "PIPE", pipe).Replace(c.args))
		if s := st.reseal(t, args...); s.code != 0 {
			t.Errorf("%s: exit code %d: %s", c.args, s.code, s.stderr)
		}
		info, err := os.Lstat(pipe)
		if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
			t.Fatalf("%s: the pipe became %v: %v", c.args, info, err)
		}
		text := make([]byte, 64)
		n, err := reader.Read(text)
		if err := errors.Join(err, reader.Close()); err != nil || !strings.HasPrefix(string(text[:n]), c.begins) {
			t.Errorf("%s: %q, %v", c.args, text[:n], err)
		}
	}
	// Standard output and standard error by other names, whatever they lead to.
	for _, name := range []string{"-", "/dev/stdout", "/dev/stderr"} {
		if _, err := os.Stat(name); err != nil && name != "-" {
			continue
		}
		out, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		link := name
		if name != "-" { // as /dev/stdout is one
			link = filepath.Join(dir, filepath.Base(name))
			if err := os.Symlink(name, link); err != nil {
				t.Fatal(err)
			}
		}
		cmd := st.command("report", "--job", job, "-o", link)
		cmd.Stdout, cmd.Dir = out, dir
		if name == "/dev/stderr" {
			cmd.Stdout, cmd.Stderr = nil, out
		}
		if err := cmd.Run(); err != nil {
			t.Fatal(name, err)
		}
		text, err := os.ReadFile(out.Name())
		if err := errors.Join(err, out.Close()); err != nil || !strings.HasPrefix(string(text), "bucket,key") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "-")); err == nil {
		t.Error("a file of the name - was made")
	}
}

// talkative is a job whose events no pipe holds, with one that takes them.
func talkative(t *testing.T) (st *stage, job string, reader, writer *os.File) {
	t.Helper()
	st = newStage(t, s3test.Config{})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Fill("b", 600, func(i int) string { return strings.Repeat("k", i+1) }, s3test.Bytes("body"), s3test.Attrs{})
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return st, filepath.Join(t.TempDir(), "job"), reader, writer
}

// TestNobodyReadsTheEvents: the run ends, and gives its job up for the next one.
func TestNobodyReadsTheEvents(t *testing.T) {
	t.Parallel()
	st, job, reader, writer := talkative(t)
	defer reader.Close()
	cmd := st.command("run", "s3://b", "--sse", "AES256", "--job", job, "--events", "-", "--no-progress")
	cmd.Stdout = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(stuckFor):
		_ = cmd.Process.Kill()
		t.Fatal("it waits for whoever might read the events")
	}
}

// TestWhoeverListensMayGo: whoever reads what a run tells may be gone by the morning. The run
// goes on, and is not taken for one that was killed.
func TestWhoeverListensMayGo(t *testing.T) {
	t.Parallel()
	st, job, reader, writer := talkative(t)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := st.command("run", "s3://b", "--sse", "AES256", "--job", job, "--events", "-")
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Run(); err != nil {
		t.Errorf("the run: %v", err)
	}
	_ = writer.Close()
	if s := st.reseal(t, "status", "--job", job, "--json"); s.code != 0 || !strings.Contains(s.stdout, `"state":"finished"`) || strings.Contains(s.stdout, `"remaining":600`) {
		t.Errorf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
}
