package realserver

import (
	"os"
	"path/filepath"
	"syscall"
)

// memoryDir is where Linux keeps files in memory.
const memoryDir = "/dev/shm"

// roomInMemory is how much has to be free there: containers often give it 64 MiB
// only, and the tests copy objects of several hundred.
const roomInMemory = 4 << 30

// dieWithParent has the kernel kill the child when its parent dies, however.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// TempDir is a folder for what tests write. It is in memory where there is room, which
// spares the disk and other people's patience. free removes it; what a killed process
// has left, the next one's TempDir removes.
func TempDir() (dir string, free func() error, err error) {
	base := os.TempDir()
	var st syscall.Statfs_t
	if err := syscall.Statfs(memoryDir, &st); err == nil && uint64(st.Bavail)*uint64(st.Bsize) >= roomInMemory {
		base = memoryDir
	}
	sweep(base)
	for {
		if dir, err = os.MkdirTemp(base, dirPrefix); err != nil {
			return "", nil, err
		}
		lock, taken := tryLock(dir)
		if taken {
			return dir, func() error { defer lock.Close(); return os.RemoveAll(dir) }, nil
		}
	}
}

const dirPrefix = "reseal-realserver-"

// sweep removes what killed processes have left: their lock on it went with them.
func sweep(base string) {
	left, _ := filepath.Glob(filepath.Join(base, dirPrefix+"*")) // only a bad pattern is an error
	for _, dir := range left {
		if lock, taken := tryLock(dir); taken {
			os.RemoveAll(dir) // what cannot be removed is the next one's to try
			lock.Close()
		}
	}
}

// tryLock takes the folder for this process until the file is closed. It fails
// where another process has it, or has just removed it.
func tryLock(dir string) (*os.File, bool) {
	path := filepath.Join(dir, "lock")
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, false
	}
	mine, err1 := lock.Stat()
	there, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		lock.Close()
		return nil, false
	}
	return lock, true
}
