//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package checkpoint

import (
	"io/fs"
	"os"
)

// Who may write a folder is told by access lists here, which this does not read.
func checkOwner(string, fs.FileInfo) error { return nil }

func checkStore(string) error { return nil }

func tryLock(*os.File) error { return nil }
