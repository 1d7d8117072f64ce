package s3store

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/resealhq/reseal/engine/object"
)

// fileBody is a body that is read from where it lies.
type fileBody struct {
	io.Reader
	size   int64
	sha256 string
}

// PutFile writes an object of size bytes from r, under SSE-S3, whatever the bucket's
// default is. The store shows that it is, and the ETag is the MD5 of the bytes. Sent
// again it has the same effect.
func (s *Store) PutFile(ctx context.Context, ref object.Ref, r io.ReaderAt, size int64) (etag string, err error) {
	m, h := md5.New(), sha256.New()
	if n, err := io.Copy(io.MultiWriter(m, h), io.NewSectionReader(r, 0, size)); err != nil || n != size {
		return "", errors.Join(fmt.Errorf("reading what is to be written to %s: %d of %d bytes", ref, n, size), err)
	}
	sum := m.Sum(nil)
	q := newRequest("PutObject", http.MethodPut, ref)
	q.ref.VersionID = ""
	q.header.Set("Content-Type", "text/csv")
	q.header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum))
	q.header.Set("X-Amz-Server-Side-Encryption", "AES256")
	q.file = &fileBody{io.NewSectionReader(r, 0, size), size, hex.EncodeToString(h.Sum(nil))}
	rep, etag, err := s.wrote(ctx, q)
	switch {
	case err != nil:
		return "", err
	case EncryptionOf(rep.header.Get, false).Type != object.SSES3:
		return "", q.fail(rep, object.ClassUnproved, "the answer does not show that the object is under SSE-S3")
	case etag != hex.EncodeToString(sum):
		return "", q.fail(rep, object.ClassUnproved, "the ETag of what was written is not the MD5 of its bytes")
	}
	return etag, nil
}
