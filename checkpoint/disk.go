package checkpoint

import (
	"io"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Disk is what checkpoints lie on that are not to touch this machine's own: one
// in memory, whose power a simulation can cut. It brings its own locks, which last
// as long as it does: whoever comes after a crash brings a new Disk over what the
// crash has left.
type Disk struct {
	fs vfs.FS
	mu struct {
		sync.Mutex
		held map[string]int // readers; -1 is a writer
	}
}

// NewDisk is a disk over this file system.
func NewDisk(fs vfs.FS) *Disk {
	d := &Disk{fs: fs}
	d.mu.held = map[string]int{}
	return d
}

// lock is as lockDir, for the processes of one simulation.
func (d *Disk) lock(dir string, write bool) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.mu.held[dir]; n < 0 || write && n > 0 {
		return nil, &LockedError{Dir: filepath.Dir(dir)}
	}
	if write {
		d.mu.held[dir] = -1
		return &diskLock{d: d, dir: dir}, nil
	}
	d.mu.held[dir]++
	return &diskLock{d: d, dir: dir}, nil
}

type diskLock struct {
	d    *Disk
	dir  string
	once sync.Once
}

func (l *diskLock) Close() error {
	l.once.Do(func() {
		l.d.mu.Lock()
		defer l.d.mu.Unlock()
		if n := l.d.mu.held[l.dir]; n > 0 {
			l.d.mu.held[l.dir]--
		} else {
			l.d.mu.held[l.dir] = 0
		}
	})
	return nil
}
