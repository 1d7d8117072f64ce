package inventory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

var formats = []Format{CSV, Parquet, ORC}

var _ planner.Source = (*Source)(nil)

// sink collects what a source emits and can fail at a page.
type sink struct {
	mu      sync.Mutex
	rows    []object.Object
	cursors map[string]object.Cursor
	failAt  int // page, from 1; 0 never
	pages   int
}

var errDied = errors.New("the process died")

func (k *sink) emit(p object.Page) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pages++
	if k.failAt > 0 && k.pages >= k.failAt {
		return errDied
	}
	k.rows = append(k.rows, p.Objects...)
	if k.cursors == nil {
		k.cursors = map[string]object.Cursor{}
	}
	for _, c := range p.Cursors {
		k.cursors[c.Range] = c
	}
	return nil
}

func (k *sink) resume() (cs []object.Cursor) {
	for _, c := range k.cursors {
		cs = append(cs, c)
	}
	return cs
}

func (k *sink) byKey() map[string]object.Object {
	m := map[string]object.Object{}
	for _, o := range k.rows {
		m[o.Key] = o
	}
	return m
}

func open(t testing.TB, uri string, opt Options) *Source {
	t.Helper()
	s, err := Open(t.Context(), Where{}, uri, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t testing.TB, s *Source) *sink {
	t.Helper()
	k := &sink{}
	if err := s.Read(t.Context(), nil, k.emit); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEveryFormatTellsTheSame(t *testing.T) {
	rows := oddRecords()
	for _, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			r := newReport(t, format, allColumns, encode(t, format, allColumns, rows[:20]), encode(t, format, allColumns, rows[20:]))
			s := open(t, r.uri, Options{AllVersions: true, PageRows: 4})
			if s.Bucket() != "src" || !s.Created().Equal(time.UnixMilli(1514944800000)) {
				t.Errorf("bucket %q, created %s", s.Bucket(), s.Created())
			}
			k := read(t, s)
			if n, known := s.Rows(); !known || n != uint64(len(rows)) {
				t.Errorf("%d rows, want %d", n, len(rows))
			}
			if len(k.rows) != len(rows)-1 { // the delete marker is none
				t.Errorf("%d objects, want %d", len(k.rows), len(rows)-1)
			}
			got := k.byKey()
			at := time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)
			common := object.Object{Size: 5, ETag: "d41d8cd98f00b204e9800998ecf8427e", LastModified: at, Encryption: object.Encryption{Type: object.SSES3}, Settled: true}
			for _, rec := range rows {
				key := rec["Key"]
				want := common
				want.Ref = object.Ref{Bucket: "src", Key: key, VersionID: rec["VersionId"]}
				kms := func(e object.SSE) { want.Encryption.Type, want.Settled = e, false }
				switch key {
				case "plain":
					want.Encryption.Type, want.Size = object.SSENone, 0
				case "kms":
					kms(object.SSEKMS)
					want.Encryption.BucketKey = true
				case "dsse":
					kms(object.DSSEKMS)
				case "ssec":
					kms(object.SSEC)
				case "tomorrow":
					kms(object.SSEUnknown)
				case "multi":
					want.ETag += "-3"
					want.MultipartUploaded, want.ChecksumAlgorithm, want.Size = true, "CRC64NVME", 5368709121
				case "cold":
					want.StorageClass = "DEEP_ARCHIVE"
				case "tiered":
					want.StorageClass, want.ArchiveTier = "INTELLIGENT_TIERING", "ARCHIVE_ACCESS"
				case "instant":
					want.StorageClass = "INTELLIGENT_TIERING"
				case "locked":
					want.LockMode, want.LegalHold, want.RetainUntil = "COMPLIANCE", true, time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
				case "null version":
					want.VersionID = "null"
				case "old":
					want.Noncurrent = true
				case "old null":
					want.Noncurrent, want.VersionID = true, "null"
				case "gone":
					if _, there := got[key]; there {
						t.Error("a delete marker came out")
					}
					continue
				}
				if got[key] != want {
					t.Errorf("%q:\ngot  %+v\nwant %+v", key, got[key], want)
				}
			}
		})
	}
}

