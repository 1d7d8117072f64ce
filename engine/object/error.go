package object

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Class sorts every error that a store can answer with by what has to be done
// about it. Decisions are made on the class, never on a message.
type Class uint8

// The classes. s3store assigns them once, where the reply is read.
const (
	// ClassOther is an error nobody has classified: it fails the object.
	ClassOther Class = iota
	// ClassThrottled: retry later, lower the S3 rate.
	ClassThrottled
	// ClassKMSThrottled: retry later, lower the rate of requests that use KMS.
	ClassKMSThrottled
	// ClassTransient: retry; the store or the network failed for a moment. The
	// request may have been applied.
	ClassTransient
	// ClassChanged: a condition did not hold, the object is another one now.
	// Inspect again and decide again.
	ClassChanged
	// ClassGone: the object or the version is not there (any more).
	ClassGone
	// ClassArchived: restore it first.
	ClassArchived
	// ClassKey: the KMS key cannot be used; it stops the run.
	ClassKey
	// ClassCredentials: expired or not accepted credentials; pause and refresh,
	// stop if that does not help.
	ClassCredentials
	// ClassDenied: permission is missing for this object.
	ClassDenied
	// ClassInvalid: the store refuses the request as it is.
	ClassInvalid
	// ClassUnsupported: the store does not implement the request.
	ClassUnsupported
	// ClassNoBucket: the bucket does not exist; it stops the run.
	ClassNoBucket
	// ClassUnproved: the reply said success, and the store shows something else.
	ClassUnproved
	// ClassTooLarge: too large for CopyObject.
	ClassTooLarge
	// ClassCanceled: the context ended before there was an answer. The request may
	// have been applied.
	ClassCanceled
	// ClassNoUpload: the multipart upload does not exist (any more): completed,
	// aborted or expired.
	ClassNoUpload
	// ClassUnreachable: no connection could be made, so nothing was applied; the
	// run waits for the store to come back.
	ClassUnreachable
	// ClassFull: the store has no room for what it is asked to write, or a quota is
	// used up; the request waits for room. Whether it was applied all the same is
	// asked for, as after ClassTransient.
	ClassFull
	// ClassKMSAway: the store answers, and its KMS does not answer the store. While nothing
	// that needs the KMS succeeds, the request waits as for a store that is away. Whether it
	// was applied all the same is asked for, as after ClassTransient.
	ClassKMSAway
	NumClasses = iota
)

var classNames = [...]string{"other", "throttled", "kms-throttled", "transient", "changed", "gone",
	"archived", "kms-key", "credentials", "denied", "invalid", "unsupported", "no-bucket", "unproved",
	"too-large", "canceled", "no-upload", "unreachable", "full", "kms-away"}

// String is the word for reports, logs and metrics.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// Retryable says whether the same request may succeed later as it is.
func (c Class) Retryable() bool {
	switch c {
	case ClassThrottled, ClassKMSThrottled, ClassTransient, ClassUnreachable, ClassFull, ClassKMSAway:
		return true
	}
	return false
}

// Ambiguous says whether the request may have been applied although it was not
// answered with success: ask the store before anything is decided.
func (c Class) Ambiguous() bool {
	return c == ClassTransient || c == ClassFull || c == ClassKMSAway || c == ClassCanceled || c == ClassNoUpload
}

// Fatal says whether the error stops the run rather than fails its object.
func (c Class) Fatal() bool { return c == ClassKey || c == ClassCredentials || c == ClassNoBucket }

// Error is a classified failure of one request.
type Error struct {
	Class Class
	// Op is S3's name of the operation: HeadObject, CopyObject …
	Op  string
	Ref Ref
	// Code is the store's error code, HTTPStatus its status; zero without a reply.
	Code       string
	HTTPStatus int
	// Message is the store's text, or that of the local error.
	Message   string
	RequestID string
	// Condition names the header of a condition that the store says it does not
	// implement, where it names one: If-Match, If-None-Match or one of the
	// x-amz-copy-source-if- headers.
	Condition string
	// CustomerKey is set where the store's words ask for a customer key under a code
	// that has other meanings as well (Ceph: InvalidArgument).
	CustomerKey bool
	// Hint is what a person can do about it.
	Hint string
	// RetryAfter is what the store asked for; zero if it did not.
	RetryAfter time.Duration
	// Foreign is set where the answer was not the store's.
	Foreign bool
	// Leaves is set where the error is why the object is left as it is, and is no
	// failure: its path is taken by a folder.
	Leaves Reason
	// NotSent is set where the request provably never left this process (no
	// connection, no credentials, cancelled before the first byte): nothing was
	// applied, whatever the class says.
	NotSent bool
	// Err is the cause, where there is one.
	Err error
}

