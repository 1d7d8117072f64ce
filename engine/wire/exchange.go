package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// exchange is one request and its reply.
type exchange struct {
	c       *Client
	op      string
	ref     object.Ref
	silence time.Duration
	limit   time.Time // the context's deadline
	signed  time.Time // by the clock that signatures go by
	hash    uint64
	kmsKey  string // that the store is asked to use
	// customer is the key that a HEAD carries.
	customer object.CustomerKey
	// sink takes the body of a GET.
	sink *sink
	// detail asks for a sub-resource.
	detail bool
	// idempotent requests change nothing, so one that met a connection which the
	// store had just closed may be sent again.
	idempotent bool
}

// do builds, signs and sends a request, reads the reply and lets parse look at
// it if it is a success. Every error is an *object.Error.
//
// A connection from the pool may have been closed by the store. The request goes
// on to the next one only if not one byte of it was written, or if it changes
// nothing and no byte of a reply came; else the caller has to ask the store.
func (x *exchange) do(ctx context.Context, build func(*request, *host), parse func(*conn, *reply) error) error {
	var below context.Context
	below, x.limit = limitOf(ctx)
	if err := x.over(ctx); err != nil {
		return x.ended(err)
	}
	h, err := x.c.host(ctx, x.ref.Bucket)
	if err != nil {
		return x.noHost(ctx, err)
	}
	for {
		signing, now := x.c.now()
		key, err := h.keys.get(ctx, signing)
		if err != nil {
			return x.noCredentials(ctx, err)
		}
		k, err := x.connect(ctx, h, now)
		if err != nil {
			return x.dialFailed(ctx, err)
		}
		again, err := x.send(ctx, below, k, h, key, signing, now, build, parse)
		if !again {
			return err
		}
	}
}

// connect takes a connection from the pool or opens one.
func (x *exchange) connect(ctx context.Context, h *host, now time.Time) (*conn, error) {
	for {
		k := h.pool.get(x.hash, now.Add(-x.c.opt.IdleTimeout))
		if k == nil {
			return x.c.dial(ctx, h)
		}
		// Between two requests of a busy worker no store closes a connection.
		if now.Sub(k.lastUsed) < time.Second || alive(k.Conn) {
			return k, nil
		}
		k.close()
	}
}

// limitOf is the context that can be cancelled and its deadline, zero for none.
// A context that has both apart says so: the one below it is then the same from
// request to request, and nothing has to be registered for each.
func limitOf(ctx context.Context) (context.Context, time.Time) {
	if l, ok := ctx.(interface {
		Limit() (context.Context, time.Time)
	}); ok {
		return l.Limit()
	}
	limit, _ := ctx.Deadline()
	return ctx, limit
}

// over says why the request must end, nil while it need not.
func (x *exchange) over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !x.limit.IsZero() && !time.Now().Before(x.limit) {
		return context.DeadlineExceeded
	}
	return nil
}

// send sends the request over one connection. again means that it can and
// should be sent over another one.
func (x *exchange) send(ctx, below context.Context, k *conn, h *host, key *signingKey, signing, now time.Time,
	build func(*request, *host), parse func(*conn, *reply) error) (again bool, err error) {
	keep := false
	defer func() {
		if !keep {
			k.close()
		}
	}()
	q := &k.req
	build(q, h)
	if q.err != nil {
		return false, x.notSent(object.ClassInvalid, q.err, "")
	}
	if q.secret && !h.tls {
		return false, x.notSent(object.ClassInvalid, errPlainKey, "use an https endpoint")
	}
	x.c.remember(q)
	q.sign(key, h, signing)
	x.signed = signing
	if err := k.begin(below, x.limit, x.silence, now); err != nil {
		return false, x.ended(err)
	}
	k.sink, k.detail = x.sink, x.detail
	if !x.idempotent { // at the very last: credentials, a connection and the processor were waited for
		if err := object.TooLate(ctx, x.op, x.ref); err != nil {
			return false, err
		}
	}
	if n, err := k.writeOut(now); err != nil {
		if n == 0 && !k.fresh && x.over(ctx) == nil {
			return true, nil
		}
		if r := k.earlyReply(err); r != nil {
			return false, x.judge(ctx, k, r, h, key, parse)
		}
		return false, x.broken(ctx, err, n == 0)
	}
	r, err := k.readReply(q.method)
	if err != nil {
		if x.idempotent && !k.fresh && k.w == 0 && x.over(ctx) == nil && !isTimeout(err) {
			return true, nil
		}
		return false, x.broken(ctx, err, false)
	}
	k.fresh = false
	err = x.judge(ctx, k, r, h, key, parse)
	if k.end() && r.reusable {
		keep = true
		k.lastUsed = time.Now()
		h.pool.put(k, x.hash, int64(x.c.opt.MaxIdle), now.Add(-x.c.opt.IdleTimeout))
	}
	return false, err
}

var errPlainKey = errors.New("a customer key is sent over TLS only")

