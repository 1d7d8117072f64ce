package s3test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listing is one page of ListObjects or ListObjectsV2.
type listing struct {
	s                 *Server
	b                 *bucket
	prefix, delimiter string
	max               int
	encode            bool
	metadata, restore bool
	v1                bool // ListObjects, the first version

	rows      []*entry
	prefixes  []string
	last      string // the last key or common prefix given
	truncated bool
}

func (s *Server) newListing(q *request) (*listing, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	l := &listing{s: s, b: b, prefix: q.q("prefix"), delimiter: q.q("delimiter"), max: s.cfg.MaxPage}
	if m := q.q("max-keys"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 0 {
			return nil, errInvalidArgument("Provided max-keys not an integer or within integer range")
		}
		if n < l.max || s.profile.BigPages {
			l.max = n
		}
	}
	switch v := q.q("encoding-type"); v {
	case "", "url":
		l.encode = v == "url" && !s.profile.IgnoresEncoding
	default:
		return nil, errInvalidArgument("Invalid Encoding Method specified in Request")
	}
	l.restore = strings.Contains(q.h("x-amz-optional-object-attributes"), "RestoreStatus")
	l.metadata = s.profile.ListMetadata && q.q("metadata") == "true"
	return l, nil
}

// fill takes the rows after a marker. A marker that is a common prefix stands
// for all that is below it.
func (l *listing) fill(after string, inclusive bool) {
	start := max(after, l.prefix)
	if p := l.passed(after); p != "" && (p == after || l.v1) {
		start = p + "\xff"
	}
	l.each(start, func(e *entry) (string, bool, bool) {
		if !strings.HasPrefix(e.key, l.prefix) {
			return "", false, false
		}
		if e.key == after && !inclusive || e.current().marker {
			return "", false, true
		}
		if len(l.rows)+len(l.prefixes) >= l.max {
			l.truncated = l.max > 0
			return "", false, false
		}
		if l.delimiter != "" {
			if i := strings.Index(e.key[len(l.prefix):], l.delimiter); i >= 0 {
				p := e.key[:len(l.prefix)+i+len(l.delimiter)]
				l.prefixes, l.last = append(l.prefixes, p), p
				return p + "\xff", true, true
			}
		}
		l.rows, l.last = append(l.rows, e), e.key
		return "", false, true
	})
	if l.s.profile.EmptyLastPage && l.max > 0 && len(l.rows)+len(l.prefixes) == l.max {
		l.truncated = true
	}
}

func (l *listing) each(start string, f func(*entry) (string, bool, bool)) {
	if !l.s.profile.NotByteOrder {
		l.b.keys.from(start, f)
		return
	}
	var all []*entry
	l.b.keys.each(func(e *entry) {
		if e.key >= start && strings.HasPrefix(e.key, l.prefix) {
			all = append(all, e)
		}
	})
	// What is below a "/" comes before the rest, and before the key itself.
	wrong := strings.NewReplacer("/", "\x01")
	slices.SortStableFunc(all, func(a, b *entry) int {
		return strings.Compare(wrong.Replace(a.key)+"\x02", wrong.Replace(b.key)+"\x02")
	})
	for _, e := range all {
		if _, _, ok := f(e); !ok {
			return
		}
	}
}

// name is a key as the reply shows it.
func (l *listing) name(key string) string {
	if l.encode {
		return encodeKey(key, l.s.profile.EncodesSlash)
	}
	if l.s.profile.ControlCharsAsFFD {
		key = strings.Map(func(r rune) rune {
			if r < 0x20 && r != '\n' && r != '\t' {
				return '\uFFFD'
			}
			return r
		}, key)
	}
	return key
}

// encodeKey is encoding-type=url: as in a query, with a space as + and slashes
// and asterisks as they are.
func encodeKey(key string, slash bool) string {
	e := strings.ReplaceAll(escape(key, !slash), "%20", "+")
	return strings.ReplaceAll(e, "%2A", "*")
}

// listObjectsV2 serves ListObjectsV2.
func (s *Server) listObjectsV2(q *request) (*reply, *s3Error) {
	l, e := s.newListing(q)
	if e != nil {
		return nil, e
	}
	after, inclusive := q.q("start-after"), false
	if q.hasQuery("continuation-token") {
		raw, err := base64.RawURLEncoding.DecodeString(q.q("continuation-token"))
		if err != nil || len(raw) == 0 {
			return nil, errInvalidArgument("The continuation token provided is incorrect")
		}
		after, inclusive = string(raw[1:]), raw[0] == '='
		if raw[0] == '.' {
			l.max = 0 // the extra page that some stores give
		}
	}
	l.fill(after, inclusive)
	token := ""
	if l.truncated {
		token = l.token()
	} else if s.profile.ExtraEmptyPage && l.max > 0 {
		l.truncated, token = true, encodeToken(".", l.last)
	}
	x := newXML("ListBucketResult")
	x.el("Name", q.bucket)
	x.el("Prefix", l.name(l.prefix))
	x.opt("StartAfter", l.name(q.q("start-after")))
	x.opt("ContinuationToken", q.q("continuation-token"))
	x.opt("NextContinuationToken", token)
	x.int("KeyCount", int64(len(l.rows)+len(l.prefixes)))
	l.write(x, q.q("fetch-owner") == "true")
	return x.reply(), nil
}

