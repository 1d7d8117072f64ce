package s3test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// completePart is one part of the body of CompleteMultipartUpload.
type completePart struct {
	PartNumber int
	ETag       string

	ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256, ChecksumSHA512 string

	ChecksumMD5, ChecksumXXHASH64, ChecksumXXHASH3, ChecksumXXHASH128 string
}

func (p *completePart) checksum(algorithm string) string {
	return map[string]string{"CRC32": p.ChecksumCRC32, "CRC32C": p.ChecksumCRC32C, "CRC64NVME": p.ChecksumCRC64NVME,
		"SHA1": p.ChecksumSHA1, "SHA256": p.ChecksumSHA256, "SHA512": p.ChecksumSHA512,
		"MD5": p.ChecksumMD5, "XXHASH64": p.ChecksumXXHASH64, "XXHASH3": p.ChecksumXXHASH3, "XXHASH128": p.ChecksumXXHASH128}[algorithm]
}

// completed is an upload that was: what was asked, and what came of it.
type completed struct {
	key  string
	body [sha256.Size]byte
	v    *version
}

// again answers a Complete that was done before as it was answered then, whatever
// its conditions and whatever became of the object; nil for any other.
func (s *Server) again(q *request) *reply {
	b := s.buckets[q.bucket]
	if b == nil || s.profile.SimpleComplete {
		return nil
	}
	c := b.completed[q.q("uploadId")]
	if c == nil || c.key != q.key || c.body != sha256.Sum256(q.body) {
		return nil
	}
	return s.completeReply(q, b, c.v)
}

// completeUpload serves CompleteMultipartUpload.
func (s *Server) completeUpload(q *request) (*reply, *s3Error) {
	b, u, e := s.uploadOf(q)
	if e != nil {
		if r := s.again(q); r != nil {
			return r, nil
		}
		return nil, e
	}
	var in struct {
		XMLName xml.Name       `xml:"CompleteMultipartUpload"`
		Part    []completePart `xml:"Part"`
	}
	if xml.Unmarshal(q.body, &in) != nil || len(in.Part) == 0 {
		return nil, errMalformedXML()
	}
	parts, bodies, e := s.chosenParts(u, in.Part)
	if e != nil {
		return nil, e
	}
	c := Concat(bodies...)
	if want := q.h("x-amz-mp-object-size"); want != "" && want != itoa(c.size) {
		return nil, errInvalidRequest("The provided 'x-amz-mp-object-size' header value does not match what was computed: " + itoa(c.size))
	}
	if key, _, e := s.customerKey(q, hCustomer); s.profile.CompleteNeedsKey && u.enc.customerKey != "" && (e != nil || key != u.enc.customerKey) {
		return nil, errInvalidArgument("Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.")
	}
	if e := s.mayComplete(q, b, u); e != nil {
		return nil, e
	}
	a := *u.attrs
	if a.Checksum, e = s.completedChecksum(q, u, c, parts); e != nil {
		return nil, e
	}
	a.Parts = parts
	a.unreadable = u.copied && s.profile.CustomerPartCopyBroken && a.Encryption.Type == object.SSEC
	v := &version{modified: s.now(), body: c, attrs: &a, etag: s.multipartETag(&a, parts)}
	s.store(b, q.key, v)
	delete(b.uploads, u.id)
	if b.completed == nil {
		b.completed = map[string]*completed{}
	}
	b.completed[u.id] = &completed{q.key, sha256.Sum256(q.body), v}
	return s.completeReply(q, b, v), nil
}

// mayComplete checks the conditions. One that holds is not enough: where the key
// was written or deleted since the upload was created, S3 cannot tell the order.
func (s *Server) mayComplete(q *request, b *bucket, u *upload) *s3Error {
	if s.profile.IgnoresCompleteIfMatch {
		return nil
	}
	if e := s.destination(q, b); e != nil {
		return e
	}
	condition := "If-Match"
	if q.has("If-None-Match") {
		condition = "If-None-Match"
	}
	if !u.disturbed || !q.has(condition) || s.profile.SimpleComplete {
		return nil
	}
	return fail(http.StatusConflict, "ConditionalRequestConflict", "The conditional request cannot succeed due to a conflicting operation against this resource.").
		with("Condition", condition).with("Key", q.key)
}

