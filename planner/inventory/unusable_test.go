package inventory

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/planner"
)

func unusable(err error) bool {
	var u *planner.UnusableError
	return errors.As(err, &u)
}

func TestUnusableReports(t *testing.T) {
	cols := []string{"Bucket", "Key", "Size", "EncryptionStatus"}
	rows := manyRecords(0, 30)
	foreign := slices.Clone(rows)
	foreign[17] = record{"Bucket": "other", "Key": "x", "Size": "1"}
	for _, tc := range []struct {
		name    string
		formats []Format
		spoil   func(t *testing.T, f Format) *report
		want    []string // in the message
	}{
		{"wrong MD5", formats, func(t *testing.T, f Format) *report {
			r := newReport(t, f, cols, encode(t, f, cols, rows), encode(t, f, cols, rows))
			r.m.Files[1].MD5 = strings.Repeat("0", 32)
			r.write(t, "2026-11-23T01-00Z")
			return r
		}, []string{"part-1", "MD5"}},
		{"truncated file", formats, func(t *testing.T, f Format) *report {
			r := newReport(t, f, cols, encode(t, f, cols, rows))
			data := encode(t, f, cols, rows)
			r.put(t, r.m.Files[0].Key, data[:len(data)-20])
			return r
		}, []string{"part-0", "MD5", "bytes of"}},
		{"truncated before it was summed", formats, func(t *testing.T, f Format) *report {
			data := encode(t, f, cols, rows)
			return newReport(t, f, cols, data[:len(data)-20])
		}, []string{"part-0"}},
		{"truncated gzip", []Format{CSV}, func(t *testing.T, f Format) *report {
			data := encode(t, f, cols, manyRecords(0, 5000))
			return newReport(t, f, cols, data[:len(data)/2])
		}, []string{"part-0", "line", "truncated"}},
		{"missing file", formats, func(t *testing.T, f Format) *report {
			r := newReport(t, f, cols, encode(t, f, cols, rows), encode(t, f, cols, rows))
			if err := os.Remove(filepath.Join(r.root, r.m.Files[1].Key)); err != nil {
				t.Fatal(err)
			}
			return r
		}, []string{"part-1", "missing"}},
		{"unknown column", formats, func(t *testing.T, f Format) *report {
			more := append(slices.Clone(cols), "Flavour")
			return newReport(t, f, more, encode(t, f, more, rows))
		}, []string{"lavour", "not known"}},
		{"column twice", []Format{CSV}, func(t *testing.T, f Format) *report {
			more := append(slices.Clone(cols), "Size")
			return newReport(t, f, more, encode(t, f, more, rows))
		}, []string{"Size", "twice"}},
		{"no key", formats, func(t *testing.T, f Format) *report {
			return newReport(t, f, []string{"Bucket", "Size"}, encode(t, f, []string{"Bucket", "Size"}, rows))
		}, []string{"Key"}},
		{"foreign bucket", formats, func(t *testing.T, f Format) *report {
			return newReport(t, f, cols, encode(t, f, cols, foreign))
		}, []string{"part-0", `"other"`, "row"}},
		{"foreign bucket's line", []Format{CSV}, func(t *testing.T, f Format) *report {
			return newReport(t, f, cols, encode(t, f, cols, foreign))
		}, []string{"line 18"}},
		{"foreign bucket's row group", []Format{Parquet}, func(t *testing.T, f Format) *report {
			return newReport(t, f, cols, encode(t, f, cols, foreign))
		}, []string{"row group 3, row 4"}},
		{"foreign bucket's stripe", []Format{ORC}, func(t *testing.T, f Format) *report {
			return newReport(t, f, cols, encode(t, f, cols, foreign))
		}, []string{"stripe 2, row 9"}},
		{"too few columns", []Format{CSV}, func(t *testing.T, f Format) *report {
			return newReport(t, f, append(slices.Clone(cols), "ETag"), encode(t, f, cols, rows))
		}, []string{"line 1", "columns"}},
		{"no size", []Format{CSV}, func(t *testing.T, f Format) *report {
			bad := slices.Clone(rows)
			bad[3] = record{"Bucket": "src", "Key": "x", "Size": "many"}
			return newReport(t, f, cols, encode(t, f, cols, bad))
		}, []string{"line 4", "many"}},
		{"key not encoded", []Format{CSV}, func(t *testing.T, f Format) *report {
			return newReport(t, f, []string{"Bucket", "Key"}, []byte("src,100%\n"))
		}, []string{"line 1", "URL-encoded"}},
		{"another format than it says", []Format{Parquet, ORC}, func(t *testing.T, f Format) *report {
			return newReport(t, f, cols, encode(t, CSV, cols, rows))
		}, []string{"part-0", "is no"}},
		{"empty file", formats, func(t *testing.T, f Format) *report {
			return newReport(t, f, cols, nil)
		}, []string{"part-0"}},
		{"manifest.checksum differs", []Format{CSV}, func(t *testing.T, f Format) *report {
			r := newReport(t, f, cols, encode(t, f, cols, rows))
			r.put(t, configFolder+"2026-11-23T01-00Z/manifest.checksum", []byte("00"))
			return r
		}, []string{"manifest.json", "manifest.checksum"}},
		{"no manifest", []Format{CSV}, func(t *testing.T, f Format) *report {
			r := newReport(t, f, cols, encode(t, f, cols, rows))
			r.uri = filepath.Join(r.root, r.m.Files[0].Key)
			return r
		}, []string{"no inventory manifest"}},
		{"other JSON", []Format{CSV}, func(t *testing.T, f Format) *report {
			r := newReport(t, f, cols, encode(t, f, cols, rows))
			r.uri = filepath.Join(r.root, "x.json")
			r.put(t, "x.json", []byte(`{"a": 1}`))
			return r
		}, []string{"no inventory manifest"}},
		{"not there", []Format{CSV}, func(t *testing.T, f Format) *report {
			return &report{uri: filepath.Join(t.TempDir(), "manifest.json")}
		}, []string{"no such file"}},
	} {
		for _, f := range tc.formats {
			t.Run(tc.name+" "+string(f), func(t *testing.T) {
				r := tc.spoil(t, f)
				k := &sink{}
				s, err := Open(t.Context(), Where{}, r.uri, Options{PageRows: 3})
				if err == nil {
					err = s.Read(t.Context(), nil, k.emit)
				}
				if !unusable(err) {
					t.Fatalf("%v, want an unusable source", err)
				}
				for _, w := range tc.want {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("%q does not say %q", err, w)
					}
				}
				if len(k.rows) > 0 {
					t.Errorf("%d rows came out all the same", len(k.rows))
				}
			})
		}
	}
}

