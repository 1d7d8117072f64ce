package checkpoint

import (
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gate is the file system under one Pebble instance. It makes Pebble stop where
// the disk fails: a change that fails is reported to fail and never returns, and
// neither does any change after it, so that Pebble's goroutines are left standing
// where they are. Pebble's own answers to such an error are the end of the
// process (a failed commit, a failed manifest), a panic that nobody can recover
// from (a failed log, a directory that cannot be synced) and an endless loop (a
// failed flush); none of them gets to run. And nothing is written beside the
// process that has opened the job since.
//
// While Pebble is opened nothing has been promised yet, so errors go back to it.
type gate struct {
	vfs.FS
	fail func(error)
	held func() error // nil where the lock cannot be lost
	shut atomic.Bool
	// passing is held for reading by every change that is under way.
	passing sync.RWMutex
}

// enter stops the caller where the gate is shut, and shuts it where the lock was
// lost: another process may be writing. Who passes must leave.
func (g *gate) enter() {
	g.passing.RLock()
	if !g.shut.Load() && g.held != nil {
		if err := g.held(); err != nil {
			g.shut.Store(true)
			g.fail(err)
		}
	}
	if g.shut.Load() {
		g.passing.RUnlock()
		park()
	}
}

// leave stops the caller where its change has failed.
func (g *gate) leave(err error) error {
	g.passing.RUnlock()
	if err == nil || opening() {
		return err
	}
	g.shut.Store(true)
	g.fail(err)
	park()
	return nil
}

// close shuts the gate and waits for the changes that are under way: whoever
// opens the job next must not find them half done.
func (g *gate) close() {
	g.shut.Store(true)
	g.passing.Lock()
	defer g.passing.Unlock()
}

func park() { select {} }

// opening says whether this runs below openDB. Asked only when a change has
// failed, so its price does not matter.
func opening() bool {
	pcs := make([]uintptr, 128)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, ".(*Store).openDB") {
			return true
		}
		if !more {
			return false
		}
	}
}

func (g *gate) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	g.enter()
	err := g.settle(name)
	var f vfs.File
	if err == nil {
		f, err = g.FS.Create(name, c)
	}
	if err = g.leave(err); err != nil {
		return nil, err
	}
	return &gateFile{f, g}, nil
}

// ReuseForWrite makes a new file instead: a reader that copies the logs of a
// running job (OpenSnapshot) must never see one overwritten in place.
func (g *gate) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	_ = g.Remove(old) // or it stays as a file that nobody needs
	return g.Create(name, c)
}

func (g *gate) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	g.enter()
	f, err := g.FS.OpenReadWrite(name, c, opts...)
	if err = g.leave(err); err != nil {
		return nil, err
	}
	return &gateFile{f, g}, nil
}

func (g *gate) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &gateFile{f, g}, nil
}

func (g *gate) Link(old, name string) error {
	g.enter()
	return g.leave(g.FS.Link(old, name))
}

func (g *gate) Rename(old, name string) error {
	g.enter()
	return g.leave(g.FS.Rename(old, name))
}

// Remove may fail: Pebble tries again at the next open.
func (g *gate) Remove(name string) error {
	g.enter()
	defer g.passing.RUnlock()
	if err := g.settle(name); err != nil {
		return err
	}
	return g.FS.Remove(name)
}

// settle syncs the folder before a marker in it comes or goes. A marker names
// the manifest. Pebble makes the manifest, makes its marker, removes the old
// marker, and syncs the folder once; where a file system keeps some of these
// after a power cut and not the ones before, the store would be gone.
func (g *gate) settle(name string) error {
	if !strings.HasPrefix(g.FS.PathBase(name), "marker.") {
		return nil
	}
	return syncDir(g.FS, g.FS.PathDir(name))
}

func (g *gate) RemoveAll(name string) error {
	g.enter()
	defer g.passing.RUnlock()
	return g.FS.RemoveAll(name)
}

// Lock does nothing: the Store holds its own lock before Pebble is opened, one
// that names its owner and that readers can share.
func (g *gate) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// GetDiskUsage is answered with "not known": Pebble would use it only to pace
// deletions, and would report its failure as if the store had failed.
func (g *gate) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

func (g *gate) Unwrap() vfs.FS { return g.FS }

type gateFile struct {
	vfs.File
	g *gate
}

func (f *gateFile) Write(b []byte) (int, error) {
	f.g.enter()
	n, err := f.File.Write(b)
	return n, f.g.leave(err)
}

func (f *gateFile) WriteAt(b []byte, off int64) (int, error) {
	f.g.enter()
	n, err := f.File.WriteAt(b, off)
	return n, f.g.leave(err)
}

// Close lets some file systems tell only now that a write has failed.
func (f *gateFile) Close() error {
	f.g.enter()
	return f.g.leave(f.File.Close())
}

func (f *gateFile) Sync() error {
	f.g.enter()
	return f.g.leave(f.File.Sync())
}

func (f *gateFile) SyncData() error {
	f.g.enter()
	return f.g.leave(f.File.SyncData())
}

func (f *gateFile) SyncTo(n int64) (bool, error) {
	f.g.enter()
	full, err := f.File.SyncTo(n)
	return full, f.g.leave(err)
}
