package s3store

import (
	"context"
	"io"
	"net/http"

	"github.com/resealhq/reseal/engine/object"
)

// Open streams an object's bytes, on the condition that its ETag is etag where
// one is given. The reader's errors are *object.Error too.
func (s *Store) Open(ctx context.Context, ref object.Ref, key object.CustomerKey, etag string) (io.ReadCloser, error) {
	r := newRequest("GetObject", http.MethodGet, ref).version()
	r.customerKey("", key)
	if etag != "" {
		r.header.Set("If-Match", quote(etag))
	}
	resp, err := s.do(ctx, r)
	if err != nil {
		return nil, err
	}
	return &stream{body: resp.Body, ctx: ctx, ref: ref, left: resp.ContentLength}, nil
}

// stream is a body that notices when it ends before its announced length.
type stream struct {
	body io.ReadCloser
	ctx  context.Context // of the one request that this is the answer of
	ref  object.Ref
	left int64 // -1 where not announced
}

func (b *stream) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	switch {
	case err == io.EOF && b.left > 0:
		err = FailedToSend("GetObject", b.ref, b.ctx, io.ErrUnexpectedEOF)
	case err != nil && err != io.EOF:
		err = FailedToSend("GetObject", b.ref, b.ctx, err)
	}
	return n, err
}

func (b *stream) Close() error { return b.body.Close() }
