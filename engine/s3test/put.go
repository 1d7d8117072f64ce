package s3test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// putObject serves PutObject.
func (s *Server) putObject(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	if len(q.key) > 1024 {
		return nil, fail(http.StatusBadRequest, "KeyTooLongError", "Your key is too long")
	}
	if !s.profile.IgnoresPutIfMatch {
		if e := s.destination(q, b); e != nil {
			return nil, e
		}
	}
	a, e := s.attrsOf(q, b)
	if e != nil {
		return nil, e
	}
	enc, e := s.encryptionFor(q, b)
	if e != nil {
		return nil, e
	}
	enc.into(a)
	s.dropOnPut(a)
	c := Bytes(q.body)
	a.Checksum = s.checksumOfPut(q, c)
	v := &version{modified: s.now(), body: c, attrs: a, etag: s.etagFor(a, c)}
	s.store(b, q.key, v)
	r := &reply{}
	r.set("ETag", s.quote(v.etag))
	s.showNewVersion(r, b, v)
	if s.profile.Encryption == EncryptAWS {
		showEncryption(r, a)
	}
	a.Checksum.show(r)
	return r, nil
}

func (s *Server) dropOnPut(a *Attrs) {
	if s.profile.PutDropsTags {
		a.Tags = nil
	}
	if s.profile.DropsExpires {
		a.Expires = ""
	}
	if s.profile.DropsRedirect {
		a.Redirect = ""
	}
	if s.profile.DropsHeaders {
		a.CacheControl, a.ContentLanguage, a.Expires = "", "", ""
	}
}

// checksumOfPut keeps the checksum that came along; without one, AWS computes
// CRC64NVME.
func (s *Server) checksumOfPut(q *request, c *Content) Checksum {
	if s.profile.NoChecksums || s.profile.ChecksumByName && !q.has("x-amz-sdk-checksum-algorithm") {
		return Checksum{}
	}
	knows := func(a string) bool { return !slices.Contains(s.profile.UnknownSums, a) }
	for _, a := range checksumAlgorithms {
		if knows(a) && q.has(checksumHeader(a)) {
			return c.full(a)
		}
	}
	if a := strings.ToUpper(q.h("x-amz-sdk-checksum-algorithm")); knows(a) && newHash(a) != nil {
		return c.full(a)
	}
	if !knows("CRC64NVME") {
		return Checksum{}
	}
	return c.full("CRC64NVME")
}

func (c Checksum) show(r *reply) {
	if c.Value != "" {
		r.set(checksumHeader(c.Algorithm), c.Value)
		r.set("x-amz-checksum-type", c.Type)
	}
}

// store gives the version its ID and makes it current.
func (s *Server) store(b *bucket, key string, v *version) {
	v.id = "null"
	if b.cfg.Versioning == "Enabled" {
		v.id = s.ids.version()
	}
	s.seal(key, v)
	b.push(key, v)
}

// seal gives the version the ETag that HEAD alone shows.
func (s *Server) seal(key string, v *version) {
	if s.profile.SealsFolders && strings.HasSuffix(key, "/") && !v.marker && v.attrs.Encryption.Type != object.SSENone {
		v.sealed = "20000f00" + fmt.Sprintf("%016x%016x%024x", s.ids.next(), s.ids.next(), s.ids.next()) + s.ids.etag()
	}
}

// condition is the ETag that conditions on the version are compared with.
func (v *version) condition() string { return cmp.Or(v.sealed, v.etag) }

func (s *Server) showVersion(r *reply, b *bucket, v *version) {
	if b.cfg.Versioning != "" && !(s.profile.NoNullInReply && v.id == "null") {
		r.set("x-amz-version-id", v.id)
	}
}

// showNewVersion is what PutObject and CompleteMultipartUpload show: nothing
// where versioning is suspended, while CopyObject shows "null".
func (s *Server) showNewVersion(r *reply, b *bucket, v *version) {
	if b.cfg.Versioning == "Enabled" {
		r.set("x-amz-version-id", v.id)
	}
}

func (s *Server) quote(etag string) string {
	if s.profile.UnquotedETags {
		return etag
	}
	return `"` + etag + `"`
}

