package folder

import (
	"os"

	"golang.org/x/sys/unix"
)

// rename gives a file its name in one step, unless something has it.
func rename(dir *os.Root, from, to string) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	fd := int(f.Fd())
	switch err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE); err {
	case nil:
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP: // not on this file system
		return byLink(dir, from, to)
	default:
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
}