func (l *listing) token() string {
	kind := ">"
	if l.s.profile.RepeatedLastPage {
		kind = "="
	}
	return encodeToken(kind, l.last)
}

func encodeToken(kind, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + key))
}

// listObjects serves the first version of the listing.
func (s *Server) listObjects(q *request) (*reply, *s3Error) {
	l, e := s.newListing(q)
	if e != nil {
		return nil, e
	}
	l.v1 = true
	l.fill(q.q("marker"), false)
	x := newXML("ListBucketResult")
	x.el("Name", q.bucket)
	x.el("Prefix", l.name(l.prefix))
	x.el("Marker", l.name(q.q("marker")))
	if l.truncated && l.delimiter != "" {
		x.el("NextMarker", l.name(l.last))
	}
	l.write(x, true)
	return x.reply(), nil
}

// write is what both versions have in common.
func (l *listing) write(x *xmlDoc, owner bool) {
	x.int("MaxKeys", int64(l.max))
	x.opt("Delimiter", l.name(l.delimiter))
	if l.encode {
		x.el("EncodingType", "url")
	} else if l.s.profile.SaysEmptyEncoding {
		x.el("EncodingType", "")
	}
	x.bool("IsTruncated", l.truncated)
	x.buf.Grow(320 * len(l.rows))
	for _, e := range l.rows {
		x.open("Contents")
		x.el("Key", l.name(e.key))
		l.row(x, e.current(), owner)
		x.close("Contents")
	}
	l.writePrefixes(x)
}

func (l *listing) writePrefixes(x *xmlDoc) {
	for _, p := range l.prefixes {
		x.open("CommonPrefixes")
		x.el("Prefix", l.name(p))
		x.close("CommonPrefixes")
	}
}

// row writes what a listing tells of one version beside its key.
func (l *listing) row(x *xmlDoc, v *version, owner bool) {
	a := v.attrs
	x.time("LastModified", v.modified)
	x.el("ETag", l.s.quote(v.etag))
	if a.Checksum.Algorithm != "" {
		x.el("ChecksumAlgorithm", a.Checksum.Algorithm)
		x.el("ChecksumType", a.Checksum.Type)
	}
	x.int("Size", v.size())
	if owner {
		x.open("Owner")
		x.el("ID", canonicalID(a.Owner))
		x.close("Owner")
	}
	class := a.StorageClass
	if class == "" {
		class = "STANDARD"
	}
	x.el("StorageClass", class)
	if l.restore && a.Restore != "" {
		x.open("RestoreStatus")
		x.bool("IsRestoreInProgress", a.Restore == restoring)
		x.close("RestoreStatus")
	}
	if l.metadata {
		writeMetadata(x, a)
	}
}

// writeMetadata is MinIO's extension metadata=true. As there, neither Expires
// nor a redirect is told, values are not encoded, and lock names are small.
func writeMetadata(x *xmlDoc, a *Attrs) {
	x.open("UserMetadata")
	names := make([]string, 0, len(a.Metadata))
	for k := range a.Metadata {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		x.el("X-Amz-Meta-"+http.CanonicalHeaderKey(k), a.Metadata[k])
	}
	x.opt("content-type", a.ContentType)
	x.opt("cache-control", a.CacheControl)
	x.opt("content-disposition", a.ContentDisposition)
	x.opt("content-encoding", a.ContentEncoding)
	x.opt("content-language", a.ContentLanguage)
	if a.LockMode != "" {
		x.el("x-amz-object-lock-mode", a.LockMode)
		x.el("x-amz-object-lock-retain-until-date", a.RetainUntil.UTC().Format(timeForm))
	}
	if a.LegalHold {
		x.el("x-amz-object-lock-legal-hold", "ON")
	}
	var r reply
	showEncryption(&r, a)
	for _, h := range []string{"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id",
		"X-Amz-Server-Side-Encryption-Bucket-Key-Enabled", "X-Amz-Server-Side-Encryption-Customer-Algorithm"} {
		x.opt(h, r.header.Get(h))
	}
	x.close("UserMetadata")
	x.opt("UserTags", strings.ReplaceAll(tagQuery(a.Tags), "+", "%20"))
}
