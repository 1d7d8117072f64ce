package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestDownloadOfOldEnvelopes: what clients of old have encrypted, whose text only its end
// shows, comes back as well, in one piece and by stretches.
func TestDownloadOfOldEnvelopes(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 6, TLS: true}, s3test.BucketConfig{})
	texts := map[string][]byte{"small": []byte("a text of old"), "empty": {}, "large": bytes.Repeat([]byte("0123456789abcdef~"), 1<<20), "round": bytes.Repeat([]byte("x"), 10<<20)}
	i := 0
	for key, text := range texts {
		w.version1(i, key, text)
		i++
	}
	to, job := filepath.Join(w.dir, "to"), filepath.Join(w.dir, "down")
	args := []string{"run", "s3://" + sealedBucket, "--dest", to, "--client-side", "none", "--source-cse-key-file", w.aesFile, "--job", job, "--no-progress"}
	if s := w.reseal(t, args...); s.code != 3 || !strings.Contains(s.stdout, "unauthenticated") { // nothing tells whether they were changed
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	if s := w.reseal(t, append(args, "--accept", "unauthenticated", "--retry-failed")...); s.code != 0 {
		t.Fatalf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	for key, text := range texts {
		if b, err := os.ReadFile(filepath.Join(to, key)); err != nil || !bytes.Equal(b, text) {
			t.Errorf("%s came back as %d bytes, want %d: %v", key, len(b), len(text), err)
		}
	}
	if s := w.reseal(t, "verify", "--job", job); s.code != 0 {
		t.Errorf("verify: %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}

// TestDownloadOfATamperedObject: a text whose tag does not verify never gets a name.
func TestDownloadOfATamperedObject(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{TLS: true})
	for name, size := range map[string]int{"small": 100, "large": 12 << 20} {
		f.write(t, name, bytes.Repeat([]byte("s"), size))
	}
	f.mustRun(t, 0, append(f.up, "--client-side", "v3", "--cse-kms-key-id", f.keyA)...)
	for _, name := range []string{"small", "large"} {
		o := f.server.Snapshot("b").Find("in/" + name)[0]
		body := o.Body.ReadAll()
		body[50] ^= 1
		o.Body, o.ETag, o.Parts, o.Checksum = s3test.Bytes(body), "", nil, s3test.Checksum{}
		f.server.Put("b", o)
	}
	f.mustRun(t, 3, append(f.down, "--client-side", "none")...)
	for key, state := range f.states(t, filepath.Join(f.dir, "down")) {
		if !strings.HasPrefix(state, "failed") {
			t.Errorf("%s is %s", key, state)
		}
	}
	if got := tree(t, f.to); len(got) > 0 {
		t.Errorf("there are %v", got)
	}
}

// TestDownloadInShards: shards write into one folder, and each sweeps only its own.
func TestDownloadInShards(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	for i := range 3000 {
		f.store(fmt.Sprintf("%04d/file", i), fmt.Sprint("body of ", i))
	}
	job := filepath.Join(f.dir, "down")
	f.mustRun(t, 0, "plan", "s3://b/in/", "--dest", f.to, "--job", job, "--shards", "3")
	f.killedAt(t, "GetObject", 700, true, "run", "--job", job, "--no-progress")
	f.mustRun(t, 0, "run", "--job", job, "--no-progress")
	got := tree(t, f.to)
	for i := range 3000 {
		if _, is := got[fmt.Sprintf("%04d/file", i)]; !is {
			t.Fatalf("%d is missing", i)
		}
	}
	if len(got) != 3000 {
		t.Errorf("%d files, want 3000", len(got))
	}
	f.mustRun(t, 0, "verify", "--job", job)
}

// TestFolderSelection: patterns, sizes and dates choose among files as among objects.
func TestFolderSelection(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	for _, name := range []string{"a.jpg", "b.txt", "sub/c.jpg", "sub/skip/d.jpg"} {
		f.write(t, name, []byte(name))
	}
	f.write(t, "big.jpg", make([]byte, 5000))
	f.mustRun(t, 0, append(f.up, "--exclude", "*", "--include", "*.jpg", "--exclude", "sub/skip/*", "--max-size", "1KiB")...)
	var keys []string
	for _, o := range f.server.Snapshot("b").Objects {
		keys = append(keys, o.Key)
	}
	if got := strings.Join(keys, " "); got != "in/a.jpg in/sub/c.jpg" {
		t.Errorf("there are %s", got)
	}
}

// TestToAnotherStoreSealed: --client-side on the way to another store, and back out of it.
func TestToAnotherStoreSealed(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	raw := s.file(t, "raw.key", []byte{31: 9})
	if end := s.reseal(t, append(s.args, "--client-side", "v3", "--cse-key-file", raw, "--accept", "composite-checksum")...); end.code != 0 {
		t.Fatalf("exit code %d\n%s%s%v", end.code, end.stdout, end.stderr, s.rows(t, s.job))
	}
	if v := s.reseal(t, "verify", "--job", s.job); v.code != 0 {
		t.Errorf("verify: %d\n%s%s", v.code, v.stdout, v.stderr)
	}
	to := filepath.Join(t.TempDir(), "to")
	down := s.reseal(t, "run", "s3://b/copy/", "--dest", to, "--client-side", "none", "--source-cse-key-file", raw, "--endpoint-url", s.to.URL(), "--profile", "to",
		"--job", filepath.Join(t.TempDir(), "down"), "--no-progress")
	if down.code != 0 {
		t.Fatalf("down: %d\n%s%s", down.code, down.stdout, down.stderr)
	}
	for _, was := range s.before.Objects {
		if b, err := os.ReadFile(filepath.Join(to, was.Key)); err != nil || !bytes.Equal(b, was.Body.ReadAll()) {
			t.Errorf("%q came back as %d bytes: %v", was.Key, len(b), err)
		}
	}
}
