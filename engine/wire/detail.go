package wire

import (
	"bytes"
	"context"
	"errors"

	"github.com/resealhq/reseal/engine/object"
)

// DetailRequest is a GET of what an object has beside its bytes.
type DetailRequest struct {
	Op  string // S3's name of it
	Ref object.Ref
	// Sub is the sub-resource: tagging, acl, retention … Its name sorts before versionId.
	Sub string
}

// DetailReply is the answer, which says success. What its body means is for the caller
// to read, as far as it can be believed. One with an ETag is the object itself, sent by
// a store that does not know the sub-resource, and has no body here.
type DetailReply struct {
	Status          int
	Body            []byte
	ETag, RequestID string
}

// Detail sends one.
func (c *Client) Detail(ctx context.Context, r DetailRequest) (DetailReply, error) {
	x := exchange{c: c, op: r.Op, ref: r.Ref, hash: c.hash(r.Ref.Key), silence: c.opt.HeadTimeout, idempotent: true, detail: true}
	var out DetailReply
	err := x.do(ctx, func(q *request, h *host) { c.buildDetail(q, h, &r) }, func(_ *conn, rep *reply) error {
		out = DetailReply{Status: rep.status, Body: bytes.Clone(rep.body), ETag: rep.header("etag"), RequestID: string(rep.id())}
		return nil
	})
	var e *object.Error
	if errors.Is(err, errTooLong) && errors.As(err, &e) {
		e.Class = object.ClassOther // asked again it is as long
	}
	return out, err
}

// buildDetail: versionId comes last, in which order the query is signed.
func (c *Client) buildDetail(q *request, h *host, r *DetailRequest) {
	q.reset("GET")
	q.setPath(h, r.Ref.Key)
	q.param(r.Sub, "")
	if r.Ref.VersionID != "" {
		q.param("versionId", r.Ref.VersionID)
	}
	c.addBucketHeaders(q, r.Ref.Bucket, "")
}
