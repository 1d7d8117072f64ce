package inventory

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Buckets is the Storage of what lies in S3.
type Buckets struct {
	Store interface {
		// Open streams an object; its errors are *object.Error.
		Open(ctx context.Context, ref object.Ref, key object.CustomerKey, etag string) (io.ReadCloser, error)
		ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error)
	}
}

func ref(uri string) (object.Ref, error) {
	bucket, key, ok := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !Remote(uri) || bucket == "" || !ok {
		return object.Ref{}, fmt.Errorf("%q is no s3://BUCKET/KEY", uri)
	}
	return object.Ref{Bucket: bucket, Key: key}, nil
}

// Open streams an object.
func (b Buckets) Open(ctx context.Context, uri string) (io.ReadCloser, int64, error) {
	r, err := ref(uri)
	if err != nil {
		return nil, 0, err
	}
	body, err := b.Store.Open(ctx, r, object.CustomerKey{}, "")
	if err != nil {
		return nil, 0, absent(err)
	}
	return body, -1, nil
}

// maxFolders bounds what is listed of one folder: a daily report for 27 years.
const maxFolders = 10_000

// Folders lists the folders below a prefix.
func (b Buckets) Folders(ctx context.Context, uri string) (names []string, err error) {
	r, err := ref(uri)
	if err != nil {
		return nil, err
	}
	q := object.ListRequest{Bucket: r.Bucket, Prefix: r.Key, Delimiter: "/"}
	var been object.Trail
	for {
		page, err := b.Store.ListPage(ctx, q)
		if err != nil {
			return nil, absent(err)
		}
		for _, p := range page.Prefixes {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(p, r.Key), "/"))
		}
		if !page.Truncated || len(page.Prefixes)+len(page.Objects) == 0 {
			return names, nil
		}
		if been.Back(page.NextToken) || len(names) > maxFolders {
			return nil, fmt.Errorf("listing %s: it does not come to an end; name the manifest.json itself", uri)
		}
		q.ContinuationToken = page.NextToken
	}
}

// absent lets the store's "there is none" be recognized, with its words kept.
func absent(err error) error {
	switch object.ClassOf(err) {
	case object.ClassGone, object.ClassNoBucket:
		return &absentError{err}
	}
	return err
}

type absentError struct{ err error }

func (e *absentError) Error() string   { return e.err.Error() }
func (e *absentError) Unwrap() []error { return []error{e.err, fs.ErrNotExist} }
