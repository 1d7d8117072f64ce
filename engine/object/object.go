package object

import (
	"path/filepath"
	"strings"
	"time"
)

// Ref names one object, or one version of it, in a bucket.
type Ref struct {
	Bucket string
	Key    string
	// VersionID is empty for the current version, NullVersion for the null version.
	VersionID string
}

// NullVersion is S3's own name for the version that was written while the bucket kept none.
const NullVersion = "null"

// String is for messages: s3://bucket/key, with ?versionId= where one is named, or the
// path of a file. It holds the key as it is: what goes to a terminal goes through
// Printable.
func (r Ref) String() string {
	if IsFolder(r.Bucket) {
		return filepath.Join(r.Bucket, filepath.FromSlash(r.Key))
	}
	s := "s3://" + r.Bucket + "/" + r.Key
	if r.VersionID != "" {
		s += "?versionId=" + r.VersionID
	}
	return s
}

// IsAccessPoint says whether a bucket is the ARN of an access point of AWS, through
// which S3 tells objects and none of the settings of the bucket behind it.
func IsAccessPoint(bucket string) bool { return strings.HasPrefix(bucket, "arn:") }

// MayBeBucket says whether a bucket may have this name: what S3 accepts, the upper case,
// underscores and adjacent dots of old buckets, and the ARN of an access point. It is there to catch slips,
// and lists that are none; the store has the last word.
func MayBeBucket(name string) bool {
	if IsAccessPoint(name) {
		return true
	}
	if len(name) == 0 || len(name) > 255 || name == "." || name == ".." {
		return false
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// Object is what the source of a plan tells about one object: a listing row,
// an inventory row, a line of a key list. Zero values mean "not told", except
// where a comment says otherwise. HEAD completes it (see Attributes).
type Object struct {
	Ref
	// Size in bytes; -1 where the source does not tell.
	Size int64
	// ETag without quotes; empty where the source does not tell.
	ETag         string
	LastModified time.Time
	StorageClass string
	// ArchiveTier is the Intelligent-Tiering archive tier (ARCHIVE_ACCESS,
	// DEEP_ARCHIVE_ACCESS) where the object is in one.
	ArchiveTier string
	// Noncurrent is set where the source says that a newer version exists.
	Noncurrent   bool
	DeleteMarker bool
	Encryption   Encryption
	// Settled is set where the source tells enough about the encryption that no
	// HEAD is needed to choose (a listing with metadata, an inspected plan row).
	Settled bool
	// Plain is set where the source has shown the object's attributes as well, and
	// it has none that a copy by the COPY directives could lose: no lock, KMS
	// context, metadata that HTTP cannot show, and no composite checksum. A listing
	// with metadata can tell. Expires and the redirect are excepted: no listing shows
	// them.
	Plain bool
	// MultipartUploaded is set where the source says so (inventory, or an ETag
	// with a "-N" suffix).
	MultipartUploaded bool
	// ChecksumAlgorithm as listings and inventories name it: CRC32, CRC32C,
	// CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128; empty for
	// none or not told.
	ChecksumAlgorithm string
	// ChecksumType is COMPOSITE or FULL_OBJECT; empty where not told.
	ChecksumType string
	// ClientSide is the envelope of an S3 encryption client, as far as the user
	// metadata shows one; empty where it was not seen.
	ClientSide ClientSide
	// LockMode and RetainUntil are the retention, LegalHold the hold, as far as
	// the source tells them.
	LockMode    string
	RetainUntil time.Time
	LegalHold   bool
	// Unfit is set by sources that have what is no object: see there. No plan keeps it.
	Unfit Unfit
}

// Archived says whether the bytes cannot be read without a restore, so that no
// copy is possible. An active temporary restore is only known to HEAD.
func (o *Object) Archived() bool {
	switch o.StorageClass {
	case "GLACIER", "DEEP_ARCHIVE":
		return true
	}
	return o.ArchiveTier == "ARCHIVE_ACCESS" || o.ArchiveTier == "DEEP_ARCHIVE_ACCESS"
}

// Freed says whether a row is of a version that is deleted, and whose bytes MinIO has still
// to take out of a tier. Until then, for minutes or hours, it lists a delete marker in its
// place, which no request can delete, and which is in that tier. A real one has no storage class,
// or STANDARD, which is the same.
func (o *Object) Freed() bool { return o.DeleteMarker && o.StorageClass != "" }

// Reserved says whether the object is in a storage class that a service of AWS
// keeps for itself (AWS_BACKUP_WARM and others): no request of a user can write
// into it, and what is in it is not the user's to change.
func (o *Object) Reserved() bool { return strings.HasPrefix(o.StorageClass, "AWS_") }

// Locked says whether a retention or a legal hold is known to protect the object.
func (o *Object) Locked() bool { return o.LockMode != "" || o.LegalHold }

// WrittenSince says whether an object, as it is now, shows that it was written since this
// row of it was made. What the row does not tell shows nothing, nor does a sealed ETag beside an open one.
func (o *Object) WrittenSince(now *Object) bool {
	return o.ETag != "" && o.ETag != now.ETag && SealedETag(o.ETag) == SealedETag(now.ETag) || !o.LastModified.IsZero() && o.LastModified.Unix() != now.LastModified.Unix()
}

// HasSealedETag says whether conditions on the object may want an ETag that only a HEAD shows:
// MinIO seals that of what is encrypted, and opens it in replies, listings and a GET; where a
// key ends with a slash a HEAD shows it sealed, and conditions are compared with nothing else.
func (o *Object) HasSealedETag() bool {
	return strings.HasSuffix(o.Key, "/") && o.Encryption.Type != SSENone && !IsFolder(o.Bucket)
}

// SealedETag says whether an ETag is such a one: 32 bytes in the form of MinIO's sealed
// packages, in hex.
func SealedETag(etag string) bool {
	return len(etag) == 96 && strings.HasPrefix(etag, "20") && etag[4:8] == "0f00"
}

// Attributes is everything else that an object has and that must survive. Zero
// values mean that the object does not have it.
type Attributes struct {
	ContentType        string
	CacheControl       string
	ContentDisposition string
	ContentEncoding    string
	ContentLanguage    string
	// Expires is the header's text as stored; S3 keeps even unparsable ones.
	Expires string
	// Metadata is the user metadata: lower-case names without x-amz-meta-, values
	// as the header carried them (RFC 2047 where the writer encoded them).
	Metadata map[string]string
	// MissingMetadata counts user metadata entries that HTTP cannot show
	// (x-amz-missing-meta); a copy by the COPY directive keeps them, a resend
	// cannot.
	MissingMetadata int
	// KMSContext is the extra encryption context of an SSE-KMS object, where the
	// store shows it (MinIO does, AWS never): the base64 of its JSON. Such a store
	// must be sent one with a self-copy, see engine's copyRequest.
	KMSContext string
	// WebsiteRedirect is x-amz-website-redirect-location.
	WebsiteRedirect string
	// TagCount is x-amz-tagging-count; Tags is nil until they were read.
	TagCount int
	Tags     []Tag
	// Grants is nil until the ACL was read; an empty non-nil slice means "owner
	// has full control and nobody else has anything".
	Grants []Grant
	// Annotations is nil until they were listed, which only a request of its own does.
	// Their texts are read where they have to be written again.
	Annotations []Annotation
	// PartsCount is how many parts the object was uploaded in; 0 where not told.
	PartsCount int
	// PartSizes are the sizes of the parts, in order, where they could be read.
	PartSizes []int64
	// Checksums holds the values by algorithm name (CRC32 …), base64.
	Checksums map[string]string
	// ChecksumsUntold: the store answered only when it was not asked for checksums (S3
	// shows one under SSE-KMS to those alone who may decrypt), so there may be one.
	ChecksumsUntold bool
	// EventHold is set where the lock lasts until an event is told to S3, and then
	// for EventHoldDays or EventHoldYears; until then every look at RetainUntil shows
	// a later date, so that a copied one is a weaker lock.
	EventHold                     bool
	EventHoldDays, EventHoldYears int
	// UnknownEncryption is the store's word for an encryption that reseal does not
	// know (aws:backup); Encryption.Type is SSEUnknown then.
	UnknownEncryption string
	// Restored is set where a temporary restored copy makes the bytes of an
	// archived object readable.
	Restored bool
}

// Tag is one object tag.
type Tag struct{ Key, Value string }

// SameTags compares tags as the set that they are.
func SameTags(a, b []Tag) bool {
	if len(a) != len(b) {
		return false
	}
	set := make(map[string]string, len(a))
	for _, t := range a {
		set[t.Key] = t.Value
	}
	for _, t := range b {
		if v, ok := set[t.Key]; !ok || v != t.Value {
			return false
		}
	}
	return true
}

// Annotation is a named text that stands beside an object (AWS, since 2026). It is
// under the object's encryption.
type Annotation struct {
	Name string
	// ETag and Size as a listing tells them.
	ETag string
	Size int64
	// Text is nil until it was read; there is no empty one.
	Text []byte
}

// Grant is one entry of an ACL. Exactly one of ID, URI and Email names the
// grantee.
type Grant struct {
	ID, URI, Email string
	// Permission is FULL_CONTROL, READ, READ_ACP, WRITE_ACP (or WRITE).
	Permission string
}

// Head is what one HEAD request tells: the object, its attributes, and the
// request that brought it.
type Head struct {
	Object
	Attributes
	// ShownVersionID is the version that the reply named. Ref stays as it was
	// asked, so that "the current version" keeps meaning that.
	ShownVersionID string
	RequestID      string
	// Replication is x-amz-replication-status: PENDING, COMPLETED (COMPLETE of some), FAILED
	// or REPLICA; empty for an object that no replication rule has met.
	Replication string
	// At is when it was told, or, with the bytes, was asked for; zero where nobody noted it.
	At time.Time
}
