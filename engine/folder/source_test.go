//go:build unix

package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestFilesAreReadAtRest: a file that somebody has open to write it is read once it has not
// been written for a second, unless it is written by then, or the run ends; one that nobody
// has open, at once.
func TestFilesAreReadAtRest(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "file", "before")
	s, ref := source(t, dir), object.Ref{Bucket: dir, Key: "file"}
	since := func() time.Duration {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return time.Since(lastChange(info))
	}
	get := func(ctx context.Context) error {
		_, err := s.Get(ctx, &object.GetRequest{Ref: ref, Max: 100})
		return err
	}
	if err := get(t.Context()); err != nil || since() < tick {
		t.Errorf("read %v after it was written: %v", since(), err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func() {
		if _, err := f.WriteAt([]byte("behind"), 0); err != nil {
			t.Error(err)
		}
	}
	write()
	ended, cancel := context.WithTimeout(t.Context(), atRest/10)
	defer cancel()
	if err := get(ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the end of the run: %v", err)
	}
	if err := get(t.Context()); err != nil || since() < atRest {
		t.Errorf("read %v after it was written by somebody who has it open: %v", since(), err)
	}
	write()
	time.AfterFunc(atRest/4, write)
	if err := get(t.Context()); object.ClassOf(err) != object.ClassChanged {
		t.Errorf("written meanwhile: %v", err)
	}
}

// TestStreamNoticesAChange: also a stream that was read to its end.
func TestStreamNoticesAChange(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "file", "before")
	s := source(t, dir)
	r, err := s.Open(context.Background(), object.Ref{Bucket: dir, Key: "file"}, object.CustomerKey{}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.WriteFile(path, []byte("after!"), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); object.ClassOf(err) != object.ClassChanged {
		t.Errorf("read %q, %v", b, err)
	}
	if _, err := s.Open(context.Background(), object.Ref{Bucket: dir, Key: "file"}, object.CustomerKey{}, "another"); object.ClassOf(err) != object.ClassChanged {
		t.Errorf("another ETag: %v", err)
	}
}

// TestWalk tells every file once and in the order of keys, also after it was cut anywhere.
func TestWalk(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 40 {
		for _, name := range []string{"%d", "%d/a", "%d-x", "%d.d/b/c", "z%d"} {
			path := fmt.Sprintf(name, i)
			if name == "%d" {
				path = fmt.Sprintf("f%d", i)
			}
			put(t, dir, path, "x")
			want = append(want, path)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty/below"), 0o755); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	s := source(t, dir)
	var all []string
	var cursors []object.Cursor
	read := func(resume []object.Cursor) (out []string) {
		err := s.Read(context.Background(), resume, func(p object.Page) error {
			for i := range p.Objects {
				out = append(out, p.Objects[i].Key)
			}
			cursors = p.Cursors
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if all = read(nil); !slices.Equal(all, want) {
		t.Errorf("read %q\nwant %q", all, want)
	}
	if !cursors[0].Finished || len(read(cursors)) != 0 {
		t.Errorf("the end is %+v", cursors)
	}
	for i, key := range want {
		if got := read([]object.Cursor{{Range: oneRange, Position: []byte(key)}}); !slices.Equal(got, want[i+1:]) {
			t.Fatalf("behind %q: %q", key, got)
		}
	}
}

// TestMtime reads what it writes, and what rclone writes.
func TestMtime(t *testing.T) {
	for _, want := range []time.Time{time.Unix(0, 0), time.Unix(1354040105, 123456789), time.Unix(1354040105, 100), time.Unix(-1, 0), time.Unix(-2, 750_000_000), time.Unix(-1, 999_999_999), time.Unix(1<<33, 5)} {
		text := mtimeText(want)
		if got, ok := parseMtime(text); !ok || !got.Equal(want) {
			t.Errorf("%s was written as %s and read as %s", want, text, got)
		}
	}
	for text, want := range map[string]string{"1354040105.123456789": "1354040105.123456789", "12": "12", "-1.25": "-1.25", "12.5000000009": "12.5", "12.": "12"} {
		if got, ok := parseMtime(text); !ok || mtimeText(got) != want {
			t.Errorf("%q was read as %s", text, mtimeText(got))
		}
	}
	for _, text := range []string{"", "x", "1e9", "99999999999999999999", "1.x", "--1", "+1", " 1"} {
		if got, ok := parseMtime(text); ok {
			t.Errorf("%q was read as %s", text, got)
		}
	}
}
