//go:build unix

package folder

import (
	"errors"
	"syscall"
)

// neverWaits opens what may have become a pipe without waiting for its other end.
const neverWaits = syscall.O_NONBLOCK

const syncsDirs = true

func isQuota(err error) bool { return errors.Is(err, syscall.EDQUOT) }

// isForNow says whether another try may do: somebody holds a lease of the file and was asked
// to give it up (as Samba does for its clients), too many files are open, or a file system
// of another machine has another file under the name by now.
func isForNow(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ESTALE)
}
