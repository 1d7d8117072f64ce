package inventory

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// fakeStore serves the files below a folder as one bucket, in pages of two.
type fakeStore struct {
	bucket, root string
	denied       string // key that may not be read
}

func (f *fakeStore) Open(_ context.Context, r object.Ref, _ object.CustomerKey, _ string) (io.ReadCloser, error) {
	if r.Key == f.denied {
		return nil, &object.Error{Class: object.ClassDenied, Op: "GetObject", Ref: r}
	}
	file, err := os.Open(filepath.Join(f.root, r.Key))
	if r.Bucket != f.bucket || err != nil {
		return nil, &object.Error{Class: object.ClassGone, Op: "GetObject", Ref: r}
	}
	return struct{ io.ReadCloser }{file}, nil // no *os.File: it came over the network
}

func (f *fakeStore) ListPage(_ context.Context, q object.ListRequest) (out object.ListReply, err error) {
	if q.Bucket != f.bucket {
		return out, &object.Error{Class: object.ClassNoBucket, Op: "ListObjectsV2"}
	}
	var all []string
	seen := map[string]bool{}
	err = filepath.WalkDir(f.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, _ := filepath.Rel(f.root, path)
		rest, ok := strings.CutPrefix(key, q.Prefix)
		if i := strings.Index(rest, q.Delimiter); ok && i >= 0 && !seen[rest[:i+1]] {
			seen[rest[:i+1]] = true
			all = append(all, q.Prefix+rest[:i+1])
		}
		return nil
	})
	sort.Strings(all)
	for _, p := range all {
		if p > q.ContinuationToken {
			if len(out.Prefixes) == 2 {
				out.Truncated, out.NextToken = true, out.Prefixes[1]
				break
			}
			out.Prefixes = append(out.Prefixes, p)
		}
	}
	return out, err
}

func TestReportsInBuckets(t *testing.T) {
	rows := oddRecords()
	for _, format := range formats {
		r := newReport(t, format, allColumns, encode(t, format, allColumns, rows))
		for _, day := range []string{"2026-11-18T01-00Z", "2026-11-20T01-00Z", "2026-11-19T01-00Z", "hive"} {
			r.write(t, day)
		}
		os.RemoveAll(filepath.Join(r.root, configFolder, "2026-11-23T01-00Z"))
		temp := t.TempDir()
		where := Where{S3: Buckets{Store: &fakeStore{bucket: "inv", root: r.root}}}
		s, err := Open(t.Context(), where, "s3://inv/"+configFolder, Options{TempDir: temp})
		if err != nil {
			t.Fatal(err)
		}
		if want := "s3://inv/" + configFolder + "2026-11-20T01-00Z/manifest.json"; s.URI() != want {
			t.Errorf("%s, want %s", s.URI(), want)
		}
		if k := read(t, s); len(k.rows) != len(rows)-1 {
			t.Errorf("%s: %d rows, want %d", format, len(k.rows), len(rows)-1)
		}
		if left, _ := os.ReadDir(temp); len(left) > 0 {
			t.Errorf("%v are left behind", left)
		}
	}
}

func TestReportCopiedToAnotherBucket(t *testing.T) {
	cols := []string{"Bucket", "Key"}
	r := newReport(t, CSV, cols, writeCSV(t, cols, manyRecords(0, 3)))
	store := &fakeStore{bucket: "copy", root: r.root, denied: configFolder + "2026-11-23T01-00Z/manifest.checksum"}
	s, err := Open(t.Context(), Where{S3: Buckets{Store: store}}, "s3://copy/"+configFolder+"2026-11-23T01-00Z/manifest.json", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if k := read(t, s); len(k.rows) != 3 {
		t.Errorf("%d rows", len(k.rows))
	}
}

func TestTroubleWithABucketIsNoFaultOfTheReport(t *testing.T) {
	cols := []string{"Bucket", "Key"}
	r := newReport(t, CSV, cols, writeCSV(t, cols, manyRecords(0, 3)))
	store := &fakeStore{bucket: "inv", root: r.root, denied: r.m.Files[0].Key}
	s, err := Open(t.Context(), Where{S3: Buckets{Store: store}}, "s3://inv/"+configFolder, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Read(t.Context(), nil, func(object.Page) error { return nil })
	if object.ClassOf(err) != object.ClassDenied || unusable(err) {
		t.Errorf("%v", err)
	}
	_, err = Open(t.Context(), Where{S3: Buckets{Store: store}}, "s3://other/x/manifest.json", Options{})
	if !unusable(err) {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), Where{}, "s3://inv/x/manifest.json", Options{}); err == nil || unusable(err) {
		t.Errorf("without a connection: %v", err)
	}
	if !errors.Is(absent(&object.Error{Class: object.ClassGone}), fs.ErrNotExist) {
		t.Error("what is gone is there")
	}
}

// circle is a store of one folder without folders, whose two pages lead to one another.
type circle struct {
	fakeStore
	asked int
}

func (c *circle) ListPage(_ context.Context, q object.ListRequest) (object.ListReply, error) {
	if c.asked++; c.asked > 20 {
		return object.ListReply{}, errors.New("asked without end")
	}
	next := "1"
	if q.ContinuationToken == next {
		next = "2"
	}
	return object.ListReply{Objects: make([]object.Object, 1), Truncated: true, NextToken: next}, nil
}

// TestFoldersThatLeadBack: a list whose pages lead from one to the other and back ends.
func TestFoldersThatLeadBack(t *testing.T) {
	c := new(circle)
	if names, err := (Buckets{c}).Folders(t.Context(), "s3://b/p/"); err == nil || c.asked > 4 {
		t.Errorf("%v, %v; asked %d times", names, err, c.asked)
	}
}
