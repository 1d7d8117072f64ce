package s3store

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/resealhq/reseal/engine/object"
)

// Replies are read whole and bounded. A thousand rows of a listing, each with a key
// and metadata as long as S3 allows and percent-encoded, stay below maxListing,
// every other document below maxReply, and an error below maxFailure.
const (
	maxReply   = 4 << 20
	maxListing = 16 << 20
	maxFailure = 1 << 20
	maxHeader  = 256 << 10
	// usualReply is what any number of workers may read at the same time; longer
	// ones are read one after another.
	usualReply = 1 << 20
)

// emptySHA256 is the payload hash of a request without a body.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// request is one S3 request before it is addressed and signed.
type request struct {
	op     string
	ref    object.Ref // what errors name; its bucket gives the address
	bucket bool       // goes to the bucket although ref has a key
	method string
	query  url.Values
	header http.Header
	body   []byte
	// lent is the body instead, where it is too large to be copied.
	lent *lentBody
	// file is the body instead, where it is too large to be held.
	file *fileBody
	// kmsKey is set where the store will use that key for the request.
	kmsKey string
	// customer is set where the request carries customer key material.
	customer object.CustomerKey
	secret   bool
	max      int64
	// into, where set, gives the buffer that receives the reply's body. It is asked
	// once there is one: a request waits for most of its time.
	into func() *bytes.Buffer
}

// reply is one answer with success, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
	id     string
}

func newRequest(op, method string, ref object.Ref) *request {
	return &request{op: op, method: method, ref: ref, query: url.Values{}, header: http.Header{}}
}

// set sends a header unless its value is empty.
func (r *request) set(name, value string) {
	if value != "" {
		r.header.Set(name, value)
	}
}

// version names the version of ref in the query.
func (r *request) version() *request {
	if r.ref.VersionID != "" {
		r.query.Set("versionId", r.ref.VersionID)
	}
	return r
}

// payload sets an XML document as the body, with the MD5 that S3 asks for.
func (r *request) payload(doc []byte) *request {
	sum := md5.Sum(doc)
	r.body = doc
	r.header.Set("Content-Type", "application/xml")
	r.header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
	return r
}

// fail is the error of a reply that said success and is none.
func (r *request) fail(rep *reply, class object.Class, message string) *object.Error {
	return &object.Error{Class: class, Op: r.op, Ref: r.ref, HTTPStatus: rep.status, RequestID: rep.id, Message: object.Cut(message, object.MaxMessage)}
}

// call sends r once and reads the whole answer. Anything but a 2xx is an error.
// It takes no longer than the limit of the caller's attempt, or than RequestTimeout.
func (s *Store) call(ctx context.Context, r *request) (*reply, error) {
	if !limited(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.opts.RequestTimeout)
		defer cancel()
	}
	resp, err := s.doOnce(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	limit := r.max
	if limit == 0 {
		limit = maxReply
	}
	into := new(bytes.Buffer)
	if r.into != nil {
		into = r.into()
	}
	if n := resp.ContentLength; n > 0 && n <= min(limit, usualReply) {
		into.Grow(int(n) + bytes.MinRead)
	}
	if err := s.readBody(resp.Body, into, limit); err != nil {
		return nil, FailedToSend(r.op, r.ref, ctx, err)
	}
	body := into.Bytes()
	rep := &reply{status: resp.StatusCode, header: resp.Header, body: body, id: s.secrets.Clean(requestID(resp.Header.Get), object.MaxRequestID)}
	if int64(len(body)) > limit {
		return nil, r.fail(rep, object.ClassOther, "the answer is longer than any answer should be")
	}
	if isError(body) { // within a 200, also where a success has no body to decode
		return nil, s.failed(ctx, r, resp, body)
	}
	if leaks(s, resp, body) {
		return nil, r.leaked(rep)
	}
	return rep, s.whose(r, rep)
}

