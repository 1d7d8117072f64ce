package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// filling is a file on a disk that is full for a while, and takes a part of what is written as it
// becomes so.
type filling struct {
	bytes.Buffer
	writes int
}

func (f *filling) Write(p []byte) (int, error) {
	switch f.writes++; f.writes {
	case 2:
		n, _ := f.Buffer.Write(p[:len(p)/2])
		return n, errors.New("no space left on device")
	case 3:
		return 0, errors.New("no space left on device")
	}
	return f.Buffer.Write(p)
}

// TestEventsOnAFullDisk: what could not be written is told, and each event that could has a line
// of its own.
func TestEventsOnAFullDisk(t *testing.T) {
	disk := &filling{}
	e := &eventLog{w: disk, job: "j", queue: make(chan any, eventQueue), ended: make(chan struct{})}
	go e.write()
	for _, kind := range []string{"one", "two", "three", "four"} {
		e.put(e.of(kind))
	}
	var others bytes.Buffer
	e.end(nil, nil, 0, &others)
	if s := others.String(); !strings.Contains(s, "2 events of --events could not be written: no space left") {
		t.Errorf("told: %q", s)
	}
	var kinds []string
	for line := range strings.Lines(disk.String()) {
		var v event
		if json.Unmarshal([]byte(line), &v) == nil {
			kinds = append(kinds, v.Event)
		}
	}
	if got := strings.Join(kinds, " "); got != "one four end" {
		t.Errorf("whole lines are %q of\n%s", got, disk.String())
	}
}

// TestEventsAfterATornLine: a process that was killed may leave half a line, which is no part of
// what the next one writes; and a full disk is told of by the real binary.
func TestEventsAfterATornLine(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 4})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.put("k", s3test.Object{})
	file := filepath.Join(st.dir, "events")
	if err := os.WriteFile(file, []byte(`{"event":"object","at":"20`), 0o600); err != nil {
		t.Fatal(err)
	}
	run := []string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", filepath.Join(st.dir, "job"), "--events"}
	if s := st.reseal(t, append(run, file)...); s.code != 0 || strings.Contains(s.stderr, "could not be written") {
		t.Fatalf("exit code %d\n%s", s.code, s.stderr)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if whole := json.Valid([]byte(line)); whole != (i > 0) {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		if s := st.reseal(t, append(run, "/dev/full")...); s.code != 0 || !strings.Contains(s.stderr, "of --events could not be written") {
			t.Errorf("exit code %d\n%s", s.code, s.stderr)
		}
	}
}
