// Package engine does what a plan says. It promises: a task counts as done only
// if the store was seen to show the target; an object's failure never stops its
// siblings; a request whose answer was lost is asked about before anything is
// sent again; and whatever was not finished is found again by the next run.
//
// The interfaces below are all that the engine wants of the world. The journal
// is the checkpoint; Hot is wire or s3store; the rest is s3store.
package engine

import (
	"context"
	"io"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Journal gives out tasks and keeps outcomes. The checkpoint implements it.
type Journal interface {
	// Next gives up to len(buf) tasks without outcome, in order of Seq, and how
	// many; it blocks while planning goes on and nothing is there, and ends with
	// io.EOF. No task is given before the watermark that covers it is durable.
	// One goroutine calls it.
	Next(ctx context.Context, buf []object.Task) (int, error)
	// Record takes an outcome and makes it durable soon, together with others. It
	// blocks only when the disk is far behind; its error is final. It keeps no
	// pointer to o. Safe for concurrent use.
	Record(o *object.Outcome) error
	// Flush returns when everything recorded is durable.
	Flush() error
}

// UploadJournal keeps what a multipart copy needs to be resumed or cleaned up.
// Its methods return when the change is durable.
type UploadJournal interface {
	SaveUpload(u object.Upload) error
	SavePart(seq uint64, p object.Part) error
	Upload(seq uint64) (u object.Upload, parts []object.Part, found bool, err error)
	DropUpload(seq uint64) error
}

// Hot sends the requests that every object costs. Errors are *object.Error; a
// success without its proof of success (ETag, body) is an error already.
// Nothing retries inside. Safe for concurrent use.
type Hot interface {
	Head(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.Head, error)
	Copy(ctx context.Context, r *object.CopyRequest) (object.CopyReply, error)
	// Update sends UpdateObjectEncryption. Only ever called where the capability
	// was seen.
	Update(ctx context.Context, ref object.Ref, t *object.Target) (requestID string, err error)
	CopyPart(ctx context.Context, r *object.PartRequest) (object.CopyReply, error)
}

// Uploads are the requests around the parts of a multipart copy.
type Uploads interface {
	CreateUpload(ctx context.Context, r *object.CopyRequest) (id string, shown object.Encryption, err error)
	CompleteUpload(ctx context.Context, r *object.CompleteRequest) (object.CopyReply, error)
	AbortUpload(ctx context.Context, dest object.Ref, id string) error
	ListParts(ctx context.Context, dest object.Ref, id string, t *object.Target) ([]object.Part, error)
}

// Details reads and re-applies what a copy does not carry.
type Details interface {
	Tags(ctx context.Context, ref object.Ref) ([]object.Tag, error)
	PutTags(ctx context.Context, ref object.Ref, tags []object.Tag) error
	Grants(ctx context.Context, ref object.Ref) ([]object.Grant, error)
	PutGrants(ctx context.Context, ref object.Ref, grants []object.Grant) error
	// Lock reads retention and legal hold; empty values for none.
	Lock(ctx context.Context, ref object.Ref) (mode string, until time.Time, hold bool, err error)
	PutLock(ctx context.Context, ref object.Ref, mode string, until time.Time, hold bool) error
	// Parts are the sizes of the parts that the object was uploaded in, and the
	// checksum type; nil where the store does not tell.
	Parts(ctx context.Context, ref object.Ref, key object.CustomerKey) (sizes []int64, checksumType string, err error)
}

// Reader streams an object's bytes, for --verify read.
type Reader interface {
	Open(ctx context.Context, ref object.Ref, key object.CustomerKey, etag string) (io.ReadCloser, error)
}

// BulkLister lists up to 1,000 current objects after startAfter with their
// encryption (metadata=true), in key order; more says whether there is a next
// page. Only where the capability was seen.
type BulkLister interface {
	ListInspected(ctx context.Context, bucket, prefix, startAfter string, max int) (objs []object.Object, more bool, err error)
}

// Pacer lets requests through. Every attempt of every request passes it.
type Pacer interface {
	// Enter waits until the call may be sent, or the context ends.
	Enter(ctx context.Context, c *object.Call) error
	// Leave tells how it ended. Called once for every successful Enter.
	Leave(c *object.Call, r object.Result)
}

// Observer sees what happens, for progress and metrics. Called by many
// goroutines; must not block, and keeps no pointer.
type Observer interface {
	Requested(c *object.Call, r object.Result)
	Settled(o *object.Outcome)
}

// Chooser decides what is to be done with an inspected object. planner.Chooser
// implements it as a pure function.
type Chooser interface {
	Choose(o *object.Object, a *object.Attributes) object.Choice
}
