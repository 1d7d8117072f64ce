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
	// Grants, lock and redirect are sent where set: no copy carries them.
	Grants          []Grant
	LockMode        string
	RetainUntil     string // RFC 3339
	LegalHold       bool
	WebsiteRedirect string
	// ChecksumAlgorithm to compute; empty leaves it to the store. ChecksumType is
	// COMPOSITE or FULL_OBJECT, for multipart only.
	ChecksumAlgorithm string
	ChecksumType      string
}

// Carries is a digest of what the copy takes along beside the bytes: headers,
// metadata, tags, grants, lock, redirect and class. Of two requests for the same
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
	if a := r.Attributes; a != nil {
		c.Headers = [...]string{a.ContentType, a.CacheControl, a.ContentDisposition, a.ContentEncoding, a.ContentLanguage, a.Expires}
		c.Metadata = a.Metadata
		c.Tags = slices.SortedFunc(slices.Values(a.Tags), func(x, y Tag) int { return strings.Compare(x.Key, y.Key) })
	}
	// fmt sorts the metadata by name and, unlike JSON, keeps bytes apart that are not
	// UTF-8, as old headers hold them.
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", c))
	return sum[:16]
}

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
}

// PartRequest asks for one part of a multipart copy.
type PartRequest struct {
	Source     Ref
	SourceETag string
	Dest       Ref
	UploadID   string
	Number     int
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
	ReqCopyPart
	ReqComplete
	ReqAbort
	ReqListParts
	ReqGet
	ReqGetDetail    // tags, ACL, lock, attributes: read
	ReqPutDetail    // the same, written
	NumRequestKinds = iota
)

var requestNames = [...]string{"list", "head", "copy", "update", "create", "part", "complete", "abort",
	"list_parts", "get", "get_detail", "put_detail"}

// String is the name in JSON and metrics.
func (k RequestKind) String() string { return requestNames[k] }

// Mutates says whether a request of this kind changes the store.
func (k RequestKind) Mutates() bool {
	switch k {
	case ReqCopy, ReqUpdate, ReqCreateUpload, ReqCopyPart, ReqComplete, ReqAbort, ReqPutDetail:
		return true
	}
	return false
}

// Call is one request as the pace and the metrics see it.
type Call struct {
	Kind RequestKind
	// Key is the object's key, for limits that S3 has by prefix.
	Key string
	// KMSKey is set where the request makes S3 call KMS under that key.
	KMSKey string
	// Bytes that the store moves for it (a copy's size); 0 for the others.
	Bytes int64
}

// Result is how a Call ended.
type Result struct {
	// OK, or the class of the error.
	OK         bool
	Class      Class
	RetryAfter time.Duration
	Latency    time.Duration
}

// Choice is what the planner decides for one object.
type Choice struct {
	// Operation, or OpNone with either Already or a Reason.
	Operation Operation
	Already   bool
	Reason    Reason
	// Message explains a Reason to a person: what, and what to do.
	Message string
	// Route for OpCopy: self-copy or replace. OpMultipart needs none.
	Route Route
	// SourceParts: a multipart copy must keep the source's own part boundaries.
	SourceParts bool
}
