//go:build unix

package manifest

import "syscall"

// nonBlocking opens a pipe for writing without waiting for its reader.
const nonBlocking = syscall.O_NONBLOCK
