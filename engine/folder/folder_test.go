//go:build unix

package folder

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func put(t *testing.T, dir, path, body string) string {
	t.Helper()
	full := filepath.Join(dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
	return full
}

func source(t *testing.T, dir string) *Source {
	t.Helper()
	s, err := OpenSource(dir, "", "CRC32")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func dest(t *testing.T, dir string) *Dest {
	t.Helper()
	d, err := OpenDest(dir, "job")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func (d *Dest) write(key, body string) error {
	_, err := d.Put(context.Background(), &object.PutRequest{Body: []byte(body),
		CopyRequest: object.CopyRequest{Dest: object.Ref{Bucket: d.path, Key: key}, DestAbsent: true, Attributes: &object.Attributes{Metadata: map[string]string{MtimeName: "12.5"}}}})
	return err
}

// names are those of all files below, the unfinished ones too.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNothingLeavesTheFolder: whatever leads out of it is neither read nor written.
func TestNothingLeavesTheFolder(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	put(t, outside, "file", "outside")
	put(t, dir, "inside/file", "inside")
	for name, to := range map[string]string{"link": outside, "up": "..", "here": "inside", "file": filepath.Join(outside, "file"), "new": filepath.Join(outside, "new")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, d, ctx := source(t, dir), dest(t, dir), context.Background()
	for _, key := range []string{"link/file", "link/new", "up/" + filepath.Base(outside) + "/file", "here/file", "here/new", "file", "new", "inside/file/x"} {
		ref := object.Ref{Bucket: dir, Key: key}
		if got, err := s.Get(ctx, &object.GetRequest{Ref: ref, Max: 100}); err == nil {
			t.Errorf("%s was read: %q", key, got.Body)
		}
		if err := d.write(key, "attack"); err == nil {
			t.Errorf("%s was written", key)
		}
		if h, err := d.Head(ctx, ref, object.CustomerKey{}); err == nil {
			t.Errorf("%s was looked at: %+v", key, h)
		}
		if r, err := d.Open(ctx, ref, object.CustomerKey{}, ""); err == nil {
			_ = r.Close()
			t.Errorf("%s was opened", key)
		}
	}
	if got := names(t, outside); !slices.Equal(got, []string{"file"}) {
		t.Errorf("outside lie %q", got)
	}
	for _, path := range []string{filepath.Join(outside, "file"), filepath.Join(dir, "inside/file")} {
		if b, err := os.ReadFile(path); err != nil || !strings.HasSuffix(path, string(b)) && string(b) != "outside" && string(b) != "inside" {
			t.Errorf("%s: %q %v", path, b, err)
		}
	}
}

// TestFolderThatBecomesALink: a folder on the way is exchanged for a link, again and again,
// while files are written below it. None of them arrives where the link leads.
func TestFolderThatBecomesALink(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	d := dest(t, dir)
	way, aside := filepath.Join(dir, "way"), filepath.Join(dir, "aside")
	if err := os.Mkdir(way, 0o755); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			_ = os.Rename(way, aside)
			_ = os.Symlink(outside, way)
			_ = os.Remove(way)
			_ = os.Rename(aside, way)
		}
	})
	written, tried := 0, 3000
	if testing.Short() { // the two get in each other's way, the more so under -race
		tried = 300
	}
	// All may pass while the other waits for the CPU between its link and the folder.
	for end, i := time.Now().Add(20*time.Second), 0; i < tried || written == 0 && time.Now().Before(end); i++ {
		if d.write(fmt.Sprintf("way/%d", i), "x") == nil {
			written++
		}
	}
	stop.Store(true)
	wg.Wait()
	if got := names(t, outside); len(got) > 0 {
		t.Errorf("outside lie %d files: %q", len(got), got[:1])
	}
	if written == 0 {
		t.Error("not one was written, so that nothing was tried")
	}
	t.Logf("%d of %d or more were written", written, tried)
}

// TestNothingIsOverwritten: of many that write one name at the same time one succeeds, and
// who comes later finds its bytes.
func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	d := dest(t, dir)
	for round := range 50 {
		key := fmt.Sprintf("sub/%d", round)
		var won atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				body := fmt.Sprint("writer ", i)
				switch err := d.write(key, body); {
				case err == nil:
					won.Add(1)
					winner.Store(body)
				case object.ClassOf(err) != object.ClassChanged:
					t.Errorf("%s: %v", key, err)
				}
			})
		}
		wg.Wait()
		b, err := os.ReadFile(filepath.Join(dir, key))
		if err != nil || won.Load() != 1 || string(b) != winner.Load() {
			t.Fatalf("%d won, the file holds %q, want %q: %v", won.Load(), b, winner.Load(), err)
		}
	}
	for _, name := range names(t, dir) {
		if strings.Contains(name, object.PartialName) {
			t.Errorf("%s was left", name)
		}
	}
}

// TestByLink is the way of file systems that know no renaming without replacing.
func TestByLink(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "from", "new")
	put(t, dir, "taken", "old")
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := byLink(root, "from", "taken"); err == nil {
		t.Error("a file was replaced")
	}
	if err := byLink(root, "from", "free"); err != nil {
		t.Error(err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"free", "taken"}) {
		t.Errorf("there are %q", got)
	}
}

