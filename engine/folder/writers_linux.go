package folder

import (
	"os"

	"golang.org/x/sys/unix"
)

// mayBeWritten says whether somebody may have the file open to write it, or mapped. A read
// lease is granted for a file that nobody has so; it is given back at once, so that nobody
// waits for it. It is refused as well for a file of another user, and where the file system
// knows none.
func mayBeWritten(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return true
	}
	granted := false
	err = raw.Control(func(fd uintptr) {
		if _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); err == nil {
			granted = true
			_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
		}
	})
	return err != nil || !granted
}
