package inventory

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/csvline"
)

// Opener gives the content of one file from its beginning.
type Opener func(context.Context) (io.ReadCloser, error)

// single is the Storage of a table, which is one file.
type single struct{ open Opener }

func (s single) Open(ctx context.Context, _ string) (io.ReadCloser, int64, error) {
	r, err := s.open(ctx)
	return r, -1, err
}

func (single) Folders(context.Context, string) ([]string, error) { return nil, fs.ErrNotExist }

// IsTable says whether a file that begins so, decompressed, is a table of the live
// inventory of S3 Metadata: Parquet, or CSV whose first line names columns, the
// KMS key among them.
func IsTable(head []byte) bool {
	if isParquet(head) {
		return true
	}
	fields, err := csvline.NewReader(bytes.NewReader(bytes.Clone(head))).Next()
	if err != nil {
		return false
	}
	sch, err := newSchema(texts(fields))
	return err == nil && sch.has[colKMSKey]
}

func isParquet(head []byte) bool { return bytes.HasPrefix(head, []byte("PAR1")) }

func texts(fields [][]byte) []string {
	s := make([]string, len(fields))
	for i, f := range fields {
		s[i] = string(f)
	}
	return s
}

const wantTable = "give one file that Athena wrote of the live inventory of S3 Metadata: Parquet by UNLOAD, or the CSV of a query, with the columns bucket and key"

// OpenTable opens what Athena wrote of the live inventory of S3 Metadata: one
// Parquet file, or CSV, compressed or not, whose first line names the columns. Keys
// stand in it as they are. It is the only bulk listing that names the KMS key, so
// that a row settles what is done with its object; a row that is older than the
// object has another ETag, and every operation is sent on the condition of the
// row's. It is read once here, so that a resumed job knows it again.
//
// There is no column that tells the latest version. A row that names a version
// means that one; one that names none means the current version.
func OpenTable(ctx context.Context, open Opener, uri string, opt Options) (*Source, error) {
	s := &Source{uri: uri, storage: single{open}, opt: opt, format: CSV, table: true}
	size, err := s.identify(ctx, open)
	if err != nil {
		return nil, err
	}
	s.files = []file{{key: path.Base(uri), size: size, md5: s.digest, uris: []string{uri}}}
	r, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", uri, err)
	}
	defer r.Close()
	var o object.Object
	err = guarded(func() error { return s.first(ctx, r, &o) })
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == io.EOF:
		return nil, &planner.UnusableError{Where: uri, What: "it has no rows, so it names no bucket", Fix: wantTable}
	case err != nil:
		return nil, &planner.UnusableError{Where: uri, What: "its first row", Err: err, Fix: wantTable}
	}
	s.bucket = o.Bucket
	return s, nil
}

// identify reads the file for its digest, and finds out its format.
func (s *Source) identify(ctx context.Context, open Opener) (size int64, err error) {
	r, err := open(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", s.uri, err)
	}
	defer r.Close()
	sum := newHashing(ctx, r)
	in := bufio.NewReaderSize(sum, 256<<10)
	if head, _ := in.Peek(4); isParquet(head) {
		s.format = Parquet
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return 0, fmt.Errorf("reading %s: %w", s.uri, err)
	}
	s.digest = hex.EncodeToString(sum.h.Sum(nil))
	return sum.n, nil
}

// first reads the names of the columns and the first row, which tells the bucket.
func (s *Source) first(ctx context.Context, r io.Reader, o *object.Object) error {
	if s.format == CSV {
		if err := s.header(ctx); err != nil {
			return err
		}
		rows, err := s.csvRows(r)
		if err != nil {
			return err
		}
		_, err = rows.next(o)
		return err
	}
	f, err := s.local(r, newHashing(ctx, r))
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := s.columnRows(f, &s.files[0])
	if err == nil {
		_, err = rows.next(o)
	}
	return err
}

// header reads the first line of a CSV file.
func (s *Source) header(ctx context.Context) error {
	r, _, err := s.storage.Open(ctx, s.uri)
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := unzip(ctx, r)
	if err != nil {
		return err
	}
	fields, err := csvline.NewReader(text).Next()
	if err != nil {
		return errors.Join(errors.New("it has no first line of names"), err)
	}
	s.schema, err = newSchema(texts(fields))
	return err
}
