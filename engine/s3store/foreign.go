package s3store

import (
	"bytes"
	"context"
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// What stands between this client and a store answers for it while the store is away: the
// default backend of an ingress 404, a firewall 403, a page to log in at 302 or 200. A 404 of
// such would be an object that is gone. Stores give each answer the ID of its request, so that
// one without, of a store that was seen to give them, is somebody else's. A store that gives
// none tells by its documents: each refusal has one, but for those of a HEAD.

// bits of the requests whose successes are told apart: a store may give some an ID, and others,
// which another part of it answers, none. Of other requests nobody's success is taken for foreign.
var bits = func() map[string]uint32 {
	m := map[string]uint32{}
	for i, op := range []string{"HeadObject", "GetObject", "HeadBucket", "CopyObject", "PutObject", "UploadPartCopy", "UploadPart", "UpdateObjectEncryption",
		"CreateMultipartUpload", "CompleteMultipartUpload", "AbortMultipartUpload", "PutObjectTagging", "PutObjectRetention", "PutObjectLegalHold", "DeleteObject"} {
		m[op] = other << (i + 1)
	}
	return m
}()

// other is the bit of all other answers, refusals among them.
const other = 1

// signs says whether any answer of this store was seen to carry the ID of its request.
func (s *Store) signs() bool { return s.signed.Load() != 0 }

func (s *Store) learns(which uint32) {
	if s.signed.Load()&which == 0 {
		s.signed.Or(which)
	}
}

// Whose learns from a success whether the store gives the answers to such a request an ID, and
// says whether this one is somebody else's: they have one, and it has neither that nor any other
// header of S3.
func (s *Store) Whose(op string, id, amz bool) (foreign bool) {
	if amz && !id {
		return false
	}
	bit := bits[op]
	if id {
		s.learns(max(bit, other))
		return false
	}
	return s.signed.Load()&bit != 0
}

// unsigned says whether a refusal may be somebody else's. One with a code of S3, or with an ID,
// is the store's, and so is one with a status that no proxy uses.
func (s *Store) unsigned(f *object.FailedReply, e *object.Error) bool {
	switch {
	case e.RequestID != "":
		s.learns(other)
		return false
	case e.Code != "":
		return false
	case !s.signs():
		return answeredByAll(f.Op) && saidOfAll(f.Status) && (f.Op == "HeadObject" || isPage(f.Body))
	}
	return saidOfAll(f.Status) || answeredByAll(f.Op) && saidByProxies(f.Status)
}

// answeredByAll: every store knows these, so that what routes its requests does not refuse them
// before anybody gives them an ID.
func answeredByAll(op string) bool {
	switch op {
	case "HeadObject", "GetObject", "CopyObject", "PutObject", "UploadPartCopy", "UploadPart", "CompleteMultipartUpload":
		return true
	}
	return false
}

// saidOfAll are what something says that has no store behind it.
func saidOfAll(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return false
}

// saidByProxies leaves out what is transient anyway, and what is about the one request, of whose
// size or form each proxy has a notion of its own: sending it again does not help.
func saidByProxies(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests, http.StatusLengthRequired,
		http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return false
	}
	return status/100 == 3 || status/100 == 4
}

// isPage says whether a body is there and is no document of S3, be it one that was cut.
func isPage(body []byte) bool {
	body = bytes.TrimSpace(body)
	return len(body) > 0 && !bytes.HasPrefix(body, []byte("<?xml")) && !bytes.HasPrefix(body, []byte("<Error"))
}

// foreign is the error of an answer that may be somebody else's. One to a HEAD has no document,
// and not every store gives it an ID, so that the same question is put as a GET; what that is
// answered by the store is its answer.
func (s *Store) foreign(ctx context.Context, f *object.FailedReply, e *object.Error) *object.Error {
	if f.Op == "HeadObject" {
		again, told := s.asGet(ctx, f)
		switch {
		case told == nil:
		case again.Status/100 == 2, again.Status == http.StatusRequestedRangeNotSatisfiable && told.Code != "": // an empty object has no first byte
			e.Class, e.Message, e.Hint = object.ClassTransient, headRefused, headRefusedHint
			return e
		case told.Code != "":
			f.Status, f.Header, f.Signed = again.Status, again.Header, again.Signed
			return told
		case again.Status == f.Status && (told.RequestID != "" || !s.signs() && !isPage(again.Body)):
			e.RequestID = told.RequestID
			return e
		}
	}
	theirs := object.Foreign(f.Op, f.Ref, f.Status)
	theirs.RetryAfter = e.RetryAfter
	return theirs
}

// whose refuses a success that is somebody else's, and a page of HTML, which is none.
func (s *Store) whose(r *request, rep *reply) error {
	if s.Whose(r.op, rep.id != "", hasAmz(rep.header)) {
		return object.Foreign(r.op, r.ref, rep.status)
	}
	if rep.id != "" || !s.signs() {
		return nil
	}
	page := xml.NewDecoder(bytes.NewReader(rep.body))
	page.Strict = false // few pages are XML
	if root, err := firstElement(page); err == nil && strings.EqualFold(root.Name.Local, "html") {
		return object.Foreign(r.op, r.ref, rep.status)
	}
	return nil
}

func hasAmz(header http.Header) bool {
	for name := range header {
		if strings.HasPrefix(name, "X-Amz-") {
			return true
		}
	}
	return false
}