// Error has the three parts that every message has: what failed, on what, what to do. It is
// fit for a terminal.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Ref.Bucket != "" {
		b.WriteString(" on ")
		if e.Ref.Key == "" && !IsFolder(e.Ref.Bucket) {
			b.WriteString("s3://" + e.Ref.Bucket)
		} else {
			b.WriteString(e.Ref.String())
		}
	}
	b.WriteString(": ")
	switch {
	case e.Code != "" && e.Message != "":
		b.WriteString(e.Code + ": " + e.Message)
	case e.Code != "":
		b.WriteString(e.Code)
	case e.Message != "":
		b.WriteString(e.Message)
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	default:
		b.WriteString(e.Class.String())
	}
	if e.HTTPStatus != 0 {
		fmt.Fprintf(&b, " (HTTP %d", e.HTTPStatus)
		if e.RequestID != "" {
			b.WriteString(", request " + e.RequestID)
		}
		b.WriteString(")")
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return Printable(b.String())
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// MaybeApplied says whether the request behind err may have been applied
// although it was not answered with success: ask the store before anything is
// sent again.
func MaybeApplied(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Class.Ambiguous() || e.unavailable()) && !e.NotSent
}

// unavailable says whether it is a 503 that is not known to be the store's. Proxies say it also
// where they had handed a request on, and the store was gone before it answered (Envoy).
func (e *Error) unavailable() bool {
	return e.Class == ClassThrottled && e.HTTPStatus == http.StatusServiceUnavailable && e.Code == "" && e.RequestID == ""
}

// WantsCustomerKey says whether err is how a store refuses to show an object under
// SSE-C to a request that brings no customer key, or another one's: 400 with the
// code InvalidRequest, or without any code. Other refusals, of a version ID that
// none can have or of whoever stands on the way, say nothing about encryption.
func WantsCustomerKey(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Class == ClassInvalid && e.HTTPStatus == 400 && (e.Code == "" || e.Code == "InvalidRequest" || e.CustomerKey)
}

// ClassOf is the class of the Error that err wraps, or ClassOther.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ClassOther
}

// Foreign is the error of an answer that is somebody else's, who stands between this client and
// the store: it says nothing of what was asked, nor of what has become of the request.
func Foreign(op string, ref Ref, status int) *Error {
	return &Error{Class: ClassTransient, Op: op, Ref: ref, HTTPStatus: status, Foreign: true,
		Message: "the answer is not the store's: it has neither its request ID nor its words",
		Hint:    "something between here and the store answered (a proxy, an ingress, a firewall); look at that if it stays so"}
}

// InBetween says whether it is the answer of something in between that the store gave none: as
// little is known then as where a connection is lost.
func (e *Error) InBetween() bool {
	return e.Foreign || e.Code == "" && (e.HTTPStatus == http.StatusBadGateway || e.HTTPStatus == http.StatusGatewayTimeout)
}

// RefusesChecksums says whether a HEAD or a GET may have been refused for asking
// for checksums, so that it is worth asking without. S3 wants kms:Decrypt for that
// on objects under SSE-KMS, and an enabled key; some stores know no such question.
func RefusesChecksums(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.HTTPStatus != http.StatusBadRequest && e.HTTPStatus != http.StatusForbidden {
		return false
	}
	switch e.Class {
	case ClassDenied, ClassKey, ClassUnsupported, ClassOther:
		return true
	case ClassInvalid: // a HEAD's InvalidRequest is about SSE-C and a key that was not sent
		return e.Op != "HeadObject" || e.Code != "InvalidRequest"
	case ClassTransient: // the same question was answered where it was put as a GET
		return e.Code == "" && !e.Foreign
	}
	return false
}
