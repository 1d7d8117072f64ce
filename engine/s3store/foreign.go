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
// one without, of a store that was seen to give them, is somebody else's.

const (
	notTheStores = "the answer has no request ID, which all answers of this store have"
	inBetween    = "something between here and the store answered (a proxy, an ingress, a firewall); look at that if it stays so"
)

// unsigned says whether a refusal may be somebody else's. One with a code of S3 is the store's,
// whatever its headers, and so is one with a status that no proxy uses.
func (s *Store) unsigned(f *object.FailedReply, e *object.Error) bool {
	return e.Code == "" && e.RequestID == "" && s.signs.Load() && saidByProxies(f.Status)
}

func saidByProxies(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return false
}

// foreign is the error of an answer that may be somebody else's. One to a HEAD has no document,
// and not every store gives it an ID, so that the same question is put as a GET.
func (s *Store) foreign(ctx context.Context, f *object.FailedReply, e *object.Error) *object.Error {
	if f.Op == "HeadObject" {
		e = s.askAgain(ctx, f, e)
	}
	if e.Code == "" && e.RequestID == "" && e.Class != object.ClassTransient {
		e.Class, e.Message, e.Hint = object.ClassTransient, notTheStores, inBetween
	}
	return e
}

// whose learns from a success whether the store gives its answers an ID, and refuses a page of
// HTML that has none.
func (s *Store) whose(r *request, rep *reply) error {
	if rep.id != "" {
		s.signs.Store(true)
		return nil
	}
	if !s.signs.Load() {
		return nil
	}
	page := xml.NewDecoder(bytes.NewReader(rep.body))
	page.Strict = false // few pages are XML
	if root, err := firstElement(page); err == nil && strings.EqualFold(root.Name.Local, "html") {
		e := r.fail(rep, object.ClassTransient, notTheStores)
		e.Hint = inBetween
		return e
	}
	return nil
}
