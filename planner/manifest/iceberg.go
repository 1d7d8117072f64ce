package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/inventory"
)

// Tables is an Iceberg catalog: it tells the metadata.json of a table in a table bucket of
// S3 Tables, which its ARN names. Errors are *object.Error.
type Tables interface {
	LoadTable(ctx context.Context, bucket, namespace, name string) ([]byte, error)
}

const (
	tableScheme = "s3tables://"
	snapshotKey = "?snapshot="
	wantTable   = "name it as s3tables://ARN-OF-THE-TABLE-BUCKET/NAMESPACE/TABLE; S3 Metadata's is s3tables://arn:aws:s3tables:REGION:ACCOUNT:bucket/aws-s3/b_BUCKET/inventory"
)

// IsTable says whether a URI names a table of a catalog.
func IsTable(uri string) bool { return strings.HasPrefix(uri, tableScheme) }

var (
	tableURI    = regexp.MustCompile(`^s3tables://(arn:[a-z-]+:s3tables:[a-z0-9-]+:\d{12}:bucket/[a-z0-9-]+)/([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)$`)
	ofSnapshot  = regexp.MustCompile(`^(.*)\?snapshot=(\d{1,19})$`)
	maxMetadata = int64(256 << 20) // bytes
)

// TableOf takes the URI of a table apart: the ARN of its table bucket, namespace and name.
func TableOf(uri string) (bucket, namespace, name string, err error) {
	plain, _ := snapshotOf(uri)
	part := tableURI.FindStringSubmatch(plain)
	if part == nil {
		return "", "", "", &planner.UnusableError{Where: uri, What: "this names no table of S3 Tables", Fix: wantTable}
	}
	return part[1], part[2], part[3], nil
}

// snapshotOf is the snapshot that a URI names, 0 for the current one.
func snapshotOf(uri string) (plain string, snapshot int64) {
	if m := ofSnapshot.FindStringSubmatch(uri); m != nil {
		if n, err := strconv.ParseInt(m[2], 10, 64); err == nil && n > 0 {
			return m[1], n
		}
	}
	return uri, 0
}

// tableOfCatalog opens what a catalog tells.
func (o *Options) tableOfCatalog(ctx context.Context) (*Opened, error) {
	bucket, namespace, name, err := TableOf(o.URI)
	if err != nil {
		return nil, err
	}
	if o.Tables == nil {
		return nil, fmt.Errorf("%s: no connection to a catalog was set up", o.URI)
	}
	data, err := o.Tables.LoadTable(ctx, bucket, namespace, name)
	if object.ClassOf(err) == object.ClassGone {
		return nil, &planner.UnusableError{Where: o.URI, What: "there is no such table", Err: err, Fix: wantTable}
	}
	if err != nil {
		return nil, err
	}
	return o.iceberg(ctx, data)
}

// tableOfFile opens a table by its metadata.json.
func (o *Options) tableOfFile(ctx context.Context, open func(context.Context) (io.ReadCloser, error)) (*Opened, error) {
	r, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.URI, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxMetadata+1))
	if err == nil && int64(len(data)) > maxMetadata {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.URI, err)
	}
	return o.iceberg(ctx, data)
}

// iceberg opens one snapshot, and names it in the URI: a job that goes on tomorrow reads the
// same one.
func (o *Options) iceberg(ctx context.Context, metadata []byte) (*Opened, error) {
	if o.Format != Auto && o.Format != Inventory {
		return nil, &planner.UnusableError{Where: o.URI, What: fmt.Sprintf("this is a table of Iceberg, and --manifest-format says %s", o.Format), Fix: "leave --manifest-format out"}
	}
	plain, snapshot := snapshotOf(o.URI)
	s, err := inventory.OpenIceberg(ctx, inventory.Where{S3: o.S3}, plain, metadata, snapshot, o.forInventory())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &planner.UnusableError{Where: o.URI, What: "a file of the table is missing", Err: err, Fix: "its snapshot may be gone: begin again with the current one"}
	}
	if err != nil {
		return nil, err
	}
	if len(o.Files) > 0 {
		if err := s.Only(o.Files); err != nil {
			return nil, err
		}
	}
	n, _ := s.Files()
	what := fmt.Sprintf("live inventory of S3 Metadata, snapshot of %s, %s", s.Created().Format("2006-01-02T15:04Z"), english.Plural(n, "Parquet file", ""))
	return o.opened(s, plain+snapshotKey+strconv.FormatInt(s.Snapshot(), 10), what, Inventory)
}
