package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestPlacesAreSwept: a process that died while it tried what several buckets can do is
// cleaned up after by the next one, in each of them.
func TestPlacesAreSwept(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 8})
	const buckets = 3
	args := []string{"run", "--sse", "AES256", "--job", filepath.Join(t.TempDir(), "job")}
	for i := range buckets {
		name := fmt.Sprintf("b%d", i)
		st.server.CreateBucket(name, s3test.BucketConfig{})
		st.server.Put(name, s3test.Object{Key: "in/1", Body: s3test.Bytes("kept")})
		args = append(args, "s3://"+name+"/in/")
	}
	if err := st.server.SetRules(`(If DeleteObjects Stalled)`); err != nil {
		t.Fatal(err)
	}
	dying := st.command(args...)
	if err := dying.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); st.server.Count("DeleteObjects") < buckets && time.Now().Before(deadline); {
		<-time.After(5 * time.Millisecond)
	}
	_ = dying.Process.Kill()
	_ = dying.Wait()
	_ = st.server.SetRules("")
	for i := range buckets {
		if left := len(st.server.Snapshot(fmt.Sprintf("b%d", i)).Objects); left < 2 {
			t.Fatalf("bucket %d: %d objects; the test shows nothing", i, left)
		}
	}
	if s := st.reseal(t, args...); s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	for i := range buckets {
		if left := st.server.Snapshot(fmt.Sprintf("b%d", i)).Objects; len(left) != 1 {
			t.Errorf("bucket %d: %d objects are left, want 1", i, len(left))
		}
	}
	notes, _ := filepath.Glob(filepath.Join(args[4], "job.json.probe*"))
	if len(notes) > 0 {
		t.Errorf("notes are left: %v", notes)
	}
}

// TestAPlaceThatFailsLater: a bucket that goes away between plan and run does not keep the
// others from being done, and is told as what it is.
func TestAPlaceThatFailsLater(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 9})
	job := filepath.Join(t.TempDir(), "job")
	for _, name := range []string{"a", "b", "c"} {
		st.server.CreateBucket(name, s3test.BucketConfig{})
		for n := range 5 {
			st.server.Put(name, s3test.Object{Key: fmt.Sprint(name, n), Body: s3test.Bytes("x")})
		}
	}
	if s := st.reseal(t, "plan", "s3://a", "s3://b", "s3://c", "--sse", "AES256", "--job", job); s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = []s3test.Deny{{Action: "s3:PutObject"}} })
	if s := st.reseal(t, "run", "--job", job); s.code == 0 {
		t.Errorf("a run that could not write to one bucket ended with 0: %s", s.stdout)
	}
	rows := st.rows(t, job)
	done := map[string]int{}
	for _, row := range rows {
		if row["state"] == "done" {
			done[row["bucket"]]++
		}
	}
	if done["a"] != 5 || done["c"] != 5 || done["b"] != 0 {
		t.Errorf("done: %v", done)
	}
	st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = nil })
	if s := st.reseal(t, "run", "--job", job, "--retry-failed"); s.code != 0 {
		t.Errorf("exit code %d: %s", s.code, s.stderr)
	}
	if s := st.reseal(t, "verify", "--job", job); s.code != 0 {
		t.Errorf("verify: exit code %d: %s", s.code, s.stderr)
	}
	if _, err := os.Stat(filepath.Join(job, "shards", "0001")); err != nil {
		t.Error(err)
	}
}

// TestStatusOfKilledPlaces: where the process was killed that worked on the first of several
// places, status tells for how long it was heard of.
func TestStatusOfKilledPlaces(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 10, Latency: map[string]time.Duration{"CopyObject": 20 * time.Millisecond}})
	for _, name := range []string{"a", "b"} {
		st.server.CreateBucket(name, s3test.BucketConfig{})
		for n := range 400 {
			st.server.Put(name, s3test.Object{Key: fmt.Sprint(name, n), Body: s3test.Bytes("x")})
		}
	}
	job := filepath.Join(t.TempDir(), "job")
	dying := st.command("run", "s3://a", "s3://b", "--sse", "AES256", "--operation", "copy", "--concurrency", "1", "--job", job)
	if err := dying.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); st.server.Count("CopyObject") < 100 && time.Now().Before(deadline); {
		<-time.After(5 * time.Millisecond)
	}
	_ = dying.Process.Kill()
	_ = dying.Wait()
	var is report.Standing
	if err := json.Unmarshal([]byte(st.reseal(t, "status", "--job", job, "--json").stdout), &is); err != nil {
		t.Fatal(err)
	}
	if is.State != report.StateStopped || is.ElapsedSeconds < 0 || is.ElapsedSeconds > 600 {
		t.Errorf("%s after %v s", is.State, is.ElapsedSeconds)
	}
}
