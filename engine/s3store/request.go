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

// Replies are read whole and bounded: a listing of a few thousand long keys with
// metadata stays well below maxListing, every other document below maxReply.
const (
	maxReply   = 4 << 20
	maxListing = 128 << 20
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
	// kmsKey is set where the store will use that key for the request.
	kmsKey string
	// customer is set where the request carries customer key material.
	customer object.CustomerKey
	secret   bool
	max      int64
	// into receives the reply's body, where the caller has a buffer that is to be
	// used again.
	into *bytes.Buffer
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
	return &object.Error{Class: class, Op: r.op, Ref: r.ref, HTTPStatus: rep.status, RequestID: rep.id, Message: message}
}

// call sends r once and reads the whole answer. Anything but a 2xx is an error.
// It takes no longer than the caller's deadline, or than RequestTimeout.
func (s *Store) call(ctx context.Context, r *request) (*reply, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.opts.RequestTimeout)
		defer cancel()
	}
	resp, err := s.do(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	limit := r.max
	if limit == 0 {
		limit = maxReply
	}
	into := r.into
	if into == nil {
		into = new(bytes.Buffer)
	}
	if _, err := into.ReadFrom(io.LimitReader(resp.Body, limit+1)); err != nil {
		return nil, FailedToSend(r.op, r.ref, ctx, err)
	}
	body := into.Bytes()
	rep := &reply{status: resp.StatusCode, header: resp.Header, body: body, id: requestID(resp.Header.Get)}
	if int64(len(body)) > limit {
		return nil, r.fail(rep, object.ClassOther, "the answer is longer than any answer should be")
	}
	if isError(body) { // within a 200, also where a success has no body to decode
		return nil, s.Failure(ctx, Failed{Op: r.op, Ref: r.ref, KMSKey: r.kmsKey, CustomerKey: r.customer,
			Status: rep.status, Header: rep.header.Get, Body: body, Signed: signedAt(resp)})
	}
	return rep, nil
}

// do sends r once; the caller closes the body. Anything but a 2xx was read,
// closed and turned into an error.
//
// Without a deadline of the caller's, RequestTimeout bounds the wait for the
// answer's head; a body that is streamed takes as long as it takes.
func (s *Store) do(ctx context.Context, r *request) (*http.Response, error) {
	if _, ok := ctx.Deadline(); !ok {
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
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxReply)) // the status alone is an answer
	return nil, s.Failure(ctx, Failed{Op: r.op, Ref: r.ref, KMSKey: r.kmsKey, CustomerKey: r.customer,
		Status: resp.StatusCode, Header: resp.Header.Get, Body: body, Signed: signedAt(resp)})
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
	if len(r.body) > 0 {
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
