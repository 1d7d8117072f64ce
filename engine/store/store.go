// Package store names what the engine asks of an endpoint, and promises nothing
// else: it holds interfaces and no code. Every implementation keeps the same
// contract: errors are *object.Error and classified; a success without its proof
// (ETag, body) is an error already; nothing retries inside; every method is safe
// for concurrent use.
//
// The wire client is a Hot, s3store is all of them.
package store

import (
	"context"
	"io"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Store is everything that the engine asks of one endpoint. The parts may come
// from different clients.
type Store struct {
	Hot
	Uploads
	Details
	Reader
}

// Hot sends the requests that every object costs.
type Hot interface {
	Head(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.Head, error)
	Copy(ctx context.Context, r *object.CopyRequest) (object.CopyReply, error)
	// Update sends UpdateObjectEncryption. Only ever called where the capability
	// was seen.
	Update(ctx context.Context, ref object.Ref, t *object.Target) (requestID string, err error)
	CopyPart(ctx context.Context, r *object.PartRequest) (object.CopyReply, error)
	Whole
}

// Whole moves the bytes of a small object through this process.
type Whole interface {
	// Get reads a whole object of a bounded size. Of a larger one its Head is returned
	// beside an error of ClassTooLarge.
	Get(ctx context.Context, r *object.GetRequest) (object.GetReply, error)
	// Put writes one with all that it carries. It is never to be repeated before the
	// store was asked what became of it.
	Put(ctx context.Context, r *object.PutRequest) (object.CopyReply, error)
}

// Uploads are the requests around the parts of a multipart copy, and the parts that are
// sent instead of copied.
type Uploads interface {
	CreateUpload(ctx context.Context, r *object.CopyRequest) (id string, shown object.Encryption, err error)
	// SendPart sends a part from bytes of this process. It may be repeated.
	SendPart(ctx context.Context, r *object.SendRequest) (object.CopyReply, error)
	CompleteUpload(ctx context.Context, r *object.CompleteRequest) (object.CopyReply, error)
	AbortUpload(ctx context.Context, dest object.Ref, id string) error
	ListParts(ctx context.Context, dest object.Ref, id string, t *object.Target) ([]object.Part, error)
}

// UploadLister is the second interface of Uploads: the open uploads of one key.
type UploadLister interface {
	ListUploads(ctx context.Context, dest object.Ref) ([]object.PendingUpload, error)
}

// Details reads and writes again what a copy does not carry.
type Details interface {
	Tags(ctx context.Context, ref object.Ref) ([]object.Tag, error)
	PutTags(ctx context.Context, ref object.Ref, tags []object.Tag) error
	Grants(ctx context.Context, ref object.Ref) ([]object.Grant, error)
	// Lock reads retention and legal hold; empty values for none.
	Lock(ctx context.Context, ref object.Ref) (mode string, until time.Time, hold bool, err error)
	PutLock(ctx context.Context, ref object.Ref, mode string, until time.Time, hold bool) error
	// Parts are the sizes of the parts that the object was uploaded in, and the
	// checksum type; nil where the store does not tell.
	Parts(ctx context.Context, ref object.Ref, key object.CustomerKey) (sizes []int64, checksumType string, err error)
	Annotations
}

// Annotations are only ever asked of AWS: other stores take the sub-resource for the
// object itself.
type Annotations interface {
	// Annotations lists those of an object, without their texts.
	Annotations(ctx context.Context, ref object.Ref) ([]object.Annotation, error)
	// Annotation reads the text of one.
	Annotation(ctx context.Context, ref object.Ref, name string) ([]byte, error)
	// PutAnnotation writes one, on the condition that the object has the ETag.
	PutAnnotation(ctx context.Context, ref object.Ref, etag string, a *object.Annotation) error
	// LocksNewObjects says whether the bucket has a rule by which every new object is
	// locked.
	LocksNewObjects(ctx context.Context, bucket string) (object.Finding, error)
}

// Reader reads an object's bytes: in one stream, for --verify read, or by stretches,
// for what goes through this process.
type Reader interface {
	Open(ctx context.Context, ref object.Ref, key object.CustomerKey, etag string) (io.ReadCloser, error)
	ReadRange(ctx context.Context, r *object.RangeRequest) error
}

// BulkLister lists up to 1,000 current objects after startAfter with their
// encryption (metadata=true), in key order; more says whether there is a next
// page. Only where the capability was seen.
type BulkLister interface {
	ListInspected(ctx context.Context, bucket, prefix, startAfter string, max int) (objs []object.Object, more bool, err error)
}

// Versions lists all versions and delete markers, those of a key newest first, and removes one
// version, which ref names by its ID.
type Versions interface {
	ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error)
	DeleteVersion(ctx context.Context, ref object.Ref) (requestID string, err error)
}