func TestCurrentVersionsAreMeantAsSuch(t *testing.T) {
	r := newReport(t, CSV, allColumns, writeCSV(t, allColumns, oddRecords()))
	got := read(t, open(t, r.uri, Options{})).byKey()
	if o := got["s3"]; o.VersionID != "" || o.Noncurrent {
		t.Errorf("the current version: %+v", o)
	}
	if o := got["old"]; o.VersionID != "v-old" || !o.Noncurrent {
		t.Errorf("the noncurrent version: %+v", o)
	}
}

func TestColumnSubsets(t *testing.T) {
	rows := oddRecords()[:14]
	for _, cols := range [][]string{
		{"Key", "Bucket"},
		{"ETag", "Key", "EncryptionStatus", "Bucket", "Size"},
		{"Bucket", "Key", "EncryptionStatus", "StorageClass", "ETag", "Size", "ReplicationStatus"},
		{"Bucket", "Key", "VersionId", "EncryptionStatus"},
		{"Bucket", "VersionId", "Key", "IsLatest", "IsDeleteMarker"},
		{"ObjectOwner", "ObjectAccessControlList", "Bucket", "Key", "LifecycleExpirationDate"},
	} {
		for _, format := range formats {
			t.Run(string(format)+" "+strings.Join(cols, ","), func(t *testing.T) {
				r := newReport(t, format, cols, encode(t, format, cols, rows))
				got := read(t, open(t, r.uri, Options{AllVersions: true})).byKey()
				if len(got) != len(rows) {
					t.Fatalf("%d objects, want %d", len(got), len(rows))
				}
				has := func(c string) bool { return slices.Contains(cols, c) }
				for key, o := range got {
					if !has("Size") && o.Size != -1 || has("Size") && o.Size < 0 {
						t.Errorf("%q: size %d", key, o.Size)
					}
					if !has("EncryptionStatus") && o.Encryption.Type != object.SSEUnknown {
						t.Errorf("%q: encryption %s of nothing", key, o.Encryption.Type)
					}
					if settled := has("StorageClass") && has("ETag") && has("EncryptionStatus") && (key == "plain" || key == "s3"); settled && !o.Settled {
						t.Errorf("%q is not settled", key)
					}
					if !has("StorageClass") && (o.Settled || o.ETag != "") {
						t.Errorf("%q has no class, and could be copied without being looked at", key)
					}
					if !has("VersionId") && (o.VersionID != "" || o.Noncurrent) {
						t.Errorf("%q: version %q", key, o.VersionID)
					}
					if !has("IsLatest") && o.Noncurrent {
						t.Errorf("%q is taken for noncurrent", key)
					}
				}
			})
		}
	}
}

// manyRecords are n rows with keys in order.
func manyRecords(from, n int) []record {
	rows := make([]record, n)
	for i := range rows {
		rows[i] = record{"Bucket": "src", "Key": fmt.Sprintf("logs/2026/%08d.json", from+i), "VersionId": "Zx0uVd7gqxZ1m6gW4bYV0Q3r7cZ0KXkA",
			"IsLatest": "true", "IsDeleteMarker": "false", "Size": fmt.Sprint(i * 37), "LastModifiedDate": "2024-11-05T08:15:30.000Z",
			"ETag": fmt.Sprintf("%032x", uint64(i)*0x9e3779b97f4a7c15), "StorageClass": "STANDARD", "IsMultipartUploaded": "false",
			"ReplicationStatus": "COMPLETED", "EncryptionStatus": "SSE-S3", "ObjectLockLegalHoldStatus": "OFF",
			"BucketKeyStatus": "DISABLED", "ChecksumAlgorithm": "CRC64NVME", "ObjectOwner": strings.Repeat("8f1d3c5a", 8)}
	}
	return rows
}