// judge turns the reply into the result or into an error.
func (x *exchange) judge(ctx context.Context, k *conn, r *reply, h *host, key *signingKey, parse func(*conn, *reply) error) error {
	if r.status/100 != 2 {
		return x.refused(ctx, k, r, h, key)
	}
	if root, _ := rootElement(r.body); string(root) == "Error" {
		return x.refused(ctx, k, r, h, key)
	}
	if whose, id := x.c.opt.Whose, len(r.id()) > 0; whose != nil && whose(x.op, id, id || r.amz()) {
		return object.Foreign(x.op, x.ref, r.status)
	}
	err := object.ErrLeak
	if !x.c.leaks(r, k.req.signature()) {
		err = parse(k, r)
	}
	if err == nil {
		return nil
	}
	e := &object.Error{Class: object.ClassTransient, Op: x.op, Ref: x.ref, HTTPStatus: r.status,
		Message: err.Error(), RequestID: string(r.id()), Err: err}
	var root *rootError
	if errors.As(err, &root) && !strings.EqualFold(root.got, "html") { // which is of something in between
		e.Class = object.ClassUnsupported
	}
	if errors.Is(err, object.ErrLeak) {
		e.Hint = object.LeakHint
	}
	x.c.secrets.CleanError(e, string(k.req.signature()))
	return e
}

// refused asks the table of errors what the reply means.
func (x *exchange) refused(ctx context.Context, k *conn, r *reply, h *host, key *signingKey) error {
	e := x.c.opt.Classify(ctx, object.FailedReply{Op: x.op, Ref: x.ref, KMSKey: x.kmsKey, CustomerKey: x.customer,
		Status: r.status, Header: r.header, Body: r.body, Signed: x.signed})
	x.c.secrets.CleanError(e, string(k.req.signature()))
	if e.Class == object.ClassCredentials {
		h.keys.drop(key)
	}
	return e
}

func (x *exchange) notSent(class object.Class, err error, hint string) error {
	return &object.Error{Class: class, Op: x.op, Ref: x.ref, Message: err.Error(), Hint: hint, NotSent: true, Err: err}
}

// asksFor notes the KMS key of a target.
func (x *exchange) asksFor(t *object.Target) {
	if t == nil || !t.SSE.KMS() {
		return
	}
	if x.kmsKey = t.KMSKeyID; x.kmsKey == "" {
		x.kmsKey = "aws/s3"
	}
}

// ended is a context that ended before anything was sent.
func (x *exchange) ended(cause error) error {
	return x.notSent(classOfEnd(cause), cause, "")
}

// classOfEnd: whoever cancels wants an end, a deadline is a request that hung.
func classOfEnd(cause error) object.Class {
	if errors.Is(cause, context.Canceled) {
		return object.ClassCanceled
	}
	return object.ClassTransient
}

// noHost is an address or a proxy that could not be found out.
func (x *exchange) noHost(ctx context.Context, err error) error {
	if cause := x.over(ctx); cause != nil {
		return x.ended(cause)
	}
	return x.neverSent(object.ClassOther, err, "check --endpoint-url and the proxy settings of the environment")
}

// neverSent is what stood in the way of a request: an error that knows its class, or
// one that is of this.
func (x *exchange) neverSent(class object.Class, err error, hint string) error {
	var known *object.Error
	if errors.As(err, &known) {
		e := *known
		e.Op, e.Ref, e.NotSent = x.op, x.ref, true
		return &e
	}
	return x.notSent(class, err, hint)
}

func (x *exchange) noCredentials(ctx context.Context, err error) error {
	if cause := x.over(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return x.ended(cause)
	}
	return x.neverSent(object.ClassCredentials, err, "check the profile or renew the credentials")
}

// dialFailed tells a store that is not there from one that will never do.
func (x *exchange) dialFailed(ctx context.Context, err error) error {
	if cause := x.over(ctx); cause != nil {
		return x.ended(cause)
	}
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var proxy *proxyError
	switch {
	case errors.As(err, &cert), errors.As(err, &unknown):
		return x.notSent(object.ClassOther, err, "name its authority with --ca-bundle")
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return x.notSent(object.ClassOther, err, "the endpoint speaks plain HTTP: name it with http:// in --endpoint-url")
	case errors.As(err, &record):
		return x.notSent(object.ClassOther, err, "the endpoint does not speak TLS: check --endpoint-url")
	case errors.As(err, &proxy) && proxy.code < 500:
		return x.notSent(object.ClassOther, err, "check HTTPS_PROXY and NO_PROXY")
	}
	return x.notSent(object.ClassUnreachable, err, "")
}

// broken is a connection that failed after it was established. Unless nothing
// was sent, the request may have been applied.
func (x *exchange) broken(ctx context.Context, err error, notSent bool) error {
	e := &object.Error{Class: object.ClassTransient, Op: x.op, Ref: x.ref, Message: err.Error(), NotSent: notSent, Err: err}
	if cause := x.over(ctx); cause != nil {
		e.Class, e.Message, e.Err = classOfEnd(cause), cause.Error(), cause
	}
	return e
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
