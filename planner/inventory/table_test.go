package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// liveRow is a row of the live inventory as Athena writes it.
type liveRow struct {
	Bucket       string            `parquet:"bucket"`
	Key          string            `parquet:"key"`
	Sequence     string            `parquet:"sequence_number"`
	VersionID    *string           `parquet:"version_id,optional"`
	DeleteMarker bool              `parquet:"is_delete_marker"`
	Size         *int64            `parquet:"size,optional"`
	Modified     time.Time         `parquet:"last_modified_date,timestamp(microsecond)"`
	ETag         string            `parquet:"e_tag"`
	Class        string            `parquet:"storage_class"`
	Multipart    bool              `parquet:"is_multipart"`
	Encryption   string            `parquet:"encryption_status"`
	BucketKey    bool              `parquet:"is_bucket_key_enabled"`
	KMSKey       *string           `parquet:"kms_key_arn,optional"`
	Checksum     string            `parquet:"checksum_algorithm"`
	Tags         map[string]string `parquet:"object_tags"`
	Metadata     map[string]string `parquet:"user_metadata"`
}

const (
	liveNames = `"bucket","key","sequence_number","version_id","is_delete_marker","size","last_modified_date","e_tag","storage_class","is_multipart","encryption_status","is_bucket_key_enabled","kms_key_arn","checksum_algorithm","object_tags","user_metadata"`
	liveKey   = "arn:aws:kms:eu-west-1:111122223333:key/old"
)

func text(s string) *string { return &s }

func liveRows(n int) []liveRow {
	rows := make([]liveRow, n)
	for i := range rows {
		size := int64(i)
		rows[i] = liveRow{Bucket: "src", Key: fmt.Sprintf("logs/2026/%08d a+b%%20.json", i), Sequence: fmt.Sprintf("%020x", i), Size: &size,
			Modified: time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC), ETag: fmt.Sprintf("%032x", i), Class: "STANDARD", Encryption: "SSE-KMS",
			BucketKey: i%2 == 0, KMSKey: text(liveKey), Checksum: "CRC64NVME", Tags: map[string]string{"a": "b", "c": "d"}}
		switch i % 4 {
		case 1:
			rows[i].Encryption, rows[i].KMSKey = "SSE-S3", nil
		case 2:
			rows[i].VersionID = text("v1")
		}
	}
	return rows
}

func liveCSV(rows []liveRow) []byte {
	var b bytes.Buffer
	b.WriteString(liveNames + "\n")
	opt := func(s *string) string {
		if s == nil {
			return ""
		}
		return `"` + *s + `"`
	}
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(&b, "%q,%q,%q,%s,\"%t\",\"%d\",%q,%q,%q,\"%t\",%q,\"%t\",%s,%q,\"{a=b, c=d}\",\n", r.Bucket, r.Key, r.Sequence, opt(r.VersionID),
			r.DeleteMarker, *r.Size, r.Modified.Format("2006-01-02 15:04:05.000000 UTC"), r.ETag, r.Class, r.Multipart, r.Encryption, r.BucketKey, opt(r.KMSKey), r.Checksum)
	}
	return b.Bytes()
}

func liveParquet(t testing.TB, rows []liveRow) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[liveRow](&b, parquet.Compression(&parquet.Snappy))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func onDisk(t testing.TB, data []byte) Opener {
	t.Helper()
	name := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return func(context.Context) (io.ReadCloser, error) { return os.Open(name) }
}

