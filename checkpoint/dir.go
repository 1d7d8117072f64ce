package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// DirError says that a directory cannot hold a job as it is. Nothing was
// touched.
type DirError struct {
	Dir       string
	What, Fix string
	Err       error // the cause, where there is one
}

func (e *DirError) Error() string {
	s := fmt.Sprintf("the job directory %s cannot be used: %s", e.Dir, e.What)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; " + e.Fix
}

// Unwrap gives the cause.
func (e *DirError) Unwrap() error { return e.Err }

func linked(name string) error {
	return &DirError{Dir: name, What: "it is a symbolic link, or no plain file or folder", Fix: "reseal makes no such thing: see who did, and name another directory"}
}

const localDisk = "name a directory on a local disk, or on one that locks files and syncs folders"

// noLocks tells a file system that locks nothing from a lock that is taken.
func noLocks(dir string, err error) error {
	for _, no := range []error{syscall.ENOLCK, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL} {
		if errors.Is(err, no) {
			return &DirError{Dir: dir, What: "its file system has no locks, and without them two processes could work on one job", Fix: localDisk, Err: err}
		}
	}
	return err
}

// noSync tells a file system that cannot sync a folder from a disk that fails.
func noSync(dir string, err error) error {
	for _, no := range []error{syscall.EINVAL, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		if errors.Is(err, no) {
			return &DirError{Dir: dir, What: "its file system cannot sync a folder, and a power cut could take the job with it", Fix: localDisk, Err: err}
		}
	}
	return err
}

// CheckDir refuses a directory that others own or may write, with a *DirError:
// what lies in it would be their word. What is not there is no error. It writes
// nothing.
func CheckDir(dir string) error {
	st, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &DirError{Dir: dir, What: "it cannot be looked at", Fix: "name another directory", Err: err}
	}
	if !st.IsDir() {
		return &DirError{Dir: dir, What: "it is no directory", Fix: "name another one"}
	}
	return checkOwner(dir, st)
}

// ProbeDir is CheckDir for a directory that a job is going to be made in: it also
// locks and syncs a file and the directory, so that a file system that can hold
// no job is refused before there is one. It leaves nothing behind.
func ProbeDir(dir string) error {
	if err := CheckDir(dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "job.json.*")
	if err != nil {
		return &DirError{Dir: dir, What: "it cannot be written", Fix: "name a directory on a disk with room that you can write to", Err: err}
	}
	err = errors.Join(noLocks(dir, tryLock(f)), f.Sync(), f.Close(), os.Remove(f.Name()))
	if err != nil {
		return asDirError(dir, err)
	}
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(noSync(dir, d.Sync()), d.Close())
	}
	return asDirError(dir, err)
}

func asDirError(dir string, err error) error {
	var known *DirError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &DirError{Dir: dir, What: "it cannot be written safely", Fix: localDisk, Err: err}
}
