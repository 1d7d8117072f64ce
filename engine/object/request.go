package object

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CopyRequest asks for one copy of an object, by CopyObject or as the start of
// a multipart upload. What is not set is not sent.
type CopyRequest struct {
	Source Ref
	Dest   Ref
	// SourceETag makes the copy conditional on the source (copy-source-if-match).
	SourceETag string
	// SourceTwice encodes the source's key twice, for stores that decode it twice
	// (Capabilities.CopySourceEncoding).
	SourceTwice bool
	// DestETag makes it conditional on the destination (If-Match); DestAbsent on
	// there being none (If-None-Match: *).
	DestETag   string
	DestAbsent bool
	// Target is the encryption to write; its SourceKey reads an SSE-C source.
	Target *Target
	// SourceSSEC: the source is under SSE-C, so SourceKey has to be sent.
	SourceSSEC bool
	// StorageClass to write; empty sends no header (STANDARD).
	StorageClass string
	// Replace sends directives REPLACE with Attributes' headers and metadata;
	// without it S3 copies them itself.
	Replace    bool
	Attributes *Attributes
	// ReplaceTags sends TaggingDirective REPLACE with Attributes.Tags.
	ReplaceTags bool
	// TagsLater are not sent, since the headers of the request would become longer
	// than S3 takes: they have to be written after it. Attributes has none then.
	TagsLater []Tag
	// AnnotationsLater have to be written after it, with their texts: only one
	// CopyObject takes annotations along. A locked object takes none, so the lock is not
	// sent then: it has to be written last.
	AnnotationsLater []Annotation
	// Grants, lock and redirect are sent where set: no copy carries them.
	Grants      []Grant
	LockMode    string
	RetainUntil string // RFC 3339
	LegalHold   bool
	// EventHold is sent with its duration, which is in days or in years. The date of
	// the retention follows from it, and is sent only where it is a later one.
	EventHold                     bool
	EventHoldDays, EventHoldYears int
	WebsiteRedirect               string
	// ChecksumAlgorithm to compute; empty leaves it to the store. ChecksumType is
	// COMPOSITE or FULL_OBJECT, for multipart only.
	ChecksumAlgorithm string
	ChecksumType      string
}

// Carries is a digest of what the copy takes along beside the bytes: headers,
// metadata, tags, annotations, grants, lock, redirect and class. Of two requests for the same
// source, one that differs in it was made before or after somebody changed these.
func (r *CopyRequest) Carries() []byte {
	c := struct {
		Class, Redirect, LockMode, RetainUntil, Context string
		LegalHold                                       bool
		Headers                                         [6]string
		Metadata                                        map[string]string
		Tags                                            []Tag
		Grants                                          []Grant
	}{Class: r.StorageClass, Redirect: r.WebsiteRedirect, LockMode: r.LockMode, RetainUntil: r.RetainUntil, LegalHold: r.LegalHold,
		Context: r.Target.Context, Grants: slices.SortedFunc(slices.Values(r.Grants), compareGrants)}
	if r.EventHold {
		c.LockMode += fmt.Sprintf(" event hold %d %d", r.EventHoldDays, r.EventHoldYears)
	}
	if a := r.Attributes; a != nil {
		c.Headers = [...]string{a.ContentType, a.CacheControl, a.ContentDisposition, a.ContentEncoding, a.ContentLanguage, a.Expires}
		c.Metadata = a.Metadata
		c.Tags = slices.SortedFunc(slices.Values(slices.Concat(a.Tags, r.TagsLater)), func(x, y Tag) int { return strings.Compare(x.Key, y.Key) })
	}
	// fmt sorts the metadata by name and, unlike JSON, keeps bytes apart that are not
	// UTF-8, as old headers hold them.
	text := fmt.Appendf(nil, "%#v", c)
	for _, a := range r.AnnotationsLater { // nothing is added where there are none: old digests hold
		text = fmt.Appendf(text, " annotation %q %s %d", a.Name, a.ETag, a.Size)
	}
	sum := sha256.Sum256(text)
	return sum[:16]
}

// LocksLater says whether the lock is not to be sent, but written when everything
// else was.
func (r *CopyRequest) LocksLater() bool { return len(r.AnnotationsLater) > 0 }

func compareGrants(a, b Grant) int {
	return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.URI, b.URI), strings.Compare(a.Email, b.Email), strings.Compare(a.Permission, b.Permission))
}

// CopyReply is what the answer to a copy, a part, or a Complete told.
type CopyReply struct {
	// ETag without quotes; its absence was already turned into an error.
	ETag string
	// VersionID of what was written, where the reply told.
	VersionID string
	// Encryption as the reply showed it; Type is SSEUnknown where it showed none.
	Encryption Encryption
	// Checksum is the part's, where the reply had one.
	Checksum  string
	RequestID string
	// Inferred: no answer came, and this is what the store showed afterwards.
	Inferred bool
}

// Made is when the copy was made, asked of the answer that just came; zero where it is not known.
func (r *CopyReply) Made() time.Time {
	if r.Inferred {
		return time.Time{}
	}
	return time.Now()
}

