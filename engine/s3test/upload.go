package s3test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// upload is a multipart upload in progress.
type upload struct {
	id, key   string
	initiated time.Time
	enc       encryption
	attrs     *Attrs
	algorithm string // empty: nobody named one
	typ       string
	parts     map[int]*uploadedPart
	// disturbed: the key was written or deleted since the upload was created.
	disturbed bool
	// copied: a part of it was.
	copied bool
}

type uploadedPart struct {
	Part
	body     *Content
	modified time.Time
}

// createUpload serves CreateMultipartUpload.
func (s *Server) createUpload(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	if s.profile.SealsFolders && strings.HasSuffix(q.key, "/") {
		return nil, fail(http.StatusBadRequest, "XMinioInvalidObjectName", "Object name contains unsupported characters.")
	}
	a, e := s.attrsOf(q, b)
	if e != nil {
		return nil, e
	}
	u := &upload{key: q.key, initiated: s.now(), attrs: a, parts: map[int]*uploadedPart{}}
	if u.enc, e = s.encryptionFor(q, b); e != nil {
		return nil, e
	}
	u.enc.into(a)
	if u.algorithm = strings.ToUpper(q.h("x-amz-checksum-algorithm")); u.algorithm == "" {
		if q.has("x-amz-checksum-type") {
			return nil, errInvalidRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
	} else {
		var ok bool
		if u.typ, ok = typeFor(u.algorithm, q.h("x-amz-checksum-type")); !ok {
			return nil, errInvalidRequest("The " + q.h("x-amz-checksum-type") + " checksum type cannot be used with the " + u.algorithm + " checksum algorithm.")
		}
	}
	s.dropOnUpload(a)
	u.id = "u" + s.ids.version()[1:]
	if b.uploads == nil {
		b.uploads = map[string]*upload{}
	}
	b.uploads[u.id] = u
	x := newXML("InitiateMultipartUploadResult")
	x.el("Bucket", q.bucket)
	x.el("Key", q.key)
	x.el("UploadId", u.id)
	r := x.reply()
	if s.profile.Encryption == EncryptAWS && !s.profile.CreateShowsNoSSE {
		showEncryption(r, a)
	}
	r.set("x-amz-checksum-algorithm", u.algorithm)
	r.set("x-amz-checksum-type", u.typ)
	return r, nil
}

func (s *Server) dropOnUpload(a *Attrs) {
	if s.profile.UploadDropsTags {
		a.Tags = nil
	}
	if s.profile.UploadDropsLock {
		a.LockMode, a.RetainUntil, a.LegalHold = "", time.Time{}, false
	}
	if s.profile.DropsExpires {
		a.Expires = ""
	}
	if s.profile.CopyDropsRedirect || s.profile.DropsRedirect {
		a.Redirect = ""
	}
}

func (s *Server) uploadOf(q *request) (*bucket, *upload, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, nil, e
	}
	u := b.uploads[q.q("uploadId")]
	if u == nil || u.key != q.key {
		return nil, nil, errNoSuchUpload(q.q("uploadId"))
	}
	return b, u, nil
}

// partNumber checks the number and the customer key that a part must repeat.
func (s *Server) partNumber(q *request, u *upload) (int, *s3Error) {
	n, err := strconv.Atoi(q.q("partNumber"))
	if err != nil || n < 1 || n > 10000 {
		return 0, errInvalidArgument("Part number must be an integer between 1 and 10000, inclusive")
	}
	if u.enc.customerKey == "" {
		if q.has(hCustomer+"algorithm") && s.profile.Encryption == EncryptAWS {
			return 0, errPartEncryption()
		}
		return n, nil
	}
	key, _, e := s.customerKey(q, hCustomer)
	if e != nil {
		return 0, errPartEncryption()
	}
	if key != u.enc.customerKey {
		return 0, errInvalidRequest("The provided encryption parameters did not match the ones used originally.")
	}
	return n, nil
}

func errPartEncryption() *s3Error {
	return errInvalidRequest("The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.")
}

// keep stores a part and gives its ETag and checksum.
func (s *Server) keep(u *upload, n int, c *Content) *uploadedPart {
	p := &uploadedPart{body: c, modified: s.now()}
	p.Number, p.Size, p.ETag = n, c.size, s.etagFor(u.attrs, c)
	if u.algorithm != "" {
		p.Checksum = c.checksum(u.algorithm)
	}
	u.parts[n] = p
	return p
}

// uploadPart serves UploadPart.
func (s *Server) uploadPart(q *request) (*reply, *s3Error) {
	_, u, e := s.uploadOf(q)
	if e != nil {
		return nil, e
	}
	n, e := s.partNumber(q, u)
	if e != nil {
		return nil, e
	}
	p := s.keep(u, n, Bytes(q.body))
	r := &reply{}
	r.set("ETag", s.quote(p.ETag))
	if p.Checksum != "" {
		r.set(checksumHeader(u.algorithm), p.Checksum)
	}
	showEncryption(r, u.attrs)
	return r, nil
}

