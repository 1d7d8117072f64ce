package s3store

import (
	"context"
	"errors"
	"net/http"

	"github.com/resealhq/reseal/engine/object"
)

// ErrOtherDeletion is wrapped by the error of a DeleteVersion whose answer tells of
// another deletion than the one that was asked for. Nothing more is to be deleted in
// such a store.
var ErrOtherDeletion = errors.New("the store answered that it deleted something else")

// DeleteVersion deletes exactly one version, which ref must name by its ID. It never
// bypasses a retention. A version that is not there any more is as good as deleted.
func (s *Store) DeleteVersion(ctx context.Context, ref object.Ref) (requestID string, err error) {
	if ref.VersionID == "" || ref.Key == "" {
		return "", &object.Error{Class: object.ClassInvalid, Op: "DeleteObject", Ref: ref, NotSent: true, Message: "no version is named"}
	}
	r := newRequest("DeleteObject", http.MethodDelete, ref).version()
	rep, err := s.call(ctx, r)
	if err != nil {
		return "", err
	}
	shown := rep.header.Get("X-Amz-Version-Id")
	if rep.header.Get("X-Amz-Delete-Marker") == "true" || shown != "" && shown != ref.VersionID {
		e := r.fail(rep, object.ClassOther, ErrOtherDeletion.Error())
		e.Err, e.Hint = ErrOtherDeletion, "look at the versions of this key before anything else is deleted; a delete marker on top can be removed by its version ID"
		return "", e
	}
	return rep.id, nil
}
