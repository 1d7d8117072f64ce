//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package checkpoint

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// checkOwner refuses a folder that somebody else than this user or root owns, or
// may write.
func checkOwner(dir string, st fs.FileInfo) error {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if ok && sys.Uid != 0 && int(sys.Uid) != os.Geteuid() {
		return &DirError{Dir: dir, What: fmt.Sprintf("it belongs to user %d", sys.Uid), Fix: "run as that user, or name a directory of your own"}
	}
	if st.Mode().Perm()&0o022 != 0 {
		return &DirError{Dir: dir, What: fmt.Sprintf("others may write it (mode %04o)", st.Mode().Perm()), Fix: fmt.Sprintf("chmod go-w %s, after a look at what is in it, or name another directory", dir)}
	}
	return nil
}

// checkStore looks at the folder of the store and at everything in it: nothing
// may lead elsewhere, and nobody else may write there.
func checkStore(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return linked(path)
	}
	if err := checkOwner(path, st); err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		switch {
		case e.IsDir() && e.Name() == dbDir:
			if err := checkStore(name); err != nil {
				return err
			}
		case !e.IsDir() && !e.Type().IsRegular():
			return linked(name)
		}
	}
	return nil
}

func tryLock(f *os.File) error { return flockFile(f, syscall.LOCK_EX|syscall.LOCK_NB) }
