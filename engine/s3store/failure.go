package s3store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// skewWorthCorrecting: S3 refuses signatures from 15 minutes on; corrections
// below this would chase the network's own delay.
const skewWorthCorrecting = time.Minute

// Failure is Classify with the store's help where one reply cannot tell: it may
// send one more request, which changes nothing, and it learns the store's clock.
//
//   - 400 and 403 on HEAD carry no code, and mean anything from an expired token
//     to a missing permission: the same question as a GET of one byte does. Where
//     that is answered, the refusal was of the moment: the credentials or the clock
//     were put right in between.
//   - 404, 500 and 503 on HEAD are asked about in the same way on Ceph; see askCeph.
//   - Ceph answers 403 InvalidAccessKeyId for an unknown KMS key: if the
//     credentials still work, it is the key.
//   - SignatureDoesNotMatch while the credentials work is about this one object,
//     whose key or metadata the store reads in another way.
//   - What is not the store's own answer says nothing; see foreign.
//   - RequestTimeTooSkewed is transient where the store tells another time than the
//     request was signed with: the next one is signed by the store's clock.
func (s *Store) Failure(ctx context.Context, f object.FailedReply) *object.Error {
	e := Classify(f)
	switch {
	case s.unsigned(&f, e):
		e = s.foreign(ctx, &f, e)
	case f.Op == "HeadObject" && e.Code == "":
		switch f.Status {
		case http.StatusBadRequest, http.StatusForbidden:
			e = s.askAgain(ctx, &f, e)
		case http.StatusNotFound, http.StatusInternalServerError, http.StatusServiceUnavailable:
			if cephRequest.MatchString(e.RequestID) {
				e = s.askCeph(ctx, &f, e)
			}
		}
	}
	switch {
	case e.Code == "InvalidAccessKeyId" && f.KMSKey != "" && !s.aws && s.credentialsWork(ctx, f.Ref.Bucket):
		e.Class = object.ClassKey
		e.Hint = "the credentials work, so this store means that it does not know the KMS key " + f.KMSKey
	case e.Code == "SignatureDoesNotMatch" && f.Ref.Key != "" && s.credentialsWork(ctx, f.Ref.Bucket):
		e.Class = object.ClassInvalid
		e.Hint = "the credentials work, so the store computes another signature for this object's key or metadata; copy it by another tool"
	case e.Code == "RequestTimeTooSkewed" && s.correctClock(f.Header("Date"), f.Signed):
		e.Class = object.ClassTransient
	case e.Code == "RequestTimeTooSkewed":
		e.Hint = "the store finds the time of the signature wrong, and its Date header tells no other: set the clock of this machine (NTP), or that of the store"
	}
	e.Hint = s.inPartition(e.Hint)
	return e
}

const (
	headRefused     = "HEAD was refused, and GET answered a moment later"
	headRefusedHint = "if that stays so, something on the way refuses HEAD requests"
)

// askAgain sends GET for a HEAD whose failure had no code. It gives the better of
// the two answers, and makes f that one.
func (s *Store) askAgain(ctx context.Context, f *object.FailedReply, e *object.Error) *object.Error {
	again, told := s.asGet(ctx, f)
	switch {
	case told == nil:
		return e
	case again.Status/100 == 2:
		e.Class, e.Message, e.Hint = object.ClassTransient, headRefused, headRefusedHint
		return e
	case told.Code == "" || again.Status != f.Status:
		return e // an answer to another question
	}
	f.Header, f.Signed = again.Header, again.Signed
	return told
}

// asGet puts the question of a HEAD as a GET of one byte, and says what the answer means; nothing
// where none came.
func (s *Store) asGet(ctx context.Context, f *object.FailedReply) (again object.FailedReply, told *object.Error) {
	r := newRequest("GetObject", http.MethodGet, f.Ref).version()
	r.set("Range", "bytes=0-0")
	r.customerKey("", f.CustomerKey)
	a, err := s.Address(ctx, f.Ref.Bucket)
	if err != nil {
		return again, nil
	}
	resp, err := s.sendTo(ctx, r, a)
	if err != nil {
		return again, nil
	}
	defer resp.Body.Close()
	again = object.FailedReply{Op: f.Op, Ref: f.Ref, Status: resp.StatusCode, Header: resp.Header.Get, Signed: signedAt(resp)}
	if resp.StatusCode/100 == 2 {
		if s.Whose(r.op, requestID(resp.Header.Get) != "", hasAmz(resp.Header)) {
			return again, nil
		}
		return again, new(object.Error)
	}
	again.Body, _ = io.ReadAll(io.LimitReader(resp.Body, maxFailure))
	told = Classify(again)
	s.secrets.CleanError(told, signatureOf(resp))
	return again, told
}