func inMemory(data []byte) Opener {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// TestLiveInventory reads the same rows from each form: the KMS key is known, so
// that a row settles its object, and keys stand as they are.
func TestLiveInventory(t *testing.T) {
	rows := liveRows(1000)
	rows[999].DeleteMarker = true
	for name, open := range map[string]Opener{
		"CSV":              onDisk(t, liveCSV(rows)),
		"CSV, gzip":        inMemory(zipped(t, liveCSV(rows))),
		"CSV, marked":      inMemory(append([]byte("\ufeff"), liveCSV(rows)...)),
		"Parquet":          onDisk(t, liveParquet(t, rows)),
		"Parquet, remote":  inMemory(liveParquet(t, rows)),
		"CSV, other order": inMemory([]byte("kms_key_arn,e_tag,size,key,encryption_status,bucket,storage_class,is_bucket_key_enabled\n" + shuffled(rows))),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := OpenTable(t.Context(), open, "table", Options{PageRows: 100, TempDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			var got []object.Object
			var at []object.Cursor
			if err := s.Read(t.Context(), nil, func(p object.Page) error {
				if len(got) == 300 {
					at = p.Cursors
				}
				got = append(got, p.Objects...)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if s.Bucket() != "src" || len(got) != 999 {
				t.Fatalf("%d rows of bucket %q", len(got), s.Bucket())
			}
			for i := range got {
				o := &got[i]
				want := object.Encryption{Type: object.SSEKMS, KMSKeyID: liveKey, BucketKey: i%2 == 0}
				if i%4 == 1 {
					want = object.Encryption{Type: object.SSES3}
				}
				if o.Key != rows[i].Key || !o.Settled || o.Encryption != want || o.ETag != rows[i].ETag || o.Size != int64(i) {
					t.Fatalf("row %d: %+v", i, o)
				}
				if strings.Contains(name, "other") {
					continue
				}
				if version := map[bool]string{true: "v1"}[i%4 == 2]; o.VersionID != version || o.LastModified.Year() != 2026 || o.Noncurrent {
					t.Fatalf("row %d: %+v", i, o)
				}
			}
			rest := 0
			if err := s.Read(t.Context(), at, func(p object.Page) error { rest += len(p.Objects); return nil }); err != nil || rest != 599 {
				t.Errorf("resumed after 400 rows: %d, %v", rest, err)
			}
		})
	}
}

func shuffled(rows []liveRow) string {
	var b strings.Builder
	for i := range rows[:999] {
		r := &rows[i]
		key := ""
		if r.KMSKey != nil {
			key = *r.KMSKey
		}
		fmt.Fprintf(&b, "%s,%s,%d,%s,%s,%s,%s,%t\n", key, r.ETag, *r.Size, r.Key, r.Encryption, r.Bucket, r.Class, r.BucketKey)
	}
	return b.String()
}

// TestUnusableTables gives out nothing of a table that cannot be understood.
func TestUnusableTables(t *testing.T) {
	rows := liveRows(10)
	foreign := liveRows(10)
	foreign[7].Bucket = "other"
	whole := liveParquet(t, rows)
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"no rows":              {[]byte(liveNames + "\n"), "no rows"},
		"no names":             {[]byte("\n"), "no first line"},
		"two buckets":          {liveCSV(foreign), `of bucket "other"`},
		"two in Parquet":       {liveParquet(t, foreign), `of bucket "other"`},
		"an unknown column":    {[]byte("bucket,key,kms_key_arn,colour\nb,k,,red\n"), "colour"},
		"a cut Parquet file":   {whole[:len(whole)/2], "Parquet"},
		"a short row":          {[]byte("bucket,key,kms_key_arn\nb,k\n"), "2 columns"},
		"a row that is no CSV": {append(liveCSV(rows), []byte("\"b\",\"x\n")...), "quoted"},
	} {
		s, err := OpenTable(t.Context(), inMemory(tc.data), "table", Options{})
		if err == nil {
			err = s.Read(t.Context(), nil, func(object.Page) error { t.Errorf("%s: rows came out", name); return nil })
		}
		if !errors.As(err, new(*planner.UnusableError)) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestDatesOfAthena: to the digit, and nothing that is no date.
func TestDatesOfAthena(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-23 01:02:03":                     "2026-11-23T01:02:03Z",
		"2026-11-23 01:02:03.5":                   "2026-11-23T01:02:03.5Z",
		"2026-11-23 01:02:03.000004 UTC":          "2026-11-23T01:02:03.000004Z",
		"2026-11-23 01:02:03.123456789 UTC":       "2026-11-23T01:02:03.123456789Z",
		"2026-02-29 01:02:03":                     "",
		"2026-11-23 01:02:03.":                    "",
		"2026-11-23 01:02:03x5":                   "",
		"2026-11-23 01:02:03.1234x":               "",
		"2026-11-23 01:02:03.000 Europe/Berlin":   "",
		"2026-11-23 01:02:03.000000 UTC and more": "",
	} {
		got, err := date([]byte(in))
		if want == "" && err != nil {
			continue
		}
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
}

// TestAnotherTableOnResume is refused.
func TestAnotherTableOnResume(t *testing.T) {
	first, err := OpenTable(t.Context(), inMemory(liveCSV(liveRows(10))), "table", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var at []object.Cursor
	if err := first.Read(t.Context(), nil, func(p object.Page) error { at = p.Cursors; return nil }); err != nil {
		t.Fatal(err)
	}
	second, err := OpenTable(t.Context(), inMemory(liveCSV(liveRows(11))), "table", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Read(t.Context(), at, func(object.Page) error { return nil }); !errors.As(err, new(*planner.UnusableError)) {
		t.Error(err)
	}
}

func benchmarkTable(b *testing.B, data []byte, n int) {
	open := onDisk(b, data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := OpenTable(b.Context(), open, "table", Options{Parallel: 1})
		if err != nil {
			b.Fatal(err)
		}
		s.mu.checked = true // one pass is measured, and the one that opens it
		rows := 0
		if err := s.Read(b.Context(), nil, func(p object.Page) error { rows += len(p.Objects); return nil }); err != nil || rows != n {
			b.Fatal(rows, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkTableCSV(b *testing.B) { benchmarkTable(b, liveCSV(liveRows(200_000)), 200_000) }
func BenchmarkTableParquet(b *testing.B) {
	benchmarkTable(b, liveParquet(b, liveRows(200_000)), 200_000)
}