// readBody reads one byte more than limit at most.
func (s *Store) readBody(body io.Reader, into *bytes.Buffer, limit int64) error {
	n, err := into.ReadFrom(io.LimitReader(body, min(limit+1, usualReply)))
	if err != nil || n < usualReply {
		return err
	}
	s.long.Lock()
	defer s.long.Unlock()
	_, err = into.ReadFrom(io.LimitReader(body, limit+1-n))
	return err
}

// failed makes the error of a reply that is none of success. Nothing that it says
// repeats what was sent in confidence.
func (s *Store) failed(ctx context.Context, r *request, resp *http.Response, body []byte) error {
	e := s.Failure(ctx, object.FailedReply{Op: r.op, Ref: r.ref, KMSKey: r.kmsKey, CustomerKey: r.customer,
		Status: resp.StatusCode, Header: resp.Header.Get, Body: body, Signed: signedAt(resp)})
	s.secrets.CleanError(e, signatureOf(resp))
	return e
}

// isRead says whether anything reads a header of a reply. What a proxy adds under
// names of its own goes nowhere.
func isRead(name string) bool {
	switch name {
	case "Etag", "Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires":
		return true
	case "X-Amz-Security-Token", "X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key":
		return false
	}
	return strings.HasPrefix(name, "X-Amz-")
}

// limited says whether the context bounds this one request, as a retry loop's does.
// Any other deadline may be that of a whole night, which a request that gets no
// answer would use up.
func limited(ctx context.Context) bool {
	_, attempt := ctx.(interface {
		Limit() (context.Context, time.Time)
	})
	return attempt
}

// do sends r once; the caller closes the body. Anything but a 2xx was read,
// closed and turned into an error.
//
// Where the caller's attempt has no limit of its own, RequestTimeout bounds the wait
// for the answer's head; a body that is streamed takes as long as it takes.
func (s *Store) do(ctx context.Context, r *request) (*http.Response, error) {
	if !limited(ctx) {
		hung, cancel := context.WithCancelCause(ctx)
		timer := time.AfterFunc(s.opts.RequestTimeout, func() { cancel(context.DeadlineExceeded) })
		defer timer.Stop()
		resp, err := s.doOnce(hung, r)
		if err != nil && ctx.Err() == nil && hung.Err() != nil {
			return nil, &object.Error{Class: object.ClassTransient, Op: r.op, Ref: r.ref, Message: "no answer within " + s.opts.RequestTimeout.String(), Err: err}
		}
		return resp, err
	}
	return s.doOnce(ctx, r)
}

func (s *Store) doOnce(ctx context.Context, r *request) (*http.Response, error) {
	a, err := s.Address(ctx, r.ref.Bucket)
	if err != nil {
		return nil, err
	}
	resp, err := s.sendTo(ctx, r, a)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 && !s.headerLeaks(resp) {
		return resp, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return nil, r.leaked(&reply{status: resp.StatusCode})
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxFailure)) // the status alone is an answer
	return nil, s.failed(ctx, r, resp, body)
}

// signedAt is the time that the request behind a reply was signed with.
func signedAt(resp *http.Response) time.Time {
	if resp.Request == nil {
		return time.Time{}
	}
	t, _ := time.Parse("20060102T150405Z", resp.Request.Header.Get("X-Amz-Date")) // unsigned: zero
	return t
}

