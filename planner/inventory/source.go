package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// Options of reading a report. The zero value is ready.
type Options struct {
	// AllVersions keeps the version ID of current versions too, so that exactly
	// those are meant even when they are overwritten in the meantime. Without it
	// the current version is meant, whatever it is by then; noncurrent ones always
	// keep theirs.
	AllVersions bool
	// TempDir takes Parquet and ORC files from buckets while they are read; empty
	// for the system's. They are removed at once, also after a crash.
	TempDir string
	// Parallel is how many files are read at a time; 0 for one a core.
	Parallel int
	// PageRows is how many rows are emitted together; 0 for 1,000.
	PageRows int
}

// Source is one report. It implements planner.Source. One Read at a time.
type Source struct {
	uri     string
	storage Storage
	opt     Options
	bucket  string
	format  Format
	created time.Time
	digest  string  // of the manifest
	dest    string  // the bucket that the manifest says its files lie in
	schema  *schema // of CSV; the others carry their own
	files   []file
	table   bool // of the live inventory, see OpenTable
	// names of the columns by their IDs, where the files are those of a table of Iceberg.
	names    map[int]string
	snapshot int64

	mu struct {
		sync.Mutex
		checked bool
		rows    uint64
	}
}

// URI is that of the manifest.json itself. A job must remember this one: a folder
// has another newest report tomorrow.
func (s *Source) URI() string { return s.uri }

// Bucket is the bucket that the report is about.
func (s *Source) Bucket() string { return s.bucket }

// Format of the files.
func (s *Source) Format() Format { return s.format }

// Created is when the report was begun; zero if it does not tell. What was
// written since is not in it.
func (s *Source) Created() time.Time { return s.created }

// Files counts the files and their bytes.
func (s *Source) Files() (n int, bytes int64) {
	for i := range s.files {
		bytes += s.files[i].size
	}
	return len(s.files), bytes
}

// DataFile is one file of a report.
type DataFile struct {
	Key  string
	Size int64
}

// DataFiles are the files that are read, in the manifest's order.
func (s *Source) DataFiles() []DataFile {
	out := make([]DataFile, len(s.files))
	for i := range s.files {
		out[i] = DataFile{s.files[i].key, s.files[i].size}
	}
	return out
}

// Only leaves out all files but those named. One that the report does not have is a
// *planner.UnusableError.
func (s *Source) Only(keys []string) error {
	all := make(map[string]file, len(s.files))
	for _, f := range s.files {
		all[f.key] = f
	}
	kept := make([]file, 0, len(keys))
	for _, key := range keys {
		f, ok := all[key]
		if !ok {
			return &planner.UnusableError{Where: s.uri, What: fmt.Sprintf("it does not name the file %q", key), Fix: "give the report that the job was divided by"}
		}
		kept = append(kept, f)
	}
	s.files = kept
	return nil
}

// Rows counts the rows, delete markers included; known after Check.
func (s *Source) Rows() (n uint64, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.rows, s.mu.checked
}

// known says whether every file was read to its end before.
func (s *Source) known() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.checked
}

func (s *Source) parallel() int {
	if s.opt.Parallel > 0 {
		return s.opt.Parallel
	}
	return runtime.GOMAXPROCS(0)
}

func (s *Source) pageRows() int {
	if s.opt.PageRows > 0 {
		return s.opt.PageRows
	}
	return 1000
}

// Check reads every file to its end and gives nothing out: that it is there and
// has its MD5, that every row can be understood and is of the bucket. What is
// wrong is a *planner.UnusableError that names file and row.
func (s *Source) Check(ctx context.Context) error {
	if s.known() {
		return nil
	}
	var rows atomic.Uint64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.parallel())
	for i := range s.files {
		f := &s.files[i]
		g.Go(func() error {
			var o object.Object
			n := uint64(0)
			err := s.open(ctx, f, func(r rowReader) error {
				for {
					if n%4096 == 0 && ctx.Err() != nil {
						return ctx.Err()
					}
					if _, err := r.next(&o); err != nil {
						return endOK(err)
					}
					n++
				}
			})
			rows.Add(n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.checked, s.mu.rows = true, rows.Load()
	return nil
}

// Read emits the rows of all files, several files at a time. Without cursors of
// an earlier process it checks everything first, so that a damaged report gives
// out nothing.
func (s *Source) Read(ctx context.Context, resume []object.Cursor, emit func(object.Page) error) error {
	at, err := s.positions(resume)
	if err != nil {
		return err
	}
	if len(resume) == 0 {
		if err := s.Check(ctx); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.parallel())
	for i := range s.files {
		f := &s.files[i]
		if at[f.key].finished {
			continue
		}
		g.Go(func() error { return s.readFile(ctx, f, at[f.key].rows, emit) })
	}
	return g.Wait()
}

type position struct {
	rows     uint64
	finished bool
}

// rangeOf names the cursor of a file, so that the cursors of another report are
// not taken for this one's.
func (s *Source) rangeOf(f *file) string { return s.digest[:16] + "/" + f.key }

func (s *Source) positions(resume []object.Cursor) (map[string]position, error) {
	at := make(map[string]position, len(resume))
	known := make(map[string]string, len(s.files))
	for i := range s.files {
		known[s.rangeOf(&s.files[i])] = s.files[i].key
	}
	for _, c := range resume {
		key, ok := known[c.Range]
		if !ok {
			return nil, &planner.UnusableError{Where: s.uri, What: "this is not the report that the job began to read",
				Fix: "give the report of the first run, or begin a new job"}
		}
		rows, n := binary.Uvarint(c.Position)
		if n <= 0 {
			return nil, fmt.Errorf("%s: the position of %s in the job is damaged", s.uri, key)
		}
		at[key] = position{rows, c.Finished}
	}
	return at, nil
}

func (s *Source) readFile(ctx context.Context, f *file, skip uint64, emit func(object.Page) error) error {
	size := s.pageRows()
	page := make([]object.Object, 0, size)
	done := skip
	send := func(finished bool) error {
		cursor := object.Cursor{Range: s.rangeOf(f), Position: binary.AppendUvarint(nil, done), Finished: finished}
		err := emit(object.Page{Objects: page, Cursors: []object.Cursor{cursor}})
		page = make([]object.Object, 0, size) // whoever took the page may keep it
		return err
	}
	err := s.open(ctx, f, func(r rowReader) error {
		if err := r.skip(skip); err != nil {
			return err
		}
		for since := 0; ; since++ {
			page = page[:len(page)+1]
			ok, err := r.next(&page[len(page)-1])
			if err != nil {
				page = page[:len(page)-1]
				return endOK(err)
			}
			done++
			if !ok {
				page = page[:len(page)-1]
			}
			if len(page) == size || since > 100*size { // delete markers move the cursor too
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := send(false); err != nil {
					return &emitError{err}
				}
				since = 0
			}
		}
	})
	if err != nil {
		var e *emitError
		if errors.As(err, &e) {
			return e.err
		}
		return err
	}
	return send(true)
}

// emitError carries what emit said through the layers that name files and rows.
type emitError struct{ err error }

func (e *emitError) Error() string { return e.err.Error() }
