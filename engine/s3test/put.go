package s3test

import (
	"net/http"
	"strings"
	"time"
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
	s.showVersion(r, b, v)
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
	if s.profile.DropsHeaders {
		a.CacheControl, a.ContentLanguage, a.Expires = "", "", ""
	}
}

// checksumOfPut keeps the checksum that came along; without one, AWS computes
// CRC64NVME.
func (s *Server) checksumOfPut(q *request, c *Content) Checksum {
	if s.profile.NoChecksums {
		return Checksum{}
	}
	for _, a := range checksumAlgorithms {
		if q.has(checksumHeader(a)) {
			return c.full(a)
		}
	}
	if a := strings.ToUpper(q.h("x-amz-sdk-checksum-algorithm")); newHash(a) != nil {
		return c.full(a)
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
	b.push(key, v)
}

func (s *Server) showVersion(r *reply, b *bucket, v *version) {
	if b.cfg.Versioning != "" {
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
	if match == "" && none == "" {
		return nil
	}
	_, v := b.find(q.key, "")
	exists := v != nil && !v.marker
	if none != "" {
		if none != "*" {
			return errNotImplemented()
		}
		if exists {
			return errPrecondition()
		}
		return nil
	}
	if !exists {
		return errNoSuchKey()
	}
	if !etagMatches(match, v.etag) {
		return errPrecondition()
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

// failed says whether one does not hold, and whether that one was of the kind
// that GET answers with 304. A true if-match overrules if-unmodified-since, a
// false if-none-match overrules if-modified-since, as RFC 9110 has it.
func (c conditions) failed(v *version) (failed, notModified bool) {
	if c.match != "" {
		if !etagMatches(c.match, v.etag) {
			return true, false
		}
	} else if t, err := http.ParseTime(c.unmodified); err == nil && v.modified.Truncate(time.Second).After(t) {
		return true, false
	}
	if c.none != "" {
		if etagMatches(c.none, v.etag) {
			return true, true
		}
	} else if t, err := http.ParseTime(c.modified); err == nil && !v.modified.Truncate(time.Second).After(t) {
		return true, true
	}
	return false, false
}

// lookup finds the version that a read names.
func (s *Server) lookup(q *request, b *bucket) (*version, *s3Error) {
	id := q.q("versionId")
	_, v := b.find(q.key, id)
	switch {
	case v == nil && id != "":
		return nil, errNoSuchVersion()
	case v == nil && !s.allowed(b, "s3:ListBucket", q.key):
		return nil, errAccessDenied("") // who may not list may not know
	case v == nil:
		return nil, errNoSuchKey()
	case v.marker && id != "":
		e := fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
		e.extra = map[string]string{"x-amz-delete-marker": "true", "x-amz-version-id": v.id, "Last-Modified": v.modified.Format(http.TimeFormat)}
		return nil, e
	case v.marker:
		e := errNoSuchKey()
		e.extra = map[string]string{"x-amz-delete-marker": "true", "x-amz-version-id": v.id}
		return nil, e
	}
	return v, nil
}

func afterKey(arn string) string {
	if _, id, ok := strings.Cut(arn, ":key/"); ok {
		return id
	}
	return arn
}
