//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package checkpoint

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// onlyTheFile is the lock where the file system locks no folders.
func onlyTheFile(dir string, write bool) (io.Closer, error) {
	l := &flock{name: filepath.Join(dir, lockName), write: write}
	if err := l.lockFile(); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, l.sign()
}

// TestL10TheLockIsRemovedUnderARun: whoever cleans up does not let a second run
// in; readers take the copy of a running job; and the first run stops, since it
// cannot know.
func TestL10TheLockIsRemovedUnderARun(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	must(t, first.Append(tasks(0, 10), nil))
	must(t, first.PlanComplete())
	must(t, os.Remove(filepath.Join(dir, storeDir, lockName)))
	var locked *LockedError
	if _, err := Open(dir, Options{Job: [32]byte{1}}); !errors.As(err, &locked) {
		t.Errorf("a second run: %v", err)
	}
	if _, err := OpenReadOnly(dir, Options{}); !errors.As(err, &locked) {
		t.Errorf("a reader: %v", err)
	}
	if _, yes, err := Locked(dir); !yes || err != nil {
		t.Errorf("Locked: %v %v", yes, err)
	}
	stopped(t, first)
}

// TestL10TwoWriters has a file system that locks no folders, so that the second
// run does get in: the first stops before it records anything more.
func TestL10TwoWriters(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, Options{lock: onlyTheFile})
	must(t, err)
	must(t, first.Append(tasks(0, 10), nil))
	must(t, first.PlanComplete())
	drain(t, first, 10)
	must(t, first.Record(outcome(1)))
	must(t, first.Flush())
	must(t, os.Remove(filepath.Join(dir, storeDir, lockName)))
	second, err := Open(dir, Options{lock: onlyTheFile})
	must(t, err)
	before := second.Totals()
	_ = first.Record(outcome(2))
	stopped(t, first)
	must(t, second.Flush())
	must(t, second.Close())
	again, err := OpenReadOnly(dir, Options{})
	must(t, err)
	defer again.Close()
	if got := again.Totals().States; got != before.States {
		t.Errorf("states %v, and the second run found %v", got, before.States)
	}
}

func stopped(t *testing.T, s *Store) {
	t.Helper()
	var lost *lostLockError
	if err := s.Flush(); !errors.As(err, &lost) || !strings.Contains(err.Error(), "only one process works on the job") {
		t.Errorf("the run whose lock is gone goes on: %v", err)
	}
	if err := s.Record(outcome(3)); !errors.As(err, &lost) {
		t.Errorf("it records: %v", err)
	}
	if err := s.Close(); !errors.As(err, &lost) {
		t.Errorf("it closes in peace: %v", err)
	}
}

// TestS3LinksAreNotFollowed plants a link in the place of everything that a job
// directory of the checkpoint holds: nothing behind it is read or changed.
func TestS3LinksAreNotFollowed(t *testing.T) {
	job, _ := jobOf(t, 100, true, 0)
	names := []string{"", dbDir, lockName, sealName}
	for _, name := range files(t, job, func(n string) bool { return strings.HasSuffix(n, ".log") || strings.HasPrefix(n, "MANIFEST") }) {
		names = append(names, filepath.Join(dbDir, filepath.Base(name)))
	}
	for _, name := range append(names, filepath.Join(dbDir, "999999.sst")) {
		t.Run(name, func(t *testing.T) {
			dir := copyJob(t, job)
			at := filepath.Join(dir, storeDir, name)
			precious := filepath.Join(t.TempDir(), "precious")
			if _, err := os.Lstat(at); err == nil {
				must(t, os.Rename(at, precious))
			} else {
				must(t, os.WriteFile(precious, []byte("precious"), 0o600))
			}
			must(t, os.Symlink(precious, at))
			before := contents(t, precious)
			checkRefused(t, dir)
			if after := contents(t, precious); after != before {
				t.Errorf("what the link leads to was changed")
			}
		})
	}
}

