package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Client sends the hot requests. It is safe for concurrent use and implements
// store.Hot.
type Client struct {
	opt     Options
	tls     *tls.Config
	hosts   atomic.Pointer[map[string]*host]
	hostsMu sync.Mutex
	seed    maphash.Seed
	dials   atomic.Int64
	// secrets are those that were sent.
	secrets object.Secrets
}

// New checks the options and makes a client. It connects to nothing yet.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	c := &Client{opt: o, seed: maphash.MakeSeed()}
	c.tls = &tls.Config{}
	if o.TLS != nil {
		c.tls = o.TLS.Clone()
	}
	c.tls.NextProtos = []string{"http/1.1"}
	if c.tls.ClientSessionCache == nil {
		c.tls.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	}
	c.hosts.Store(&map[string]*host{})
	return c, nil
}

// Close closes the unused connections. Requests in flight finish.
func (c *Client) Close() {
	for _, h := range *c.hosts.Load() {
		h.pool.drain()
	}
}

// Dials is how many connections were opened so far.
func (c *Client) Dials() int64 { return c.dials.Load() }

// Head sends HeadObject. It asks for checksums, and once more without where that is
// refused: S3 wants kms:Decrypt for them, and some stores do not know the question.
func (c *Client) Head(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.Head, error) {
	head, err := c.head(ctx, ref, key, !c.opt.NoChecksums)
	if !c.opt.NoChecksums && object.RefusesChecksums(err) {
		head, err = c.head(ctx, ref, key, false)
		head.ChecksumsUntold = true
	}
	return head, err
}

func (c *Client) head(ctx context.Context, ref object.Ref, key object.CustomerKey, checksums bool) (object.Head, error) {
	x := exchange{c: c, op: "HeadObject", ref: ref, hash: c.hash(ref.Key), silence: c.opt.HeadTimeout,
		idempotent: true, customer: key}
	var head object.Head
	err := x.do(ctx, func(q *request, h *host) { c.buildRead(q, h, "HEAD", ref, key, checksums) },
		func(k *conn, r *reply) error { return k.parseHead(r, ref, &head) })
	return head, err
}

// Copy sends CopyObject.
func (c *Client) Copy(ctx context.Context, r *object.CopyRequest) (object.CopyReply, error) {
	x := exchange{c: c, op: "CopyObject", ref: current(r.Dest), hash: c.hash(r.Source.Key), silence: c.opt.CopyTimeout}
	x.asksFor(r.Target)
	var out object.CopyReply
	err := x.do(ctx, func(q *request, h *host) { c.buildCopy(q, h, r) },
		func(k *conn, rep *reply) error { return k.parseCopy(rep, "CopyObjectResult", &out) })
	return out, err
}

// Update sends UpdateObjectEncryption. Call it only where it was seen to work:
// most stores but AWS take it for a PutObject and replace the object by the
// request.
func (c *Client) Update(ctx context.Context, ref object.Ref, t *object.Target) (requestID string, err error) {
	x := exchange{c: c, op: "UpdateObjectEncryption", ref: ref, hash: c.hash(ref.Key), silence: c.opt.CopyTimeout}
	if t.SSE != object.SSEKMS {
		return "", x.notSent(object.ClassInvalid, errUpdateTarget, "")
	}
	x.asksFor(t)
	err = x.do(ctx, func(q *request, h *host) { c.buildUpdate(q, h, ref, t) },
		func(k *conn, r *reply) error {
			requestID = string(r.id())
			return nil
		})
	return requestID, err
}

// CopyPart sends UploadPartCopy.
func (c *Client) CopyPart(ctx context.Context, r *object.PartRequest) (object.CopyReply, error) {
	x := exchange{c: c, op: "UploadPartCopy", ref: current(r.Dest), hash: c.hash(r.Source.Key) + uint64(r.Number),
		silence: c.opt.CopyTimeout}
	x.asksFor(r.Target)
	var out object.CopyReply
	err := x.do(ctx, func(q *request, h *host) { c.buildPart(q, h, r) },
		func(k *conn, rep *reply) error { return k.parseCopy(rep, "CopyPartResult", &out) })
	return out, err
}

var errUpdateTarget = errors.New("only SSE-KMS can be the target of UpdateObjectEncryption")

// current drops the version: a copy always writes the current one.
func current(ref object.Ref) object.Ref {
	ref.VersionID = ""
	return ref
}

// hash picks the shard of a key's connections.
func (c *Client) hash(key string) uint64 { return maphash.String(c.seed, key) }

// now is the signing time and the time for deadlines; they differ in tests only.
func (c *Client) now() (signing, wall time.Time) {
	wall = time.Now()
	if c.opt.Now == nil {
		return wall, wall
	}
	return c.opt.Now(), wall
}
