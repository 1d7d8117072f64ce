package s3test

import (
	"crypto/md5"
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

	ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 string
}

func (p *completePart) checksum(algorithm string) string {
	return map[string]string{"CRC32": p.ChecksumCRC32, "CRC32C": p.ChecksumCRC32C, "CRC64NVME": p.ChecksumCRC64NVME,
		"SHA1": p.ChecksumSHA1, "SHA256": p.ChecksumSHA256}[algorithm]
}

// completeUpload serves CompleteMultipartUpload.
func (s *Server) completeUpload(q *request) (*reply, *s3Error) {
	b, u, e := s.uploadOf(q)
	if e != nil {
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
	if !s.profile.IgnoresCompleteIfMatch {
		if e := s.destination(q, b); e != nil {
			return nil, e
		}
	}
	a := *u.attrs
	if a.Checksum, e = s.completedChecksum(q, u, c, parts); e != nil {
		return nil, e
	}
	a.Parts = parts
	v := &version{modified: s.now(), body: c, attrs: &a, etag: s.multipartETag(&a, parts)}
	s.store(b, q.key, v)
	delete(b.uploads, u.id)
	return s.completeReply(q, b, v), nil
}

func (s *Server) completeReply(q *request, b *bucket, v *version) *reply {
	if s.profile.EmptyCopyReply {
		return &reply{}
	}
	x := newXML("CompleteMultipartUploadResult")
	x.el("Location", "/"+q.bucket+"/"+q.key)
	x.el("Bucket", q.bucket)
	x.el("Key", q.key)
	x.el("ETag", s.quote(v.etag))
	if c := v.attrs.Checksum; c.Value != "" {
		x.el(checksumElement(c.Algorithm), c.Value)
		x.el("ChecksumType", c.Type)
	}
	r := x.reply()
	s.showVersion(r, b, v)
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
	if s.profile.NoChecksums {
		return Checksum{}, nil
	}
	sum := Checksum{}
	switch {
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
