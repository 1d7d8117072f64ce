package s3test

import "fmt"

// EncryptionPlay is what a store does with the encryption it is asked for.
type EncryptionPlay uint8

// The plays.
const (
	EncryptAWS     EncryptionPlay = iota // does and shows it
	EncryptNothing                       // 200, nothing encrypted, nothing shown
	EncryptEcho                          // shows whatever was asked, even a made-up algorithm
)

// Profile is a store as a set of its differences from AWS; the zero value is
// AWS. Every field was observed on some store.
type Profile struct {
	Name string

	Encryption EncryptionPlay
	// PutIgnoresAES256: AES256 is 200, and nothing is encrypted; aws:kms is real.
	PutIgnoresAES256 bool
	// RefusesAES256: AES256 is 400, where no KMS for it was set up.
	RefusesAES256 bool
	// KMSNeedsKey: aws:kms without a key ID is 400.
	KMSNeedsKey bool
	// UnknownKeyIs403: an unknown key looks like bad credentials.
	UnknownKeyIs403 bool
	// UnknownKeyIsInvalid: it is an InvalidArgument.
	UnknownKeyIsInvalid bool
	// UnknownKeyIsMinIO: kms:KeyNotFound.
	UnknownKeyIsMinIO bool
	// KeyAsGiven shows the key ID as the request had it; KeyMinIO as
	// arn:aws:kms:ID.
	KeyAsGiven, KeyMinIO bool
	NoDSSE               bool // aws:kms:dsse is 400
	IgnoresBucketKey     bool
	KMSETagIsMD5         bool
	CopyShowsNoSSE       bool // CopyObject's reply
	CreateShowsNoSSE     bool // CreateMultipartUpload's
	SSECOverHTTP         bool
	HeadRefusesSSE       bool // not used by AWS either: HEAD with an SSE request header is 400
	// NoImplicitSSE: what asks for no encryption stays plain (before 2023, and
	// every other store).
	NoImplicitSSE bool

	// CopyIgnoresSSE: CopyObject answers 200 and leaves plaintext.
	CopyIgnoresSSE bool
	// CopyKeepsSSE: CopyObject answers 200 and leaves the source's encryption.
	CopyKeepsSSE bool
	// CopyKeepsKMSKey: a copy from under one KMS key to another answers 200 and
	// leaves the source's key.
	CopyKeepsKMSKey bool
	// UpdateDoesNothing: UpdateObjectEncryption answers 200 and changes nothing.
	UpdateDoesNothing bool
	// CopyEncrypted501: CopyObject refuses encrypted sources.
	CopyEncrypted501 bool
	// SelfCopyNeedsReplace: a changed encryption does not make a self-copy legal.
	SelfCopyNeedsReplace bool
	// RedirectIsNoChange: nor does a redirect of its own.
	RedirectIsNoChange bool
	// SelfCopyByVersions: it is legal where versions are kept, and else by REPLACE alone.
	SelfCopyByVersions bool
	// SelfCopyInPlace edits the current version, no new one.
	SelfCopyInPlace bool
	// CopyTakesCurrent copies the current version whatever the source names.
	CopyTakesCurrent bool
	NoMultipartCopy  bool // UploadPartCopy is 501
	PartCopy411      bool // UploadPartCopy is MissingContentLength
	// PartCopyKMS501: UploadPartCopy refuses sources under KMS.
	PartCopyKMS501 bool
	// PartCopyDecodesTwice: UploadPartCopy decodes the name of its source twice, so
	// that it copies another key's bytes; a name that cannot be decoded again kills
	// the server, and the connection with it.
	PartCopyDecodesTwice bool
	// PartCopyReadsVersion: UploadPartCopy looks for a version in the decoded name of its
	// source, so that it copies another key's bytes where a key looks like one.
	PartCopyReadsVersion bool
	// CompleteNeedsKey: Complete of an upload under a customer key wants that key again.
	CompleteNeedsKey bool
	// CustomerSourceFails: SSE-C sources cannot be copied in parts (400).
	CustomerSourceFails bool
	// CustomerPartCopyBroken: what was copied in parts to under a customer key is shown as
	// it should be, and reading it is a 500.
	CustomerPartCopyBroken bool
	PlusIsLiteral          bool // a raw + in x-amz-copy-source is a plus

	IgnoresCopySourceConditions bool
	IgnoresPartSourceConditions bool
	IgnoresCopyIfMatch          bool // destination, CopyObject
	IgnoresCompleteIfMatch      bool
	// SimpleComplete: a second Complete is NoSuchUpload, and its condition compares
	// ETags alone.
	SimpleComplete    bool
	IgnoresPutIfMatch bool
	// PutIfMatchUnquoted: an ETag in quotes is taken with them, so that it is nobody's;
	// the bare one is compared.
	PutIfMatchUnquoted   bool
	IgnoresDeleteIfMatch bool
	IgnoresExpectedOwner bool
	// LeavesMarkers: what was a version is listed as a delete marker of another ID once it is deleted, and
	// that one's deletion changes nothing (MinIO, of objects in a tier).
	LeavesMarkers bool
	// IgnoresDeletes: nothing is ever deleted, whatever the answer says.
	IgnoresDeletes bool

	// What does not arrive.
	CopyDropsTags      bool // also those sent with REPLACE
	UploadDropsTags    bool
	LostTagsAnswerNil  bool // GetObjectTagging is then an empty 200
	PutDropsTags       bool
	CopyDropsLock      bool // even when sent
	UploadDropsLock    bool
	DropsExpires       bool // always
	CopyDropsExpires   bool // a copy by the COPY directive; REPLACE and uploads keep it
	DropsHeaders       bool // CacheControl, ContentLanguage, ContentEncoding, Expires on copies
	CopyDropsRedirect  bool // even when sent
	DropsRedirect      bool // always
	ClassAlwaysDefault bool
	OnlyStandard       bool   // any other storage class is 400
	OwnClass           string // a storage class that this store has beside
	KeepsLock          bool   // a copy carries the lock even when it is not sent
	// OnlyCannedACLs: grants are refused with an object, and make it private in a PutObjectAcl.
	OnlyCannedACLs bool
	// ACLsUntilAsked: a bucket says that its ACLs are disabled, and takes them, until somebody has set that.
	ACLsUntilAsked bool
	// FreeHasNoConfiguration: what no lock is on is told in the words for a bucket that knows none.
	FreeHasNoConfiguration bool
	// AcceptsLockHeaders: lock headers are swallowed on any bucket, no lock.
	AcceptsLockHeaders bool
	NoChecksums        bool
	CopyDropsChecksum  bool // and an upload of copied parts has none
	// UnknownSums are algorithms of checksums that it does not know: it passes over their headers.
	UnknownSums []string
	// ChecksumByName: PutObject keeps the checksum that x-amz-sdk-checksum-algorithm names.
	ChecksumByName bool
	NoACL          bool

	// Objects overwritten by sub-resource requests: PUT ?sub is taken for
	// PutObject and GET ?sub for GetObject, for each of these and for unknown
	// ones. OverwritesUnknown is for the unknown ones alone.
	ForeignObject     []string
	OverwritesUnknown bool
	// ForeignBucket are bucket sub-resources taken for the bucket itself: GET
	// lists, PUT creates, DELETE deletes it.
	ForeignBucket []string
	// RefusedBucket are those answered with 501.
	RefusedBucket []string
	// RefusedObject are object sub-resources answered with 405.
	RefusedObject []string

	// Replies.
	UnquotedETags     bool
	EmptyCompleteETag bool // <ETag></ETag> after an upload that was completed
	EmptyCopyReply    bool // an empty 200 after a copy that was done
	EmptyCopyUndone   bool // the same, not done
	NoVersionsInReply bool
	// NoNullInReply: nothing but a listing names the null version, as the replies to PutObject
	// and CompleteMultipartUpload do nowhere.
	NoNullInReply  bool
	NoCopySourceID bool // x-amz-copy-source-version-id

	// Listings.
	EmptyLastPage     bool // when the count is a multiple of max-keys
	RepeatedLastPage  bool // the last row of a page comes again on the next
	ExtraEmptyPage    bool // always one more, empty
	NotByteOrder      bool // "/" sorts before "-", and paging drops keys
	IgnoresEncoding   bool // encoding-type=url is not done, nor said
	SaysEmptyEncoding bool // … but an empty element
	VersionsNoMarker  bool // truncated without NextKeyMarker
	VersionsNullNext  bool // NextVersionIdMarker is null on every page, and nothing is behind that
	EncodesSlash      bool
	VersionsRepeat    bool // duplicates at page borders; max-keys 1 never ends
	BigPages          bool // max-keys above 1,000 is obeyed
	ListMetadata      bool // metadata=true, as MinIO has it
	ControlCharsAsFFD bool

	// HidesChecksums: what is under a KMS key that cannot be used is shown by HEAD and
	// GetObjectAttributes as if it had no checksum.
	HidesChecksums bool
	// HeadersAreMetadata: more than 8 KB of headers are told as MetadataTooLarge.
	HeadersAreMetadata bool

	// SealsFolders: what is encrypted and has a key that ends with a slash is shown by HEAD under
	// another ETag than by all else, which conditions want. No upload in parts takes such a key.
	SealsFolders bool

	// LooksWithNewKey: what a condition is about is looked at with the customer key that comes
	// with the request, which is refused where it is under none, or has to come with one.
	LooksWithNewKey bool

	NoVersioning bool
	// AnyVersionID: an ID that no version has is NoSuchVersion, whatever its form.
	AnyVersionID bool
	NoAuth       bool // nothing is checked
	Server       string
	// CephRequestIDs: tx, 21 digits, the time, and which gateway it was.
	CephRequestIDs bool
}

// requestID is the next request's.
func (p *Profile) requestID(of *ids) string {
	if p.CephRequestIDs {
		return fmt.Sprintf("tx%05x%016x-006b0e1e28-100d-default", of.next()&0xfffff, of.next())
	}
	return of.requestID()
}

func (p *Profile) server() string {
	if p.Server != "" {
		return p.Server
	}
	return "AmazonS3"
}
