package engine

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// updateTries is how often an update that was answered with success and is not
// shown is sent; its reply has no body that could prove anything.
const updateTries = 3

// update re-wraps the data key in place. The reply shows nothing and the request
// takes no condition, so the object is asked afterwards, and its ETag and size,
// which an update leaves alone, must be the ones from before.
func (it *item) update(ctx context.Context) (*object.Outcome, error) {
	ref := it.obj.Ref
	call := object.Call{Kind: object.ReqUpdate, Key: ref.Key, KMSKey: it.Target.KMSKeyID}
	var h object.Head
	for range updateTries {
		_, err := it.once(ctx, call, func(ctx context.Context) error {
			it.out.Attempts++
			id, err := it.Store.Update(ctx, ref, &it.Target)
			if id != "" {
				it.out.RequestID = id
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if h, err = it.head(ctx, it.Store.Hot, ref); err != nil {
			return nil, err
		}
		if it.Target.MetBy(h.Encryption) || h.ETag != it.obj.ETag {
			break
		}
	}
	if h.ETag != it.obj.ETag && !it.obj.Noncurrent {
		return nil, changedSince("UpdateObjectEncryption", ref)
	}
	if h.Size != it.obj.Size || !it.Target.MetBy(h.Encryption) {
		return nil, it.unproved("UpdateObjectEncryption", &h)
	}
	return it.done(h.ETag, h.Encryption), nil
}

// once sends a mutation that must not be applied twice. Where the answer was
// lost, the store is asked: found returns what HEAD showed if the object is as
// wanted by now; otherwise, if the object is still the one from before, the
// mutation is sent again.
func (it *item) once(ctx context.Context, call object.Call, f func(context.Context) error) (found *object.Head, err error) {
	began := time.Now()
	for n := 1; ; n++ {
		err = it.send(ctx, call, f)
		if !object.MaybeApplied(err) {
			return nil, err
		}
		it.lost = true
		if ctx.Err() != nil {
			return nil, err
		}
		ref := it.Dest.Ref(it.task.Object.Ref)
		if it.obj.VersionID != "" && call.Kind == object.ReqUpdate {
			ref = it.obj.Ref
		}
		h, herr := it.head(ctx, it.Store.Hot, ref)
		gone := object.ClassOf(herr) == object.ClassGone
		switch {
		case gone && !it.Dest.InPlace(): // not arrived: send again
		case herr != nil:
			return nil, herr
		case it.Target.Satisfied(&h.Object) && h.Size == it.obj.Size:
			return &h, nil
		case h.ETag != it.obj.ETag:
			return nil, changedSince(call.Kind.String(), ref)
		}
		if it.enough(n, err, time.Since(began)) {
			return nil, err
		}
		if perr := it.pause(ctx, n, err); perr != nil {
			return nil, perr
		}
	}
}

func changedSince(op string, ref object.Ref) error {
	return &object.Error{Class: object.ClassChanged, Op: op, Ref: ref, Message: "another client wrote the object meanwhile"}
}

// unproved is the error for a success that the store does not show.
func (it *item) unproved(op string, h *object.Head) error {
	msg := "the store answered success, and HEAD shows " + describe(h.Encryption)
	if h.Size != it.obj.Size {
		msg = "the store answered success, and the object's size is another one now"
	}
	return &object.Error{Class: object.ClassUnproved, Op: op, Ref: h.Ref, Message: msg, RequestID: h.RequestID,
		Hint: "run `reseal doctor` to see which operations this store really does"}
}

func describe(e object.Encryption) string {
	s := e.Type.String()
	if e.KMSKeyID != "" {
		s += " under " + e.KMSKeyID
	}
	return s
}
