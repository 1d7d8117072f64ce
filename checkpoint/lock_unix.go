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

// lockName is the lock's file in storeDir.
const lockName = "LOCK"

// lockTries bounds how often a lock is taken on a file that was exchanged
// meanwhile.
const lockTries = 5

// flock is the lock of a checkpoint: exclusive and with the holder's process ID
// in the file for a writer, shared for readers. It belongs to the open files, so
// it goes away with the process, however that ends, and a second Open in the
// same process is refused like one in another.
//
// Both the file and its folder are locked. A file can be removed by whoever
// cleans up, and the next one would be locked by somebody else; the folder
// cannot while anything is in it. But some file systems lock no folders.
type flock struct {
	folder, file *os.File
	name         string // of the file
	id           syscall.Stat_t
	write        bool
}

func lockDir(dir string, write bool) (io.Closer, error) {
	l := &flock{name: filepath.Join(dir, lockName), write: write}
	err := l.lockFolder(dir)
	if err == nil {
		err = l.lockFile()
	}
	if err == nil && write {
		err = l.sign()
	}
	if err == nil {
		return l, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = &LockedError{Dir: filepath.Dir(dir), PID: l.holder()}
	}
	return nil, errors.Join(err, l.release())
}

func (l *flock) how() int {
	if l.write {
		return syscall.LOCK_EX | syscall.LOCK_NB
	}
	return syscall.LOCK_SH | syscall.LOCK_NB
}

// lockFolder locks the folder where its file system does such a thing; the file
// decides where it does not.
func (l *flock) lockFolder(dir string) (err error) {
	l.folder, err = os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	if err = flockFile(l.folder, l.how()); errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	return nil
}

// lockFile locks the file that the name leads to. A reader makes none.
func (l *flock) lockFile() (err error) {
	for range lockTries {
		if l.file, err = l.open(); err != nil {
			if !l.write && errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if err = flockFile(l.file, l.how()); err != nil {
			return noLocks(filepath.Dir(l.name), err)
		}
		if err = syscall.Fstat(int(l.file.Fd()), &l.id); err != nil {
			return err
		}
		if err = l.held(); err == nil {
			return nil
		}
		_ = l.file.Close()
		l.file = nil
	}
	return err
}

// open never follows a link, waits for a pipe, or touches what is no plain file.
func (l *flock) open() (*os.File, error) {
	const careful = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	var f *os.File
	var err error
	if l.write {
		f, err = os.OpenFile(l.name, os.O_RDWR|os.O_CREATE|os.O_EXCL|careful, 0o600)
		if errors.Is(err, fs.ErrExist) {
			f, err = os.OpenFile(l.name, os.O_RDWR|careful, 0)
		}
	} else {
		f, err = os.OpenFile(l.name, os.O_RDONLY|careful, 0)
	}
	if errors.Is(err, syscall.ELOOP) {
		return nil, linked(l.name)
	}
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		_ = f.Close()
		return nil, errors.Join(err, linked(l.name))
	}
	return f, nil
}

// held says that the name still leads to the file that is locked.
func (l *flock) held() error {
	if l.file == nil {
		return nil
	}
	var now syscall.Stat_t
	err := syscall.Lstat(l.name, &now)
	if err == nil && now.Dev == l.id.Dev && now.Ino == l.id.Ino {
		return nil
	}
	return &lostLockError{name: l.name, err: err}
}

// sign writes the process ID. A full disk may leave it out: the lock is held all
// the same.
func (l *flock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	return err
}

func (l *flock) Close() error {
	if l.write && l.file != nil {
		_ = l.file.Truncate(0) // or a later reader's lock would seem to be ours
	}
	return l.release()
}

func (l *flock) release() error {
	var err error
	for _, f := range []*os.File{l.file, l.folder} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// holder is the process ID of the writer that has the lock; 0 where only readers
// do, which leave the name of a dead writer as it is.
func (l *flock) holder() int {
	for _, f := range []*os.File{l.folder, l.file} {
		if f == nil {
			continue
		}
		if err := flockFile(f, syscall.LOCK_SH|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
			return holder(l.name)
		}
	}
	return 0
}

func holder(name string) int {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

func flockFile(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// Locked says whether a process is running the job in dir, and which one; pid is
// 0 where that is not known. It opens nothing for writing and disturbs nobody: a
// shared lock is refused only while a writer is there, is held for this moment,
// and a writer that starts in it tries again.
func Locked(dir string) (pid int, locked bool, err error) {
	path := filepath.Join(dir, storeDir)
	l, err := lockDir(path, false)
	var held *LockedError
	switch {
	case errors.As(err, &held):
		return held.PID, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, &DiskError{dir, err}
	}
	return 0, false, l.Close()
}
