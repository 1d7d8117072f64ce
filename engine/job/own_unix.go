//go:build unix

package job

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// plainly opens no link, and waits for nobody at a pipe.
const plainly = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// ownedByUs says whether a file belongs to the user that this process runs as.
func ownedByUs(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}

// private says whether nobody but the owner may read or write a file.
func private(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }

// oursToWrite says whether nobody but the owner may write a file.
func oursToWrite(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 == 0 }

// lockFile takes a lock that goes away with the process, however that ends; false
// where another has it.
func lockFile(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		default:
			return err == nil, err
		}
	}
}
