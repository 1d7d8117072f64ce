package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readPlain reads a file that is no link, no pipe and no device.
func readPlain(path string, check func(fs.FileInfo) error, most int64) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no ordinary file (%s)", path, info.Mode())
	}
	if err := check(info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|followNoLink, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// What was opened may be another file than what was looked at.
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, errors.Join(errors.New("it was exchanged while it was read"), err)
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// onlyOurs refuses a file that others own or may read or write.
func onlyOurs(info fs.FileInfo) error {
	if !ownedByUs(info) {
		return errors.New("it belongs to another user")
	}
	if private(info) {
		return nil
	}
	return fmt.Errorf("others may read or write it (%s)", info.Mode())
}
