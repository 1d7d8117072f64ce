package s3test

// AWS is the store that s3-facts describe: no difference.
func AWS() Profile { return Profile{Name: "AWS"} }

// MinIO as measured: community source 20260212.
func MinIO() Profile {
	return Profile{
		Name: "MinIO", Server: "MinIO", NoImplicitSSE: true, SimpleComplete: true, AnyVersionID: true, KeyMinIO: true, UnknownKeyIsMinIO: true, NoDSSE: true,
		IgnoresBucketKey: true, CopyShowsNoSSE: true, IgnoresCopyIfMatch: true, IgnoresExpectedOwner: true,
		CopyDropsExpires: true, CopyDropsRedirect: true, NoNullInReply: true, ForeignObject: []string{"encryption"}, OverwritesUnknown: true,
		ListMetadata: true, ExtraEmptyPage: true, HeadersAreMetadata: true, HidesChecksums: true, SealsFolders: true, LooksWithNewKey: true,
	}
}

// Ceph16 is Ceph RGW 16.2.15: only a multipart copy encrypts.
func Ceph16() Profile {
	return Profile{
		Name: "Ceph16", Server: "Ceph", CephRequestIDs: true, NoImplicitSSE: true, SimpleComplete: true, AnyVersionID: true, PutIgnoresAES256: true, KMSNeedsKey: true, UnknownKeyIs403: true,
		KeyAsGiven: true, NoDSSE: true, IgnoresBucketKey: true, KMSETagIsMD5: true, SSECOverHTTP: true, HeadRefusesSSE: true,
		CopyIgnoresSSE: true, CopyEncrypted501: true, SelfCopyNeedsReplace: true, CopyShowsNoSSE: true, CustomerSourceFails: true,
		IgnoresCopySourceConditions: true, IgnoresPartSourceConditions: true, IgnoresCopyIfMatch: true,
		IgnoresCompleteIfMatch: true, IgnoresDeleteIfMatch: true, IgnoresExpectedOwner: true,
		CopyDropsTags: true, UploadDropsTags: true, LostTagsAnswerNil: true, CopyDropsLock: true, UploadDropsLock: true,
		PartCopyDecodesTwice: true, FreeHasNoConfiguration: true,
		NoChecksums: true, OnlyStandard: true, PlusIsLiteral: true, UnquotedETags: true, NoVersionsInReply: true, EmptyCompleteETag: true, PutIfMatchUnquoted: true,
		ForeignObject: []string{"encryption", "attributes"}, OverwritesUnknown: true,
		ForeignBucket: []string{"encryption", "inventory"}, EncodesSlash: true,
	}
}

// Ceph20 is Ceph RGW 20.2.4 (Tentacle), where no KMS for SSE-S3 was set up. What its
// GetObjectAttributes leaves out is played as a refusal.
func Ceph20() Profile {
	return Profile{
		Name: "Ceph20", Server: "Ceph Object Gateway (tentacle)", CephRequestIDs: true, NoImplicitSSE: true, SimpleComplete: true, AnyVersionID: true, RefusesAES256: true, KMSNeedsKey: true, UnknownKeyIsInvalid: true,
		KeyAsGiven: true, NoDSSE: true, IgnoresBucketKey: true, KMSETagIsMD5: true, SSECOverHTTP: true, HeadRefusesSSE: true, SelfCopyNeedsReplace: true, RedirectIsNoChange: true,
		PartCopyReadsVersion: true, FreeHasNoConfiguration: true, IgnoresPartSourceConditions: true, IgnoresCopyIfMatch: true, OnlyStandard: true, PlusIsLiteral: true, NoVersionsInReply: true,
		CompleteNeedsKey: true, CopyDropsChecksum: true, ChecksumByName: true, RefusedObject: []string{"attributes"}, ForeignObject: []string{"encryption"}, OverwritesUnknown: true, EncodesSlash: true,
	}
}

// Versitygw is versitygw 1.8.0 over posix: it encrypts nothing.
func Versitygw() Profile {
	return Profile{
		Name: "Versitygw", Server: "VERSITYGW", Encryption: EncryptNothing, NoImplicitSSE: true, SimpleComplete: true, AnyVersionID: true, SelfCopyNeedsReplace: true,
		SelfCopyInPlace: true, IgnoresCopyIfMatch: true, ClassAlwaysDefault: true, NoACL: true, KeepsLock: true, NoCopySourceID: true,
		ForeignObject: []string{"encryption"}, OverwritesUnknown: true,
		RefusedBucket:  []string{"encryption", "inventory", "lifecycle", "replication", "notification", "website"},
		VersionsRepeat: true, EmptyLastPage: true, IgnoresEncoding: true, SaysEmptyEncoding: true, ControlCharsAsFFD: true,
	}
}

