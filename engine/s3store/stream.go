package s3store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// ReadRange fills r.Into with the bytes of an object from r.First on, on the condition
// that it is the one that has r.ETag. A reply that does not say that it is this stretch
// of an object of this size is an error: what it brings would become another object's.
func (s *Store) ReadRange(ctx context.Context, g *object.RangeRequest) error {
	if len(g.Into) == 0 {
		return nil
	}
	r := newRequest("GetObject", http.MethodGet, g.Ref).version()
	r.customerKey("", g.Key)
	r.header.Set("If-Match", quote(g.ETag))
	last := g.First + int64(len(g.Into)) - 1
	r.header.Set("Range", fmt.Sprintf("bytes=%d-%d", g.First, last))
	resp, err := s.do(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	rep := &reply{status: resp.StatusCode, id: s.secrets.Clean(requestID(resp.Header.Get), object.MaxRequestID)}
	whole := resp.StatusCode == http.StatusOK && g.First == 0 && int64(len(g.Into)) == g.Size && resp.ContentLength == g.Size
	part := resp.StatusCode == http.StatusPartialContent && resp.Header.Get("Content-Range") == fmt.Sprintf("bytes %d-%d/%d", g.First, last, g.Size)
	switch {
	case resp.StatusCode == http.StatusOK && !whole:
		return r.fail(rep, object.ClassUnsupported, "the store does not read a part of an object")
	case !whole && !part, resp.Uncompressed:
		return r.fail(rep, object.ClassTransient, "the reply says success and is not the part that was asked for")
	case unquote(resp.Header.Get("Etag")) != g.ETag && !object.SealedETag(g.ETag): // which a reply shows opened
		return r.fail(rep, object.ClassChanged, "another client wrote the object meanwhile")
	}
	if _, err := io.ReadFull(resp.Body, g.Into); err != nil {
		return FailedToSend(r.op, g.Ref, ctx, err)
	}
	return nil
}

// SendPart sends one UploadPart. Sent again with the same bytes it has the same effect.
func (s *Store) SendPart(ctx context.Context, p *object.SendRequest) (object.CopyReply, error) {
	r := newRequest("UploadPart", http.MethodPut, p.Dest)
	r.ref.VersionID = ""
	r.query.Set("partNumber", strconv.Itoa(p.Number))
	r.query.Set("uploadId", p.UploadID)
	r.uploadKey(p.Target)
	if len(p.Body) > 0 {
		r.lent = lend(p.Body)
		defer r.lent.wait()
	}
	r.integrity(p.ChecksumAlgorithm, p.Checksum, p.Body)
	rep, etag, err := s.wrote(ctx, r)
	if err != nil {
		return object.CopyReply{}, err
	}
	return object.CopyReply{ETag: etag, RequestID: rep.id, Checksum: p.Checksum}, nil
}

// lentBody is a body that belongs to the caller again after the request. The transport
// may go on reading it when it has answered already, and closes it when it does not.
type lentBody struct {
	*bytes.Reader
	sha256 string
	sent   bool
	once   sync.Once
	closed chan struct{}
}

func lend(b []byte) *lentBody {
	sum := sha256.Sum256(b)
	return &lentBody{Reader: bytes.NewReader(b), sha256: hex.EncodeToString(sum[:]), closed: make(chan struct{})}
}

// Close is called by the transport.
func (b *lentBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// wait returns when nobody reads the bytes any more.
func (b *lentBody) wait() {
	if b.sent {
		<-b.closed
	}
}
