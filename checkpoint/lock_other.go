//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package checkpoint

import (
	"io"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockDir takes the one lock that Pebble knows on this system: exclusive, for
// readers too, and without the holder's name.
func lockDir(dir string, _ bool) (io.Closer, error) {
	l, err := vfs.Default.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, &LockedError{Dir: filepath.Dir(dir)}
	}
	return l, nil
}

// Locked says whether a process has the job in dir open.
func Locked(dir string) (pid int, locked bool, err error) {
	l, err := vfs.Default.Lock(filepath.Join(dir, storeDir, "LOCK"))
	if err != nil {
		return 0, true, nil
	}
	return 0, false, l.Close()
}