func TestNewestCompleteReport(t *testing.T) {
	cols := []string{"Bucket", "Key"}
	r := newReport(t, CSV, cols, writeCSV(t, cols, manyRecords(0, 3)))
	folder := filepath.Join(r.root, configFolder) + "/"
	r.write(t, "2026-11-20T01-00Z")
	newest := r.uri
	r.write(t, "2026-11-21T01-00Z") // its checksum is not written yet
	os.Remove(filepath.Join(folder, "2026-11-21T01-00Z", "manifest.checksum"))
	r.put(t, configFolder+"2026-11-22T01-00Z/other", nil)
	os.RemoveAll(filepath.Join(folder, "2026-11-23T01-00Z"))
	r.write(t, "2026-11-19T01-00Z")
	if s := open(t, folder, Options{}); s.URI() != newest {
		t.Errorf("%s, want %s", s.URI(), newest)
	}
	if s := open(t, filepath.Dir(newest)+"/", Options{}); s.URI() != newest {
		t.Errorf("the folder of one report: %s", s.URI())
	}
	for _, d := range []string{"2026-11-19T01-00Z", "2026-11-20T01-00Z"} {
		r.put(t, configFolder+d+"/manifest.checksum", []byte("00"))
	}
	_, err := Open(t.Context(), Where{}, folder, Options{})
	if !unusable(err) || !strings.Contains(err.Error(), "2026-11-21T01-00Z has no manifest.checksum yet") {
		t.Errorf("%v", err)
	}
	_, err = Open(t.Context(), Where{}, r.root+"/", Options{})
	if !unusable(err) {
		t.Errorf("a folder of no reports: %v", err)
	}
}

// TestFilesBesideTheManifest: people copy manifest and files into one folder.
func TestFilesBesideTheManifest(t *testing.T) {
	cols := []string{"Bucket", "Key"}
	r := newReport(t, CSV, cols, writeCSV(t, cols, manyRecords(0, 3)))
	for _, sub := range []string{"", "data/", "../data/"} {
		dir := t.TempDir() + "/here"
		for from, to := range map[string]string{r.uri: "manifest.json", filepath.Join(r.root, r.m.Files[0].Key): sub + filepath.Base(r.m.Files[0].Key)} {
			data, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o755)
			os.MkdirAll(dir, 0o755)
			if err := os.WriteFile(filepath.Join(dir, to), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if k := read(t, open(t, dir+"/manifest.json", Options{})); len(k.rows) != 3 {
			t.Errorf("%q: %d rows", sub, len(k.rows))
		}
	}
}

func TestNoFiles(t *testing.T) {
	r := newReport(t, CSV, []string{"Bucket", "Key"})
	if _, err := Open(t.Context(), Where{}, r.uri, Options{}); !unusable(err) {
		t.Errorf("a manifest whose list of files is null: %v", err)
	}
	r.m.Files = r.m.Files[:0:0]
	r.m.Files = append(r.m.Files, struct {
		Key  string `json:"key"`
		Size int64  `json:"size"`
		MD5  string `json:"MD5checksum"`
	}{})[:0]
	r.write(t, "2026-11-23T01-00Z")
	if k := read(t, open(t, r.uri, Options{})); len(k.rows) != 0 {
		t.Errorf("%d rows of an empty bucket", len(k.rows))
	}
}

// TestOnlySomeFiles: the parts of a divided report hold every row once, and a part of
// another report is refused.
func TestOnlySomeFiles(t *testing.T) {
	cols := []string{"Bucket", "Key", "Size"}
	r := newReport(t, CSV, cols, encode(t, CSV, cols, manyRecords(0, 10)), encode(t, CSV, cols, manyRecords(10, 7)), encode(t, CSV, cols, manyRecords(17, 5)))
	for _, c := range []struct {
		files []int
		rows  uint64
	}{{[]int{0}, 10}, {[]int{2, 1}, 12}} {
		s := open(t, r.uri, Options{})
		all := s.DataFiles()
		var keys []string
		for _, i := range c.files {
			keys = append(keys, all[i].Key)
		}
		if err := s.Only(keys); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, known := s.Rows(); n != c.rows || !known || len(s.DataFiles()) != len(keys) {
			t.Errorf("files %v have %d rows, want %d", c.files, n, c.rows)
		}
	}
	if err := open(t, r.uri, Options{}).Only([]string{"data/of-another.csv.gz"}); !unusable(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}
