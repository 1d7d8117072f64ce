package folder

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/resealhq/reseal/engine/object"
)

// tree is a folder, and the ways in it. A way is gone step by step: each folder is opened
// from the one above, and has to be the very one that stands there under its name, which
// nothing that is reached by a link can be.
type tree struct {
	path string // full
	root *os.Root
}

func openTree(path string) (*tree, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &tree{path, root}, nil
}

// Close gives the folder up.
func (t *tree) Close() error { return t.root.Close() }

// parent opens the folder that a file is in; it is the caller's to close. With make the
// folders on the way are made where they are missing.
func (t *tree) parent(key string, make bool) (dir *os.Root, name string, err error) {
	i := strings.LastIndexByte(key, '/')
	if i < 0 {
		dir, err = t.root.OpenRoot(".")
		return dir, key, err
	}
	dir, err = t.dir(key[:i], make)
	return dir, key[i+1:], err
}

// dir opens a folder below; "" is the folder itself.
func (t *tree) dir(path string, make bool) (*os.Root, error) {
	at, err := t.root.OpenRoot(".")
	if err != nil || path == "" {
		return at, err
	}
	for name := range strings.SplitSeq(path, "/") {
		next, err := step(at, name, make)
		_ = at.Close()
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

// errLink: a folder on the way is none, but a link to somewhere.
var errLink = errors.New("a symbolic link stands on the way")

// errNoFolder: something else than a folder has its name.
var errNoFolder = errors.New("a file stands where a folder would have to be")

func step(at *os.Root, name string, make bool) (*os.Root, error) {
	info, err := at.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) && make {
		if err := at.Mkdir(name, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err := syncDir(at); err != nil {
			return nil, err
		}
		info, err = at.Lstat(name)
	}
	switch {
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, errLink
	case !info.IsDir():
		return nil, errNoFolder
	}
	next, err := at.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	opened, err := next.Stat(".")
	if err == nil && !os.SameFile(info, opened) {
		err = errLink // it came between the look and the step
	}
	if err != nil {
		_ = next.Close()
		return nil, err
	}
	return next, nil
}

// syncDir makes the names in a folder durable, where a folder can be synced.
func syncDir(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		return cerr
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) && !syncsDirs {
		return nil
	}
	return err
}

// failure classifies an error of the file system.
func failure(op string, ref object.Ref, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*object.Error](err); ok {
		return e
	}
	e := &object.Error{Class: object.ClassOther, Op: op, Ref: ref, Message: reasonOf(err), Err: err, NotSent: true}
	switch {
	case errors.Is(err, errLink):
		e.Class, e.Leaves = object.ClassInvalid, object.ReasonLink
	case errors.Is(err, errNoFolder):
		e.Class, e.Leaves = object.ClassInvalid, object.ReasonConflict
	case errors.Is(err, fs.ErrNotExist):
		e.Class = object.ClassGone
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Class, e.Hint = object.ClassDenied, "let this user read and write there"
	case errors.Is(err, syscall.ENOSPC), isQuota(err):
		e.Class, e.Hint = object.ClassFull, "make room on that file system"
	case isForNow(err):
		e.Class = object.ClassTransient
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EILSEQ):
		e.Class, e.Leaves = object.ClassInvalid, object.ReasonName
	}
	return e
}

// reasonOf is the error without the path, which the Ref tells.
func reasonOf(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err.Error()
	}
	return err.Error()
}
