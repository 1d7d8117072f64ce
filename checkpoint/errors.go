package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// ErrNoStore is wrapped by the errors of OpenReadOnly and OpenSnapshot where
// the directory holds no checkpoint.
var ErrNoStore = errors.New("no checkpoint there: nothing was planned or run with this job directory")

// ErrClosed is the answer of a Store after Close.
var ErrClosed = errors.New("the checkpoint is closed")

// ErrReadOnly is the answer of a Store that was opened for reading.
var ErrReadOnly = errors.New("the checkpoint is open for reading only")

// ErrPlanComplete is the answer of Append after PlanComplete.
var ErrPlanComplete = errors.New("the plan is complete, nothing can be appended to it")

// LockedError says that another process has the job open.
type LockedError struct {
	Dir string
	// PID of the writer; 0 where only readers are there, or where it is not known. Host
	// is set where it is on another machine, perhaps.
	PID  int
	Host string
}

func (e *LockedError) Error() string {
	switch {
	case e.Host != "":
		return fmt.Sprintf("the job in %s is in use by process %d on %s; stop it, or wait for it to finish", e.Dir, e.PID, e.Host)
	case e.PID == 0:
		return fmt.Sprintf("job directory %s is in use by another process; try again when it has finished", e.Dir)
	}
	return fmt.Sprintf("job directory %s is in use by process %d; stop it, or wait for it to finish", e.Dir, e.PID)
}

// JobMismatchError says that the directory belongs to a job with another
// specification.
type JobMismatchError struct {
	Dir        string
	Have, Want [32]byte
}

func (e *JobMismatchError) Error() string {
	return fmt.Sprintf("job directory %s holds another job, or another shard (digest %x, not %x); use another --job directory, or the options that it was begun with",
		e.Dir, e.Have[:6], e.Want[:6])
}

// FormatError says that the store was written by a version of reseal that this
// one does not understand, or is not a checkpoint at all.
type FormatError struct {
	Dir     string
	Version uint64
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("the checkpoint in %s has format %d, this reseal reads format %d; use the version that wrote it", e.Dir, e.Version, formatVersion)
}

// DiskError is the first failure of the disk under a Store. It is final for the
// process; what was acknowledged before it is safe.
type DiskError struct {
	Dir string
	Err error
}

func (e *DiskError) Error() string {
	return fmt.Sprintf("the checkpoint in %s has failed: %v; %s", e.Dir, e.Err, e.Hint())
}

// Unwrap gives the cause.
func (e *DiskError) Unwrap() error { return e.Err }

// Hint is what a person can do about it.
func (e *DiskError) Hint() string {
	var lost *lostLockError
	var damaged *corruptError
	switch {
	case errors.As(e.Err, &lost):
		return "see that only one process works on the job and that nobody cleans its directory up, and run the job again"
	case errors.As(e.Err, &damaged), pebble.IsCorruptionError(e.Err):
		return "restore the whole job directory from a copy, or begin a new job in another one: what is under the target already is found to be so"
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, syscall.EDQUOT):
		return "make room on its disk and run the job again; nothing acknowledged is lost"
	case errors.Is(e.Err, syscall.EROFS), errors.Is(e.Err, fs.ErrPermission):
		return "make the job directory writable and run the job again; nothing acknowledged is lost"
	}
	return "check its disk and run the job again; nothing acknowledged is lost"
}

// corruptError says that a record cannot be what this package wrote.
type corruptError struct{ what string }

// damageOf is what Pebble found to be damaged, in one line.
func damageOf(err error) error {
	what, _, _ := strings.Cut(err.Error(), "\n")
	return &corruptError{what}
}

func (e *corruptError) Error() string { return "checkpoint record is damaged: " + e.what }

// lostLockError says that the lock's file is not the one that is locked any
// more: another process may have the job.
type lostLockError struct {
	name string
	err  error // nil where another file is there
}

func (e *lostLockError) Error() string {
	if e.err != nil {
		return fmt.Sprintf("its lock %s is gone: %v", e.name, e.err)
	}
	return fmt.Sprintf("its lock %s was replaced by another file", e.name)
}
