package canary

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Store is the endpoint under question. Each request is sent once, and every error is
// an *object.Error with its class; what is asked again is decided here.
type Store interface {
	Objects
	Copies
	Details
	Listings
}

// Objects are whole objects, written, read and deleted.
type Objects interface {
	Put(ctx context.Context, p *object.PutRequest) (object.CopyReply, error)
	// PutUnder is Put under an encryption that is named by its header's value.
	PutUnder(ctx context.Context, p *object.PutRequest, algorithm string) (object.CopyReply, error)
	Get(ctx context.Context, g *object.GetRequest) (object.GetReply, error)
	Head(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.Head, error)
	// Update is UpdateObjectEncryption.
	Update(ctx context.Context, ref object.Ref, t *object.Target) (requestID string, err error)
	// Remove deletes one version, or, without a version ID, what is current; bypass
	// asks for the bypass of governance retention. It returns the version ID of the
	// delete marker that it made, if any.
	Remove(ctx context.Context, ref object.Ref, bypass bool) (marker string, err error)
	// RemoveAll is DeleteObjects, of at most a thousand. What it did is to be looked
	// for: entries that failed are no error. It returns the delete markers that the store
	// says it made.
	RemoveAll(ctx context.Context, bucket string, refs []object.Ref, bypass bool) (markers []object.Ref, err error)
}

// Copies are the routes of the job.
type Copies interface {
	Copy(ctx context.Context, c *object.CopyRequest) (object.CopyReply, error)
	CreateUpload(ctx context.Context, c *object.CopyRequest) (id string, shown object.Encryption, err error)
	CopyPart(ctx context.Context, p *object.PartRequest) (object.CopyReply, error)
	SendPart(ctx context.Context, p *object.SendRequest) (object.CopyReply, error)
	CompleteUpload(ctx context.Context, c *object.CompleteRequest) (object.CopyReply, error)
	AbortUpload(ctx context.Context, dest object.Ref, id string) error
	ListUploads(ctx context.Context, ref object.Ref) ([]object.PendingUpload, error)
}

// Details are the sub-resources of an object.
type Details interface {
	Tags(ctx context.Context, ref object.Ref) ([]object.Tag, error)
	PutTags(ctx context.Context, ref object.Ref, tags []object.Tag) error
	// Owner is the ID of the ACL's owner.
	Owner(ctx context.Context, ref object.Ref) (string, error)
	Grants(ctx context.Context, ref object.Ref) ([]object.Grant, error)
	PutGrants(ctx context.Context, ref object.Ref, grants []object.Grant) error
	PutCannedACL(ctx context.Context, ref object.Ref, acl string) error
	Lock(ctx context.Context, ref object.Ref) (mode string, until time.Time, hold bool, err error)
	PutLock(ctx context.Context, ref object.Ref, mode string, until time.Time, hold bool) error
	ReleaseHold(ctx context.Context, ref object.Ref) error
	// Attributes is GetObjectAttributes: an error unless the right document came.
	Attributes(ctx context.Context, ref object.Ref, key object.CustomerKey) error
}

// Listings and settings are of the bucket.
type Listings interface {
	ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error)
	ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error)
	// DefaultLock is the mode of retention that every new object gets; empty for none.
	DefaultLock(ctx context.Context, bucket string) (mode string, err error)
	// Answers fails where nothing but a failure of the moment comes back to a HEAD of the bucket.
	Answers(ctx context.Context, bucket string) error
	// Ahead is how far the store's clock is ahead of this machine's.
	Ahead(ctx context.Context, bucket string) (time.Duration, error)
}