func (s *Server) completeReply(q *request, b *bucket, v *version) *reply {
	if s.profile.EmptyCopyReply {
		return &reply{}
	}
	// Under KMS, a checksum that nobody asked for is shown by HEAD alone.
	quiet := v.attrs.Encryption.Type.KMS() && v.attrs.Checksum.Algorithm == "CRC64NVME" && v.attrs.Parts[0].Checksum == ""
	x := newXML("CompleteMultipartUploadResult")
	x.el("Location", "/"+q.bucket+"/"+q.key)
	x.el("Bucket", q.bucket)
	x.el("Key", q.key)
	if s.profile.EmptyCompleteETag {
		x.el("ETag", "")
	} else {
		x.el("ETag", s.quote(v.etag))
	}
	if c := v.attrs.Checksum; c.Value != "" && !quiet {
		x.el(checksumElement(c.Algorithm), c.Value)
		x.el("ChecksumType", c.Type)
	}
	r := x.reply()
	s.showNewVersion(r, b, v)
	if !s.profile.CopyShowsNoSSE {
		showEncryption(r, v.attrs)
	}
	return r
}

// chosenParts checks the list of parts against those that were uploaded.
func (s *Server) chosenParts(u *upload, list []completePart) ([]Part, []*Content, *s3Error) {
	invalid := fail(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
	var parts []Part
	var bodies []*Content
	for i, in := range list {
		if i > 0 && in.PartNumber <= list[i-1].PartNumber {
			return nil, nil, fail(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
		}
		p := u.parts[in.PartNumber]
		if p == nil || strings.Trim(in.ETag, `"`) != p.ETag {
			return nil, nil, invalid
		}
		sent := in.checksum(u.algorithm)
		if sent != "" && sent != p.Checksum || sent == "" && u.typ == composite && s.profile.Encryption == EncryptAWS {
			return nil, nil, invalid
		}
		if u.typ == composite && in.PartNumber != i+1 {
			return nil, nil, errInvalidRequest("Part numbers must be consecutive and begin with 1 for this checksum type.")
		}
		if i < len(list)-1 && p.Size < s.cfg.MinPartSize {
			return nil, nil, fail(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		}
		parts, bodies = append(parts, p.Part), append(bodies, p.body)
	}
	return parts, bodies, nil
}

func (s *Server) completedChecksum(q *request, u *upload, c *Content, parts []Part) (Checksum, *s3Error) {
	if s.profile.NoChecksums || s.profile.CopyDropsChecksum && u.copied {
		return Checksum{}, nil
	}
	sum := Checksum{}
	switch {
	case u.algorithm == "" && u.enc.Type == object.SSEC:
		return sum, nil // none is computed without the key
	case u.algorithm == "":
		sum = c.full("CRC64NVME")
	case u.typ == composite:
		sum = compositeOf(u.algorithm, parts)
	default:
		sum = c.full(u.algorithm)
	}
	if sent := q.h(checksumHeader(sum.Algorithm)); sent != "" && sent != sum.Value {
		return sum, fail(http.StatusBadRequest, "BadDigest", "The "+sum.Algorithm+" you specified did not match the calculated checksum.")
	}
	return sum, nil
}

// multipartETag is the MD5 of the parts' MD5s and their number; random where
// the parts' ETags are no MD5.
func (s *Server) multipartETag(a *Attrs, parts []Part) string {
	suffix := "-" + itoa(len(parts))
	switch a.Encryption.Type {
	case object.SSENone, object.SSES3:
		h := md5.New()
		for _, p := range parts {
			raw, _ := hex.DecodeString(p.ETag)
			h.Write(raw)
		}
		return hex.EncodeToString(h.Sum(nil)) + suffix
	}
	return s.ids.etag() + suffix
}