// SeaweedFS is SeaweedFS 3.39: it encrypts nothing and honours no condition.
func SeaweedFS() Profile {
	return Profile{
		Name: "SeaweedFS", Server: "SeaweedFS S3", Encryption: EncryptNothing, NoImplicitSSE: true, SimpleComplete: true, AnyVersionID: true, SelfCopyNeedsReplace: true,
		IgnoresCopySourceConditions: true, IgnoresPartSourceConditions: true, IgnoresCopyIfMatch: true,
		IgnoresCompleteIfMatch: true, IgnoresPutIfMatch: true, IgnoresDeleteIfMatch: true, IgnoresExpectedOwner: true,
		DropsHeaders: true, NoChecksums: true, NoVersioning: true, AcceptsLockHeaders: true, UnquotedETags: true,
		ForeignObject: []string{"encryption", "retention", "legal-hold"}, OverwritesUnknown: true,
		ForeignBucket: []string{"encryption", "inventory"}, BigPages: true, IgnoresEncoding: true,
	}
}

// SeaweedFS2026 is SeaweedFS of November 2026, with a KMS: it encrypts, but a copy
// does not change the KMS key, and an upload does not read what is under one. Two
// copies do, by way of SSE-S3.
func SeaweedFS2026() Profile {
	return Profile{
		Name: "SeaweedFS2026", Server: "SeaweedFS S3", NoImplicitSSE: true, SimpleComplete: true, AnyVersionID: true, SelfCopyNeedsReplace: true,
		CopyKeepsKMSKey: true, PartCopyKMS501: true, CustomerPartCopyBroken: true, KeyAsGiven: true, KMSNeedsKey: true, NoDSSE: true, IgnoresBucketKey: true,
		CopyShowsNoSSE: true, CreateShowsNoSSE: true, SelfCopyByVersions: true, FreeHasNoConfiguration: true, ACLsUntilAsked: true, OnlyCannedACLs: true, DropsRedirect: true, IgnoresExpectedOwner: true, ForeignObject: []string{"encryption"}, OverwritesUnknown: true,
	}
}

// GoFakeS3 is gofakes3 1.2.0: it shows whatever encryption it was asked for.
func GoFakeS3() Profile {
	return Profile{
		Name: "GoFakeS3", Server: "AmazonS3", Encryption: EncryptEcho, NoImplicitSSE: true, SimpleComplete: true, AnyVersionID: true, CopyTakesCurrent: true,
		PartCopy411: true, IgnoresCopySourceConditions: true, IgnoresPartSourceConditions: true, IgnoresCopyIfMatch: true,
		IgnoresCompleteIfMatch: true, IgnoresDeleteIfMatch: true, IgnoresExpectedOwner: true, DropsHeaders: true,
		NoAuth: true, AcceptsLockHeaders: true,
		ForeignObject: []string{"encryption", "tagging", "acl", "retention", "legal-hold", "attributes"}, OverwritesUnknown: true,
		ForeignBucket: []string{"encryption", "inventory"}, EmptyLastPage: true, IgnoresEncoding: true, ControlCharsAsFFD: true,
		VersionsNoMarker: true,
	}
}

// S3rver is s3rver 3.7.1: no encryption, no multipart copy, keys out of order.
func S3rver() Profile {
	return Profile{
		Name: "S3rver", Server: "", Encryption: EncryptNothing, NoImplicitSSE: true, SimpleComplete: true, AnyVersionID: true, SelfCopyNeedsReplace: true,
		NoMultipartCopy: true, IgnoresCopySourceConditions: true, IgnoresPartSourceConditions: true, IgnoresCopyIfMatch: true,
		IgnoresCompleteIfMatch: true, IgnoresPutIfMatch: true, IgnoresDeleteIfMatch: true, IgnoresExpectedOwner: true,
		PutDropsTags: true, NoACL: true, NoChecksums: true, NoVersioning: true, OverwritesUnknown: true,
		RefusedBucket: []string{"encryption", "inventory"}, RefusedObject: []string{"encryption"}, NotByteOrder: true, BigPages: true,
	}
}

// Stores are the stores that were measured.
func Stores() []Profile {
	return []Profile{AWS(), MinIO(), Ceph16(), Versitygw(), SeaweedFS(), SeaweedFS2026(), GoFakeS3(), S3rver(), Ceph20()}
}