func TestResume(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() { // goroutines are the same from one to the next
		seeds = 1
	}
	for _, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			var files [][]byte
			const perFile, n = 40, 3
			for i := range n {
				files = append(files, encode(t, format, allColumns, manyRecords(i*perFile, perFile)))
			}
			r := newReport(t, format, allColumns, files...)
			for seed := range seeds {
				random := rand.New(rand.NewPCG(seed, 1))
				all := &sink{}
				for process := 0; ; process++ {
					all.failAt, all.pages = random.IntN(14)+1, 0
					if process > 30 {
						all.failAt = 0
					}
					s := open(t, r.uri, Options{PageRows: 7, Parallel: 3})
					err := s.Read(t.Context(), all.resume(), all.emit)
					if err == nil {
						break
					}
					if !errors.Is(err, errDied) {
						t.Fatal(err)
					}
				}
				seen := map[string]int{}
				for _, o := range all.rows {
					seen[o.Key]++
				}
				if len(seen) != n*perFile || len(all.rows) != n*perFile {
					t.Fatalf("seed %d: %d rows of %d keys, want %d of each", seed, len(all.rows), len(seen), n*perFile)
				}
			}
		})
	}
}

func TestResumeWithAnotherReport(t *testing.T) {
	cols := []string{"Bucket", "Key"}
	one := newReport(t, CSV, cols, writeCSV(t, cols, manyRecords(0, 10)))
	two := newReport(t, CSV, cols, writeCSV(t, cols, manyRecords(5, 10)))
	k := read(t, open(t, one.uri, Options{}))
	err := open(t, two.uri, Options{}).Read(t.Context(), k.resume(), k.emit)
	if !unusable(err) || !strings.Contains(err.Error(), "not the report that the job began") {
		t.Errorf("%v", err)
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	cols := []string{"Bucket", "Key"}
	r := newReport(t, CSV, cols, writeCSV(t, cols, manyRecords(0, 5000)))
	ctx, cancel := context.WithCancel(t.Context())
	s := open(t, r.uri, Options{PageRows: 10})
	n := 0
	err := s.Read(ctx, nil, func(object.Page) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n > 5 {
		t.Errorf("%v after %d pages", err, n)
	}
	if err := open(t, r.uri, Options{}).Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Check: %v", err)
	}
}

func TestDates(t *testing.T) {
	for _, s := range []string{"2024-02-29T23:59:59.123Z", "2026-03-29T02:30:00Z", "2026-03-29T02:30:00.000Z", "2026-03-29T02:30:00.123456Z", "2026-03-29T02:30:00+02:00"} {
		want, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := date([]byte(s)); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"2023-02-29T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "2026-01-01T24:00:00.000Z", "yesterday", "2026-01-01", "2026-01-01T00:00:00.0x0Z"} {
		if got, err := date([]byte(s)); err == nil {
			t.Errorf("%s: %s", s, got)
		}
	}
}

func TestPlaces(t *testing.T) {
	got := places("s3://copy/inv/src/daily/2026-11-23T01-00Z/manifest.json", "inv-bucket", "inv/src/daily/data/x.csv.gz")
	want := []string{"s3://inv-bucket/inv/src/daily/data/x.csv.gz", "s3://copy/inv/src/daily/data/x.csv.gz",
		"s3://copy/inv/src/daily/2026-11-23T01-00Z/../data/x.csv.gz"}
	if !slices.Equal(got[:3], want) {
		t.Errorf("%v", got)
	}
	if n := normal(got[2]); n != "s3://copy/inv/src/daily/data/x.csv.gz" {
		t.Errorf("%s", n)
	}
}

// A row that does not tell whether it is the latest version is not taken for an
// old one, which a job passes over.
func TestUntoldLatestIsNotOld(t *testing.T) {
	for _, format := range formats {
		for _, untold := range []record{
			{"Bucket": "src", "Key": "k", "VersionId": "v", "IsLatest": "", "Size": "1"},
			{"Bucket": "src", "Key": "k", "VersionId": "", "IsLatest": "", "Size": "1"},
		} {
			cols := []string{"Bucket", "Key", "VersionId", "IsLatest", "Size"}
			r := newReport(t, format, cols, encode(t, format, cols, []record{untold}))
			if o := read(t, open(t, r.uri, Options{})).byKey()["k"]; o.Key != "k" || o.Noncurrent {
				t.Errorf("%s: %+v", format, o)
			}
		}
	}
}
