//go:build unix

package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/planner"
)

// fifo makes a named pipe.
func fifo(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestM1APipeIsSpooled reads a list of 3,000 keys from a named pipe and from
// /dev/fd/N, in a job and outside of one; a resumed job reads it again, whatever
// the name leads to by then.
func TestM1APipeIsSpooled(t *testing.T) {
	var list strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&list, "key-%04d\n", i)
	}
	named := func(t *testing.T) string {
		name := fifo(t)
		go func() {
			if w, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
				io.WriteString(w, list.String())
				w.Close()
			}
		}()
		return name
	}
	numbered := func(t *testing.T) string {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		go func() {
			io.WriteString(w, list.String())
			w.Close()
		}()
		return fmt.Sprintf("/dev/fd/%d", r.Fd())
	}
	for name, pipe := range map[string]func(*testing.T) string{"named": named, "numbered": numbered} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			opt := Options{URI: pipe(t), Format: Keys, Bucket: "b", SpoolDir: dir}
			o, err := Open(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			if got := keys(t, o, nil); len(got) != 3000 || got[2999] != "key-2999" || o.URI != opt.URI {
				t.Errorf("%d keys of %s", len(got), o.URI)
			}
			for _, uri := range []string{opt.URI, "/dev/fd/9999"} {
				opt.URI = uri
				if o, err = Open(t.Context(), opt); err != nil {
					t.Fatal(err)
				}
				if got := keys(t, o, nil); len(got) != 3000 {
					t.Errorf("a resumed job reads %d keys", len(got))
				}
			}
			if o, err = Open(t.Context(), Options{URI: pipe(t), Format: Keys, Bucket: "b", TempDir: dir}); err != nil {
				t.Fatal(err)
			}
			if got := keys(t, o, nil); len(got) != 3000 {
				t.Errorf("%d keys without a job", len(got))
			}
		})
	}
}

// TestM1APipeFollowsItsContext: one that nobody writes to, one that somebody has
// open and is silent, and a silent standard input.
func TestM1APipeFollowsItsContext(t *testing.T) {
	silent := fifo(t)
	w, err := os.OpenFile(silent, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	stdin, hold := io.Pipe()
	defer hold.Close()
	for what, opt := range map[string]Options{
		"no writer":       {URI: fifo(t)},
		"a silent writer": {URI: silent},
		"standard input":  {URI: Stdin, Stdin: stdin},
	} {
		opt.Bucket, opt.SpoolDir = "b", t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		done := make(chan error, 1)
		go func() {
			_, err := Open(ctx, opt)
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: it hangs", what)
		}
		cancel()
		if left, _ := os.ReadDir(opt.SpoolDir); len(left) != 0 {
			t.Errorf("%s: %v is left in the job", what, left)
		}
	}
}

// TestM1AnEmptyPipe is no list of no keys.
func TestM1AnEmptyPipe(t *testing.T) {
	name := fifo(t)
	go func() {
		if w, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
			w.Close()
		}
	}()
	_, err := Open(t.Context(), Options{URI: name, Bucket: "b", SpoolDir: t.TempDir()})
	if !errors.As(err, new(*planner.UnusableError)) || !strings.Contains(err.Error(), "empty") {
		t.Error(err)
	}
}

// TestS3TheSpooledListIsNoLink: a link in its place is somebody else's.
func TestS3TheSpooledListIsNoLink(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(other, []byte("k\n"), 0o600), os.Symlink(other, filepath.Join(dir, Spooled))); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{URI: Stdin, Stdin: strings.NewReader("a\n"), Bucket: "b", SpoolDir: dir})
	if !errors.As(err, new(*planner.UnusableError)) {
		t.Error(err)
	}
}
