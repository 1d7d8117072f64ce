//go:build unix

package job

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestARunWithoutDescriptors: a process that can open no file at a moment, since it has too many, takes
// nobody to have changed its own.
func TestARunWithoutDescriptors(t *testing.T) {
	var said bytes.Buffer
	dir := t.TempDir()
	s := &session{job: &Job{Dir: dir, local: dir}, log: slog.New(slog.NewTextHandler(&said, nil)), run: &lastRun{Verb: "run", path: filepath.Join(dir, runName)}}
	s.keepRun()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := was
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	s.mendRun()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(s.run.path); err != nil || len(data) != runSize {
		t.Errorf("%d bytes are left, %v", len(data), err)
	}
	if strings.Contains(said.String(), "taken away") {
		t.Errorf("it says %s", said.String())
	}
}
