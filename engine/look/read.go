package look

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
)

// Read gets the whole of an object as it is now, and everything that Inspect tells.
// row is what is known of it: another object than that is ClassChanged, as is a
// version that is not the named one any more. seen says that the store has shown it
// since the plan. The bytes lie in into where they fit.
//
// They are going to take the place of the object's, so the reply alone is not
// believed: a body that was cut on its way, headers and all, looks like a whole one.
// It has to be of the size that another reply told for the same ETag, and its bytes have
// to be those that the reply tells of.
func (l *Looker) Read(ctx context.Context, row *object.Object, seen bool, into []byte) (*object.GetReply, error) {
	req := &object.GetRequest{Ref: row.Ref, Key: l.Rules.CustomerKey(&row.Encryption), Max: row.Size, Into: into}
	if l.Rules.Dest.InPlace() {
		req.Ref.VersionID = ""
	}
	if seen {
		req.ETag = row.ETag
	}
	got := new(object.GetReply)
	var at time.Time
	call := object.Call{Kind: object.ReqGet, Key: row.Key, KMSKey: row.Encryption.KMSKeyID, OtherKey: true, Bytes: row.Size}
	err := l.Loop.Do(ctx, call, func(ctx context.Context) (err error) {
		at = time.Now()
		if *got, err = l.Source.Get(ctx, req); err != nil || got.ETag != row.ETag && !object.SealedETag(req.ETag) {
			return err
		}
		if err = l.sound(ctx, req, got); err != nil {
			return err
		}
		if object.SealedETag(req.ETag) {
			got.ETag = req.ETag // a reply shows it opened; that it is the one the condition says
		}
		if int64(len(got.Body)) != row.Size {
			return &object.Error{Class: object.ClassTransient, Op: "GetObject", Ref: row.Ref, Message: "the body does not have the object's size"}
		}
		return nil
	})
	switch {
	case object.ClassOf(err) == object.ClassTooLarge:
		return nil, ChangedSince("GetObject", row.Ref)
	case err != nil:
		return nil, err
	case got.ETag != row.ETag:
		return nil, ChangedSince("GetObject", row.Ref)
	case row.VersionID != "" && got.ShownVersionID != "" && got.ShownVersionID != row.VersionID:
		return nil, ChangedSince("GetObject", row.Ref)
	}
	got.Ref, got.Noncurrent, got.Settled, got.At = row.Ref, row.Noncurrent, true, at
	return got, l.readGrants(ctx, &got.Head)
}

// OpenETag is the ETag that a reply to a GET shows of the object, which a HEAD has shown
// under a sealed one.
func (l *Looker) OpenETag(ctx context.Context, s store.Store, o *object.Object) (etag string, err error) {
	if !object.SealedETag(o.ETag) {
		return o.ETag, nil
	}
	req := &object.GetRequest{Ref: o.Ref, Key: l.Rules.CustomerKey(&o.Encryption), ETag: o.ETag}
	err = l.Loop.Do(ctx, object.Call{Kind: object.ReqGet, Key: o.Key}, func(ctx context.Context) error {
		got, err := s.Get(ctx, req)
		if object.ClassOf(err) == object.ClassTooLarge { // its bytes are not wanted
			err = nil
		}
		etag = got.ETag
		return err
	})
	return etag, err
}

// ReadRange fills into with the bytes of the object from first on. Another object than o
// is ClassChanged.
func (l *Looker) ReadRange(ctx context.Context, o *object.Object, first int64, into []byte) error {
	req := &object.RangeRequest{Ref: o.Ref, Key: l.Rules.CustomerKey(&o.Encryption), ETag: o.ETag, Size: o.Size, First: first, Into: into}
	if l.Rules.Dest.InPlace() {
		req.Ref.VersionID = ""
	}
	call := object.Call{Kind: object.ReqGet, Key: o.Key, KMSKey: o.Encryption.KMSKeyID, OtherKey: true, Bytes: int64(len(into))}
	return l.Loop.Do(ctx, call, func(ctx context.Context) error { return l.Source.ReadRange(ctx, req) })
}
