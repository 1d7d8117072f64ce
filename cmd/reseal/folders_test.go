package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// folders is a folder with files of all kinds, an embedded store, and jobs between them.
type folders struct {
	*stage
	from, to string // folders
	up, down []string
	job      string // of the upload
}

func newFolders(t *testing.T, cfg s3test.Config) *folders {
	f := &folders{stage: newStage(t, cfg)}
	f.from, f.to, f.job = filepath.Join(f.dir, "from"), filepath.Join(f.dir, "to"), filepath.Join(f.dir, "up")
	f.server.CreateBucket("b", s3test.BucketConfig{})
	f.up = []string{"run", f.from, "--dest", "s3://b/in", "--sse", "aws:kms", "--sse-kms-key-id", f.keyB, "--job", f.job, "--no-progress", "--concurrency", "3"}
	f.down = []string{"run", "s3://b/in/", "--dest", f.to, "--job", filepath.Join(f.dir, "down"), "--no-progress", "--concurrency", "3"}
	return f
}

// write makes a file of the source with a time of its own.
func (f *folders) write(t *testing.T, path string, body []byte) {
	t.Helper()
	path = filepath.Join(f.from, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o644); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1_500_000_000+int64(len(path))*1000, 123_456_000+int64(len(body)))
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

// plain are files that nothing is odd about but their sizes and their names.
func (f *folders) plain(t *testing.T) {
	t.Helper()
	for i, size := range []int{0, 1, 17, 5<<20 + 1, 17<<20 + 3} {
		f.write(t, fmt.Sprintf("a/%d.bin", i), bytes.Repeat([]byte{byte('a' + i)}, size))
	}
	f.write(t, "a.txt", []byte("before a/ in the order of keys"))
	f.write(t, "a/b/c/d é+%2F.html", []byte("<p>deep"))
	f.write(t, "tab\there \x01\x7f", []byte("control characters"))
	f.write(t, `back\slash 'quoted' "twice"`, []byte("quotes"))
	f.write(t, "x.instruction", []byte(`{"x-amz-key":"no envelope"}`))
	f.write(t, "x", []byte("beside a file that is called as instruction files are"))
}

// tree is what a folder holds: the bytes and the times of its files, and the links.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			out[rel] = info.Mode().Type().String()
			return nil
		}
		body, err := os.ReadFile(path)
		out[rel] = fmt.Sprintf("%x %d", sha256.Sum256(body), info.ModTime().UnixNano())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *folders) mustRun(t *testing.T, code int, args ...string) said {
	t.Helper()
	s := f.reseal(t, args...)
	if s.code != code {
		t.Fatalf("%v: exit code %d, want %d\n%s%s", args, s.code, code, s.stdout, s.stderr)
	}
	return s
}

func differences(want, got map[string]string) (out []string) {
	for name := range maps.All(want) {
		if want[name] != got[name] {
			out = append(out, fmt.Sprintf("%q: want %s, got %s", name, want[name], got[name]))
		}
	}
	for name := range maps.All(got) {
		if _, is := want[name]; !is {
			out = append(out, fmt.Sprintf("%q should not be there", name))
		}
	}
	slices.Sort(out)
	return out
}

// TestFolderThereAndBack: everything is the same afterwards, and verify says so.
func TestFolderThereAndBack(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	f.plain(t)
	f.mustRun(t, 0, append([]string{"plan"}, f.up[1:]...)...)
	if n := len(f.server.Snapshot("b").Objects); n != 0 {
		t.Fatalf("plan wrote %d objects", n)
	}
	f.mustRun(t, 0, f.up...)
	want := tree(t, f.from)
	objects := f.server.Snapshot("b").Objects
	if len(objects) != len(want) {
		t.Errorf("%d objects of %d files", len(objects), len(want))
	}
	for _, o := range objects {
		if o.Encryption.Type != object.SSEKMS || o.Encryption.KMSKeyID != f.keyB || o.Metadata["mtime"] == "" || o.Checksum.Algorithm == "" {
			t.Errorf("%q is under %+v with %v %v", o.Key, o.Encryption, o.Metadata, o.Checksum)
		}
	}
	if v := f.mustRun(t, 0, "verify", "--job", f.job); !strings.Contains(v.stdout, fmt.Sprint(len(want))) {
		t.Errorf("verify said %s", v.stdout)
	}
	f.mustRun(t, 0, append([]string{"plan"}, f.down[1:]...)...)
	if _, err := os.Stat(f.to); err == nil {
		t.Error("plan made the folder")
	}
	f.mustRun(t, 0, f.down...)
	if diff := differences(want, tree(t, f.to)); len(diff) > 0 {
		t.Errorf("the trees differ:\n%s", strings.Join(diff, "\n"))
	}
	down := filepath.Join(f.dir, "down")
	f.mustRun(t, 0, "verify", "--job", down)
	f.mustRun(t, 0, "status", "--job", down)
	f.mustRun(t, 0, "run", "--job", down)
	f.mustRun(t, 0, "run", "--job", f.job)
	if s := f.mustRun(t, 0, "explain", "--job", f.job, filepath.Join(f.from, "a.txt")); !strings.Contains(s.stdout, "rewrite") {
		t.Errorf("explain said %s", s.stdout)
	}
}

// TestFolderLeavesByName: what cannot go is left with its reason, and the rest goes.
func TestFolderLeavesByName(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	f.write(t, "good", []byte("good"))
	f.write(t, "not \xff UTF-8", []byte("x"))
	deep := strings.Repeat(strings.Repeat("d", 200)+"/", 6)
	f.write(t, deep+"file", []byte("its key is too long"))
	f.write(t, object.PartialName+"0123-4567", []byte("not ended"))
	secret := filepath.Join(f.dir, "secret")
	if err := os.MkdirAll(secret, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(secret, "file"), []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"link": filepath.Join(secret, "file"), "dirlink": secret, "inner": "good", "dangling": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(f.from, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(f.from, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.mustRun(t, 3, f.up...)
	want := map[string]string{"good": "done ", "not \xff UTF-8": "left name", deep + "file": "left name", object.PartialName + "0123-4567": "left name",
		"link": "left symbolic-link", "dirlink": "left symbolic-link", "inner": "left symbolic-link", "dangling": "left symbolic-link", "pipe": "left special-file"}
	check := func() {
		t.Helper()
		got := map[string]string{}
		for key, r := range f.rows(t, f.job) {
			got[key] = r["state"] + " " + r["reason"]
			if r["bucket"] != f.from {
				t.Errorf("the row of %q names %q", key, r["bucket"])
			}
		}
		if diff := differences(want, got); len(diff) > 0 {
			t.Errorf("rows:\n%s", strings.Join(diff, "\n"))
		}
	}
	check()
	if objects := f.server.Snapshot("b").Objects; len(objects) != 1 || objects[0].Key != "in/good" {
		t.Errorf("the store has %d objects", len(objects))
	}
	f.mustRun(t, 3, append(f.up, "--retry-failed", "--inspect", "always")...)
	check()
}
