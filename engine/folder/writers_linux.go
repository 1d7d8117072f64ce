package folder

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// mayBeWritten says whether somebody may have the file open to write it, or mapped. A read
// lease is granted for a file that nobody has so; it is given back at once, so that nobody
// waits for it. It is refused as well for a file of another user, and where the file system
// knows none. What other machines write, or a program that serves the files, no kernel
// counts, and yet it grants leases there: only file systems of this machine are asked.
func mayBeWritten(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return true
	}
	granted := false
	err = raw.Control(func(fd uintptr) {
		if !liesOn(fd, writtenHere) {
			return
		}
		if _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); err == nil {
			granted = true
			_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
		}
	})
	return err != nil || !granted
}

// timesAreOurs says whether the times of a file are surely by this machine's clock.
func timesAreOurs(f *os.File) (ours bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		ours = liesOn(fd, writtenHere) || liesOn(fd, []int64{unix.OVERLAYFS_SUPER_MAGIC})
	})
	return err == nil && ours
}

// askAnew has the kernel ask the machine that keeps a file about it. Of NFS it remembers size
// and times for three seconds and more, in which others may write.
func askAnew(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		var now unix.Statx_t
		_ = unix.Statx(int(fd), "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &now) // an old kernel tells what it has
	})
}

func liesOn(fd uintptr, kinds []int64) bool {
	var on unix.Statfs_t
	return unix.Fstatfs(int(fd), &on) == nil && slices.Contains(kinds, int64(on.Type))
}

// writtenHere are the file systems whose every writer is known to this machine's kernel. Of
// overlayfs it is not: a lease is granted there although somebody has mapped the file.
var writtenHere = []int64{
	unix.EXT4_SUPER_MAGIC, // 2 and 3 too
	unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC,
	0x2fc12fc1, // ZFS
	0xca451a4e, // bcachefs
}
