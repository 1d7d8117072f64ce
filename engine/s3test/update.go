package s3test

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// updateEncryption serves UpdateObjectEncryption: a new key under the same
// bytes. Nothing else of the version changes, and the reply tells nothing.
func (s *Server) updateEncryption(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	v, e := s.lookup(q, b)
	if e != nil {
		return nil, e
	}
	if !q.digested() {
		return nil, errInvalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	var in struct {
		XMLName xml.Name `xml:"ObjectEncryption"`
		KMS     *struct {
			KMSKeyArn        string
			BucketKeyEnabled bool
		} `xml:"SSE-KMS"`
	}
	if xml.Unmarshal(q.body, &in) != nil {
		return nil, errMalformedXML()
	}
	if in.KMS == nil {
		return nil, errInvalidRequest("The target encryption type is not supported.")
	}
	a := v.attrs
	if a.Encryption.Type != object.SSES3 && a.Encryption.Type != object.SSEKMS {
		return nil, errInvalidRequest("The object's encryption type is not supported by this operation.")
	}
	if !s.allowed(b, "s3:PutObject", q.key) || a.locked(s.now()) || a.LegalHold {
		return nil, errAccessDenied("")
	}
	arn := in.KMS.KMSKeyArn
	fields := strings.Split(arn, ":") // arn:aws-us-gov:kms:REGION:ACCOUNT:key/ID
	if len(fields) != 6 || fields[0] != "arn" || !strings.HasPrefix(fields[1], "aws") || fields[2] != "kms" || !strings.HasPrefix(fields[5], "key/") {
		return nil, errInvalidRequest("The KMS key must be given by its full ARN.")
	}
	if fields[4] != s.owner(b) {
		return nil, errAccessDenied("")
	}
	if e := s.readable(a.Encryption); e != nil {
		return nil, e
	}
	if _, e := s.useKey(s.region(b), arn, "GenerateDataKey"); e != nil {
		return nil, e
	}
	if s.profile.UpdateDoesNothing {
		return &reply{}, nil
	}
	v.with(func(a *Attrs) {
		a.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: arn, BucketKey: in.KMS.BucketKeyEnabled}
		a.Context = ""
	})
	r := &reply{}
	if b.cfg.RequesterPays {
		r.set("x-amz-request-charged", "requester")
	}
	return r, nil
}

// digested says whether the request carries a digest of its body.
func (q *request) digested() bool {
	if q.has("Content-MD5") {
		return true
	}
	return slices.ContainsFunc(checksumAlgorithms, func(a string) bool { return q.has(checksumHeader(a)) })
}

// restoreObject serves RestoreObject; the restore is done at once.
func (s *Server) restoreObject(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	v, e := s.lookup(q, b)
	if e != nil {
		return nil, e
	}
	if !v.attrs.archived() {
		return nil, errInvalidState(v.attrs)
	}
	until := s.now().AddDate(0, 0, 1).Format(http.TimeFormat)
	v.with(func(a *Attrs) { a.Restore = `ongoing-request="false", expiry-date="` + until + `"` })
	return &reply{status: http.StatusAccepted}, nil
}

// getAttributes serves GetObjectAttributes.
func (s *Server) getAttributes(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	actions := []string{"s3:GetObjectAttributes", "s3:GetObject"}
	if q.q("versionId") != "" {
		actions = []string{"s3:GetObjectVersionAttributes", "s3:GetObjectVersion"}
	}
	for _, action := range actions {
		if !s.allowed(b, action, q.key) {
			return nil, errAccessDenied("")
		}
	}
	v, e := s.lookup(q, b)
	if e != nil {
		return nil, e
	}
	a := v.attrs
	if e := s.mayRead(q, a, hCustomer); e != nil {
		return nil, e
	}
	want := map[string]bool{}
	for _, h := range q.http.Header["X-Amz-Object-Attributes"] {
		for f := range strings.SplitSeq(h, ",") {
			want[strings.TrimSpace(f)] = true
		}
	}
	if len(want) == 0 {
		return nil, errInvalidArgument("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	x := newXML("GetObjectAttributesResponse")
	if want["ETag"] {
		x.el("ETag", v.etag)
	}
	if want["Checksum"] && a.Checksum.Value != "" && !s.hides(a) {
		x.open("Checksum")
		value, _, _ := strings.Cut(a.Checksum.Value, "-")
		x.el(checksumElement(a.Checksum.Algorithm), value)
		x.el("ChecksumType", a.Checksum.Type)
		x.close("Checksum")
	}
	if want["ObjectParts"] && len(a.Parts) > 0 {
		if e := writeParts(x, q, a); e != nil {
			return nil, e
		}
	}
	if want["StorageClass"] {
		class := a.StorageClass
		if class == "" {
			class = "STANDARD"
		}
		x.el("StorageClass", class)
	}
	if want["ObjectSize"] {
		x.int("ObjectSize", v.size())
	}
	r := x.reply()
	r.set("Last-Modified", v.modified.Format(http.TimeFormat))
	s.showVersion(r, b, v)
	return r, nil
}

// writeParts tells how many parts there were, and each of them only for an
// object with a composite checksum: under any other, AWS does not list them.
func writeParts(x *xmlDoc, q *request, a *Attrs) *s3Error {
	limit, marker := 1000, 0
	if h := q.h("x-amz-max-parts"); h != "" {
		n, err := strconv.Atoi(h)
		if err != nil || n < 0 {
			return errInvalidArgument("Provided max-parts not an integer or within integer range")
		}
		limit = min(n, limit)
	}
	if h := q.h("x-amz-part-number-marker"); h != "" {
		marker, _ = strconv.Atoi(h)
	}
	x.open("ObjectParts")
	x.int("PartsCount", int64(len(a.Parts)))
	if a.Checksum.Type == composite {
		x.int("PartNumberMarker", int64(marker))
		x.int("MaxParts", int64(limit))
		rest := a.Parts[min(marker, len(a.Parts)):]
		more := len(rest) > limit
		if more {
			rest = rest[:limit]
		}
		x.bool("IsTruncated", more)
		if len(rest) > 0 {
			x.int("NextPartNumberMarker", int64(rest[len(rest)-1].Number))
		}
		for _, p := range rest {
			x.open("Part")
			x.int("PartNumber", int64(p.Number))
			x.int("Size", p.Size)
			x.opt(checksumElement(a.Checksum.Algorithm), p.Checksum)
			x.close("Part")
		}
	}
	x.close("ObjectParts")
	return nil
}
