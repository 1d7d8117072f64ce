package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// seedling is a versioned bucket as it lies in the files of a real server that has been
// stopped. It is seeded once and its files are copied: a server takes much longer to be
// given an object, and to be asked what it has of it.
type seedling struct {
	bucket, files string
	keys          []string
	before        map[string]thing
}

var theSeedling struct {
	sync.Mutex
	*seedling
}

// newSeededBed is a server of its own with the first n objects of the seedling, and what
// each of them is.
func newSeededBed(t *testing.T, n int) (b *bed, keys []string, before map[string]thing) {
	t.Helper()
	from := seedOnce(t)
	files := filepath.Join(t.TempDir(), "data")
	if err := from.copyTo(files, n); err != nil {
		t.Fatal(err)
	}
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	server := realserver.StartMinIO(t, realserver.Options{DataDir: files})
	b = &bed{T: t, server: server, client: server.Client(), bucket: from.bucket, binary: binary}
	before = map[string]thing{}
	for _, k := range from.keys {
		if !beyond(k, n) {
			keys, before[k] = append(keys, k), from.before[k]
		}
	}
	if listed := b.list(); len(listed) != len(keys) {
		t.Fatalf("the copy holds %d objects, want %d", len(listed), len(keys))
	}
	return b, keys, before
}

// seedOnce seeds the bucket that is copied, unless another test has.
func seedOnce(t *testing.T) *seedling {
	t.Helper()
	theSeedling.Lock()
	defer theSeedling.Unlock()
	if theSeedling.seedling != nil {
		return theSeedling.seedling
	}
	files, err := os.MkdirTemp("", "seedling")
	if err != nil {
		t.Fatal(err)
	}
	server := realserver.StartMinIO(t, realserver.Options{DataDir: files})
	b := newBed(t, server, "seeded")
	b.version()
	keys := b.seed(badNight)
	from := &seedling{bucket: b.bucket, files: files, keys: keys, before: b.look(keys)}
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	theSeedling.seedling = from
	return from
}

// copyTo copies the files but those of objects beyond the first n.
func (s *seedling) copyTo(to string, n int) error {
	return filepath.WalkDir(s.files, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(s.files, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && beyond(d.Name(), n):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, below), 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, below), data, 0o644)
	})
}

// beyond says whether a key, or the folder that MinIO keeps it in, is of an object that
// seed(n) would not have made.
func beyond(path string, n int) bool {
	var i int
	_, err := fmt.Sscanf(filepath.Base(path), "object-%05d.bin", &i)
	return err == nil && i >= n
}
