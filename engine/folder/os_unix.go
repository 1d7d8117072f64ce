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
