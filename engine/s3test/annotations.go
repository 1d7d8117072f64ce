package s3test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
)

// The limits of annotations.
const (
	maxAnnotations    = 1000
	maxAnnotation     = 1 << 20
	maxAnnotationName = 512
)

// annotated finds the version whose annotations a request is about.
func (s *Server) annotated(q *request) (*bucket, *version, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, nil, e
	}
	v, e := s.lookup(q, b)
	if e != nil {
		return nil, nil, e
	}
	if m := q.h("x-amz-object-if-match"); m != "" && !etagMatches(m, v.etag) {
		return nil, nil, errPrecondition("x-amz-object-if-match")
	}
	return b, v, nil
}

// annotate changes the annotations of a version, which a lock forbids.
func (s *Server) annotate(v *version, change func(all map[string]string, at map[string]time.Time)) *s3Error {
	if v.attrs.locked(s.now()) {
		return errAccessDenied("Access Denied because object protected by object lock.")
	}
	v.with(func(a *Attrs) {
		all, at := maps.Clone(a.Annotations), maps.Clone(a.annotatedAt)
		if all == nil {
			all = map[string]string{}
		}
		if at == nil {
			at = map[string]time.Time{}
		}
		change(all, at)
		a.Annotations, a.annotatedAt = all, at
	})
	return nil
}

