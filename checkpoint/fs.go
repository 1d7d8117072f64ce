package checkpoint

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errShut is what Pebble gets for a write after its Store has failed or was
// given up.
var errShut = errors.New("the checkpoint was given up after an earlier error")

// gate is the file system under one Pebble instance. Once shut it lets no
// change through: a failed Pebble goes on trying in the background, and must not
// write beside the process that has opened the job since.
type gate struct {
	vfs.FS
	shut atomic.Bool
}

func (g *gate) check() error {
	if g.shut.Load() {
		return errShut
	}
	return nil
}

func (g *gate) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &gateFile{f, g}, nil
}

func (g *gate) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return g.file(g.FS.Create(name, c))
}

// ReuseForWrite makes a new file instead: a reader that copies the logs of a
// running job (OpenSnapshot) must never see one overwritten in place.
func (g *gate) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	if err := g.FS.Remove(old); err != nil {
		return nil, err
	}
	return g.file(g.FS.Create(name, c))
}

func (g *gate) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return g.file(g.FS.OpenReadWrite(name, c, opts...))
}

func (g *gate) Link(old, name string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.Link(old, name)
}

func (g *gate) Remove(name string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.Remove(name)
}

func (g *gate) RemoveAll(name string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.RemoveAll(name)
}

func (g *gate) Rename(old, name string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.Rename(old, name)
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
	if err := f.g.check(); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f *gateFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.g.check(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

func (f *gateFile) Sync() error {
	if err := f.g.check(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *gateFile) SyncData() error {
	if err := f.g.check(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *gateFile) SyncTo(n int64) (bool, error) {
	if err := f.g.check(); err != nil {
		return false, err
	}
	return f.File.SyncTo(n)
}
