//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// followNoLink opens no link, and waits for nobody at a pipe.
const followNoLink = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// ownedByUs says whether a file belongs to the user that this process runs as.
func ownedByUs(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}

// private says whether nobody but the owner may read or write a file.
func private(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }
