package s3test

import (
	"net/http"
	"strconv"
	"strings"
)

// getObject serves GetObject and HeadObject.
func (s *Server) getObject(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	head := q.http.Method == http.MethodHead
	if head && s.profile.HeadRefusesSSE && q.has(hSSE) {
		return nil, errInvalidArgument("x-amz-server-side-encryption header is not supported for this operation.")
	}
	if q.q("versionId") != "" && !s.allowed(b, "s3:GetObjectVersion", q.key) {
		return nil, errAccessDenied("")
	}
	v, e := s.lookup(q, b)
	if e != nil {
		return nil, e
	}
	a := v.attrs
	if e := s.mayRead(q, a, hCustomer); e != nil {
		return nil, e
	}
	if failed, unmodified := (conditions{q.h("If-Match"), q.h("If-None-Match"), q.h("If-Modified-Since"), q.h("If-Unmodified-Since")}).failed(v); failed != "" {
		if !unmodified {
			return nil, errPrecondition(failed)
		}
		r := &reply{status: http.StatusNotModified}
		r.set("ETag", s.quote(v.etag))
		return r, nil
	}
	if !head && a.unreadable {
		return nil, fail(http.StatusInternalServerError, "InternalError", "We encountered an internal error, please try again.")
	}
	if !head && a.archived() {
		return nil, errInvalidState(a)
	}
	// The checksum of what is under KMS is under KMS as well.
	if !head || q.h("x-amz-checksum-mode") == "ENABLED" && a.Checksum.Value != "" && !s.profile.NoImplicitSSE {
		if e := s.readable(a.Encryption); e != nil {
			return nil, e
		}
	}
	r := &reply{content: v.body}
	s.showObject(q, b, v, r)
	if head {
		r.set("ETag", s.quote(v.condition()))
	}
	return r, s.cutRange(q, v, r)
}

// showObject sets every header that HEAD and GET share.
func (s *Server) showObject(q *request, b *bucket, v *version, r *reply) {
	a := v.attrs
	r.header = make(http.Header, 16)
	r.set("ETag", s.quote(v.etag))
	r.set("Last-Modified", v.modified.Format(http.TimeFormat))
	r.set("Accept-Ranges", "bytes")
	r.set("Content-Type", a.ContentType)
	r.set("Cache-Control", a.CacheControl)
	r.set("Content-Disposition", a.ContentDisposition)
	r.set("Content-Encoding", a.ContentEncoding)
	r.set("Content-Language", a.ContentLanguage)
	r.set("Expires", a.Expires)
	for k, m := range a.Metadata {
		r.header["x-amz-meta-"+k] = []string{encodeWords(m)} // names as stored: AWS sends lower case
	}
	if a.MissingMetadata > 0 {
		r.set("x-amz-missing-meta", itoa(a.MissingMetadata))
	}
	r.set("x-amz-storage-class", a.StorageClass)
	r.set("x-amz-archive-status", a.ArchiveTier)
	r.set("x-amz-restore", a.Restore)
	r.set("x-amz-replication-status", a.Replication)
	r.set("x-amz-website-redirect-location", a.Redirect)
	if len(a.Tags) > 0 && s.allowed(b, "s3:GetObjectTagging", q.key) {
		r.set("x-amz-tagging-count", itoa(len(a.Tags)))
	}
	s.showVersion(r, b, v)
	showEncryption(r, a)
	s.showLock(q, b, a, r)
	if q.h("x-amz-checksum-mode") == "ENABLED" && !s.hides(a) {
		a.Checksum.show(r)
	}
	if b.cfg.RequesterPays {
		r.set("x-amz-request-charged", "requester")
	}
}

// showLock leaves out what the requester may not see: a missing permission
// looks like no lock.
func (s *Server) showLock(q *request, b *bucket, a *Attrs, r *reply) {
	if a.LockMode != "" && s.allowed(b, "s3:GetObjectRetention", q.key) {
		r.set("x-amz-object-lock-mode", a.LockMode)
		r.set("x-amz-object-lock-retain-until-date", a.retainedUntil(s.now()).UTC().Format(timeForm))
		a.EventHold.show(r)
	}
	if b.cfg.ObjectLock && s.allowed(b, "s3:GetObjectLegalHold", q.key) {
		r.set("x-amz-object-lock-legal-hold", a.holdStatus())
	}
}

// cutRange narrows the reply to Range or partNumber.
func (s *Server) cutRange(q *request, v *version, r *reply) *s3Error {
	off, n := int64(0), v.size()
	partial := false
	if q.q("partNumber") != "" && q.h("Range") != "" {
		return errInvalidRequest("Cannot specify both Range header and partNumber query parameter")
	}
	if p := q.q("partNumber"); p != "" {
		i, err := strconv.Atoi(p)
		parts := v.attrs.Parts
		switch {
		case err != nil || i < 1 || i > max(1, len(parts)):
			return fail(http.StatusRequestedRangeNotSatisfiable, "InvalidPartNumber", "The requested partnumber is not satisfiable")
		case len(parts) > 0:
			for _, part := range parts[:i-1] {
				off += part.Size
			}
			n = parts[i-1].Size
			r.set("x-amz-mp-parts-count", itoa(len(parts)))
			v.attrs.Checksum.ofPart(q, parts[i-1], len(parts), r)
		}
		partial = true
	} else if h := q.h("Range"); h != "" {
		var ok bool
		if off, n, partial, ok = parseRange(h, v.size()); !ok {
			return fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
		}
		if partial {
			v.attrs.Checksum.hide(r)
		}
	}
	if partial {
		r.status = http.StatusPartialContent
		r.set("Content-Range", "bytes "+itoa(off)+"-"+itoa(off+n-1)+"/"+itoa(v.size()))
		if n != v.size() {
			r.content = v.body.Slice(off, n)
		}
	}
	if q.http.Method == http.MethodHead {
		r.set("Content-Length", itoa(n))
	}
	return nil
}

// hides says whether the store keeps the checksum to itself, since its key cannot be used.
func (s *Server) hides(a *Attrs) bool {
	return s.profile.HidesChecksums && a.Checksum.Value != "" && s.readable(a.Encryption) != nil
}

// hide takes the whole object's checksum out of a reply that is a stretch of it.
func (c Checksum) hide(r *reply) {
	r.header.Del(checksumHeader(c.Algorithm))
	r.header.Del("x-amz-checksum-type")
}

// ofPart shows the checksum of one part instead: its own where the object's is
// made of theirs, none where it is of the whole, unless the part is the whole.
func (c Checksum) ofPart(q *request, p Part, parts int, r *reply) {
	if c.Type == composite {
		if q.h("x-amz-checksum-mode") == "ENABLED" {
			r.set(checksumHeader(c.Algorithm), p.Checksum)
		}
	} else if parts > 1 {
		c.hide(r)
	}
}

// parseRange reads a single bytes range. Anything else than one is ignored, as
// S3 does; ok is false where nothing of it lies within the object.
func parseRange(h string, size int64) (off, n int64, partial, ok bool) {
	spec, found := strings.CutPrefix(h, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !found || !dash || strings.Contains(spec, ",") {
		return 0, size, false, true
	}
	if first == "" {
		k, err := strconv.ParseInt(last, 10, 64)
		if err != nil || k <= 0 || size == 0 {
			return 0, size, false, err != nil
		}
		k = min(k, size)
		return size - k, k, true, true
	}
	a, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, size, false, true
	}
	b := size - 1
	if last != "" {
		if b, err = strconv.ParseInt(last, 10, 64); err != nil || b < a {
			return 0, size, false, true
		}
	}
	if a >= size {
		return 0, 0, false, false
	}
	b = min(b, size-1)
	return a, b - a + 1, true, true
}