// sendTo addresses, signs and sends.
func (s *Store) sendTo(ctx context.Context, r *request, a Address) (*http.Response, error) {
	if r.secret && a.Scheme != "https" {
		return nil, plaintextKey(r.op, r.ref)
	}
	if err := ctx.Err(); err != nil {
		e := FailedToSend(r.op, r.ref, ctx, err)
		e.NotSent = true
		return nil, e
	}
	req, hash, err := s.build(ctx, r, a)
	if err != nil {
		return nil, &object.Error{Class: object.ClassInvalid, Op: r.op, Ref: r.ref, Message: err.Error(), Err: err}
	}
	creds, err := s.retrieve(ctx)
	if err != nil {
		return nil, at(err, r)
	}
	if err := s.sign(ctx, creds, req, hash, a); err != nil {
		return nil, &object.Error{Class: object.ClassCredentials, Op: r.op, Ref: r.ref, Message: err.Error(), Err: err}
	}
	for _, name := range secretHeaders {
		s.secrets.Add(req.Header.Get(name))
	}
	if err := object.TooLate(ctx, r.op, r.ref); err != nil {
		return nil, err
	}
	if r.lent != nil {
		r.lent.sent = true
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, FailedToSend(r.op, r.ref, ctx, err)
	}
	return resp, nil
}

// sign signs req. The SDK's signer keeps a tab within a header value where MinIO,
// as most SDKs, takes it for a space and finds the signature wrong: it is signed
// as a space and sent as it is.
func (s *Store) sign(ctx context.Context, creds aws.Credentials, req *http.Request, hash string, a Address) error {
	sent := http.Header{}
	for name, values := range req.Header {
		if len(values) == 1 && strings.Contains(values[0], "\t") {
			sent[name] = values
			req.Header[name] = []string{strings.ReplaceAll(values[0], "\t", " ")}
		}
	}
	err := s.signer.SignHTTP(ctx, creds, req, hash, a.Service, a.Region, s.Now())
	maps.Copy(req.Header, sent)
	return err
}

// plaintextKey is the refusal to send a customer key over http.
func plaintextKey(op string, ref object.Ref) error {
	return &object.Error{Class: object.ClassInvalid, Op: op, Ref: ref, NotSent: true,
		Message: "a customer key must not travel over http", Hint: "use an https:// endpoint for SSE-C"}
}

// at gives the error of a shared step the operation and object it happened to.
func at(err error, r *request) error {
	var e *object.Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	c.Op, c.Ref = r.op, r.ref
	return &c
}

func (s *Store) build(ctx context.Context, r *request, a Address) (*http.Request, string, error) {
	u := &url.URL{Scheme: a.Scheme, Host: a.Host, RawQuery: strings.ReplaceAll(r.query.Encode(), "+", "%20")}
	escaped := a.Path + "/"
	if r.ref.Key != "" && !r.bucket {
		escaped += EscapeKey(r.ref.Key)
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, "", err
	}
	u.Path, u.RawPath = path, escaped
	req := &http.Request{Method: r.method, URL: u, Host: a.Host, Header: r.header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	if req.Header == nil {
		req.Header = http.Header{}
	}
	hash := emptySHA256
	if r.lent != nil {
		req.Body, req.ContentLength, hash = r.lent, r.lent.Size(), r.lent.sha256
	} else if r.file != nil {
		req.Body, req.ContentLength, hash = io.NopCloser(r.file), r.file.size, r.file.sha256
	} else if len(r.body) > 0 {
		sum := sha256.Sum256(r.body)
		hash = hex.EncodeToString(sum[:])
		req.Body = io.NopCloser(strings.NewReader(string(r.body)))
		req.ContentLength = int64(len(r.body))
	}
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if s.opts.UserAgent != "" {
		req.Header.Set("User-Agent", s.opts.UserAgent)
	}
	if s.opts.RequestPayer != "" {
		req.Header.Set("X-Amz-Request-Payer", s.opts.RequestPayer)
	}
	if s.opts.ExpectedBucketOwner != "" {
		req.Header.Set("X-Amz-Expected-Bucket-Owner", s.opts.ExpectedBucketOwner)
		if req.Header.Get("X-Amz-Copy-Source") != "" {
			req.Header.Set("X-Amz-Source-Expected-Bucket-Owner", s.opts.ExpectedBucketOwner)
		}
	}
	return req.WithContext(ctx), hash, nil
}

func requestID(header func(string) string) string {
	if id := header("X-Amz-Request-Id"); id != "" {
		return id
	}
	return header("X-Amz-Id-2")
}
