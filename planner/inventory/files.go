package inventory

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// rowReader reads the rows of one file.
type rowReader interface {
	// next reads the next row; ok is false where it is a delete marker. The end is
	// io.EOF.
	next(o *object.Object) (ok bool, err error)
	// skip passes n rows quickly.
	skip(n uint64) error
	// where names the row read last, or where reading failed.
	where() string
}

func endOK(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// dataError is trouble with the bytes of a file, as against with getting them.
type dataError struct{ err error }

func (e *dataError) Error() string { return e.err.Error() }
func (e *dataError) Unwrap() error { return e.err }

// open reads one file by use, and compares its MD5 when use has come to its end.
// Faults of the file come back as *planner.UnusableError with file and row.
func (s *Source) open(ctx context.Context, f *file, use func(rowReader) error) error {
	uris := s.placesOf(f)
	r, _, uri, err := openAny(ctx, s.storage, uris)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &planner.UnusableError{Where: s.uri, What: "its file " + f.key + " is missing, looked for at " + normal(uris[0]),
			Fix: "fetch the whole report, data files included"}
	case err != nil:
		return fmt.Errorf("reading %s: %w", uri, err)
	}
	defer r.Close()
	sum := newHashing(ctx, f.bounded(r))
	var rows rowReader
	if s.format == CSV {
		rows, err = s.csvRows(sum)
	} else {
		var local *os.File
		if local, err = s.local(r, sum); err == nil {
			defer local.Close()
			if err = s.compare(uri, f, sum); err != nil {
				return err
			}
			rows, err = s.columnRows(local, f)
		}
	}
	if err == nil {
		err = guarded(func() error { return use(rows) })
	}
	if err != nil {
		return s.fault(uri, f, rows, sum, err)
	}
	return s.compare(uri, f, sum)
}

// guarded turns a panic of a format library into an error: they have bounds
// that damaged data crosses.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if e, ok := p.(error); ok {
				err = &dataError{fmt.Errorf("it is damaged (%w)", e)}
				return
			}
			err = &dataError{fmt.Errorf("it is damaged (%v)", p)}
		}
	}()
	return do()
}

// fault says what went wrong with a file. A wrong MD5 explains everything else.
func (s *Source) fault(uri string, f *file, rows rowReader, sum *hashing, err error) error {
	var e *emitError
	switch {
	case errors.As(err, &e), sum.ctx.Err() != nil:
		return err
	case sum.err != nil && sum.err != io.EOF:
		return fmt.Errorf("reading %s: %w", uri, sum.err)
	}
	if s.format == CSV {
		if bad := s.compare(uri, f, sum); bad != nil {
			return bad
		}
	}
	at := uri
	if rows != nil {
		at += ", " + rows.where()
	}
	fix := "fetch the report again, or take another one"
	if errors.As(err, new(*foreignError)) {
		fix = "a report is about one bucket; take the manifest apart"
	}
	return &planner.UnusableError{Where: at, What: err.Error(), Fix: fix}
}

// bounded ends a file of a table one byte behind what the table says of it.
func (f *file) bounded(r io.Reader) io.Reader {
	if _, local := r.(*os.File); local || f.md5 != "" {
		return r
	}
	return io.LimitReader(r, max(f.size, 0)+1)
}

// compare reads what is left of the file and compares its MD5.
func (s *Source) compare(uri string, f *file, sum *hashing) error {
	if _, err := io.Copy(io.Discard, sum); err != nil {
		if sum.ctx.Err() != nil {
			return sum.ctx.Err()
		}
		return fmt.Errorf("reading %s: %w", uri, err)
	}
	if f.md5 == "" { // of a table's file nothing else is known
		if sum.n != f.size {
			has := strconv.FormatInt(sum.n, 10)
			if sum.n > f.size {
				has = "more"
			}
			return &planner.UnusableError{Where: uri, What: fmt.Sprintf("it has %s bytes, and the table says %d", has, f.size), Fix: "the file is damaged or another one; take another snapshot of the table"}
		}
		return nil
	}
	if got := hex.EncodeToString(sum.h.Sum(nil)); got != f.md5 {
		what := fmt.Sprintf("its MD5 is %s and the manifest says %s", got, f.md5)
		if f.size > 0 && sum.n != f.size {
			what += fmt.Sprintf(" (it has %d bytes of %d)", sum.n, f.size)
		}
		return &planner.UnusableError{Where: uri, What: what, Fix: "the file is damaged or another one; fetch the report again"}
	}
	return nil
}

// hashing reads, hashes and remembers what went wrong.
type hashing struct {
	src io.Reader
	ctx context.Context
	h   hash.Hash
	n   int64
	err error
}

func newHashing(ctx context.Context, src io.Reader) *hashing {
	return &hashing{src: src, ctx: ctx, h: md5.New()}
}

func (r *hashing) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.src.Read(p)
	r.h.Write(p[:n])
	r.n += int64(n)
	if err != nil {
		r.err = err
	}
	return n, err
}

// local is the file on disk, its MD5 summed. What came from a bucket is put into
// a file without a name, which a crash cannot leave behind.
func (s *Source) local(r io.Reader, sum *hashing) (*os.File, error) {
	if f, ok := r.(*os.File); ok {
		if _, err := io.Copy(io.Discard, sum); err != nil {
			return nil, err
		}
		return os.Open(f.Name())
	}
	f, err := os.CreateTemp(s.opt.TempDir, "inventory-*")
	if err != nil {
		return nil, err
	}
	if err = os.Remove(f.Name()); err == nil {
		w := bufio.NewWriterSize(f, 1<<20)
		if _, err = io.Copy(w, sum); err == nil {
			err = w.Flush()
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// columnRows opens a Parquet or ORC file.
func (s *Source) columnRows(f *os.File, of *file) (rows rowReader, err error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	err = guarded(func() error {
		if s.format == Parquet {
			rows, err = s.parquetRows(f, st.Size(), of.deleted)
		} else {
			rows, err = s.orcRows(f, st.Size())
		}
		return err
	})
	return rows, err
}