// Quirks are AWS with one difference each, so that a test shows which one a
// program stumbles over.
func Quirks() []Profile {
	return []Profile{
		{Name: "encrypts nothing", Encryption: EncryptNothing},
		{Name: "echoes any algorithm", Encryption: EncryptEcho},
		{Name: "copy answers 200 and encrypts nothing", CopyIgnoresSSE: true, CopyShowsNoSSE: true},
		{Name: "copy answers 200 and keeps the old encryption", CopyKeepsSSE: true, CopyShowsNoSSE: true},
		{Name: "copy keeps the KMS key", CopyKeepsKMSKey: true},
		{Name: "part copy refuses KMS sources", PartCopyKMS501: true},
		{Name: "part copy decodes its source twice", PartCopyDecodesTwice: true},
		{Name: "update answers 200 and does nothing", UpdateDoesNothing: true},
		{Name: "copy refuses encrypted sources", CopyEncrypted501: true},
		{Name: "self-copy needs REPLACE", SelfCopyNeedsReplace: true},
		{Name: "self-copy edits in place", SelfCopyInPlace: true},
		{Name: "copies the current version", CopyTakesCurrent: true},
		{Name: "no multipart copy", NoMultipartCopy: true},
		{Name: "copy shows no encryption", CopyShowsNoSSE: true},
		{Name: "ignores copy-source-if-match", IgnoresCopySourceConditions: true},
		{Name: "ignores copy-source-if-match on parts", IgnoresPartSourceConditions: true},
		{Name: "ignores If-Match on CopyObject", IgnoresCopyIfMatch: true},
		{Name: "ignores If-Match on Complete", IgnoresCompleteIfMatch: true},
		{Name: "ignores If-Match on PutObject", IgnoresPutIfMatch: true},
		{Name: "If-Match on PutObject must be unquoted", PutIfMatchUnquoted: true},
		{Name: "completed uploads show no ETag", EmptyCompleteETag: true},
		{Name: "ignores If-Match on DeleteObject", IgnoresDeleteIfMatch: true},
		{Name: "ignores expected owners", IgnoresExpectedOwner: true},
		{Name: "ignores every condition", IgnoresCopySourceConditions: true, IgnoresPartSourceConditions: true, IgnoresCopyIfMatch: true, IgnoresCompleteIfMatch: true, IgnoresPutIfMatch: true},
		{Name: "copy drops tags", CopyDropsTags: true},
		{Name: "upload drops tags", UploadDropsTags: true},
		{Name: "lost tags are an empty 200", CopyDropsTags: true, UploadDropsTags: true, LostTagsAnswerNil: true},
		{Name: "copy drops the lock", CopyDropsLock: true, UploadDropsLock: true},
		{Name: "drops Expires", DropsExpires: true},
		{Name: "copy drops Expires", CopyDropsExpires: true},
		{Name: "drops the redirect", CopyDropsRedirect: true},
		{Name: "never has a redirect", DropsRedirect: true},
		{Name: "copied parts under a customer key cannot be read", CustomerPartCopyBroken: true},
		{Name: "drops content headers on copy", DropsHeaders: true},
		{Name: "update overwrites the object", ForeignObject: []string{"encryption"}},
		{Name: "tagging overwrites the object", ForeignObject: []string{"tagging"}},
		{Name: "every sub-resource overwrites the object", ForeignObject: []string{"encryption", "tagging", "acl", "retention", "legal-hold", "attributes"}, OverwritesUnknown: true},
		{Name: "bucket encryption is a listing, its deletion the bucket's", ForeignBucket: []string{"encryption"}},
		{Name: "every bucket sub-resource is the bucket", ForeignBucket: []string{"encryption", "inventory", "lifecycle", "replication", "notification", "website", "ownershipControls", "object-lock"}},
		{Name: "empty copy reply, done", EmptyCopyReply: true},
		{Name: "empty copy reply, not done", EmptyCopyUndone: true},
		{Name: "unquoted ETags", UnquotedETags: true},
		{Name: "no versions in replies", NoVersionsInReply: true},
		{Name: "KMS needs a key", KMSNeedsKey: true},
		{Name: "an unknown key looks like bad credentials", UnknownKeyIs403: true},
		{Name: "shows the key as given", KeyAsGiven: true},
		{Name: "no DSSE", NoDSSE: true},
		{Name: "ignores bucket keys", IgnoresBucketKey: true},
		{Name: "no checksums", NoChecksums: true},
		{Name: "empty last page", EmptyLastPage: true},
		{Name: "extra empty page", ExtraEmptyPage: true},
		{Name: "rows repeated at page borders", RepeatedLastPage: true, VersionsRepeat: true},
		{Name: "not in byte order", NotByteOrder: true},
		{Name: "ignores encoding-type", IgnoresEncoding: true},
		{Name: "listing with metadata", ListMetadata: true, NoImplicitSSE: true},
	}
}

// ProfileNamed finds a profile among Stores and Quirks.
func ProfileNamed(name string) (p Profile, ok bool) {
	for _, list := range [][]Profile{Stores(), Quirks()} {
		for _, p := range list {
			if p.Name == name {
				return p, true
			}
		}
	}
	return Profile{}, false
}
