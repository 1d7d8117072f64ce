package s3store

import (
	"context"
	"regexp"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// cephNoKey begins Ceph's words for a key that it did not get of its KMS (Vault, Barbican, KMIP). The
// code beside them is that of anything else.
const cephNoKey = "Failed to retrieve the actual key"

// cephRequest is the form of Ceph's request IDs. Those of OpenStack Swift begin alike, and end after the time.
var cephRequest = regexp.MustCompile(`^tx[0-9a-f]{21}-[0-9a-f]{10}-[0-9a-f]+-`)

// cephKey names the key that Ceph did not get; empty where it was its own, of SSE-S3.
func cephKey(message string) string {
	_, key, _ := strings.Cut(message, "kms-keyid: ")
	return key
}

// cephKMS is what such words mean by the status beside them.
func cephKMS(e *object.Error, f object.FailedReply) object.Class {
	key := cephKey(e.Message)
	switch {
	case f.Status/100 == 5:
		return object.ClassKMSAway
	case key != "" && !object.SameKMSKey(key, f.KMSKey):
		return object.ClassDenied // the object's own: no reason to stop the others
	}
	return object.ClassKey
}

// askCeph sends GET for a HEAD that Ceph answers with 404, 500 or, from Ceph 20 on, 503: without a
// document these may be due to the key that the object is under, and the object is there.
func (s *Store) askCeph(ctx context.Context, f *object.FailedReply, e *object.Error) *object.Error {
	was, alone := *f, *e
	told := s.askAgain(ctx, f, e)
	if strings.HasPrefix(told.Message, cephNoKey) {
		return told
	}
	*f = was
	if alone.Class == object.ClassThrottled { // that stays one, also where the next request was let through
		return &alone
	}
	return e
}
