package folder

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// pageRows is how many files are told at a time.
const pageRows = 1000

// oneRange names the only cursor: a folder is read by one walk.
const oneRange = "folder"

// Read tells every file below the folder once, in the order of the keys, and whatever
// cannot become an object by its name, with the reason. It goes on behind the cursor of an
// earlier process. Folders that hold nothing are no objects and are passed over.
func (s *Source) Read(ctx context.Context, resume []object.Cursor, emit func(object.Page) error) error {
	w := &walk{s: s, ctx: ctx, emit: emit}
	for _, c := range resume {
		if c.Finished {
			return nil
		}
		w.after = string(c.Position)
	}
	if err := w.below(""); err != nil {
		return err
	}
	return w.flush(true)
}

type walk struct {
	s     *Source
	ctx   context.Context // of the one Read
	emit  func(object.Page) error
	after string // what an earlier process has passed
	rows  []object.Object
}

// below walks through one folder, whose path ends in a slash unless it is the first.
func (w *walk) below(path string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	dir, names, err := w.s.entries(path)
	switch {
	case err != nil && path == "":
		return failure("ListObjects", object.Ref{Bucket: w.s.path}, err)
	case errors.Is(err, fs.ErrNotExist): // deleted since
		return nil
	case err != nil:
		return w.add(w.s.unread(path, err))
	}
	defer dir.Close()
	for _, name := range names {
		key := path + name
		if w.passed(key) {
			continue
		}
		info, err := dir.Lstat(strings.TrimSuffix(name, "/"))
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted since
			continue
		case err != nil:
			err = w.add(w.s.unread(key, err))
		case info.IsDir():
			err = w.below(strings.TrimSuffix(key, "/") + "/")
		default:
			err = w.add(w.s.row(strings.TrimSuffix(key, "/"), info))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entries are a folder's, in the order in which their keys stand; folders have a slash.
func (s *Source) entries(path string) (*os.Root, []string, error) {
	dir, err := s.dir(strings.TrimSuffix(path, "/"), false)
	if err != nil {
		return nil, nil, err
	}
	f, err := dir.Open(".")
	if err != nil {
		_ = dir.Close()
		return nil, nil, err
	}
	list, err := f.ReadDir(-1)
	_ = f.Close()
	if err != nil {
		_ = dir.Close()
		return nil, nil, err
	}
	names := make([]string, 0, len(list))
	for _, e := range list {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return dir, names, nil
}

// passed says whether an earlier process has told of the file, or of all that is in the
// folder.
func (w *walk) passed(key string) bool {
	return w.after != "" && key <= w.after && !(strings.HasSuffix(key, "/") && strings.HasPrefix(w.after, key))
}

// unread is a folder, or an entry, that cannot be read: it is told by its name, since what
// is in it would be missing otherwise.
func (s *Source) unread(path string, err error) object.Object {
	ref := object.Ref{Bucket: s.path, Key: path}
	e, _ := errors.AsType[*object.Error](failure("ListObjects", ref, err))
	return object.Object{Ref: ref, ETag: "unread", Settled: true, Plain: true, Encryption: object.Encryption{Type: object.SSENone},
		Unfit: object.Unfit{Reason: cmp.Or(e.Leaves, object.Reason(e.Class.String())), Message: "it cannot be read: " + e.Message}}
}

func (w *walk) add(o object.Object) error {
	if w.rows = append(w.rows, o); len(w.rows) < pageRows {
		return nil
	}
	return w.flush(false)
}

// flush tells the rows that are there, and how far they lead.
func (w *walk) flush(end bool) error {
	c := object.Cursor{Range: oneRange, Position: []byte(w.after), Finished: end}
	if n := len(w.rows); n > 0 {
		c.Position = []byte(w.rows[n-1].Key)
	}
	rows := w.rows
	w.rows = nil
	return w.emit(object.Page{Objects: rows, Cursors: []object.Cursor{c}})
}
