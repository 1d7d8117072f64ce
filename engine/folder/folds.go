package folder

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// accent ends in one character; foldsNames asks for an e with an accent of its own.
const accent = "-é"

// foldsNames tries whether the file system takes names for the same that differ: in case, or
// in how an accent is written.
func (d *Dest) foldsNames() (folds bool, err error) {
	name := d.tempName(newID()) + accent
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	_ = f.Close()
	defer func() { err = errors.Join(err, d.root.Remove(name)) }()
	for _, other := range []string{strings.ToUpper(name), strings.TrimSuffix(name, accent) + "-e\u0301"} {
		switch _, err := d.root.Lstat(other); {
		case err == nil:
			return true, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	return false, nil
}

// exactly is an error where a component of the path is there under another name only, that
// the file system takes for the same.
func (d *Dest) exactly(op string, ref object.Ref) error {
	at, err := d.root.OpenRoot(".")
	if err != nil {
		return failure(op, ref, err)
	}
	defer func() { _ = at.Close() }()
	names := strings.Split(ref.Key, "/")
	for i, name := range names {
		if _, err := at.Lstat(name); err != nil {
			return nil //nolint:nilerr // nothing there: nothing to be taken for it
		}
		f, err := at.Open(".")
		if err != nil {
			return failure(op, ref, err)
		}
		there, err := f.Readdirnames(-1)
		_ = f.Close()
		if err != nil {
			return failure(op, ref, err)
		}
		if !slices.Contains(there, name) {
			return taken(op, ref, object.ReasonConflict, "this file system takes its name for that of another file")
		}
		if i == len(names)-1 {
			return nil
		}
		next, err := step(at, name, false)
		if err != nil {
			return failure(op, ref, err)
		}
		_ = at.Close()
		at = next
	}
	return nil
}
