package wire

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// This file holds the two requests that carry an object's bytes through this
// process: a GET of what is small enough, and the PUT that writes it again.

// sink is where the bytes of a GET go.
type sink struct {
	buf []byte
	max int64
	// over: the object is larger than max; untold: the reply does not say where it
	// ends. Of neither was any byte read.
	over, untold bool
}

// Get sends GetObject for a whole object of at most r.Max bytes. Of a larger one
// the reply's Head is returned beside an error of ClassTooLarge. As Head does, it
// asks for checksums, and without them where that is refused.
func (c *Client) Get(ctx context.Context, r *object.GetRequest) (object.GetReply, error) {
	got, err := c.get(ctx, r, !c.opt.NoChecksums)
	if !c.opt.NoChecksums && object.RefusesChecksums(err) {
		got, err = c.get(ctx, r, false)
		got.ChecksumsUntold = true
	}
	return got, err
}

func (c *Client) get(ctx context.Context, r *object.GetRequest, checksums bool) (object.GetReply, error) {
	s := &sink{buf: r.Into[:0], max: r.Max}
	x := exchange{c: c, op: "GetObject", ref: r.Ref, hash: c.hash(r.Ref.Key), silence: c.opt.HeadTimeout,
		idempotent: true, customer: r.Key, sink: s}
	var out object.GetReply
	err := x.do(ctx, func(q *request, h *host) {
		c.buildRead(q, h, "GET", r.Ref, r.Key, checksums)
		if r.ETag != "" {
			q.addETag("if-match", r.ETag)
		}
	}, func(k *conn, rep *reply) error {
		if rep.status != http.StatusOK {
			return errPartial
		}
		return k.parseHead(rep, r.Ref, &out.Head)
	})
	switch {
	case err != nil:
		return out, err
	case s.untold:
		return out, x.useless(object.ClassUnsupported, &out, "the reply does not say how long the object is")
	case s.over:
		return out, x.useless(object.ClassTooLarge, &out, fmt.Sprintf("it has %d bytes, and %d are taken at most", out.Size, r.Max))
	}
	out.Body = s.buf
	return out, nil
}

var errPartial = errors.New("the reply says success and is not the whole object")

// useless is a success that brought no bytes.
func (x *exchange) useless(class object.Class, got *object.GetReply, message string) error {
	return &object.Error{Class: class, Op: x.op, Ref: x.ref, HTTPStatus: http.StatusOK, RequestID: got.RequestID, Message: message}
}

// readObject reads the bytes of an object straight to where they are wanted.
func (k *conn) readObject(r *reply) error {
	s := k.sink
	s.untold, s.over = r.chunked || r.length < 0, r.length > s.max
	if s.untold || s.over {
		r.reusable = false
		return nil
	}
	n := int(r.length)
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	s.buf = s.buf[:n]
	have := copy(s.buf, k.buf[k.r:k.w])
	k.r += have
	for have < n {
		if err := k.extend(time.Now()); err != nil {
			return err
		}
		m, err := k.Read(s.buf[have:])
		if have += m; err != nil && have < n {
			return unexpected(err)
		}
	}
	return nil
}

// Put sends PutObject with the bytes of r and all that r carries. A Put is never
// repeated here: with a condition a second one would meet the first.
func (c *Client) Put(ctx context.Context, r *object.PutRequest) (object.CopyReply, error) {
	x := exchange{c: c, op: "PutObject", ref: current(r.Dest), hash: c.hash(r.Dest.Key), silence: c.opt.CopyTimeout}
	x.asksFor(r.Target)
	var out object.CopyReply
	err := x.do(ctx, func(q *request, h *host) { c.buildPut(q, h, r) },
		func(k *conn, rep *reply) error { return k.parsePut(rep, &out) })
	return out, err
}

// buildPut fills q with a PutObject. The signature covers the bytes by their
// SHA-256; and since S3 wants a checksum or an MD5 wherever a lock may be written,
// also by the bucket's own rule, one of the two is always sent.
func (c *Client) buildPut(q *request, h *host, r *object.PutRequest) {
	q.reset("PUT")
	q.setPath(h, r.Dest.Key)
	q.data = r.Body
	q.addHeaders(r.Attributes)
	q.addTags(r.Attributes)
	q.addDest(&r.CopyRequest)
	if r.Checksum != "" && r.ChecksumAlgorithm != "" {
		q.add("x-amz-checksum-"+strings.ToLower(r.ChecksumAlgorithm), r.Checksum)
		if object.SDKsName(r.ChecksumAlgorithm) {
			q.add("x-amz-sdk-checksum-algorithm", r.ChecksumAlgorithm) // Ceph keeps what this names alone
		}
	} else {
		sum := md5.Sum(r.Body)
		q.begin("content-md5")
		q.vals = base64.StdEncoding.AppendEncode(q.vals, sum[:])
		q.end()
	}
	c.addBucketHeaders(q, r.Dest.Bucket, "")
}

// parsePut reads the reply to a PutObject: the proof is the ETag in its header.
func (k *conn) parsePut(r *reply, out *object.CopyReply) error {
	if err := k.written(r, r.get("etag"), out); err != nil {
		return err
	}
	for _, f := range r.fields {
		k.encryption(f, &out.Encryption)
		if v, ok := strings.CutPrefix(string(f.name), "x-amz-checksum-"); ok && v != "type" && v != "algorithm" {
			out.Checksum = string(f.value)
		}
	}
	return nil
}
