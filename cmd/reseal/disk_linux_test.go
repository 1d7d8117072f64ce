package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestFullDisk runs a job whose directory lies on a disk that becomes full in the
// middle: it stops with the reason, goes on once there is room, and does nothing
// twice that it had remembered. Where nothing may be mounted, the system's limit
// on the size of a file stands in for the disk; that is tried in any case.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	t.Run("limit", func(t *testing.T) {
		d := newDiskJob(t, t.TempDir(), 3000)
		// Every file of the job may grow to 64 KiB: its checkpoint cannot hold 3,000
		// tasks and outcomes in one, and the log loses lines.
		first := listen(t, d.limited(128))
		d.stopped(t, first, exitStopped, "file too large")
		d.finish(t)
	})
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Logf("no small disk can be mounted here (%v): the limit has to do", err)
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	t.Run("disk", func(t *testing.T) {
		d := newDiskJob(t, dir, 6000)
		fullNow := d.planWaits(t)
		ended := make(chan said, 1)
		go func() { ended <- listen(t, d.command(d.args...)) }()
		d.waitFor(t, 300)
		ballast := filepath.Join(dir, "ballast")
		room := keepFull(t, ballast)
		fullNow()
		d.stopped(t, <-ended, exitStopped, "no space left")
		// Still full: who runs it again is told the same, before anything is touched.
		d.stopped(t, d.reseal(t, d.args...), exitUnusable, "no space left")
		room()
		if s := d.reseal(t, "status", "--job", d.job); s.code != 0 || !strings.Contains(s.stdout, "goes on") || !strings.Contains(s.stdout, "disk: the job's checkpoint cannot be written") || !strings.Contains(s.stdout, ", ended 2") {
			t.Errorf("status after the disk was full: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
		}
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=16m"); err != nil {
			t.Fatal(err)
		}
		d.stopped(t, d.reseal(t, d.args...), exitUnusable, "read-only file system")
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=16m"); err != nil {
			t.Fatal(err)
		}
		d.finish(t)
	})
}

// diskJob is a job of many small objects in a versioned bucket.
type diskJob struct {
	*stage
	n      int
	job    string
	args   []string
	before s3test.Bucket
}

const diskBucket = "disk"

func newDiskJob(t *testing.T, dir string, n int) *diskJob {
	d := &diskJob{stage: newStage(t, s3test.Config{Seed: 3}), n: n, job: filepath.Join(dir, "job")}
	d.server.CreateBucket(diskBucket, s3test.BucketConfig{Versioning: "Enabled"})
	long := strings.Repeat("a key that takes room on a disk ", 27)
	d.server.Fill(diskBucket, n, func(i int) string { return fmt.Sprintf("%s/%08d", long, i*7919%n) },
		s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}})
	d.before = d.server.Snapshot(diskBucket)
	d.args = []string{"run", "s3://" + diskBucket, "--sse", "aws:kms", "--sse-kms-key-id", d.keyA, "--operation", "copy", "--job", d.job,
		"--concurrency", "8", "--no-progress", "--json", "--log-level", "debug"}
	return d
}

// limited runs the job where no file may grow beyond so many blocks of 512 bytes.
func (d *diskJob) limited(blocks int) *exec.Cmd {
	script := fmt.Sprintf(`ulimit -f %d && exec "$0" "$@"`, blocks)
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, d.binary}, d.args...)...)
	cmd.Env = d.env
	return cmd
}

// planWaits holds the plan up in the middle while the work on what was listed goes on,
// until it is told that the disk is full, which it then finds.
func (d *diskJob) planWaits(t *testing.T) (fullNow func()) {
	full := make(chan struct{})
	fullNow = sync.OnceFunc(func() { close(full) })
	t.Cleanup(fullNow)
	var pages atomic.Int32
	d.server.OnRequest(func(r s3test.Request) {
		further := len(r.Query["continuation-token"])+len(r.Query["start-after"]) > 0
		if strings.HasPrefix(r.Op, "List") && r.Bucket == diskBucket && further && pages.Add(1) > 2 {
			<-full
		}
	})
	return fullNow
}

// waitFor waits until n objects were copied.
func (d *diskJob) waitFor(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for d.server.Count("Copy") < n {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("within a minute only %d copies came", d.server.Count("Copy"))
		}
	}
}

// stopped wants a clean stop: the reason, and no stack.
func (d *diskJob) stopped(t *testing.T, s said, code int, reason string) {
	t.Helper()
	if s.code != code || !strings.Contains(s.stderr, reason) || strings.Contains(s.stderr, "goroutine ") {
		t.Errorf("exit code %d, want %d and %q\n%s%s", s.code, code, reason, s.stdout, s.stderr)
	}
}

// finish wants every object right and written once: what was acknowledged before
// the disk was full is not lost, and what was in doubt was asked about.
func (d *diskJob) finish(t *testing.T) {
	t.Helper()
	s := d.reseal(t, d.args...)
	if s.code != 0 {
		t.Fatalf("with room again: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	d.differences(t, d.before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: d.keyA}, Intent: only(func(s3test.Object) bool { return true })})
	now := d.server.Snapshot(diskBucket)
	if extra := len(now.Objects) - 2*d.n; extra != 0 {
		t.Errorf("%d versions more than one old and one new for each of %d objects", extra, d.n)
	}
	if rows := d.rows(t, d.job); len(rows) != d.n {
		t.Errorf("%d rows for %d objects", len(rows), d.n)
	}
}

// keepFull writes until the disk is full, and takes what becomes free there too: a store
// gives files back that it has no need of any more. It returns then, and room gives all
// of it back.
func keepFull(t *testing.T, path string) (room func()) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	full, enough, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tellFull := sync.OnceFunc(func() { close(full) })
		for block := make([]byte, 4096); ; {
			if _, err := f.Write(block); err == nil {
				continue
			}
			tellFull()
			select {
			case <-enough:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	<-full
	room = sync.OnceFunc(func() {
		close(enough)
		<-ended
		if err := errors.Join(f.Close(), os.Remove(path)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(room)
	return room
}
