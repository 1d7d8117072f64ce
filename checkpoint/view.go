package checkpoint

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// view is a database as it was at one moment, for a reader beside the process at work. What
// changes is in memory; tables, which never change, are held open, so that they can be read
// even after the process has removed them. Nothing is created on the disk.
type view struct {
	vfs.FS // in memory
	tables map[string]vfs.File
	// db is where the database is, and dir where it is in the view: the same place, so
	// that errors name the files that are there.
	db, dir string
}

func newView(db string) (*view, error) {
	v := &view{FS: vfs.NewMem(), tables: map[string]vfs.File{}, db: db, dir: filepath.ToSlash(db)}
	return v, v.FS.MkdirAll(v.dir, 0o700)
}

// Close gives the tables up.
func (v *view) Close() error {
	var errs []error
	for name, f := range v.tables {
		errs = append(errs, f.Close())
		delete(v.tables, name)
	}
	return errors.Join(errs...)
}

// take takes a file of the database into the view. One that is gone says so by
// fs.ErrNotExist.
func (v *view) take(name string) error {
	from, to := filepath.Join(v.db, name), v.PathJoin(v.dir, name)
	if isTable(name) {
		f, err := vfs.Default.Open(from)
		if err == nil {
			v.tables[to] = f
		}
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := v.FS.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// Open opens what is in memory, or a table.
func (v *view) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, is := v.tables[name]
	if !is {
		return v.FS.Open(name, opts...)
	}
	table := &viewTable{File: f}
	for _, o := range opts {
		o.Apply(table)
	}
	return table, nil
}

// List adds the tables.
func (v *view) List(dir string) ([]string, error) {
	names, err := v.FS.List(dir)
	for name := range v.tables {
		if err == nil && v.PathDir(name) == v.PathJoin(dir) {
			names = append(names, v.PathBase(name))
		}
	}
	return names, err
}

// Stat knows the tables too.
func (v *view) Stat(name string) (vfs.FileInfo, error) {
	if f, is := v.tables[name]; is {
		return f.Stat()
	}
	return v.FS.Stat(name)
}

// Remove removes nothing: a view is read.
func (v *view) Remove(string) error { return fs.ErrPermission }

// viewTable is a table that was opened, and stays so when it is closed. It has a place of
// its own to read from.
type viewTable struct {
	vfs.File
	at int64
}

func (t *viewTable) Close() error { return nil }

func (t *viewTable) Read(p []byte) (int, error) {
	n, err := t.ReadAt(p, t.at)
	t.at += int64(n)
	return n, err
}
