package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner/inventory"
	"github.com/resealhq/reseal/planner/manifest"
)

// openManifest opens what --manifest names, and freezes which file that was:
// "the newest report" is another one tomorrow.
func (s *session) openManifest(ctx context.Context) (err error) {
	src := &s.order.spec.Source
	uri := firstNonEmpty(src.Opened, src.Manifest)
	if uri != manifest.Stdin && !inventory.Remote(uri) {
		if uri, err = filepath.Abs(uri); err != nil {
			return unusableBecause(err, "--manifest "+src.Manifest, "name it by its full path")
		}
	}
	if s.job == nil { // a list that an order left behind that became no job is not this one's
		if err := os.Remove(filepath.Join(s.dir, manifest.Spooled)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unusableBecause(err, "the job directory "+s.dir, "name a directory that you can write to")
		}
	}
	s.manifest, err = manifest.Open(ctx, manifest.Options{URI: uri, Format: manifest.Format(src.ManifestFormat), Bucket: src.Bucket,
		S3: bucketFiles{s.store}, Stdin: s.a.stdin, SpoolDir: s.dir, TempDir: os.TempDir(), AllVersions: s.order.spec.Selection.Versions == "all"})
	if err != nil {
		return err
	}
	src.Opened = s.manifest.URI
	s.log.Info("manifest opened", "uri", s.manifest.URI, "what", s.manifest.What, "bucket", s.manifest.Bucket())
	return nil
}

// bucketFiles reads manifests and their files from buckets.
type bucketFiles struct{ store *s3store.Store }

// Open streams one object.
func (b bucketFiles) Open(ctx context.Context, uri string) (io.ReadCloser, int64, error) {
	bucket, key, err := parseS3URI("manifest", uri)
	if err != nil {
		return nil, 0, err
	}
	body, err := b.store.Open(ctx, object.Ref{Bucket: bucket, Key: key}, object.CustomerKey{}, "")
	if object.ClassOf(err) == object.ClassGone {
		return nil, 0, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return body, -1, err
}

// Folders lists the folders below one.
func (b bucketFiles) Folders(ctx context.Context, uri string) (names []string, err error) {
	bucket, prefix, err := parseS3URI("manifest", uri)
	if err != nil {
		return nil, err
	}
	q := object.ListRequest{Bucket: bucket, Prefix: prefix, Delimiter: "/"}
	for {
		page, err := b.store.ListPage(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Prefixes {
			names = append(names, p[len(prefix):len(p)-1])
		}
		if !page.Truncated || page.NextToken == "" {
			return names, nil
		}
		q.ContinuationToken = page.NextToken
	}
}
