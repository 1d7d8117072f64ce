package inventory

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// drain reads rows to their end and asserts what holds for every row, whatever
// the bytes are.
func drain(t *testing.T, s *Source, open func() (rowReader, error)) {
	count := func(skip uint64) (n uint64, err error) {
		err = guarded(func() error {
			r, err := open()
			if err != nil {
				return err
			}
			if err := r.skip(skip); err != nil {
				return err
			}
			var o object.Object
			for {
				ok, err := r.next(&o)
				if err != nil {
					return endOK(err)
				}
				n++
				if ok && (o.Bucket != s.bucket || o.Key == "" || o.DeleteMarker || o.Size < -1) {
					t.Fatalf("a row of nothing: %+v", o)
				}
			}
		})
		return n, err
	}
	n, err := count(0)
	if err != nil || n == 0 {
		return
	}
	if rest, err := count(n / 2); err != nil || rest != n-n/2 {
		t.Fatalf("%d rows behind the first %d of %d, %v", rest, n/2, n, err)
	}
}

func FuzzCSV(f *testing.F) {
	cols := []string{"Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "EncryptionStatus"}
	f.Add([]byte("src,a+b%20c,,true,false,1,2024-11-05T08:15:30.000Z,SSE-S3\n"))
	f.Add([]byte("\"src\",\"a\",,true,true,,,\r\n"))
	sch, err := newSchema(cols)
	if err != nil {
		f.Fatal(err)
	}
	s := &Source{bucket: "src", schema: sch, format: CSV}
	f.Fuzz(func(t *testing.T, in []byte) {
		drain(t, s, func() (rowReader, error) { return s.csvRows(io.LimitReader(bytes.NewReader(in), 1<<20)) })
	})
}

func FuzzParquet(f *testing.F) {
	// Small: the engine of the fuzzer minimizes what is new before it goes on.
	rows := oddRecords()[:3]
	f.Add(writeParquet(f, []string{"Bucket", "Key", "Size", "IsLatest", "LastModifiedDate"}, rows, 2))
	f.Add(writeParquet(f, []string{"Bucket", "Key"}, rows, 100))
	s := &Source{bucket: "src", format: Parquet}
	f.Fuzz(func(t *testing.T, in []byte) {
		drain(t, s, func() (rowReader, error) { return s.parquetRows(bytes.NewReader(in), int64(len(in)), nil) })
	})
}

func FuzzORC(f *testing.F) {
	rows := oddRecords()[:3]
	f.Add(writeORC(f, []string{"Bucket", "Key", "Size", "IsLatest", "LastModifiedDate"}, rows, 2))
	f.Add(writeORC(f, []string{"Bucket", "Key"}, rows, 100))
	s := &Source{bucket: "src", format: ORC}
	f.Fuzz(func(t *testing.T, in []byte) {
		drain(t, s, func() (rowReader, error) { return s.orcRows(bytes.NewReader(in), int64(len(in))) })
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"sourceBucket":"src","destinationBucket":"arn:aws:s3:::inv","version":"2016-11-30","creationTimestamp":"1514944800000",
"fileFormat":"CSV","fileSchema":"Bucket, Key, Size","files":[{"key":"data/x.csv.gz","size":1,"MD5checksum":"f11166069f1990abeb9c97ace9cdfabc"}]}`))
	f.Add([]byte(`{"files":[]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := parseManifest("s3://b/p/manifest.json", in)
		if err != nil {
			if !errors.As(err, new(*planner.UnusableError)) {
				t.Fatalf("%v is no fault of the manifest", err)
			}
			return
		}
		if s.bucket == "" || s.format == CSV && (s.schema == nil || !s.schema.has[colKey] || !s.schema.has[colBucket]) {
			t.Fatalf("%+v", s)
		}
		for _, f := range s.files {
			if f.key == "" || len(f.md5) != 32 || len(s.placesOf(&f)) == 0 {
				t.Fatalf("%+v", f)
			}
		}
	})
}
