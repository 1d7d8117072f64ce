package planner

import (
	"reflect"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

const (
	keyA = "arn:aws:kms:eu-central-1:111122223333:key/aaaaaaaa-0000-0000-0000-000000000000"
	keyB = "arn:aws:kms:eu-central-1:111122223333:key/bbbbbbbb-0000-0000-0000-000000000000"
)

// awsCaps is what AWS hosts are known to do.
func awsCaps() object.Capabilities {
	return object.Capabilities{Source: "aws", Encrypts: object.Yes, Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy,
		Update: object.Yes, CopySourceIfMatch: object.Yes, PartSourceIfMatch: object.Yes, CopyIfMatch: object.Yes, CompleteIfMatch: object.Yes,
		ListMetadata: object.No, CopyShowsEncryption: object.Yes, UploadShowsEncryption: object.Yes,
		KeepsTags: object.Yes, KeepsLock: object.Yes, KeepsRedirect: object.Yes, KeepsExpires: object.Yes, KeepsClass: object.Yes, KeepsChecksums: object.Yes,
		PutTagging: object.Yes, PutRetention: object.Yes, PutACL: object.Yes, GetTagging: object.Yes, GetACL: object.Yes,
		GetAttributes: object.Yes, GetRetention: object.Yes, DSSE: object.Yes, BucketKey: object.Yes, Checksums: object.Yes, UploadChecksums: object.Yes, VersionsInReplies: object.Yes}
}

// minioCaps is what MinIO was seen to do.
func minioCaps() object.Capabilities {
	c := awsCaps()
	c.Source, c.Update, c.CopyIfMatch, c.ListMetadata, c.DSSE, c.BucketKey = "canary", object.No, object.No, object.Yes, object.No, object.No
	c.CopyShowsEncryption, c.KeepsExpires, c.KeepsRedirect, c.PutACL, c.UploadChecksums = object.No, object.No, object.No, object.No, object.No
	return c
}

// plainFacts is a bucket in which nothing special can be.
func plainFacts() object.BucketFacts {
	return object.BucketFacts{Versioning: object.VersioningEnabled, ACLsDisabled: object.Yes, ObjectLock: object.No, Website: object.No, BlocksSSEC: object.No}
}

func kms(key string) object.Target { return object.Target{SSE: object.SSEKMS, KMSKeyID: key} }

func under(sse object.SSE, key string) object.Object {
	return object.Object{Ref: object.Ref{Bucket: "b", Key: "k"}, Size: 10, ETag: "0123", Encryption: object.Encryption{Type: sse, KMSKeyID: key}}
}

func customerKey(t *testing.T, b byte) object.CustomerKey {
	t.Helper()
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = b
	}
	k, err := object.ParseCustomerKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var (
	already   = object.Choice{Operation: object.OpNone, Already: true}
	update    = object.Choice{Operation: object.OpUpdate}
	selfCopy  = object.Choice{Operation: object.OpCopy, Route: object.RouteSelfCopy}
	replace   = object.Choice{Operation: object.OpCopy, Route: object.RouteReplace}
	multipart = object.Choice{Operation: object.OpMultipart}
	rewrite   = object.Choice{Operation: object.OpRewrite}
	byParts   = object.Choice{Operation: object.OpMultipart, SourceParts: true}
	send      = object.Choice{Operation: object.OpRewrite, Route: object.RouteSend}
	sendParts = object.Choice{Operation: object.OpRewrite, Route: object.RouteSend, SourceParts: true}
)

func left(r object.Reason) object.Choice { return object.Choice{Operation: object.OpNone, Reason: r} }

// choice is one row of the table: everything not said is an uninspected-no-more
// object under SSE-S3, on AWS, in a plain bucket, to be under key B.
type choice struct {
	name   string
	change func(*Chooser, *object.Object, *object.Attributes)
	noHead bool // only the row is known
	want   object.Choice
}

func TestChooseTable(t *testing.T) {
	old, young := customerKey(t, 1), customerKey(t, 2)
	type C = *Chooser
	type O = *object.Object
	type A = *object.Attributes
	copyOnly := func(c C) { c.Operation = CopyOnly }
	rows := []choice{
		{"1 delete marker", func(c C, o O, a A) { o.DeleteMarker = true }, false, left(object.ReasonGone)},
		{"2 not told", func(c C, o O, a A) { o.Encryption = object.Encryption{} }, true, undecided},
		{"2 unknown even to HEAD", func(c C, o O, a A) { o.Encryption = object.Encryption{} }, false, left(object.ReasonUnsupported)},

		{"3 already under SSE-S3", func(c C, o O, a A) { c.Target = object.Target{SSE: object.SSES3} }, true, already},
		{"3 already under the key", func(c C, o O, a A) { *o = under(object.SSEKMS, keyB) }, true, already},
		{"3 already, noncurrent and archived too", func(c C, o O, a A) {
			*o = under(object.SSEKMS, keyB)
			o.Noncurrent, o.StorageClass = true, "GLACIER"
		}, true, already},
		{"3 right kind, key not told", func(c C, o O, a A) { *o = under(object.SSEKMS, "") }, true, undecided},
		{"3 right kind, key never told", func(c C, o O, a A) { *o = under(object.SSEKMS, "") }, false, update},
		{"3 right key, bucket key wanted", func(c C, o O, a A) { *o = under(object.SSEKMS, keyB); c.Target.BucketKey = object.On }, false, update},
		{"3 right key, other class wanted", func(c C, o O, a A) { *o = under(object.SSEKMS, keyB); c.Target.StorageClass = "STANDARD_IA" }, false, selfCopy},
		{"3 already under SSE-C", func(c C, o O, a A) {
			c.Target = object.Target{SSE: object.SSEC, CustomerKey: young}
			*o = under(object.SSEC, "")
			o.Encryption.CustomerKeyMD5 = young.MD5()
		}, false, already},
		{"3 elsewhere nothing is already", func(c C, o O, a A) { *o = under(object.SSEKMS, keyB); f := plainFacts(); c.Dest = &f }, false, selfCopy},

		{"4 no target", func(c C, o O, a A) { c.Target = object.Target{SSE: object.SSENone} }, false, left(object.ReasonUnsupported)},
		{"4 the store does not encrypt", func(c C, o O, a A) { c.Caps.Encrypts = object.No }, false, left(object.ReasonUnsupported)},
		{"4 no DSSE", func(c C, o O, a A) { c.Target.SSE = object.DSSEKMS; c.Caps.DSSE = object.Unknown }, false, left(object.ReasonUnsupported)},
		{"4 DSSE", func(c C, o O, a A) { c.Target.SSE = object.DSSEKMS }, false, selfCopy},
		{"4 no bucket keys", func(c C, o O, a A) { c.Target.BucketKey = object.On; c.Caps.BucketKey = object.No }, false, left(object.ReasonUnsupported)},
		{"4 SSE-C blocked", func(c C, o O, a A) {
			c.Target = object.Target{SSE: object.SSEC, CustomerKey: young}
			c.Facts.BlocksSSEC = object.Yes
		}, false, left(object.ReasonUnsupported)},
		{"4 SSE-C blocked elsewhere", func(c C, o O, a A) {
			c.Target = object.Target{SSE: object.SSEC, CustomerKey: young}
			f := plainFacts()
			f.BlocksSSEC = object.Yes
			c.Dest = &f
		}, false, left(object.ReasonUnsupported)},

		{"5 SSE-C without a key", func(c C, o O, a A) { *o = under(object.SSEC, "") }, false, left(object.ReasonMissingKey)},
		{"5 SSE-C, key not told", func(c C, o O, a A) { *o = under(object.SSEC, ""); c.Target.SourceKey = old }, true, undecided},
		{"5 SSE-C, another key", func(c C, o O, a A) {
			*o = under(object.SSEC, "")
			o.Encryption.CustomerKeyMD5 = young.MD5()
			c.Target.SourceKey = old
		}, false, left(object.ReasonMissingKey)},
		{"5 SSE-C, its key", func(c C, o O, a A) {
			*o = under(object.SSEC, "")
			o.Encryption.CustomerKeyMD5 = old.MD5()
			c.Target.SourceKey = old
		}, false, selfCopy},

		{"6 SSE-S3 by update, unseen", func(c C, o O, a A) {}, true, update},
		{"6 KMS to KMS by update, noncurrent, archived, huge", func(c C, o O, a A) {
			*o = under(object.SSEKMS, keyA)
			o.Noncurrent, o.StorageClass, o.Size = true, "DEEP_ARCHIVE", MaxMultipartSize
		}, true, update},
		{"6 a store that was not seen to", func(c C, o O, a A) { c.Caps.Update = object.Unknown }, false, selfCopy},
		{"6 by key ID", func(c C, o O, a A) { c.Target.KMSKeyID = "bbbbbbbb-0000-0000-0000-000000000000" }, false, selfCopy},
		{"6 by alias", func(c C, o O, a A) { c.Target.KMSKeyID = "arn:aws:kms:eu-central-1:111122223333:alias/b" }, false, selfCopy},
		{"6 plaintext", func(c C, o O, a A) { *o = under(object.SSENone, "") }, false, selfCopy},
		{"6 DSSE source", func(c C, o O, a A) { *o = under(object.DSSEKMS, keyA) }, false, selfCopy},
		{"6 new context", func(c C, o O, a A) { c.Target.Context = "e30=" }, false, selfCopy},
		{"6 other class", func(c C, o O, a A) { c.Target.StorageClass = "STANDARD_IA" }, false, selfCopy},
		{"6 --operation copy", func(c C, o O, a A) { copyOnly(c) }, false, selfCopy},
		{"6 perhaps locked", func(c C, o O, a A) { c.Facts.ObjectLock = object.Unknown }, true, undecided},
		{"6 locked", func(c C, o O, a A) { o.LegalHold = true }, false, selfCopy},
		{"6 not locked after all", func(c C, o O, a A) { c.Facts.ObjectLock = object.Yes }, false, update},

		{"7 plaintext", func(c C, o O, a A) { *o = under(object.SSENone, ""); c.Operation = UpdateOnly }, false, left(object.ReasonExcluded)},
		{"7 locked", func(c C, o O, a A) { o.LockMode = "COMPLIANCE"; c.Operation = UpdateOnly }, false, left(object.ReasonLock)},
		{"7 to SSE-S3", func(c C, o O, a A) {
			*o = under(object.SSEKMS, keyA)
			c.Target = object.Target{SSE: object.SSES3}
			c.Operation = UpdateOnly
		}, false, left(object.ReasonExcluded)},

		{"8 noncurrent", func(c C, o O, a A) { copyOnly(c); o.Noncurrent = true }, true, left(object.ReasonNoncurrent)},
		{"9 archived, unseen", func(c C, o O, a A) { copyOnly(c); o.StorageClass = "GLACIER" }, true, undecided},
		{"9 archived", func(c C, o O, a A) { copyOnly(c); o.StorageClass = "GLACIER" }, false, left(object.ReasonArchived)},
		{"9 archived tier", func(c C, o O, a A) {
			copyOnly(c)
			o.StorageClass, o.ArchiveTier = "INTELLIGENT_TIERING", "ARCHIVE_ACCESS"
		}, false, left(object.ReasonArchived)},
		{"9 restored", func(c C, o O, a A) { copyOnly(c); o.StorageClass = "GLACIER"; a.Restored = true }, false, selfCopy},
		{"10 size not told", func(c C, o O, a A) { copyOnly(c); o.Size = -1 }, true, undecided},
		{"10 ETag not told", func(c C, o O, a A) { copyOnly(c); o.ETag = "" }, true, undecided},
		{"10 too large", func(c C, o O, a A) { copyOnly(c); o.Size = MaxMultipartSize + 1 }, false, left(object.ReasonTooLarge)},
		{"11 no route", func(c C, o O, a A) { copyOnly(c); c.Caps.EncryptedRoute = object.RouteNone }, false, left(object.ReasonUnsupported)},
		{"11 no route for plaintext only", func(c C, o O, a A) { copyOnly(c); c.Caps.Route = object.RouteNone }, false, selfCopy},

		{"12 self-copy unseen", func(c C, o O, a A) { copyOnly(c) }, true, selfCopy},
		{"12 5 GiB", func(c C, o O, a A) { copyOnly(c); o.Size = MaxCopySize }, true, selfCopy},
		{"12 above", func(c C, o O, a A) { copyOnly(c); o.Size = MaxCopySize + 1 }, false, multipart},
		{"12 above, unseen", func(c C, o O, a A) { copyOnly(c); o.Size = MaxCopySize + 1 }, true, undecided},
		{"12 below the threshold", func(c C, o O, a A) { copyOnly(c); c.MultipartThreshold = 11 }, false, selfCopy},
		{"12 at the threshold", func(c C, o O, a A) { copyOnly(c); c.MultipartThreshold = 10 }, false, multipart},
		{"12 at the threshold, metadata only COPY keeps", func(c C, o O, a A) {
			copyOnly(c)
			c.MultipartThreshold = 10
			a.MissingMetadata = 1
		}, false, selfCopy},
		{"12 at the threshold, SHA of the whole", func(c C, o O, a A) {
			copyOnly(c)
			c.MultipartThreshold = 10
			o.ChecksumAlgorithm, o.ChecksumType = "SHA256", "FULL_OBJECT"
		}, false, selfCopy},
		{"12 A6 at the threshold, MD5 of the whole", func(c C, o O, a A) {
			copyOnly(c)
			c.MultipartThreshold = 10
			o.ChecksumAlgorithm, o.ChecksumType = "MD5", "FULL_OBJECT"
		}, false, selfCopy},
		{"12 A6 at the threshold, an algorithm of tomorrow", func(c C, o O, a A) {
			copyOnly(c)
			c.MultipartThreshold = 10
			o.ChecksumAlgorithm, o.ChecksumType = "BLAKE3", "FULL_OBJECT"
		}, false, selfCopy},
		{"12 a store that needs REPLACE", func(c C, o O, a A) { copyOnly(c); c.Caps.EncryptedRoute = object.RouteReplace }, false, replace},
		{"12 a store that needs multipart", func(c C, o O, a A) { copyOnly(c); c.Caps.EncryptedRoute = object.RouteMultipart }, false, multipart},
		{"12 Expires that self-copy drops", func(c C, o O, a A) { c.Caps = minioCaps(); a.Expires = "Thu, 01 Dec 2033 16:00:00 GMT" }, false, replace},
		{"12 MinIO row, not plain", func(c C, o O, a A) { c.Caps = minioCaps() }, true, undecided},
		{"12 MinIO row, plain", func(c C, o O, a A) { c.Caps = minioCaps(); o.Settled, o.Plain = true, true }, true, undecided},
		{"12 MinIO row, plain, Expires may go", func(c C, o O, a A) {
			c.Caps = minioCaps()
			c.Accept = []object.Reason{ReasonExpires}
			o.Settled, o.Plain = true, true
		}, true, selfCopy},
		{"12 strict on MinIO", func(c C, o O, a A) { c.Caps = minioCaps(); c.Strict = true }, false, multipart},
		{"12 strict on AWS", func(c C, o O, a A) { copyOnly(c); c.Strict = true }, false, selfCopy},
		{"12 composite checksum", func(c C, o O, a A) { copyOnly(c); o.ChecksumAlgorithm, o.ChecksumType = "CRC32", "COMPOSITE" }, false, byParts},
		{"12 composite checksum, parts read", func(c C, o O, a A) {
			copyOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType = "CRC32", "COMPOSITE"
			o.Size, a.PartSizes = minPartSize+1, []int64{minPartSize, 1}
		}, false, byParts},
		{"12 composite unseen", func(c C, o O, a A) { copyOnly(c); o.ChecksumAlgorithm, o.ETag = "CRC32", "abc-2" }, true, undecided},
		{"12 CRC32 of an upload, value tells", func(c C, o O, a A) {
			copyOnly(c)
			o.ChecksumAlgorithm, o.ETag, a.Checksums = "CRC32", "abc-2", map[string]string{"CRC32": "AAAAAA=="}
		}, false, selfCopy},
		{"12 CRC32 of an upload, nothing tells", func(c C, o O, a A) { copyOnly(c); o.ChecksumAlgorithm, o.ETag = "CRC32", "abc-2" }, false, byParts},
		{"12 SHA of an upload", func(c C, o O, a A) { copyOnly(c); o.ChecksumAlgorithm, o.MultipartUploaded = "SHA1", true }, false, byParts},
		{"12 A6 XXHASH of an upload", func(c C, o O, a A) { copyOnly(c); o.ChecksumAlgorithm, o.MultipartUploaded = "XXHASH3", true }, false, byParts},
		{"12 CRC64NVME of an upload", func(c C, o O, a A) { copyOnly(c); o.ChecksumAlgorithm, o.MultipartUploaded = "CRC64NVME", true }, false, selfCopy},
		{"12 mtime to be stamped", func(c C, o O, a A) { copyOnly(c); c.Target.StampMtime = true }, false, replace},
		{"12 mtime there", func(c C, o O, a A) {
			copyOnly(c)
			c.Target.StampMtime = true
			a.Metadata = map[string]string{"mtime": "1"}
		}, false, selfCopy},
		{"12 update needs no mtime", func(c C, o O, a A) { c.Target.StampMtime = true }, false, update},
		{"12 grants resent", func(c C, o O, a A) {
			copyOnly(c)
			c.Facts.ACLsDisabled = object.No
			a.Grants = []object.Grant{{ID: "x", Permission: "READ"}}
		}, false, selfCopy},
		{"12 owner only", func(c C, o O, a A) { copyOnly(c); c.Facts.ACLsDisabled = object.No; a.Grants = []object.Grant{} }, false, selfCopy},
		{"12 grants unseen", func(c C, o O, a A) { copyOnly(c); c.Facts.ACLsDisabled = object.Unknown }, true, undecided},
		{"12 a store without grants", func(c C, o O, a A) { c.Caps = minioCaps(); c.Facts.ACLsDisabled = object.No }, false, selfCopy},
		{"12 lock put again", func(c C, o O, a A) { copyOnly(c); o.LockMode, c.Caps.KeepsLock = "GOVERNANCE", object.No }, false, selfCopy},
		{"12 tags put again", func(c C, o O, a A) { copyOnly(c); a.TagCount, c.Caps.KeepsTags = 1, object.No }, false, selfCopy},
		{"12 tags unseen", func(c C, o O, a A) { copyOnly(c); c.Caps.KeepsTags = object.No }, true, undecided},
		{"12 redirect unseen", func(c C, o O, a A) { copyOnly(c); c.Facts.Website = object.Unknown }, true, undecided},
		{"12 redirect resent", func(c C, o O, a A) { copyOnly(c); a.WebsiteRedirect = "/x" }, false, selfCopy},
		{"12 class resent", func(c C, o O, a A) { copyOnly(c); o.StorageClass = "STANDARD_IA" }, false, selfCopy},
		{"12 elsewhere", func(c C, o O, a A) { f := plainFacts(); c.Dest = &f }, false, selfCopy},
		{"12 DSSE to KMS loses no context that nobody knows of", func(c C, o O, a A) { *o = under(object.DSSEKMS, keyA) }, false, selfCopy},

		{"13 composite accepted", func(c C, o O, a A) {
			copyOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType = "CRC32", "COMPOSITE"
			c.Accept = []object.Reason{object.ReasonComposite}
		}, false, selfCopy},
		{"13 redirect accepted", func(c C, o O, a A) {
			c.Caps = minioCaps()
			a.WebsiteRedirect = "/x"
			c.Accept = []object.Reason{object.ReasonRedirect}
		}, false, selfCopy},
		{"13 writes accepted", func(c C, o O, a A) {
			copyOnly(c)
			c.Facts.Versioning = object.VersioningOff
			c.Caps.PutIfMatch, c.Caps.CopyIfMatch, c.Caps.CompleteIfMatch = object.No, object.No, object.No
			c.Accept = []object.Reason{AcceptConcurrent}
		}, false, selfCopy},
		{"13 what need not be lost is kept", func(c C, o O, a A) {
			c.Caps = minioCaps()
			a.Expires = "0"
			c.Accept = []object.Reason{object.ReasonMetadata}
		}, false, replace},

		{"14 acl", func(c C, o O, a A) {
			copyOnly(c)
			c.Facts.ACLsDisabled, c.Caps.PutACL = object.No, object.Unknown
			a.Grants = []object.Grant{{URI: "x", Permission: "READ"}}
		}, false, left(object.ReasonACL)},
		{"14 acl not read", func(c C, o O, a A) { copyOnly(c); c.Facts.ACLsDisabled = object.No }, false, left(object.ReasonACL)},
		{"14 acl elsewhere", func(c C, o O, a A) {
			f := plainFacts()
			c.Dest, c.Facts.ACLsDisabled = &f, object.No
			a.Grants = []object.Grant{{URI: "x", Permission: "READ"}}
		}, false, left(object.ReasonACL)},
		{"14 lock", func(c C, o O, a A) {
			copyOnly(c)
			o.LegalHold, c.Caps.KeepsLock, c.Caps.PutRetention = true, object.No, object.No
		}, false, left(object.ReasonLock)},
		{"14 lock, keeping it unknown", func(c C, o O, a A) { copyOnly(c); o.LegalHold, c.Caps.KeepsLock = true, object.Unknown }, false, left(object.ReasonLock)},
		{"14 lock elsewhere", func(c C, o O, a A) { f := plainFacts(); c.Dest = &f; o.LockMode = "COMPLIANCE" }, false, left(object.ReasonLock)},
		{"14 tags", func(c C, o O, a A) {
			copyOnly(c)
			a.TagCount, c.Caps.KeepsTags, c.Caps.PutTagging = 2, object.No, object.No
		}, false, left(object.ReasonTags)},
		{"14 redirect", func(c C, o O, a A) { c.Caps = minioCaps(); a.WebsiteRedirect = "/x" }, false, left(object.ReasonRedirect)},
		{"14 composite, boundaries not to be had", func(c C, o O, a A) {
			copyOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType, c.Caps.GetAttributes = "SHA256", "COMPOSITE", object.No
		}, false, left(object.ReasonComposite)},
		{"14 composite, boundaries too small", func(c C, o O, a A) {
			copyOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType, a.PartSizes = "SHA256", "COMPOSITE", []int64{5, 5}
		}, false, left(object.ReasonComposite)},
		{"14 SHA of the whole, too large for a copy", func(c C, o O, a A) {
			copyOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType, o.Size = "SHA256", "FULL_OBJECT", MaxCopySize+1
		}, false, left(object.ReasonComposite)},
		{"14 A6 XXHASH of the whole, too large for a copy", func(c C, o O, a A) {
			copyOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType, o.Size = "XXHASH128", "FULL_OBJECT", MaxCopySize+1
		}, false, left(object.ReasonComposite)},
		{"14 metadata that HTTP hides", func(c C, o O, a A) { copyOnly(c); c.Caps.EncryptedRoute, a.MissingMetadata = object.RouteReplace, 1 }, false, left(object.ReasonMetadata)},
		{"14 class", func(c C, o O, a A) { copyOnly(c); o.StorageClass, c.Caps.KeepsClass = "ONEZONE_IA", object.Unknown }, false, left(object.ReasonClass)},
		{"14 context", func(c C, o O, a A) { *o = under(object.SSEKMS, keyA); copyOnly(c); c.ContextInUse = object.Yes }, false, left(object.ReasonContext)},
		{"14 strict, no condition honoured", func(c C, o O, a A) {
			copyOnly(c)
			c.Strict, c.Caps.CopyIfMatch, c.Caps.CompleteIfMatch = true, object.No, object.Unknown
		}, false, left(AcceptConcurrent)},
	}
	chooseAll(t, rows)
}

// chooseAll compares what Choose says with the rows of a table.
func chooseAll(t *testing.T, rows []choice) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			c := &Chooser{Target: kms(keyB), Caps: awsCaps(), Facts: plainFacts()}
			o, a := under(object.SSES3, ""), &object.Attributes{}
			r.change(c, &o, a)
			if r.noHead {
				a = nil
			}
			got := c.Choose(&o, a)
			if got.Reason != "" && got.Message == "" {
				t.Errorf("left as %s without a sentence on what to do", got.Reason)
			}
			got.Message = ""
			if r.want.Reason != "" {
				r.want.Message = ""
			}
			if !reflect.DeepEqual(got, r.want) {
				t.Errorf("got %+v, want %+v", got, r.want)
			}
		})
	}
}