// uploadPartCopy serves UploadPartCopy.
func (s *Server) uploadPartCopy(q *request) (*reply, *s3Error) {
	if s.profile.NoMultipartCopy {
		return nil, errNotImplemented()
	}
	if s.profile.PartCopy411 {
		return nil, fail(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	_, u, e := s.uploadOf(q)
	if e != nil {
		return nil, e
	}
	n, e := s.partNumber(q, u)
	if e != nil {
		return nil, e
	}
	src, e := s.sourceOf(q)
	if e != nil {
		return nil, e
	}
	if e := s.mayCopy(q, src, s.profile.IgnoresPartSourceConditions); e != nil {
		return nil, e
	}
	if s.profile.PartCopyKMS501 && src.version.attrs.Encryption.Type.KMS() {
		return nil, errNotImplemented()
	}
	c, e := copiedRange(q.h(hCopySource+"-range"), src.version.body)
	if e != nil {
		return nil, e
	}
	p := s.keep(u, n, c)
	if u.copied = true; s.profile.CopyDropsChecksum {
		p.Checksum = ""
	}
	x := newXML("CopyPartResult")
	x.time("LastModified", p.modified)
	x.el("ETag", s.quote(p.ETag))
	if p.Checksum != "" {
		x.el(checksumElement(u.algorithm), p.Checksum)
	}
	r := x.reply()
	s.showSource(r, src)
	if !s.profile.CopyShowsNoSSE {
		showEncryption(r, u.attrs)
	}
	return r, nil
}

// copiedRange is the stretch of the source that a part takes. It must lie within
// the source, which may be of any size, whatever the documentation says.
func copiedRange(h string, c *Content) (*Content, *s3Error) {
	if h == "" {
		if c.size > maxCopy {
			return nil, errInvalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
		}
		return c, nil
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(h, "bytes="), "-")
	a, err1 := strconv.ParseInt(first, 10, 64)
	z, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || err1 != nil || err2 != nil || a > z || !strings.HasPrefix(h, "bytes=") {
		return nil, errInvalidArgument("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	if a >= c.size {
		return nil, errInvalidRequest("The specified copy range is invalid for the source object size")
	}
	if z >= c.size {
		return nil, errInvalidArgument("Range specified is not valid for source object of size: " + itoa(c.size))
	}
	if z-a+1 > maxCopy {
		return nil, fail(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	return c.Slice(a, z-a+1), nil
}

// listParts serves ListParts.
func (s *Server) listParts(q *request) (*reply, *s3Error) {
	_, u, e := s.uploadOf(q)
	if e != nil {
		return nil, e
	}
	marker, _ := strconv.Atoi(q.q("part-number-marker"))
	limit := 1000
	if n, err := strconv.Atoi(q.q("max-parts")); err == nil && n > 0 {
		limit = min(limit, n)
	}
	parts := u.sorted()
	parts = slices.DeleteFunc(parts, func(p *uploadedPart) bool { return p.Number <= marker })
	x := newXML("ListPartsResult")
	x.el("Bucket", q.bucket)
	x.el("Key", q.key)
	x.el("UploadId", u.id)
	x.int("PartNumberMarker", int64(marker))
	more := len(parts) > limit
	if more {
		parts = parts[:limit]
	}
	if len(parts) > 0 {
		x.int("NextPartNumberMarker", int64(parts[len(parts)-1].Number))
	}
	x.int("MaxParts", int64(limit))
	x.bool("IsTruncated", more)
	x.opt("ChecksumAlgorithm", u.algorithm)
	x.opt("ChecksumType", u.typ)
	for _, p := range parts {
		x.open("Part")
		x.int("PartNumber", int64(p.Number))
		x.time("LastModified", p.modified)
		x.el("ETag", s.quote(p.ETag))
		x.int("Size", p.Size)
		if p.Checksum != "" {
			x.el(checksumElement(u.algorithm), p.Checksum)
		}
		x.close("Part")
	}
	return x.reply(), nil
}

func (u *upload) sorted() []*uploadedPart {
	out := make([]*uploadedPart, 0, len(u.parts))
	for _, p := range u.parts {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *uploadedPart) int { return a.Number - b.Number })
	return out
}

// abortUpload serves AbortMultipartUpload.
func (s *Server) abortUpload(q *request) (*reply, *s3Error) {
	b, u, e := s.uploadOf(q)
	if e != nil {
		return nil, e
	}
	delete(b.uploads, u.id)
	return &reply{status: http.StatusNoContent}, nil
}

// listUploads serves ListMultipartUploads, always in one page.
func (s *Server) listUploads(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	l, e := s.newListing(q)
	if e != nil {
		return nil, e
	}
	x := newXML("ListMultipartUploadsResult")
	x.el("Bucket", q.bucket)
	x.el("KeyMarker", l.name(q.q("key-marker")))
	x.int("MaxUploads", 1000)
	if l.encode {
		x.el("EncodingType", "url")
	}
	x.bool("IsTruncated", false)
	for _, u := range b.sortedUploads() {
		if !strings.HasPrefix(u.key, l.prefix) || u.key <= q.q("key-marker") && q.q("key-marker") != "" {
			continue
		}
		x.open("Upload")
		x.el("Key", l.name(u.key))
		x.el("UploadId", u.id)
		x.time("Initiated", u.initiated)
		x.close("Upload")
	}
	return x.reply(), nil
}

func (b *bucket) sortedUploads() []*upload {
	var us []*upload
	for _, u := range b.uploads {
		us = append(us, u)
	}
	slices.SortFunc(us, func(x, y *upload) int {
		if c := strings.Compare(x.key, y.key); c != 0 {
			return c
		}
		return strings.Compare(x.id, y.id)
	})
	return us
}