// TestSweepTakesOurOwn: what this job left unfinished goes, and nothing that only looks so.
func TestSweepTakesOurOwn(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	d := dest(t, dir)
	other, err := OpenDest(dir, "another job")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ref := object.Ref{Bucket: dir, Key: "a/b/file"}
	if _, _, err := d.CreateUpload(context.Background(), &object.CopyRequest{Dest: ref}); err != nil {
		t.Fatal(err)
	}
	put(t, dir, d.tempName(newID()), "ours")
	put(t, dir, "a/"+d.tempName(newID())+accent, "ours, of the look at names")
	put(t, dir, "a/"+other.tempName(newID()), "another job's")
	put(t, dir, d.tempName("short"), "no ID")
	put(t, dir, d.tempName(strings.ToUpper("00aa00aa00aa00aa")), "no ID of ours")
	put(t, dir, object.PartialName, "only the beginning")
	put(t, outside, d.tempName(newID()), "outside")
	if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "x"), filepath.Join(dir, d.tempName(newID()))); err != nil {
		t.Fatal(err)
	}
	before := len(names(t, dir))
	n, err := dest(t, dir).Sweep(context.Background())
	if err != nil || n != 3 {
		t.Errorf("%d were removed: %v", n, err)
	}
	if after := len(names(t, dir)); after != before-3 {
		t.Errorf("%d files were there, %d are", before, after)
	}
	if len(names(t, outside)) != 1 {
		t.Error("a file outside was removed")
	}
}

// TestAbortTakesWhatItMade: an upload of a process that died is ended by its ID, and by no
// other word.
func TestAbortTakesWhatItMade(t *testing.T) {
	dir := t.TempDir()
	ctx, ref := context.Background(), object.Ref{Bucket: dir, Key: "a/file"}
	id, _, err := dest(t, dir).CreateUpload(ctx, &object.CopyRequest{Dest: ref})
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "a/precious", "precious")
	d := dest(t, dir)
	for _, word := range []string{"", "..", "../a/precious", "precious", "/etc/passwd", strings.Repeat("0", 16)} {
		if err := d.AbortUpload(ctx, ref, word); object.ClassOf(err) != object.ClassNoUpload {
			t.Errorf("%q: %v", word, err)
		}
	}
	if err := d.AbortUpload(ctx, ref, id); err != nil {
		t.Error(err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"a/precious"}) {
		t.Errorf("there are %q", got)
	}
}

// TestStretches writes a file by stretches in any order; without one of them it never
// appears.
func TestStretches(t *testing.T) {
	dir := t.TempDir()
	d, ctx, ref := dest(t, dir), context.Background(), object.Ref{Bucket: dir, Key: "x/file"}
	text := bytes.Repeat([]byte("0123456789"), 1000)
	send := func(id string, number int, from, to int64) object.Part {
		r, err := d.SendPart(ctx, &object.SendRequest{Dest: ref, UploadID: id, Number: number, First: from, Body: text[from:to]})
		if err != nil {
			t.Fatal(err)
		}
		return object.Part{Number: number, ETag: r.ETag, Size: to - from}
	}
	begin := func() string {
		id, _, err := d.CreateUpload(ctx, &object.CopyRequest{Dest: ref, Attributes: &object.Attributes{Metadata: map[string]string{MtimeName: "100.25"}}})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	id := begin()
	send(id, 3, 7000, 10000)
	send(id, 1, 0, 4000)
	if _, err := d.CompleteUpload(ctx, &object.CompleteRequest{Dest: ref, UploadID: id, Size: 10000}); err == nil {
		t.Error("a file with a hole was completed")
	}
	if got := names(t, dir); slices.Contains(got, "x/file") {
		t.Error("it appeared")
	}
	send(id, 2, 4000, 7000)
	send(id, 2, 4000, 7000) // again
	reply, err := d.CompleteUpload(ctx, &object.CompleteRequest{Dest: ref, UploadID: id, Size: 10000})
	if err != nil {
		t.Fatal(err)
	}
	h, err := d.Head(ctx, ref, object.CustomerKey{})
	if err != nil || h.ETag != reply.ETag || !h.LastModified.Equal(time.Unix(100, 250_000_000)) {
		t.Errorf("Head shows %+v, %v; the reply was %s", h.Object, err, reply.ETag)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "x/file")); !bytes.Equal(b, text) {
		t.Error("other bytes")
	}
	id = begin()
	send(id, 1, 0, 10000)
	if _, err := d.CompleteUpload(ctx, &object.CompleteRequest{Dest: ref, UploadID: id, Size: 10000}); object.ClassOf(err) != object.ClassChanged {
		t.Errorf("a second one: %v", err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"x/file"}) {
		t.Errorf("there are %q", got)
	}
}

// TestFolds: on a file system that takes names for the same, a file is never taken for
// another one. This machine's may tell them apart, so that only the comparison is tried.
func TestFolds(t *testing.T) {
	dir := t.TempDir()
	d := dest(t, dir)
	d.folds = true
	if err := d.write("Dir/File", "x"); err != nil {
		t.Fatal(err)
	}
	if err := d.write("Dir/File", "x"); object.ClassOf(err) != object.ClassChanged {
		t.Errorf("the same name: %v", err)
	}
	if err := d.write("Dir/Other", "x"); err != nil {
		t.Error(err)
	}
}
