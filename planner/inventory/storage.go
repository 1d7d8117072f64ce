package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Storage is where manifests and their files lie. URIs are s3://bucket/key or
// paths; an error for what is not there wraps fs.ErrNotExist. Safe for
// concurrent use.
type Storage interface {
	// Open streams a file. The size is -1 where it is not known.
	Open(ctx context.Context, uri string) (r io.ReadCloser, size int64, err error)
	// Folders names the folders directly below the one that uri names (it ends in
	// a slash), without their slashes.
	Folders(ctx context.Context, uri string) ([]string, error)
}

// Disk is the Storage of local paths. The zero value is ready.
type Disk struct{}

// Open opens a file; the reader is an *os.File.
func (Disk) Open(_ context.Context, uri string) (io.ReadCloser, int64, error) {
	f, err := os.Open(uri)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = fmt.Errorf("%s is a folder", uri)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

// Folders names the folders below a path.
func (Disk) Folders(_ context.Context, uri string) ([]string, error) {
	entries, err := os.ReadDir(uri)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Remote says whether a URI lies in a bucket.
func Remote(uri string) bool { return strings.HasPrefix(uri, "s3://") }

// Where is the Storage of both kinds of URIs: S3 of those that begin with s3://,
// the disk of the rest.
type Where struct{ S3 Storage }

func (w Where) of(uri string) (Storage, error) {
	if !Remote(uri) {
		return Disk{}, nil
	}
	if w.S3 == nil {
		return nil, fmt.Errorf("%s: no connection to S3 was set up", uri)
	}
	return w.S3, nil
}

// Open opens a file of either kind.
func (w Where) Open(ctx context.Context, uri string) (io.ReadCloser, int64, error) {
	s, err := w.of(uri)
	if err != nil {
		return nil, 0, err
	}
	return s.Open(ctx, uri)
}

// Folders names the folders of either kind.
func (w Where) Folders(ctx context.Context, uri string) ([]string, error) {
	s, err := w.of(uri)
	if err != nil {
		return nil, err
	}
	return s.Folders(ctx, uri)
}

// folder is the URI of the folder that a file lies in, with its slash.
func folder(uri string) string {
	i := strings.LastIndexByte(uri, '/')
	if !Remote(uri) {
		i = max(i, strings.LastIndexByte(uri, filepath.Separator))
	}
	return uri[:i+1]
}

// places are the URIs at which a file of the manifest may lie, the likeliest
// first: in the bucket that the manifest names, or beside the manifest, where
// somebody has copied both.
func places(manifestURI, destBucket, key string) []string {
	at := folder(manifestURI)
	name := path.Base(key)
	var uris []string
	if Remote(manifestURI) {
		own, _, _ := strings.Cut(strings.TrimPrefix(manifestURI, "s3://"), "/")
		uris = append(uris, "s3://"+destBucket+"/"+key)
		if own != destBucket {
			uris = append(uris, "s3://"+own+"/"+key)
		}
	} else {
		// Below the folder that stands for the bucket, which is an ancestor of the
		// manifest if the layout was kept.
		dir := filepath.Clean(filepath.Join(at, "."))
		for range 32 {
			uris = append(uris, filepath.Join(dir, filepath.FromSlash(key)))
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return append(uris, at+"../data/"+name, at+"data/"+name, at+name)
}

// placesOf are those of one file. A report of a million files has ten million, so that
// nobody keeps them.
func (s *Source) placesOf(f *file) []string {
	if f.uris != nil {
		return f.uris
	}
	return places(s.uri, s.dest, f.key)
}

// openAny opens the first of the places that is there.
func openAny(ctx context.Context, s Storage, uris []string) (r io.ReadCloser, size int64, uri string, err error) {
	for _, uri := range uris {
		uri := normal(uri)
		r, size, err := s.Open(ctx, uri)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return r, size, uri, err
		}
	}
	return nil, 0, uris[0], fs.ErrNotExist
}

// normal resolves the .. of a place.
func normal(uri string) string {
	if !Remote(uri) {
		return filepath.Clean(uri)
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !strings.Contains(key, "../") {
		return uri
	}
	return "s3://" + bucket + "/" + strings.TrimPrefix(path.Clean("/"+key), "/")
}
