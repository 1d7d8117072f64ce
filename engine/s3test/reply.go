package s3test

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/s3test/fault"
)

// reply is an answer before it is sent, so that a fault can spoil it.
type reply struct {
	status int // 200 where zero
	header http.Header
	body   []byte
	xml    bool
	// content is streamed where set, instead of body.
	content *Content
}

func (r *reply) set(name, value string) {
	if value == "" {
		return
	}
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(name, value)
}

// s3Error is an answer with an error document.
type s3Error struct {
	status  int
	code    string
	message string
	// retry is the Retry-After header, in seconds.
	retry string
	// extra are headers that come with it, fields elements of the document.
	extra  map[string]string
	fields [][2]string
}

// with adds an element to the document of a new error.
func (e *s3Error) with(name, value string) *s3Error {
	e.fields = append(e.fields, [2]string{name, value})
	return e
}

func fail(status int, code, message string) *s3Error {
	return &s3Error{status: status, code: code, message: message}
}

func (e *s3Error) Error() string { return e.code + ": " + e.message }

func errAccessDenied(why string) *s3Error {
	if why == "" {
		why = "Access Denied"
	}
	return fail(http.StatusForbidden, "AccessDenied", why)
}

func errInvalidRequest(why string) *s3Error {
	return fail(http.StatusBadRequest, "InvalidRequest", why)
}

func errInvalidArgument(why string) *s3Error {
	return fail(http.StatusBadRequest, "InvalidArgument", why)
}

func errNotImplemented() *s3Error {
	return fail(http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented")
}

// errCondition refuses a condition that the operation does not know.
func errCondition(header, why string) *s3Error {
	return errNotImplemented().with("Header", header).with("additionalMessage", why)
}

func errPrecondition(condition string) *s3Error {
	return fail(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold").with("Condition", condition)
}

func errNoSuchBucket(name string) *s3Error {
	return fail(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist").with("BucketName", name)
}

func errNoSuchKey(key string) *s3Error {
	return fail(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.").with("Key", key)
}

func errNoSuchVersion(key, id string) *s3Error {
	return fail(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist.").with("Key", key).with("VersionId", id)
}

func errVersionID(id string) *s3Error {
	return errInvalidArgument("Invalid version id specified").with("ArgumentName", "versionId").with("ArgumentValue", id)
}

func errNoSuchUpload(id string) *s3Error {
	return fail(http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.").with("UploadId", id)
}

// errMarker refuses what a delete marker has not.
func errMarker(method string) *s3Error {
	return fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.").
		with("Method", method).with("ResourceType", "DeleteMarker")
}

func errMalformedXML() *s3Error {
	return fail(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
}

func errInvalidState(a *Attrs) *s3Error {
	e := fail(http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's storage class").with("StorageClass", a.StorageClass)
	if a.ArchiveTier != "" {
		e.with("AccessTier", a.ArchiveTier)
	}
	return e
}

// errAborted is no answer: the server died of the request.
var errAborted = fail(http.StatusInternalServerError, "Aborted", "")

var errExpired = errAnswer(fault.ExpiredToken)

// document is the error as XML.
func (e *s3Error) document(q *request) []byte {
	var x xmlDoc
	x.buf.WriteString(xmlHeader)
	x.open("Error")
	x.el("Code", e.code)
	x.el("Message", e.message)
	for _, f := range e.fields {
		x.el(f[0], f[1])
	}
	if q != nil {
		x.el("Resource", q.path)
		x.el("RequestId", q.id)
		x.el("HostId", hostID)
	}
	x.close("Error")
	return x.buf.Bytes()
}

const (
	xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	xmlns     = "http://s3.amazonaws.com/doc/2006-03-01/"
	hostID    = "s3test"
	timeForm  = "2006-01-02T15:04:05.000Z"
)

// xmlDoc writes a document as S3 does: by hand, since encoding/xml replaces
// characters that S3 sends.
type xmlDoc struct {
	buf  bytes.Buffer
	root string
}

func newXML(root string) *xmlDoc {
	x := &xmlDoc{root: root}
	x.buf.WriteString(xmlHeader)
	fmt.Fprintf(&x.buf, `<%s xmlns="%s">`, root, xmlns)
	return x
}

func (x *xmlDoc) open(name string) {
	x.buf.WriteByte('<')
	x.buf.WriteString(name)
	x.buf.WriteByte('>')
}

func (x *xmlDoc) close(name string) {
	x.buf.WriteString("</")
	x.buf.WriteString(name)
	x.buf.WriteByte('>')
}

func (x *xmlDoc) el(name, text string) {
	x.open(name)
	x.text(text)
	x.close(name)
}

// opt writes the element only where there is a text.
func (x *xmlDoc) opt(name, text string) {
	if text != "" {
		x.el(name, text)
	}
}

func (x *xmlDoc) bool(name string, b bool) { x.el(name, fmt.Sprint(b)) }

func (x *xmlDoc) int(name string, n int64) {
	x.open(name)
	x.buf.Write(strconv.AppendInt(x.buf.AvailableBuffer(), n, 10))
	x.close(name)
}

func (x *xmlDoc) time(name string, t time.Time) {
	x.open(name)
	x.buf.Write(t.UTC().AppendFormat(x.buf.AvailableBuffer(), timeForm))
	x.close(name)
}

// text escapes as S3 does; control characters go out as references that XML 1.0
// parsers refuse, which is why clients ask for encoding-type=url.
func (x *xmlDoc) text(s string) {
	for _, r := range s {
		switch {
		case r == '&':
			x.buf.WriteString("&amp;")
		case r == '<':
			x.buf.WriteString("&lt;")
		case r == '>':
			x.buf.WriteString("&gt;")
		case r == '"':
			x.buf.WriteString("&quot;")
		case r < 0x20 && r != '\n' && r != '\t':
			fmt.Fprintf(&x.buf, "&#x%x;", r)
		case r == utf8.RuneError:
			x.buf.WriteString("\uFFFD")
		default:
			x.buf.WriteRune(r)
		}
	}
}

func (x *xmlDoc) reply() *reply {
	x.close(x.root)
	return &reply{body: x.buf.Bytes(), xml: true}
}
