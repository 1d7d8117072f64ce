package object

// Finding is what is known of one ability of a store: unknown is not no.
type Finding uint8

// The three findings.
const (
	Unknown Finding = iota
	Yes
	No
)

// String is for doctor and job.json.
func (f Finding) String() string { return [...]string{"unknown", "yes", "no"}[f] }

// MarshalText writes yes, no or unknown.
func (f Finding) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (f *Finding) UnmarshalText(b []byte) error {
	switch string(b) {
	case "yes":
		*f = Yes
	case "no":
		*f = No
	default:
		*f = Unknown
	}
	return nil
}

// Found turns an observation into a Finding.
func Found(b bool) Finding {
	if b {
		return Yes
	}
	return No
}

// Route is a way of copying an object onto itself.
type Route uint8

// The routes, in the order in which the canary tries them.
const (
	RouteNone      Route = iota
	RouteSelfCopy        // CopyObject, directives COPY
	RouteReplace         // CopyObject, directives REPLACE, everything resent
	RouteMultipart       // a one-part multipart copy
)

// String is for doctor.
func (r Route) String() string {
	return [...]string{"none", "self-copy", "self-copy with REPLACE", "multipart copy"}[r]
}

// MarshalText writes a stable word.
func (r Route) MarshalText() ([]byte, error) {
	return []byte([...]string{"none", "copy", "replace", "multipart"}[r]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (r *Route) UnmarshalText(b []byte) error {
	*r = map[string]Route{"copy": RouteSelfCopy, "replace": RouteReplace, "multipart": RouteMultipart}[string(b)]
	return nil
}

// Capabilities is what an endpoint was seen to do, or, for AWS hosts, is known
// to do. A job freezes it. A field that is Unknown is treated as No wherever a
// Yes would be trusted.
type Capabilities struct {
	// Source is "aws" for known hosts, "canary" for a probed endpoint, "assumed"
	// where --accept unproven-encryption skipped the proof.
	Source string
	// Encrypts: a made-up algorithm was refused, and HEAD showed what was asked.
	Encrypts Finding
	// Route is the cheapest one that re-encrypts a plain source, EncryptedRoute
	// one that does so with a source that is encrypted already (Ceph differs).
	Route          Route
	EncryptedRoute Route
	// Replace and Multipart: these routes, tried with a plain source whether or not
	// a cheaper one works, re-encrypt and bring all headers and metadata along.
	// They are the ways out for objects that the cheapest route would harm.
	Replace   Finding
	Multipart Finding
	// Update: UpdateObjectEncryption showed the new key and left the bytes alone.
	Update Finding
	// Conditions that were seen to be honoured.
	CopySourceIfMatch Finding // on CopyObject
	PartSourceIfMatch Finding // on UploadPartCopy
	CopyIfMatch       Finding // destination, on CopyObject
	CompleteIfMatch   Finding // on CompleteMultipartUpload
	// ListMetadata: a listing with metadata=true carries encryption and key.
	ListMetadata Finding
	// CopyShowsEncryption: CopyObject's reply carries the SSE headers.
	CopyShowsEncryption Finding
	// UploadShowsEncryption: CreateMultipartUpload's or Complete's reply does.
	UploadShowsEncryption Finding
	// What arrives with the copy when it is kept or sent along.
	KeepsTags     Finding
	KeepsLock     Finding
	KeepsRedirect Finding
	KeepsExpires  Finding
	KeepsClass    Finding
	// Sub-resource writes that were seen to do what they say on a throwaway
	// object; never sent otherwise.
	PutTagging   Finding
	PutRetention Finding
	PutACL       Finding
	// Reads that were seen to answer with the right document.
	GetTagging    Finding
	GetACL        Finding
	GetAttributes Finding
	GetRetention  Finding
	// More of what differs.
	DSSE      Finding
	BucketKey Finding
	Checksums Finding
	// UploadChecksums: a multipart copy can be made with a composite checksum.
	UploadChecksums   Finding
	VersionsInReplies Finding
	// ShownKeyID is how the store shows the target's KMS key.
	ShownKeyID string
	// Notes are sentences for doctor: what the store did, in the order observed.
	Notes []string
}

// Versioning is the versioning state of a bucket.
type Versioning uint8

// The states; VersioningUnknown is treated as off by guards (nothing old is
// kept) and as on by estimates.
const (
	VersioningUnknown Versioning = iota
	VersioningOff
	VersioningEnabled
	VersioningSuspended
)

// String is for doctor.
func (v Versioning) String() string {
	return [...]string{"unknown", "off", "enabled", "suspended"}[v]
}

// MarshalText writes String.
func (v Versioning) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (v *Versioning) UnmarshalText(b []byte) error {
	*v = map[string]Versioning{"off": VersioningOff, "enabled": VersioningEnabled, "suspended": VersioningSuspended}[string(b)]
	return nil
}

// BucketFacts are the settings of a bucket that decide once which calls every
// object needs. Unknown is never "none": a setting that could not be read makes
// the careful call.
type BucketFacts struct {
	Versioning Versioning
	// ACLsDisabled: BucketOwnerEnforced, so no object has grants to lose.
	ACLsDisabled Finding
	// ObjectLock is whether the bucket can hold locked objects.
	ObjectLock Finding
	// Website is whether redirects can matter.
	Website Finding
	// DefaultEncryption is the bucket's default for new objects; Unknown type where
	// it could not be read.
	DefaultEncryption Encryption
	// BlocksSSEC: SSE-C writes are refused.
	BlocksSSEC Finding
	// Region of the bucket, empty where it was not told.
	Region string
}
