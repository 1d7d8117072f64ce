//go:build unix

package main

import (
	"os"
	"syscall"
)

// quitSignals end a program with its stacks; Go's exit code for it is 2.
var quitSignals = []os.Signal{syscall.SIGQUIT}

// noCore keeps customer keys and credentials out of the file that a crash may leave.
func noCore() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // where it is refused there is none to fear
}
