package manifest

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// bucket is a Storage of files in memory, by URI.
type bucket map[string]string

func (b bucket) Open(_ context.Context, uri string) (io.ReadCloser, int64, error) {
	text, ok := b[uri]
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", uri, fs.ErrNotExist)
	}
	return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
}

func (b bucket) Folders(_ context.Context, uri string) ([]string, error) {
	var names []string
	seen := map[string]bool{}
	for k := range b {
		if rest, ok := strings.CutPrefix(k, uri); ok {
			if name, _, deeper := strings.Cut(rest, "/"); deeper && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names, nil
}

func sum(s string) string {
	h := md5.Sum([]byte(s))
	return hex.EncodeToString(h[:])
}

func inventoryFiles() bucket {
	b := bucket{"s3://inv/p/src/daily/data/x.csv": "\"src\",\"a+b\",\"5\"\n"}
	m := `{"sourceBucket":"src","destinationBucket":"arn:aws:s3:::inv","version":"2016-11-30","creationTimestamp":"1763856000000","fileFormat":"CSV",
 "fileSchema":"Bucket, Key, Size","files":[{"key":"p/src/daily/data/x.csv","size":17,"MD5checksum":"` + sum(b["s3://inv/p/src/daily/data/x.csv"]) + `"}]}`
	b["s3://inv/p/src/daily/2025-11-23T00-00Z/manifest.json"] = m
	b["s3://inv/p/src/daily/2025-11-23T00-00Z/manifest.checksum"] = sum(m)
	return b
}

func keys(t *testing.T, o *Opened, resume []object.Cursor) []string {
	t.Helper()
	var out []string
	err := o.Read(t.Context(), resume, func(p object.Page) error {
		for _, ob := range p.Objects {
			out = append(out, ob.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDetection(t *testing.T) {
	b := inventoryFiles()
	b["s3://l/rows.csv"] = "b,x%20y\n"
	b["s3://l/rows3.csv"] = "b,x,v\n"
	b["s3://l/keys.txt"] = "x y\n"
	b["s3://l/live.csv"] = "\"bucket\",\"key\",\"kms_key_arn\"\n\"b\",\"x%20y+z\",\n"
	b["s3://l/athena.csv"] = "\"bucket\",\"key\"\n\"b\",\"x\"\n"
	b["s3://l/commas.txt"] = "a,b\n"
	b["s3://l/result.csv"] = "b,x,,failed,500,InternalError,x\nb,y,,succeeded,200,,x\n"
	b["s3://rep/job-1/results/f.csv"] = b["s3://l/result.csv"]
	b["s3://rep/job-1/manifest.json"] = `{"Format":"Report_CSV_20180820","ReportCreationDate":"2026-11-23T00:00:00Z","Results":[
 {"TaskExecutionStatus":"succeeded","Bucket":"rep","MD5Checksum":"00","Key":"job-1/results/s.csv"},
 {"TaskExecutionStatus":"failed","Bucket":"rep","MD5Checksum":"` + sum(b["s3://l/result.csv"]) + `","Key":"job-1/results/f.csv"}],
 "ReportSchema":"Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"}`
	report := "s3://inv/p/src/daily/2025-11-23T00-00Z/manifest.json"
	for _, tc := range []struct {
		opt    Options
		format Format
		bucket string
		keys   string
		uri    string
	}{
		{Options{URI: "s3://l/rows.csv"}, CSV, "b", "[x y]", ""},
		{Options{URI: "s3://l/rows.csv", Bucket: "b"}, CSV, "b", "[x y]", ""},
		{Options{URI: "s3://l/live.csv"}, Inventory, "b", "[x%20y+z]", ""},
		{Options{URI: "s3://l/live.csv", Bucket: "b"}, Inventory, "b", "[x%20y+z]", ""},
		{Options{URI: "s3://l/athena.csv"}, CSV, "b", "[x]", ""},
		{Options{URI: "s3://l/athena.csv", Bucket: "b"}, CSV, "b", "[x]", ""},
		{Options{URI: "s3://l/rows3.csv", Format: CSV}, CSV, "b", "[x]", ""},
		{Options{URI: "s3://l/keys.txt", Bucket: "k"}, Keys, "k", "[x y]", ""},
		{Options{URI: "s3://l/commas.txt", Bucket: "k"}, Keys, "k", "[a,b]", ""},
		{Options{URI: "s3://l/rows.csv", Bucket: "k", Format: Keys}, Keys, "k", "[b,x%20y]", ""},
		{Options{URI: "s3://l/result.csv"}, CSV, "b", "[x]", ""},
		{Options{URI: "s3://rep/job-1/manifest.json"}, CSV, "b", "[x]", ""},
		{Options{URI: report}, Inventory, "src", "[a b]", report},
		{Options{URI: "s3://inv/p/src/daily/"}, Inventory, "src", "[a b]", report},
		{Options{URI: report, Format: Inventory, Bucket: "src"}, Inventory, "src", "[a b]", report},
	} {
		t.Run(fmt.Sprintf("%s %s %s", tc.opt.URI, tc.opt.Format, tc.opt.Bucket), func(t *testing.T) {
			tc.opt.S3 = b
			o, err := Open(t.Context(), tc.opt)
			if err != nil {
				t.Fatal(err)
			}
			if tc.uri == "" {
				tc.uri = tc.opt.URI
			}
			if o.Format != tc.format || o.Bucket() != tc.bucket || o.URI != tc.uri {
				t.Errorf("%s (%s) of %s at %s; want %s of %s at %s", o.Format, o.What, o.Bucket(), o.URI, tc.format, tc.bucket, tc.uri)
			}
			if got := fmt.Sprint(keys(t, o, nil)); got != tc.keys {
				t.Errorf("keys %s, want %s", got, tc.keys)
			}
		})
	}
}

func TestUnusable(t *testing.T) {
	b := inventoryFiles()
	b["s3://l/keys.txt"] = "only/a/key\n"
	b["s3://l/empty"] = ""
	b["s3://l/other.json"] = `{"a": 1}`
	b["s3://l/five.csv"] = "a,b,c,d,e\n"
	b["s3://l/done.json"] = `{"ReportSchema":"x","Results":[{"TaskExecutionStatus":"succeeded","Bucket":"rep","Key":"k"}]}`
	report := "s3://inv/p/src/daily/2025-11-23T00-00Z/manifest.json"
	for _, tc := range []struct {
		opt  Options
		want string
	}{
		{Options{URI: "s3://l/keys.txt"}, "is it a list of keys?"},
		{Options{URI: "s3://l/empty"}, "it is empty"},
		{Options{URI: "s3://l/other.json"}, "no manifest"},
		{Options{URI: "s3://l/five.csv"}, "no manifest"},
		{Options{URI: "s3://l/five.csv", Format: CSV}, "line 1"},
		{Options{URI: "s3://l/done.json"}, "no failed tasks"},
		{Options{URI: "s3://l/nothing"}, "no such file"},
		{Options{URI: "s3://l/nothing/"}, "no report"},
		{Options{URI: "/nowhere/manifest.json"}, "no such file"},
		{Options{URI: "/nowhere/"}, "no such file"},
		{Options{URI: report, Bucket: "other"}, `about bucket "src"`},
		{Options{URI: report, Format: CSV}, "no manifest"},
		{Options{URI: "s3://l/keys.txt", Format: Inventory}, "no inventory manifest"},
		{Options{URI: "s3://l/keys.txt", Format: Keys}, "--bucket"},
		{Options{URI: "-"}, "standard input"},
		{Options{URI: "-", Stdin: strings.NewReader("")}, "empty"},
		{Options{URI: "-", Stdin: strings.NewReader(b[report])}, "names files beside it"},
	} {
		t.Run(tc.opt.URI+" "+string(tc.opt.Format), func(t *testing.T) {
			tc.opt.S3 = b
			_, err := Open(t.Context(), tc.opt)
			if !errors.As(err, new(*planner.UnusableError)) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestStandardInputIsKept(t *testing.T) {
	dir := t.TempDir()
	died := errors.New("died")
	if err := os.WriteFile(filepath.Join(dir, Spooled+".123"), []byte("b,half"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := Open(t.Context(), Options{URI: "-", Stdin: strings.NewReader("b,1\nb,2\nb,3\n"), SpoolDir: dir, PageRows: 1})
	if err != nil {
		t.Fatal(err)
	}
	var cursors []object.Cursor
	n := 0
	err = first.Read(t.Context(), nil, func(p object.Page) error {
		if n++; n == 3 {
			return died
		}
		cursors = p.Cursors
		return nil
	})
	if !errors.Is(err, died) {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), Options{URI: "-", SpoolDir: dir, PageRows: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(keys(t, again, cursors)); got != "[3]" {
		t.Errorf("the resumed job got %s, want the third alone", got)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%v are left in the job", files)
	}
	// Without the copy a resumed job says so.
	if _, err := Open(t.Context(), Options{URI: "-", SpoolDir: t.TempDir()}); !errors.As(err, new(*planner.UnusableError)) {
		t.Error(err)
	}
	// Without a job it is kept aside.
	aside, err := Open(t.Context(), Options{URI: "-", Stdin: strings.NewReader("k1\nk2\n"), Bucket: "b", TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(keys(t, aside, nil)); got != "[k1 k2]" {
		t.Error(got)
	}
}

func TestCompletionReportOnDisk(t *testing.T) {
	for _, sub := range []string{"results", "."} {
		dir := t.TempDir()
		rows := "b,x,,failed,500,InternalError,x\n"
		os.MkdirAll(filepath.Join(dir, sub), 0o755)
		os.WriteFile(filepath.Join(dir, sub, "f.csv"), []byte(rows), 0o600)
		os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{"ReportSchema":"x","Results":[{"TaskExecutionStatus":"failed","Bucket":"rep","MD5Checksum":"`+sum(rows)+`","Key":"job/results/f.csv"}]}`), 0o600)
		o, err := Open(t.Context(), Options{URI: filepath.Join(dir, "manifest.json")})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(keys(t, o, nil)); got != "[x]" {
			t.Error(got)
		}
	}
}
