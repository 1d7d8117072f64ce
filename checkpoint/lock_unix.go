//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package checkpoint

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// flock is the lock of a checkpoint: exclusive and with the holder's process ID
// in the file for a writer, shared for readers. It belongs to the open file, so
// it goes away with the process, however that ends, and a second Open in the
// same process is refused like one in another.
type flock struct {
	f     *os.File
	write bool
}

func (l *flock) Close() error {
	if l.write {
		_ = l.f.Truncate(0) // or a later reader's lock would seem to be ours
	}
	return l.f.Close()
}

func lockDir(dir string, write bool) (io.Closer, error) {
	name := filepath.Join(dir, "LOCK")
	how, flags := syscall.LOCK_SH, os.O_RDWR
	if write {
		how, flags = syscall.LOCK_EX, os.O_RDWR|os.O_CREATE
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if !write && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		f, err = os.OpenFile(name, os.O_RDONLY, 0)
	}
	if !write && errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil // nobody ever wrote here; Pebble will say so
	}
	if err != nil {
		return nil, err
	}
	if err := flockFile(f, how|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &LockedError{Dir: filepath.Dir(dir), PID: holder(f)}
		}
		return nil, err
	}
	l := &flock{f, write}
	if !write {
		_ = f.Truncate(0) // nobody writes, so the name in it is that of a process that died
		return l, nil
	}
	if err := l.sign(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// sign writes the process ID. A full disk may leave it out: the lock is held all
// the same.
func (l *flock) sign() error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err := l.f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	return err
}

func flockFile(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func holder(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// Locked says whether a process is running the job in dir, and which one; pid is
// 0 where that is not known. It opens nothing and disturbs nobody.
func Locked(dir string) (pid int, locked bool, err error) {
	f, err := os.Open(filepath.Join(dir, storeDir, "LOCK"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	// A shared lock is refused only while a writer is there. It is held for this
	// moment; a writer that starts in it tries again (see lockRetries).
	err = flockFile(f, syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return holder(f), true, nil
	}
	return 0, false, err
}
