package job

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// readPlain reads a file that is no link, no pipe and no device. A running job puts new
// files in the place of old ones at any time, and whoever reads them then looks again.
func readPlain(path string, check func(fs.FileInfo) error, most int64) ([]byte, error) {
	for range 1000 {
		data, err := readSame(path, check, most)
		if !errors.Is(err, errExchanged) {
			return data, err
		}
	}
	return nil, fmt.Errorf("%s: %w", path, errExchanged)
}

var errExchanged = errors.New("it was exchanged while it was read")

// readSame is readPlain of a path that names the same file all the while.
func readSame(path string, check func(fs.FileInfo) error, most int64) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no ordinary file (%s)", path, info.Mode())
	}
	if err := check(info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|plainly, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(info, opened) { // it was not looked at
		return nil, errExchanged
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// ofUs refuses a file that others own or may write.
func ofUs(info fs.FileInfo) error {
	if !ownedByUs(info) {
		return fmt.Errorf("%s belongs to another user", info.Name())
	}
	if !oursToWrite(info) {
		return fmt.Errorf("others may write to %s (%s)", info.Name(), info.Mode())
	}
	return nil
}

// onlyOurs refuses a file that others own or may read or write.
func onlyOurs(info fs.FileInfo) error {
	if !ownedByUs(info) {
		return errors.New("it belongs to another user")
	}
	if private(info) {
		return nil
	}
	return fmt.Errorf("others may read or write it (%s)", info.Mode())
}

// claim holds a directory while a job begins in it, before there is one.
type claim struct {
	f    *os.File
	path string
}

// takeClaim claims a directory, or says that another process has.
func takeClaim(dir, path string) (*claim, error) {
	switch c, err := tryClaim(path); {
	case err != nil:
		return nil, unusableBecause(err, "the job directory "+dir+" cannot be claimed", "name a directory that you can write to, on a file system that has locks")
	case c == nil:
		return nil, unusablef("wait for it, or name another directory", "another process is beginning a job in %s at this moment", dir)
	default:
		return c, nil
	}
}

// awaitClaim is tryClaim of what is held for a moment only; nil where it is held for longer.
func awaitClaim(path string) (c *claim, err error) {
	for range 200 {
		if c, err = tryClaim(path); c != nil || err != nil {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	return c, err
}

// claimTries bounds how often a file may have been given back between opening and locking.
const claimTries = 1000

// sameFile is os.SameFile, for tests.
var sameFile = os.SameFile

// tryClaim makes and locks a file; nil where another process holds it.
func tryClaim(path string) (*claim, error) {
	for range claimTries {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|plainly, 0o600)
		if err != nil {
			return nil, err
		}
		locked, err := lockFile(f)
		if err != nil || !locked {
			return nil, errors.Join(err, f.Close())
		}
		here, err := os.Lstat(path)
		if held, herr := f.Stat(); err == nil && herr == nil && sameFile(here, held) {
			return &claim{f, path}, nil
		}
		_ = f.Close() // it was given back between opening and locking
	}
	return nil, errors.New("the file system shows another file each time that it is asked for one")
}

// release gives the directory back. A nil claim is none.
func (c *claim) release() {
	if c != nil {
		_ = os.Remove(c.path) // before the lock goes, or another's could be removed
		_ = c.f.Close()
	}
}
