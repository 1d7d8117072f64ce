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
	RouteRewrite         // GET, and PutObject with everything resent: no copy, and never the canary's first choice
	RouteSend            // GET by stretches, and an upload of them with everything resent: no copy either
)

// String is for doctor.
func (r Route) String() string {
	return [...]string{"none", "self-copy", "self-copy with REPLACE", "multipart copy", "rewrite", "rewrite in parts"}[r]
}

// MarshalText writes a stable word.
func (r Route) MarshalText() ([]byte, error) {
	return []byte([...]string{"none", "copy", "replace", "multipart", "rewrite", "send"}[r]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (r *Route) UnmarshalText(b []byte) error {
	*r = map[string]Route{"copy": RouteSelfCopy, "replace": RouteReplace, "multipart": RouteMultipart, "rewrite": RouteRewrite, "send": RouteSend}[string(b)]
	return nil
}

// SourceEncoding is how often the key of a copy's source has to be percent-encoded
// so that the store finds it.
type SourceEncoding uint8

// The encodings. Unknown is written once, as S3 wants it.
const (
	EncodingUnknown SourceEncoding = iota
	EncodedOnce
	EncodedTwice   // the store decodes it twice
	EncodingBroken // keys with a percent sign cannot be named at all
)

var encodingNames = [...]string{"unknown", "once", "twice", "broken"}

// String is for doctor.
func (e SourceEncoding) String() string { return encodingNames[e] }

// MarshalText writes String.
func (e SourceEncoding) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (e *SourceEncoding) UnmarshalText(b []byte) error {
	*e = map[string]SourceEncoding{"once": EncodedOnce, "twice": EncodedTwice, "broken": EncodingBroken}[string(b)]
	return nil
}

// Capabilities is what an endpoint was seen to do, or, for AWS hosts, is known
// to do. A job freezes it by the names in the tags, which never change. A field that
// is Unknown is treated as No wherever a Yes would be trusted.
type Capabilities struct {
	// Source is "aws" for known hosts, "canary" for a probed endpoint, "assumed"
	// where --accept unproven-encryption skipped the proof.
	Source string `json:"Source"`
	// Encrypts: a made-up algorithm was refused, and HEAD showed what was asked.
	Encrypts Finding `json:"Encrypts"`
	// Route is the cheapest one that re-encrypts a plain source, EncryptedRoute
	// one that does so with a source that is encrypted already (Ceph differs).
	Route          Route `json:"Route"`
	EncryptedRoute Route `json:"EncryptedRoute"`
	// Replace and Multipart: these routes, tried with a plain source whether or not
	// a cheaper one works, re-encrypt and bring all headers and metadata along.
	// They are the ways out for objects that the cheapest route would harm.
	Replace   Finding `json:"Replace"`
	Multipart Finding `json:"Multipart"`
	// OtherKey: some copy re-encrypts an object under another KMS key than the
	// target's, the cheapest being OtherKeyRoute. No: every one keeps the old key, so
	// that only a rewrite helps. Unknown, as in older jobs, leaves it to EncryptedRoute.
	OtherKey      Finding `json:"OtherKey"`
	OtherKeyRoute Route   `json:"OtherKeyRoute"`
	// How a source's key has to be written in the header of CopyObject and of
	// UploadPartCopy.
	CopySourceEncoding SourceEncoding `json:"CopySourceEncoding"`
	PartSourceEncoding SourceEncoding `json:"PartSourceEncoding"`
	// Update: UpdateObjectEncryption showed the new key and left the bytes alone.
	Update Finding `json:"Update"`
	// Conditions that were seen to be honoured.
	CopySourceIfMatch Finding `json:"CopySourceIfMatch"` // on CopyObject
	PartSourceIfMatch Finding `json:"PartSourceIfMatch"` // on UploadPartCopy
	CopyIfMatch       Finding `json:"CopyIfMatch"`       // destination, on CopyObject
	CompleteIfMatch   Finding `json:"CompleteIfMatch"`   // on CompleteMultipartUpload
	// PutIfMatch: a PutObject under the target, with If-Match or If-None-Match, wrote
	// the encryption that was asked for where the condition held, and nothing where it
	// did not. It is unknown in jobs of older reseals, and No also where nobody asked.
	PutIfMatch Finding `json:"PutIfMatch"`
	// SendIfMatch: an upload under the target whose parts were sent instead of copied was
	// completed with If-Match, or If-None-Match, as it should be, and not where the
	// condition did not hold. Unknown where no job asked, and in jobs of older reseals.
	SendIfMatch Finding `json:"SendIfMatch"`
	// PutShowsEncryption: PutObject's reply carries the SSE headers.
	PutShowsEncryption Finding `json:"PutShowsEncryption"`
	// CompleteShowsETag: CompleteMultipartUpload's reply names what it made. No: an
	// empty success, after which HEAD decides.
	CompleteShowsETag Finding `json:"CompleteShowsETag"`
	// ListMetadata: a listing with metadata=true carries encryption and key.
	ListMetadata Finding `json:"ListMetadata"`
	// CopyShowsEncryption: CopyObject's reply carries the SSE headers.
	CopyShowsEncryption Finding `json:"CopyShowsEncryption"`
	// UploadShowsEncryption: CreateMultipartUpload's or Complete's reply does.
	UploadShowsEncryption Finding `json:"UploadShowsEncryption"`
	// CountsTags: HEAD and GET tell how many tags an object has also where that is none,
	// whatever the credentials may read. AWS leaves the count out for both.
	CountsTags Finding `json:"CountsTags"`
	// What arrives with the copy when it is kept or sent along.
	KeepsTags     Finding `json:"KeepsTags"`
	KeepsLock     Finding `json:"KeepsLock"`
	KeepsRedirect Finding `json:"KeepsRedirect"`
	KeepsExpires  Finding `json:"KeepsExpires"`
	KeepsClass    Finding `json:"KeepsClass"`
	// KeepsChecksums: CopyObject keeps a checksum of the whole object.
	KeepsChecksums Finding `json:"KeepsChecksums"`
	// PutDrops names what a PutObject took and the object did not show then: headers, Expires
	// among them, "user metadata", and algorithms of checksums. Objects of another store may have it.
	PutDrops []string `json:"PutDrops"`
	// Sub-resource writes that were seen to do what they say on a throwaway
	// object; never sent otherwise.
	PutTagging   Finding `json:"PutTagging"`
	PutRetention Finding `json:"PutRetention"`
	PutACL       Finding `json:"PutACL"`
	// CannedACL: an ACL that is named in one word (x-amz-acl) was taken where grants were not, or
	// where they are said to be disabled, so that objects may have grants all the same.
	CannedACL Finding `json:"CannedACL"`
	// Reads that were seen to answer with the right document.
	GetTagging    Finding `json:"GetTagging"`
	GetACL        Finding `json:"GetACL"`
	GetAttributes Finding `json:"GetAttributes"`
	GetRetention  Finding `json:"GetRetention"`
	// More of what differs.
	DSSE      Finding `json:"DSSE"`
	BucketKey Finding `json:"BucketKey"`
	Checksums Finding `json:"Checksums"`
	// UploadChecksums: a multipart copy can be made with a composite checksum.
	UploadChecksums Finding `json:"UploadChecksums"`
	// SendChecksums: so can an upload whose parts are sent. Unknown as SendIfMatch is.
	SendChecksums     Finding `json:"SendChecksums"`
	VersionsInReplies Finding `json:"VersionsInReplies"`
	// ShownKeyID is how the store shows the target's KMS key.
	ShownKeyID string `json:"ShownKeyID"`
	// Notes are sentences for doctor: what the store did, in the order observed.
	Notes []string `json:"Notes"`
}

// IsAWS says whether the endpoint is one of AWS, which has what no canary asks for:
// event holds and annotations.
func (c *Capabilities) IsAWS() bool { return c.Source == "aws" }

// KeepsNoGrants says whether no object of the store can have grants beside its owner's.
func (c *Capabilities) KeepsNoGrants() bool {
	return c.GetACL == No || c.PutACL == No && c.CannedACL != Yes
}

// Guarded says whether the route never overwrites what somebody else wrote after it
// was decided on: its last request carries a condition that the store was seen to
// honour.
func (c *Capabilities) Guarded(r Route) bool {
	switch r {
	case RouteSelfCopy, RouteReplace:
		return c.CopyIfMatch == Yes
	case RouteMultipart:
		return c.CompleteIfMatch == Yes
	case RouteRewrite:
		return c.PutIfMatch == Yes
	case RouteSend:
		return c.SendIfMatch == Yes
	}
	return false
}

// GuardedRoutes are the routes of this store that are guarded, the cheapest first, as
// far as a job takes them unasked.
// Without any, a job on a bucket that keeps no versions can lose the writes of
// others.
func (c *Capabilities) GuardedRoutes() []Route {
	var guarded []Route
	for _, r := range []Route{RouteSelfCopy, RouteReplace, RouteRewrite, RouteMultipart} {
		if c.has(r) && c.Guarded(r) {
			guarded = append(guarded, r)
		}
	}
	return guarded
}

// Unguarded says whether the store has ways to replace an object and none of them
// notices what somebody else wrote.
func (c *Capabilities) Unguarded() bool {
	return (c.Route != RouteNone || c.EncryptedRoute != RouteNone) && len(c.GuardedRoutes()) == 0 && !c.Guarded(RouteSend)
}

// has says whether the route was seen to re-encrypt something. A dearer way than
// the cheapest that works is there unless the canary saw it fail.
func (c *Capabilities) has(r Route) bool {
	any := c.Route != RouteNone || c.EncryptedRoute != RouteNone
	switch r {
	case RouteSelfCopy:
		return c.Route == r || c.EncryptedRoute == r
	case RouteReplace:
		return c.Route == r || c.EncryptedRoute == r || any && c.Replace != No && (c.Route == RouteSelfCopy || c.EncryptedRoute == RouteSelfCopy)
	case RouteMultipart:
		return c.Route == r || c.EncryptedRoute == r || any && c.Multipart != No
	}
	return c.PutIfMatch == Yes // proved with the target's encryption
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
	Versioning Versioning `json:"Versioning"`
	// ACLsDisabled: BucketOwnerEnforced, so no object has grants to lose.
	ACLsDisabled Finding `json:"ACLsDisabled"`
	// KeepsNoneOfSome: it keeps versions, and none of some keys, as MinIO can be told.
	KeepsNoneOfSome bool `json:"KeepsNoneOfSome"`
	// ObjectLock is whether the bucket can hold locked objects.
	ObjectLock Finding `json:"ObjectLock"`
	// LockRule is the rule by which every new object is locked, in words; NoLockRule for
	// none, and empty where it was not told, as by older jobs.
	LockRule string `json:"LockRule"`
	// Website is whether redirects can matter.
	Website Finding `json:"Website"`
	// DefaultEncryption is the bucket's default for new objects; Unknown type where
	// it could not be read.
	DefaultEncryption Encryption `json:"DefaultEncryption"`
	// BlocksSSEC: SSE-C writes are refused.
	BlocksSSEC Finding `json:"BlocksSSEC"`
	// Region of the bucket, empty where it was not told.
	Region string `json:"Region"`
}

// KeepsAll says whether nothing that is overwritten in the bucket is lost.
func (f *BucketFacts) KeepsAll() bool {
	return f.Versioning == VersioningEnabled && !f.KeepsNoneOfSome
}

// NoLockRule is the LockRule of a bucket that locks no new object by a rule.
const NoLockRule = "none"
