//go:build !linux

package realserver

import (
	"os"
	"syscall"
)

// memoryDir is a prefix that no folder has here.
const memoryDir = "\x00"

// dieWithParent has no counterpart here: a killed test leaves its server behind.
func dieWithParent() *syscall.SysProcAttr { return nil }

// TempDir is a folder for what tests write. free removes it.
func TempDir() (dir string, free func() error, err error) {
	dir, err = os.MkdirTemp("", "reseal-realserver-")
	return dir, func() error { return os.RemoveAll(dir) }, err
}