// destination checks If-Match and If-None-Match against the current version.
func (s *Server) destination(q *request, b *bucket) *s3Error {
	match, none := q.h("If-Match"), q.h("If-None-Match")
	switch {
	case match == "" && none == "":
		return nil
	case match != "" && none != "":
		return errCondition("If-Match,If-None-Match", "Multiple conditional request headers present in the request")
	case match == "*":
		return errCondition("If-Match", "We don't accept the provided value of If-Match header for this API")
	case none != "" && none != "*":
		return errCondition("If-None-Match", "We don't accept the provided value of If-None-Match header for this API")
	}
	_, v := b.find(q.key, "")
	exists := v != nil && !v.marker
	if exists && s.profile.LooksWithNewKey && (v.attrs.Encryption.Type == object.SSEC) != q.has(hCustomer+"key") {
		return errInvalidRequest("The encryption parameters are not applicable to this object.")
	}
	bare := s.profile.PutIfMatchUnquoted && q.op == "PutObject"
	switch {
	case none != "" && exists:
		return errPrecondition("If-None-Match")
	case none != "":
		return nil
	case !exists && !bare:
		return errNoSuchKey(q.key)
	case bare && (!exists || strings.Contains(match, `"`)):
		return errPrecondition("If-Match")
	case !etagMatches(match, v.condition()):
		return errPrecondition("If-Match")
	}
	return nil
}

// etagMatches compares a condition, a list of quoted or bare ETags or *, with
// an ETag.
func etagMatches(cond, etag string) bool {
	for c := range strings.SplitSeq(cond, ",") {
		if c = strings.Trim(strings.TrimSpace(c), `"`); c == "*" || c == etag {
			return true
		}
	}
	return false
}

// conditions are the four of GET, HEAD and of the source of a copy.
type conditions struct{ match, none, modified, unmodified string }

// failed names the one that does not hold, empty for none, and whether that one
// was of the kind that GET answers with 304. A true if-match overrules
// if-unmodified-since, a false if-none-match overrules if-modified-since, as
// RFC 9110 has it.
func (c conditions) failed(v *version) (name string, notModified bool) {
	if c.match != "" {
		if !etagMatches(c.match, v.condition()) {
			return "If-Match", false
		}
	} else if t, err := http.ParseTime(c.unmodified); err == nil && v.modified.Truncate(time.Second).After(t) {
		return "If-Unmodified-Since", false
	}
	if c.none != "" {
		if etagMatches(c.none, v.condition()) {
			return "If-None-Match", true
		}
	} else if t, err := http.ParseTime(c.modified); err == nil && !v.modified.Truncate(time.Second).After(t) {
		return "If-Modified-Since", true
	}
	return "", false
}

// lookup finds the version that a read names.
func (s *Server) lookup(q *request, b *bucket) (*version, *s3Error) {
	id := q.q("versionId")
	_, v := b.find(q.key, id)
	switch {
	case v == nil && id != "":
		return nil, s.unknownVersion(b, q.key, id)
	case v == nil && !s.allowed(b, "s3:ListBucket", q.key):
		return nil, errAccessDenied("") // who may not list may not know
	case v == nil:
		return nil, errNoSuchKey(q.key)
	case v.marker && id != "":
		e := errMarker(q.http.Method)
		e.extra = map[string]string{"x-amz-delete-marker": "true", "x-amz-version-id": v.id, "Last-Modified": v.modified.Format(http.TimeFormat)}
		return nil, e
	case v.marker:
		e := errNoSuchKey(q.key)
		e.extra = map[string]string{"x-amz-delete-marker": "true", "x-amz-version-id": v.id}
		return nil, e
	}
	return v, nil
}

// unknownVersion is the answer to an ID that no version of the key has: S3 knows
// its own, so that any other, and any at all in a bucket that never had versions,
// is an invalid argument.
func (s *Server) unknownVersion(b *bucket, key, id string) *s3Error {
	if id != "null" && !s.profile.AnyVersionID && (b.cfg.Versioning == "" || !wellFormed(id)) {
		return errVersionID(id)
	}
	return errNoSuchVersion(key, id)
}

// wellFormed says whether an ID can be one of S3's: 32 characters.
func wellFormed(id string) bool {
	return len(id) == 32 && strings.IndexFunc(id, func(r rune) bool {
		return r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

func afterKey(arn string) string {
	if _, id, ok := strings.Cut(arn, ":key/"); ok {
		return id
	}
	return arn
}
