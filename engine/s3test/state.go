package s3test

import (
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Attrs is everything that a version has beside its bytes. Zero values mean
// that it does not have it.
type Attrs struct {
	ContentType        string
	CacheControl       string
	ContentDisposition string
	ContentEncoding    string
	ContentLanguage    string
	Expires            string
	// Metadata is the user metadata by lower-case name without x-amz-meta-. Values
	// that are not ASCII are shown in the words of RFC 2047.
	Metadata map[string]string
	// MissingMetadata counts entries that HTTP cannot show.
	MissingMetadata int
	Redirect        string
	Tags            []object.Tag
	Owner           string
	// Grants beside the owner's full control.
	Grants []object.Grant
	// Encryption as it is shown; SSENone is an object from before 2023.
	// CustomerKeyMD5 names the key of an SSE-C object.
	Encryption object.Encryption
	// Context is the extra KMS context, base64; no request can read it.
	Context string
	// echo is what a store that only pretends shows as encryption and key.
	echo [2]string
	// customerKey is the key of an SSE-C object, kept to check it.
	customerKey  string
	unreadable   bool   // GET is a 500
	StorageClass string // empty for STANDARD
	ArchiveTier  string // of INTELLIGENT_TIERING
	// Restore is the x-amz-restore header of an archived object.
	Restore string
	// Replication is x-amz-replication-status.
	Replication string
	LockMode    string
	RetainUntil time.Time
	LegalHold   bool
	EventHold   EventHold
	// Annotations by name; annotatedAt is when each was written.
	Annotations map[string]string
	annotatedAt map[string]time.Time
	// heldOnce: a legal hold was set and taken away again, which is shown as OFF.
	heldOnce bool
	Checksum Checksum
	// Parts that the object was completed from; nil for a single PUT or copy.
	Parts []Part
}

// Part is one part of an upload or of a completed object.
type Part struct {
	Number   int
	Size     int64
	ETag     string
	Checksum string
}

// Object is one version of a key: what Put stores and Snapshot shows.
type Object struct {
	Key string
	// VersionID is "null" where versioning was off or suspended. Put gives one
	// where it is empty.
	VersionID    string
	Latest       bool
	DeleteMarker bool
	// LastModified; Put takes the server's clock where it is zero.
	LastModified time.Time
	// ETag without quotes; Put computes it where it is empty.
	ETag string
	Body *Content
	Attrs
}

// version is the stored form. Its Attrs are shared and never changed in place:
// whoever changes one stores a copy, so that a million objects can share one.
type version struct {
	id       string
	modified time.Time
	etag     string
	// sealed is what HEAD shows in place of etag, and conditions want; empty where that is etag.
	sealed string
	body   *Content
	marker bool
	attrs  *Attrs
}

func (v *version) size() int64 {
	if v.body == nil {
		return 0
	}
	return v.body.size
}

// with is a copy of the version's attributes to be changed and put back.
func (v *version) with(change func(a *Attrs)) {
	a := *v.attrs
	change(&a)
	v.attrs = &a
}

// restoring is x-amz-restore while a restore is under way.
const restoring = `ongoing-request="true"`

func (a *Attrs) archived() bool {
	switch a.StorageClass {
	case "GLACIER", "DEEP_ARCHIVE":
	default:
		if a.ArchiveTier == "" {
			return false
		}
	}
	return a.Restore == "" || a.Restore == restoring
}

// holdStatus is the legal hold as it is shown: empty where none was ever set.
func (a *Attrs) holdStatus() string {
	switch {
	case a.LegalHold:
		return "ON"
	case a.heldOnce:
		return "OFF"
	}
	return ""
}

func (a *Attrs) locked(now time.Time) bool {
	return a.LegalHold || a.EventHold.On || a.LockMode != "" && a.RetainUntil.After(now)
}

func (v *version) object(key string, latest bool) Object {
	o := Object{Key: key, VersionID: v.id, Latest: latest, DeleteMarker: v.marker,
		LastModified: v.modified, ETag: v.etag, Body: v.body}
	if v.attrs != nil {
		o.Attrs = *v.attrs
	}
	return o
}

// BucketConfig is the settings of a bucket. The zero value is a plain
// unversioned bucket as AWS creates them today, ACLs disabled.
type BucketConfig struct {
	Region     string
	Owner      string // account; the server's own where empty
	Versioning string // "", Enabled or Suspended
	// Tier is a class that MinIO moves everything into at once. What is deleted by its
	// version is listed as a delete marker from then on.
	Tier string
	// DefaultEncryption: Type SSEUnknown means that nobody configured one, which
	// encrypts by SSE-S3.
	DefaultEncryption object.Encryption
	BlockSSEC         bool
	ObjectLock        bool
	DefaultLockMode   string
	DefaultLockDays   int
	// DefaultEventHold is on for new objects whose writers send no lock.
	DefaultEventHold EventHold
	// Ownership is BucketOwnerEnforced where empty.
	Ownership     string
	RequesterPays bool
	// AccessPoints are the names of its access points, which have AWS's host names
	// only; see awsface.
	AccessPoints []string
	// Documents are the bodies of sub-resources that change nothing here:
	// lifecycle, replication, notification, website, policy, tagging, cors,
	// logging, publicAccessBlock, accelerate, inventory.
	Documents map[string]string
	// Deny refuses actions, as a policy would.
	Deny []Deny
}

// Deny refuses an action ("s3:GetObjectRetention") on the keys that the glob
// matches (every key where it is empty).
type Deny struct{ Action, Keys string }

type bucket struct {
	name    string
	created time.Time
	cfg     BucketConfig
	keys    index
	uploads map[string]*upload
	// completed are the uploads that were, by ID, since Complete may come again.
	completed map[string]*completed
	freed     []versionRow
}

// disturb tells the uploads of the key that it was written or deleted meanwhile.
func (b *bucket) disturb(key string) {
	for _, u := range b.uploads {
		if u.key == key {
			u.disturbed = true
		}
	}
}

// find gives the version that id names (the current one for ""), nil if there
// is none.
func (b *bucket) find(key, id string) (e *entry, v *version) {
	e = b.keys.get(key)
	if e == nil {
		return nil, nil
	}
	if id == "" {
		return e, e.current()
	}
	for _, v := range e.vs {
		if v.id == id {
			return e, v
		}
	}
	return e, nil
}

// push makes v the current version of key as the bucket's versioning wants it.
func (b *bucket) push(key string, v *version) {
	b.disturb(key)
	if v.id == "" {
		v.id = "null"
	}
	e := b.keys.get(key)
	if e == nil {
		b.keys.add(&entry{key: key, vs: []*version{v}})
		return
	}
	if b.cfg.Versioning == "" {
		e.vs = []*version{v}
		return
	}
	old := e.vs
	e.vs = make([]*version, 1, len(old)+1)
	e.vs[0] = v
	for _, o := range old {
		if o.id != v.id {
			e.vs = append(e.vs, o)
		}
	}
}

// drop removes one version; the key goes with its last one.
func (b *bucket) drop(e *entry, v *version) {
	b.disturb(e.key)
	for i := range e.vs {
		if e.vs[i] == v {
			e.vs = append(e.vs[:i:i], e.vs[i+1:]...)
			break
		}
	}
	if len(e.vs) == 0 {
		b.keys.remove(e.key)
	}
}