// credentialsWork says whether the store accepts the credentials right now.
func (s *Store) credentialsWork(ctx context.Context, bucket string) bool {
	a, err := s.Address(ctx, bucket)
	if err != nil {
		return false
	}
	r := newRequest("HeadBucket", http.MethodHead, object.Ref{Bucket: bucket})
	resp, err := s.sendTo(ctx, r, a)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Answers asks for the head of a bucket, of the store itself where it is empty, and fails where
// nothing but a failure of the moment comes back. Every refusal is an answer.
func (s *Store) Answers(ctx context.Context, bucket string) error {
	r := newRequest("HeadBucket", http.MethodHead, object.Ref{Bucket: bucket})
	resp, err := s.do(ctx, r)
	if err == nil {
		resp.Body.Close()
		if s.Whose(r.op, requestID(resp.Header.Get) != "", hasAmz(resp.Header)) {
			return object.Foreign(r.op, r.ref, resp.StatusCode)
		}
		return nil
	}
	if c := object.ClassOf(err); c.Retryable() || c == object.ClassCanceled {
		return err
	}
	return nil
}

// correctClock takes over the store's time if that changes much, and says whether
// the next request will be signed with another time than the refused one was:
// that may be another worker's correction.
func (s *Store) correctClock(date string, signed time.Time) bool {
	t, err := http.ParseTime(date)
	if err != nil {
		return false
	}
	is := time.Until(t)
	if (is - s.ClockOffset()).Abs() >= skewWorthCorrecting {
		s.clockOffset.Store(int64(is))
		return true
	}
	return !signed.IsZero() && t.Sub(signed).Abs() >= skewWorthCorrecting
}

// ClockOffset is what the store's clock was found to be ahead of this machine's;
// zero as long as the store has refused no signature for its time.
func (s *Store) ClockOffset() time.Duration { return time.Duration(s.clockOffset.Load()) }

// FailedToSend classifies the error of a request that got no (whole) answer.
//
// A connection that could not be made applied nothing: unreachable. Anything
// later may have been applied: transient. A context that was cancelled is
// canceled; one whose deadline passed is a request that hung, so transient.
func FailedToSend(op string, ref object.Ref, ctx context.Context, err error) *object.Error {
	e := &object.Error{Class: object.ClassTransient, Op: op, Ref: ref, Message: local(err), Err: err}
	var dns *net.DNSError
	var dial *net.OpError
	var cert *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Class = object.ClassCanceled
	case errors.As(err, &cert), errors.As(err, &authority):
		e.Class, e.NotSent = object.ClassOther, true
		e.Hint = "the store's certificate is not trusted: --ca-bundle FILE, or --no-verify-ssl on a test system"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		e.Class, e.NotSent = object.ClassOther, true
		e.Message, e.Hint = "the server gave an HTTP response to an HTTPS client", "the endpoint speaks plain HTTP: name it with http:// in --endpoint-url"
	case errors.As(err, &record):
		e.Class, e.NotSent = object.ClassOther, true
		e.Hint = "the endpoint does not speak TLS: check --endpoint-url"
	case errors.As(err, &dns):
		e.Class, e.NotSent = object.ClassUnreachable, true
		e.Hint = "the endpoint's name cannot be resolved: check --endpoint-url, --region and the network"
	case errors.As(err, &dial) && (dial.Op == "dial" || dial.Op == "proxyconnect"):
		e.Class, e.NotSent = object.ClassUnreachable, true
		e.Hint = "no connection to the store: check --endpoint-url, the proxy and the network"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Message, e.Hint = "no answer came in time", "it takes connections and answers nothing: look at the store, and at what stands before it"
	}
	return e
}

// local drops what url.Error adds, since the error names operation and object
// already and the URL is long.
func local(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}
