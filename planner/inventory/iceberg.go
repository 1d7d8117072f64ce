package inventory

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/iceberg"
)

const wantIceberg = "give the table as Athena exports it (UNLOAD), or use a newer reseal"

// OpenIceberg opens one snapshot of the live inventory of S3 Metadata, which is a table of
// Apache Iceberg, by its metadata.json; the current one where snapshot is 0. What was said
// of OpenTable is true of it too. Rows that the table holds as deleted are not given out.
func OpenIceberg(ctx context.Context, st Storage, uri string, metadata []byte, snapshot int64, opt Options) (*Source, error) {
	where := tableFiles{st, Remote(uri) || strings.HasPrefix(uri, "s3tables:")}
	t, err := iceberg.Load(ctx, metadata, snapshot, func(ctx context.Context, uri string) (io.ReadCloser, error) {
		r, _, err := where.Open(ctx, uri)
		return r, err
	})
	bad := func(err error) error {
		if ctx.Err() != nil || object.ClassOf(err) != object.ClassOther || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if u, ok := errors.AsType[*planner.UnusableError](err); ok { // of one of its files
			return &planner.UnusableError{Where: uri, What: u.Where + ": " + u.What, Err: u.Err, Fix: u.Fix}
		}
		return &planner.UnusableError{Where: uri, What: "this table cannot be read", Err: err, Fix: wantIceberg}
	}
	if err != nil {
		return nil, bad(err)
	}
	sum := md5.Sum(fmt.Appendf(nil, "%s %d", uri, t.Snapshot))
	s := &Source{uri: uri, storage: where, opt: opt, format: Parquet, table: true, created: t.Created, digest: hex.EncodeToString(sum[:]),
		names: map[int]string{}, snapshot: t.Snapshot}
	for _, f := range t.Fields {
		s.names[f.ID] = f.Name
	}
	d := newDeletionReader(s, t)
	for i := range t.Files {
		f := &t.Files[i]
		one := file{key: f.Path, size: f.Size, uris: []string{f.Path}}
		if one.deleted, err = d.of(ctx, f); err != nil {
			return nil, bad(err)
		}
		s.files = append(s.files, one)
	}
	return s, s.bucketOfTable(ctx, t)
}

// bucketOfTable takes the bucket from the first row that there is.
func (s *Source) bucketOfTable(ctx context.Context, t *iceberg.Table) error {
	for i := range s.files {
		if t.Files[i].Rows == 0 {
			continue
		}
		var o object.Object
		err := s.open(ctx, &s.files[i], func(r rowReader) error {
			_, err := r.next(&o)
			return err
		})
		s.bucket = o.Bucket
		return err
	}
	return &planner.UnusableError{Where: s.uri, What: "the table has no rows, so it names no bucket", Fix: "wait until S3 Metadata has filled it"}
}

// Snapshot is the number of the snapshot that is read, of a table of Iceberg; 0 else.
func (s *Source) Snapshot() int64 { return s.snapshot }

// tableFiles are the files that a table names. One in a bucket leads to nothing on disk.
type tableFiles struct {
	Storage
	remote bool
}

// Tables of Hadoop name buckets and the disk by schemes of their own.
func (t tableFiles) Open(ctx context.Context, uri string) (io.ReadCloser, int64, error) {
	at := uri
	for _, scheme := range []string{"s3a://", "s3n://"} {
		if rest, ok := strings.CutPrefix(uri, scheme); ok {
			at = "s3://" + rest
		}
	}
	switch {
	case Remote(at):
	case t.remote:
		return nil, 0, &planner.UnusableError{Where: uri, What: "the table names this file, which lies in no bucket", Fix: "do not use this table"}
	case !strings.HasPrefix(at, "file:") && strings.Contains(at, "://"):
		return nil, 0, &planner.UnusableError{Where: uri, What: "the table names this file, which lies neither in a bucket nor on this disk", Fix: wantIceberg}
	default:
		at = strings.TrimPrefix(strings.TrimPrefix(at, "file:"), "//")
	}
	return t.Storage.Open(ctx, at)
}

// nameOf is what the table calls a column of one of its files, by its ID; of other sources
// the name that stands there.
func (s *Source) nameOf(c *parquet.Column) (string, error) {
	if s.names == nil {
		return c.Name(), nil
	}
	if c.ID() <= 0 {
		return "", fmt.Errorf("its column %q has no ID, by which the table would know it", c.Name())
	}
	if name, ok := s.names[c.ID()]; ok {
		return name, nil
	}
	return dropped, nil
}