func contents(t *testing.T, name string) string {
	t.Helper()
	if st, err := os.Stat(name); err != nil || !st.IsDir() {
		b, err := os.ReadFile(name)
		must(t, err)
		return string(b)
	}
	var all strings.Builder
	for _, e := range must2(os.ReadDir(name))(t) {
		all.WriteString(e.Name() + contents(t, filepath.Join(name, e.Name())))
	}
	return all.String()
}

func must2[A any](a A, err error) func(*testing.T) A {
	return func(t *testing.T) A {
		t.Helper()
		must(t, err)
		return a
	}
}

// checkRefused: neither a run nor a reader takes the directory.
func checkRefused(t *testing.T, dir string) {
	t.Helper()
	var unfit *DirError
	if _, err := Open(dir, Options{Job: [32]byte{1}}); !errors.As(err, &unfit) {
		t.Errorf("run: %v", err)
	}
	if _, err := OpenSnapshot(dir, Options{}); !errors.As(err, &unfit) {
		t.Errorf("status: %v", err)
	}
}

// TestS3WhatOthersMayWriteIsRefused: the job's directory and those in it.
func TestS3WhatOthersMayWriteIsRefused(t *testing.T) {
	job, _ := jobOf(t, 100, true, 0)
	for _, sub := range []string{"", storeDir, filepath.Join(storeDir, dbDir)} {
		for _, mode := range []os.FileMode{0o770, 0o707} {
			dir := copyJob(t, job)
			must(t, os.Chmod(filepath.Join(dir, sub), mode))
			checkRefused(t, dir)
		}
	}
	if os.Geteuid() == 0 { // only root can give a directory away
		dir := copyJob(t, job)
		must(t, os.Chown(dir, 12345, -1))
		checkRefused(t, dir)
		if err := ProbeDir(dir); err == nil {
			t.Error("a job could be begun in somebody else's directory")
		}
	}
	if _, _, err := read(job); err != nil {
		t.Errorf("the job itself: %v", err)
	}
}

// TestS3ReadersWriteNothing: not even into the lock.
func TestS3ReadersWriteNothing(t *testing.T) {
	dir, _ := jobOf(t, 100, true, 0)
	must(t, os.WriteFile(filepath.Join(dir, storeDir, lockName), []byte("4711\n"), 0o600)) // of a run that died
	before := contents(t, dir)
	if _, _, err := read(dir); err != nil {
		t.Fatal(err)
	}
	if after := contents(t, dir); after != before {
		t.Error("a reader has written")
	}
	reader, err := OpenReadOnly(dir, Options{})
	must(t, err)
	defer reader.Close()
	var locked *LockedError
	if _, err := Open(dir, Options{}); !errors.As(err, &locked) || locked.PID != 0 {
		t.Errorf("beside a reader: %v; the process that died has nothing to do with it", err)
	}
}

// noFolders is a disk that cannot sync folders, as SMB is.
type noFolders struct{ vfs.FS }

func (f noFolders) OpenDir(name string) (vfs.File, error) {
	d, err := f.FS.OpenDir(name)
	return noSyncFile{d}, err
}

type noSyncFile struct{ vfs.File }

func (noSyncFile) Sync() error { return &os.PathError{Op: "sync", Path: "x", Err: syscall.EINVAL} }

// TestW13AFileSystemThatCannotHoldAJob says so, before there is a job.
func TestW13AFileSystemThatCannotHoldAJob(t *testing.T) {
	for what, opts := range map[string]Options{
		"no folders": {fs: noFolders{vfs.NewMem()}, lock: memOptions(nil).lock},
		"no locks": {fs: vfs.NewMem(), lock: func(dir string, _ bool) (io.Closer, error) {
			return nil, noLocks(dir, &os.PathError{Op: "flock", Path: dir, Err: syscall.ENOLCK})
		}},
	} {
		_, err := Open("job", opts)
		var unfit *DirError
		if !errors.As(err, &unfit) || !strings.Contains(err.Error(), "file system") || !strings.Contains(err.Error(), "local disk") {
			t.Errorf("%s: %v", what, err)
		}
	}
	dir := t.TempDir()
	must(t, ProbeDir(dir))
	if left := must2(os.ReadDir(dir))(t); len(left) != 0 {
		t.Errorf("the probe leaves %v", left)
	}
}
