//go:build !linux

package folder

import "os"

// mayBeWritten: who has a file open is not told here.
func mayBeWritten(*os.File) bool { return true }