func checkAnnotation(name string, body []byte) *s3Error {
	switch lower := strings.ToLower(name); {
	case len(name) > maxAnnotationName:
		return fail(http.StatusBadRequest, "AnnotationNameTooLong", "The annotation name is longer than 512 bytes.")
	case name == "" || !utf8.ValidString(name) || strings.HasPrefix(lower, "aws") || strings.HasPrefix(lower, "s3"):
		return fail(http.StatusBadRequest, "InvalidAnnotationName", "The annotation name is not valid.")
	case len(body) == 0:
		return errInvalidRequest("An annotation must have at least one byte.")
	case len(body) > maxAnnotation:
		return fail(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	case !utf8.Valid(body):
		return fail(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The annotation payload is not valid UTF-8.")
	}
	return nil
}

func (s *Server) putAnnotation(q *request) (*reply, *s3Error) {
	_, v, e := s.annotated(q)
	if e != nil {
		return nil, e
	}
	name := q.q("annotationName")
	if e := checkAnnotation(name, q.body); e != nil {
		return nil, e
	}
	if v.attrs.Encryption.Type == object.SSEC {
		return nil, errInvalidRequest("Objects that are encrypted with SSE-C cannot have annotations.")
	}
	if _, there := v.attrs.Annotations[name]; !there && len(v.attrs.Annotations) >= maxAnnotations {
		return nil, fail(http.StatusBadRequest, "AnnotationLimitExceeded", "The object has 1000 annotations already.")
	}
	if e := s.annotate(v, func(all map[string]string, at map[string]time.Time) {
		all[name], at[name] = string(q.body), s.now()
	}); e != nil {
		return nil, e
	}
	r := &reply{}
	s.showAnnotation(r, v, name)
	return r, nil
}

func (s *Server) getAnnotation(q *request) (*reply, *s3Error) {
	b, v, e := s.annotated(q)
	if e != nil {
		return nil, e
	}
	if !s.allowed(b, "s3:GetObjectAnnotation", q.key) {
		return nil, errAccessDenied("")
	}
	name := q.q("annotationName")
	text, there := v.attrs.Annotations[name]
	if !there {
		return nil, errNoAnnotation(name)
	}
	r := &reply{body: []byte(text)}
	s.showAnnotation(r, v, name)
	r.set("Last-Modified", v.attrs.annotatedAt[name].Format(http.TimeFormat))
	return r, nil
}

func errNoAnnotation(name string) *s3Error {
	return fail(http.StatusNotFound, "NoSuchAnnotation", "The specified annotation does not exist.").with("AnnotationName", name)
}

// showAnnotation sets the headers that PUT and GET share. An annotation is under
// its object's encryption.
func (s *Server) showAnnotation(r *reply, v *version, name string) {
	sum := md5.Sum([]byte(v.attrs.Annotations[name]))
	r.set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	r.set("x-amz-server-side-encryption", v.attrs.Encryption.Type.Header())
	Bytes(v.attrs.Annotations[name]).full("CRC64NVME").show(r)
	if v.id != "null" {
		r.set("x-amz-object-version-id", v.id)
	}
}

// deleteAnnotation is final; an annotation that is not there is as good as
// deleted.
func (s *Server) deleteAnnotation(q *request) (*reply, *s3Error) {
	_, v, e := s.annotated(q)
	if e != nil {
		return nil, e
	}
	if e := s.annotate(v, func(all map[string]string, at map[string]time.Time) {
		delete(all, q.q("annotationName"))
		delete(at, q.q("annotationName"))
	}); e != nil {
		return nil, e
	}
	return &reply{status: http.StatusNoContent}, nil
}

// listAnnotations serves ListObjectAnnotations, the only answer that tells
// whether there are any.
func (s *Server) listAnnotations(q *request) (*reply, *s3Error) {
	b, v, e := s.annotated(q)
	if e != nil {
		return nil, e
	}
	if !s.allowed(b, "s3:ListObjectAnnotations", q.key) {
		return nil, errAccessDenied("")
	}
	limit := maxAnnotations
	if m := q.q("max-annotation-results"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 1 {
			return nil, errInvalidArgument("max-annotation-results is not a positive integer")
		}
		limit = min(limit, n)
	}
	after, err := base64.RawURLEncoding.DecodeString(q.q("continuation-token"))
	if err != nil {
		return nil, errInvalidArgument("The continuation token provided is incorrect")
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(v.attrs.Annotations)) {
		if name > string(after) && strings.HasPrefix(name, q.q("annotation-prefix")) {
			names = append(names, name)
		}
	}
	more := len(names) > limit
	if more {
		names = names[:limit]
	}
	x := newXML("ListObjectAnnotationsResult")
	x.el("Bucket", q.bucket)
	x.el("Key", q.key)
	x.opt("AnnotationPrefix", q.q("annotation-prefix"))
	x.int("MaxAnnotationResults", int64(limit))
	x.int("AnnotationCount", int64(len(names)))
	x.opt("ContinuationToken", q.q("continuation-token"))
	if more {
		x.el("NextContinuationToken", base64.RawURLEncoding.EncodeToString([]byte(names[limit-1])))
	}
	x.open("Annotations")
	for _, name := range names {
		sum := md5.Sum([]byte(v.attrs.Annotations[name]))
		x.open("AnnotationEntry")
		x.el("AnnotationName", name)
		x.time("LastModified", v.attrs.annotatedAt[name])
		x.el("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
		x.el("ChecksumAlgorithm", "CRC64NVME")
		x.int("Size", int64(len(v.attrs.Annotations[name])))
		x.close("AnnotationEntry")
	}
	x.close("Annotations")
	r := x.reply()
	if v.id != "null" {
		r.set("x-amz-object-version-id", v.id)
	}
	return r, nil
}

// copiedAnnotations takes the source's along unless they are excluded. An upload
// has no such directive: what it makes has none.
func (s *Server) copiedAnnotations(q *request, b *bucket, src copySource, a *Attrs) *s3Error {
	from := src.version.attrs
	switch q.h("x-amz-object-annotation-directive") {
	case "", "COPY":
	case "EXCLUDE":
		return nil
	default:
		return errInvalidArgument("Unknown annotation directive.")
	}
	switch {
	case len(from.Annotations) == 0:
		return nil
	case !s.allowed(src.bucket, "s3:GetObjectAnnotation", src.key) || !s.allowed(b, "s3:PutObjectAnnotation", q.key):
		return errAccessDenied("")
	case a.Encryption.Type == object.SSEC:
		return errInvalidRequest("Objects that are encrypted with SSE-C cannot have annotations.")
	}
	a.Annotations, a.annotatedAt = from.Annotations, map[string]time.Time{}
	for name := range from.Annotations {
		a.annotatedAt[name] = s.now()
	}
	return nil
}
