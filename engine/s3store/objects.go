package s3store

import (
	"context"
	"net/http"

	"github.com/resealhq/reseal/engine/object"
)

// put writes a small object. It is for the canary only, so it is not exported;
// more sets what else the request is to carry.
func (s *Store) put(ctx context.Context, ref object.Ref, body string, more func(*request)) (*reply, error) {
	r := newRequest("PutObject", http.MethodPut, ref)
	r.body = []byte(body)
	if more != nil {
		more(r)
	}
	return s.call(ctx, r)
}

// remove deletes exactly what ref names: one version, or, without a version ID,
// the object of an unversioned bucket.
func (s *Store) remove(ctx context.Context, ref object.Ref, bypassGovernance bool) error {
	r := newRequest("DeleteObject", http.MethodDelete, ref).version()
	if bypassGovernance {
		r.header.Set("X-Amz-Bypass-Governance-Retention", "true")
	}
	_, err := s.call(ctx, r)
	if object.ClassOf(err) == object.ClassGone {
		return nil
	}
	return err
}
