package s3test

import (
	"net/url"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// maxCopy is the largest object that CopyObject takes, in bytes.
const maxCopy = 5368709120

// copySource is the source of a copy, found and checked.
type copySource struct {
	bucket  *bucket
	key     string
	version *version
	named   bool // by version ID
	current bool
}

// sourceOf finds the source that x-amz-copy-source names.
func (s *Server) sourceOf(q *request) (src copySource, err *s3Error) {
	raw, id, named := strings.Cut(q.h(hCopySource), "?versionId=")
	unescape := url.QueryUnescape // a raw + is a space, as S3 has it
	if s.profile.PlusIsLiteral {
		unescape = url.PathUnescape
	}
	path, bad := unescape(raw)
	if bad != nil {
		return src, errInvalidArgument("Invalid copy source encoding.")
	}
	if s.profile.PartCopyDecodesTwice && q.op == "UploadPartCopy" {
		if path, bad = url.PathUnescape(path); bad != nil {
			return src, errAborted
		}
	}
	if s.profile.PartCopyReadsVersion && q.op == "UploadPartCopy" && !named {
		path, id, named = strings.Cut(path, "?versionId=")
	}
	name, key, ok := s.sourceName(path)
	if !ok {
		return src, errInvalidArgument("Invalid copy source object key")
	}
	b := s.buckets[name]
	if b == nil {
		return src, errNoSuchBucket(name)
	}
	if own := q.h("x-amz-source-expected-bucket-owner"); own != "" && own != s.owner(b) && !s.profile.IgnoresExpectedOwner {
		return src, errAccessDenied("")
	}
	if s.profile.CopyTakesCurrent {
		id = ""
	}
	_, cur := b.find(key, "")
	_, v := b.find(key, id)
	switch {
	case v == nil && id != "":
		return src, s.unknownVersion(b, key, id)
	case v == nil || v.marker && id == "":
		return src, errNoSuchKey(key)
	case v.marker:
		return src, errInvalidRequest("The source of a copy request may not specifically refer to a delete marker by version id.")
	}
	action := "s3:GetObject"
	if named {
		action = "s3:GetObjectVersion"
	}
	if !s.allowed(b, action, key) {
		return src, errAccessDenied("")
	}
	return copySource{b, key, v, named, v == cur}, nil
}

// mayCopy checks what reading the source needs: its class, its keys, the
// conditions on it.
func (s *Server) mayCopy(q *request, src copySource, ignoresConditions bool) *s3Error {
	a := src.version.attrs
	if a.archived() {
		return errInvalidState(a)
	}
	if s.profile.CustomerSourceFails && q.op == "UploadPartCopy" && a.Encryption.Type == object.SSEC {
		return errInvalidArgument("")
	}
	if e := s.mayRead(q, a, hSourceSSEC); e != nil {
		return e
	}
	if !ignoresConditions {
		c := conditions{q.h(hCopySource + "-if-match"), q.h(hCopySource + "-if-none-match"),
			q.h(hCopySource + "-if-modified-since"), q.h(hCopySource + "-if-unmodified-since")}
		if failed, _ := c.failed(src.version); failed != "" {
			return errPrecondition(hCopySource + "-" + failed)
		}
	}
	return s.readable(a.Encryption)
}

// copyObject serves CopyObject.
func (s *Server) copyObject(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	src, e := s.sourceOf(q)
	if e != nil {
		return nil, e
	}
	if e := s.mayCopy(q, src, s.profile.IgnoresCopySourceConditions); e != nil {
		return nil, e
	}
	if !s.profile.IgnoresCopyIfMatch {
		if e := s.destination(q, b); e != nil {
			return nil, e
		}
	}
	if src.version.size() > maxCopy {
		return nil, errInvalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	}
	if s.profile.CopyEncrypted501 && src.version.attrs.Encryption.Type != object.SSENone {
		if e := s.selfCopy(q, b, src, &encryption{explicit: true}); e != nil {
			return nil, e
		}
		return nil, errNotImplemented()
	}
	a, e := s.copiedAttrs(q, b, src)
	if e != nil {
		return nil, e
	}
	if s.profile.EmptyCopyUndone {
		return &reply{}, nil
	}
	v := &version{modified: s.now(), body: src.version.body, attrs: a, etag: s.etagFor(a, src.version.body)}
	if s.profile.SelfCopyInPlace && src.current && src.bucket == b && src.key == q.key {
		v.id = src.version.id
		*src.version = *v
	} else {
		s.store(b, q.key, v)
	}
	return s.copyReply(b, src, v), nil
}

// copiedAttrs are the attributes of the copy: what the directives keep, what
// the headers say, and what is lost.
func (s *Server) copiedAttrs(q *request, b *bucket, src copySource) (*Attrs, *s3Error) {
	a, e := s.attrsOf(q, b)
	if e != nil {
		return nil, e
	}
	enc, e := s.encryptionFor(q, b)
	if refused := s.selfCopy(q, b, src, &enc); refused != nil && (e == nil || s.profile.RefusesAES256) {
		return nil, refused
	}
	if e != nil {
		return nil, e
	}
	from := src.version.attrs
	switch q.h("x-amz-metadata-directive") {
	case "", "COPY":
		a.ContentType, a.CacheControl, a.ContentDisposition = from.ContentType, from.CacheControl, from.ContentDisposition
		a.ContentEncoding, a.ContentLanguage, a.Expires = from.ContentEncoding, from.ContentLanguage, from.Expires
		a.Metadata, a.MissingMetadata = from.Metadata, from.MissingMetadata
		if s.profile.CopyDropsExpires {
			a.Expires = ""
		}
	case "REPLACE":
	default:
		return nil, errInvalidArgument("Unknown metadata directive.")
	}
	if e := s.copiedTags(q, b, src, a); e != nil {
		return nil, e
	}
	if s.profile.CopyIgnoresSSE {
		enc = encryption{Encryption: object.Encryption{Type: object.SSENone}}
	}
	enc.into(a)
	if s.profile.CopyKeepsSSE {
		a.Encryption, a.Context, a.customerKey, a.echo = from.Encryption, from.Context, from.customerKey, from.echo
	}
	if s.profile.CopyKeepsKMSKey && a.Encryption.Type == object.SSEKMS && from.Encryption.Type == object.SSEKMS {
		a.Encryption.KMSKeyID = from.Encryption.KMSKeyID
	}
	if s.profile.KeepsLock && a.LockMode == "" {
		a.LockMode, a.RetainUntil, a.LegalHold = from.LockMode, from.RetainUntil, from.LegalHold
	}
	if e := s.copiedAnnotations(q, b, src, a); e != nil {
		return nil, e
	}
	if a.Checksum, e = s.copiedChecksum(q, src.version); e != nil {
		return nil, e
	}
	s.dropOnCopy(a)
	return a, nil
}

func (s *Server) copiedTags(q *request, b *bucket, src copySource, a *Attrs) *s3Error {
	switch q.h("x-amz-tagging-directive") {
	case "", "COPY":
		a.Tags = src.version.attrs.Tags
		if len(a.Tags) > 0 && (!s.allowed(src.bucket, "s3:GetObjectTagging", src.key) || !s.allowed(b, "s3:PutObjectTagging", q.key)) {
			return errAccessDenied("")
		}
	case "REPLACE":
		if len(a.Tags) > 0 && !s.allowed(b, "s3:PutObjectTagging", q.key) {
			return errAccessDenied("")
		}
	default:
		return errInvalidArgument("Unknown tagging directive.")
	}
	return nil
}

// copiedChecksum: the named algorithm, else the source's, else CRC64NVME; always
// over the full object, so that a composite one changes.
func (s *Server) copiedChecksum(q *request, src *version) (Checksum, *s3Error) {
	if s.profile.NoChecksums || s.profile.CopyDropsChecksum {
		return Checksum{}, nil
	}
	algorithm := strings.ToUpper(q.h("x-amz-checksum-algorithm"))
	switch {
	case algorithm == "" && src.attrs.Checksum.Algorithm != "":
		algorithm = src.attrs.Checksum.Algorithm
	case algorithm == "":
		algorithm = "CRC64NVME"
	case newHash(algorithm) == nil:
		return Checksum{}, errInvalidRequest("Checksum algorithm provided is unsupported.")
	}
	if c := src.attrs.Checksum; c.Algorithm == algorithm && c.Type == fullObject {
		return c, nil
	}
	return src.body.full(algorithm), nil
}

func (s *Server) dropOnCopy(a *Attrs) {
	p := &s.profile
	if p.CopyDropsTags {
		a.Tags = nil
	}
	if p.CopyDropsLock {
		a.LockMode, a.RetainUntil, a.LegalHold = "", time.Time{}, false
	}
	if p.CopyDropsRedirect || p.DropsRedirect {
		a.Redirect = ""
	}
	if p.DropsExpires {
		a.Expires = ""
	}
	if p.DropsHeaders {
		a.CacheControl, a.ContentLanguage, a.ContentEncoding, a.Expires = "", "", "", ""
	}
}

// selfCopy refuses a copy of the current version onto itself that changes
// nothing. An explicit encryption or storage class header counts as a change
// whatever it says, and so do a configured bucket default and a source that is
// not under SSE-S3, which every copy without a word of encryption changes.
func (s *Server) selfCopy(q *request, b *bucket, src copySource, enc *encryption) *s3Error {
	if src.bucket != b || src.key != q.key || src.named {
		return nil
	}
	a := src.version.attrs
	changed := q.h("x-amz-metadata-directive") == "REPLACE" || q.has("x-amz-website-redirect-location") && !s.profile.DropsRedirect && !s.profile.RedirectIsNoChange
	if s.profile.SelfCopyByVersions {
		changed = changed || b.cfg.Versioning == "Enabled"
	} else if s.profile.SelfCopyNeedsReplace {
		changed = changed || q.has("x-amz-storage-class") && !object.SameClass(q.h("x-amz-storage-class"), a.StorageClass)
	} else {
		changed = changed || q.has("x-amz-storage-class") || enc.explicit || b.cfg.DefaultEncryption.Type != object.SSEUnknown ||
			a.Encryption.Type != object.SSES3 && !s.profile.NoImplicitSSE
	}
	if !changed {
		return errInvalidRequest("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	return nil
}

// showSource tells the version that was copied; a null version of a bucket whose
// versioning is suspended is not told.
func (s *Server) showSource(r *reply, src copySource) {
	versioning := src.bucket.cfg.Versioning
	if versioning == "Enabled" || versioning != "" && src.version.id != "null" {
		if !s.profile.NoCopySourceID {
			r.set(hCopySource+"-version-id", src.version.id)
		}
	}
}

func (s *Server) copyReply(b *bucket, src copySource, v *version) *reply {
	if s.profile.EmptyCopyReply {
		return &reply{}
	}
	x := newXML("CopyObjectResult")
	x.time("LastModified", v.modified)
	x.el("ETag", s.quote(v.etag))
	if c := v.attrs.Checksum; c.Value != "" {
		x.el(checksumElement(c.Algorithm), c.Value)
		x.el("ChecksumType", c.Type)
	}
	r := x.reply()
	if !s.profile.NoVersionsInReply {
		s.showVersion(r, b, v)
		s.showSource(r, src)
	}
	if !s.profile.CopyShowsNoSSE && s.profile.Encryption != EncryptNothing {
		showEncryption(r, v.attrs)
	}
	return r
}