// GetRequest asks for a whole object of a bounded size.
type GetRequest struct {
	Ref Ref
	// Key reads an SSE-C object.
	Key CustomerKey
	// ETag makes it conditional on the object (If-Match); empty takes what is there.
	ETag string
	// Max is how many bytes are taken. Of a larger object the reply holds the Head
	// alone, beside an error of ClassTooLarge.
	Max int64
	// Into is a buffer that the bytes are put into where they fit; it may be nil.
	Into []byte
}

// GetReply is what a HEAD would have told, and the bytes.
type GetReply struct {
	Head
	// Body is as long as Size says. It lies in the request's Into where it fitted.
	Body []byte
}

// PutRequest writes an object from bytes that this client holds. What it carries
// beside them, its conditions and its encryption are those of the copy by REPLACE
// that would do the same; all that names the copy's source is left out.
type PutRequest struct {
	CopyRequest
	Body []byte
	// Checksum is the value of ChecksumAlgorithm over Body, base64: the store keeps
	// it, and refuses bytes that do not have it. Without a value none is sent.
	Checksum string
}

// PartRequest asks for one part of a multipart copy.
type PartRequest struct {
	Source     Ref
	SourceETag string
	// SourceTwice encodes the source's key twice (Capabilities.PartSourceEncoding).
	SourceTwice bool
	Dest        Ref
	UploadID    string
	Number      int
	// First and Last byte, inclusive; Last < First means the whole source without
	// a range header (zero-byte objects, stores that refuse small ranges).
	First, Last int64
	Target      *Target
	SourceSSEC  bool
}

// CompleteRequest asks for the end of a multipart copy.
type CompleteRequest struct {
	Dest     Ref
	UploadID string
	Parts    []Part
	// Size is the whole object's, which the store checks (x-amz-mp-object-size).
	Size int64
	// DestETag and DestAbsent are the conditions If-Match and If-None-Match: *.
	DestETag          string
	DestAbsent        bool
	Target            *Target
	ChecksumAlgorithm string
	ChecksumType      string
}

// RequestKind is what a request is counted, paced and measured as.
type RequestKind uint8

// The kinds of requests.
const (
	ReqList RequestKind = iota
	ReqHead
	ReqCopy
	ReqUpdate
	ReqCreateUpload
	ReqCopyPart // a part of an upload, copied or sent
	ReqComplete
	ReqAbort
	ReqListParts
	ReqGet
	ReqGetDetail    // tags, ACL, lock, attributes: read
	ReqPutDetail    // the same, written
	ReqPut          // an object's bytes, written
	ReqKMS          // KMS itself, about the wrap of a data key
	ReqDelete       // one version of an object, by its ID
	NumRequestKinds = iota
)

var requestNames = [...]string{"list", "head", "copy", "update", "create", "part", "complete", "abort",
	"list_parts", "get", "get_detail", "put_detail", "put", "kms", "delete"}

// String is the name in JSON and metrics.
func (k RequestKind) String() string { return requestNames[k] }

// Mutates says whether a request of this kind changes the store.
func (k RequestKind) Mutates() bool {
	switch k {
	case ReqCopy, ReqUpdate, ReqCreateUpload, ReqCopyPart, ReqComplete, ReqAbort, ReqPutDetail, ReqPut, ReqDelete:
		return true
	}
	return false
}

// Call is one request as the pace and the metrics see it.
type Call struct {
	Kind RequestKind
	// Key is the object's key, for limits that S3 has by prefix.
	Key string
	// KMSKey is set where the request makes S3 call KMS under that key, or goes there.
	KMSKey string
	// OtherKey is set where it also uses another one, that the object is under. An
	// error does not tell which of the two it means.
	OtherKey bool
	// Ends is set where it brings to its end what was begun: a proof, a question about
	// a lost answer. It goes before what begins, also when the run drains.
	Ends bool
	// InTurn is set where it is sent in the turn of another call, which has a slot and does
	// not use it meanwhile: it waits for none.
	InTurn bool
	// Unanswered is set where it is sent again to a store that answered nobody, for as long as
	// that lasts.
	Unanswered bool
	// Bytes that it moves: a copy's within the store, a GET's and a PUT's over the
	// network; 0 for the others.
	Bytes int64
}

// Result is how a Call ended.
type Result struct {
	// OK, or the class of the error.
	OK         bool
	Class      Class
	RetryAfter time.Duration
	Latency    time.Duration
	// Err is the error itself, where there was one.
	Err error
}

// Choice is what the planner decides for one object.
type Choice struct {
	// Operation, or OpNone with either Already or a Reason.
	Operation Operation
	Already   bool
	Reason    Reason
	// Message explains a Reason to a person: what, and what to do.
	Message string
	// Route for OpCopy: self-copy or replace. OpMultipart needs none. For OpRewrap it
	// is the way to write the metadata, or none where only an instruction file may have
	// the envelope.
	Route Route
	// SourceParts: a multipart copy must keep the source's own part boundaries.
	SourceParts bool
}
