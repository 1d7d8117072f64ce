package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/inventory"
)

// readOnce says whether the URI names what can be read once only: standard
// input, a pipe, a terminal. What an earlier process has spooled counts as it did
// then, whatever the name leads to now.
func (o *Options) readOnce() bool {
	if o.URI == Stdin {
		return true
	}
	if inventory.Remote(o.URI) {
		return false
	}
	if o.SpoolDir != "" {
		if _, err := os.Lstat(filepath.Join(o.SpoolDir, Spooled)); err == nil {
			return true
		}
	}
	st, err := os.Stat(o.URI)
	return err == nil && !st.Mode().IsRegular() && !st.IsDir()
}

// once is what is spooled: standard input, or the file that the URI names.
func (o *Options) once(ctx context.Context) (io.ReadCloser, error) {
	if o.URI != Stdin {
		return openPipe(ctx, o.URI)
	}
	if o.Stdin == nil {
		return nil, errNoStdin()
	}
	return io.NopCloser(o.Stdin), nil
}

func (o *Options) onceName() string {
	if o.URI == Stdin {
		return "standard input"
	}
	return o.URI
}

// openPipe opens a pipe for reading, which waits until somebody has it open for
// writing. Where the context ends first, this opens it for a moment, so that the
// one that waits goes away.
func openPipe(ctx context.Context, name string) (*os.File, error) {
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.Open(name)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
	}
	for range 100 {
		if w, err := os.OpenFile(name, os.O_WRONLY|nonBlocking, 0); err == nil {
			w.Close()
		}
		select {
		case o := <-done:
			if o.f != nil {
				o.f.Close()
			}
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil, ctx.Err() // it waits for something else than a writer; the process ends without it
}

// spool keeps what can be read once, unless an earlier process has, and opens the
// copy.
func (o *Options) spool(ctx context.Context) (func(context.Context) (io.ReadCloser, error), error) {
	if o.SpoolDir == "" {
		return o.spoolAside(ctx)
	}
	path := filepath.Join(o.SpoolDir, Spooled)
	open := func(context.Context) (io.ReadCloser, error) { return openSpooled(path) }
	if _, err := os.Lstat(path); err == nil {
		return open, nil
	}
	if left, err := filepath.Glob(path + ".*"); err == nil { // of processes that died while they wrote it
		for _, l := range left {
			os.Remove(l)
		}
	}
	f, err := os.CreateTemp(o.SpoolDir, Spooled+".*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := o.fill(ctx, f); err != nil {
		return nil, err
	}
	// Whole, or not there: a crash before this leaves a job without a source, which
	// asks for the list again.
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	d, err := os.Open(o.SpoolDir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return open, d.Sync()
}

// openSpooled opens the copy, which this program made as a plain file.
func openSpooled(path string) (*os.File, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &planner.UnusableError{Where: path, What: "it is no plain file, and reseal makes no such thing", Fix: "see who did, and begin a new job in another directory"}
	}
	return os.Open(path)
}

func errNoStdin() error {
	return &planner.UnusableError{Where: "standard input", What: "the list of objects came from standard input, and the job did not get to keep it",
		Fix: "give it again with --manifest -"}
}

// fill copies what can be read once into f. A read that waits cannot be called
// back where the source is no file of its own: then it is left behind, and ends
// with the process.
func (o *Options) fill(ctx context.Context, f *os.File) error {
	in, err := o.once(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return &planner.UnusableError{Where: o.onceName(), What: "there is no such file", Fix: "give a manifest or a list of objects with --manifest"}
	}
	if err != nil {
		return err
	}
	type copied struct {
		n   int64
		err error
	}
	done := make(chan copied, 1)
	go func() {
		n, err := io.Copy(f, in)
		done <- copied{n, err}
	}()
	var c copied
	select {
	case c = <-done:
		in.Close()
	case <-ctx.Done():
		in.Close() // wakes a reader of a pipe
		return ctx.Err()
	}
	if c.err != nil {
		return fmt.Errorf("keeping %s in %s: %w", o.onceName(), f.Name(), c.err)
	}
	if c.n == 0 {
		return &planner.UnusableError{Where: o.onceName(), What: "it is empty", Fix: "pipe a list of objects into it, or name a file with --manifest"}
	}
	return f.Sync()
}

// spoolAside keeps it in a file without a name.
func (o *Options) spoolAside(ctx context.Context) (func(context.Context) (io.ReadCloser, error), error) {
	f, err := os.CreateTemp(o.TempDir, Spooled+".*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	if err := o.fill(ctx, f); err != nil {
		f.Close()
		return nil, err
	}
	return func(context.Context) (io.ReadCloser, error) {
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return io.NopCloser(io.NewSectionReader(f, 0, st.Size())), nil
	}, nil
}
