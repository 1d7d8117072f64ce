package main

import (
	"runtime"
	"runtime/debug"
)

// crashAsCrash makes a panic or a lack of memory, which no goroutine can catch for
// all others, end the process by SIGABRT. Go's own exit code for it is 2, and 2
// promises here that nothing was touched.
func crashAsCrash() {
	noCore()
	debug.SetTraceback("crash")
}

// stacks are those of all goroutines.
func stacks() []byte {
	buf := make([]byte, 1<<20)
	return buf[:runtime.Stack(buf, true)]
}
