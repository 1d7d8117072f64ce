package engine

import (
	"context"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// updateTries is how often an update that was answered with success and is not
// shown is sent; its reply has no body that could prove anything.
const updateTries = 3

// update re-wraps the data key in place. The reply shows nothing and the request
// takes no condition, so the object is asked afterwards, and its ETag and size,
// which an update leaves alone, must be the ones from before.
func (it *item) update(ctx context.Context) (*object.Outcome, error) {
	ref, target := it.obj.Ref, &it.run.rules.Target
	call := object.Call{Kind: object.ReqUpdate, Key: ref.Key, KMSKey: target.KMSKeyID, OtherKey: it.run.rules.OtherKey(&it.obj)}
	var h *object.Head
	for range updateTries {
		_, err := it.once(ctx, call, func(ctx context.Context) error {
			it.out.Attempts++
			id, err := it.run.cfg.Store.Update(ctx, ref, target)
			if id != "" {
				it.out.RequestID = id
			}
			return err
		}, retry.AskFunc(func(ctx context.Context, _ error) (bool, error) {
			it.past.noAnswer(it)
			return it.becameOf(ctx, call)
		}))
		if err != nil {
			return nil, it.orOlderRow(ctx, err)
		}
		ctx, it.past.updated = retry.Ending(ctx), true
		if h, err = it.run.look.Head(ctx, it.run.cfg.Store.Hot, ref); err != nil {
			return nil, err
		}
		if target.MetBy(h.Encryption) || h.ETag != it.obj.ETag {
			break
		}
	}
	if h.ETag != it.obj.ETag && !it.obj.Noncurrent {
		if err := it.overwritten(ctx, &h.Object); err != nil {
			return nil, err
		}
		return nil, look.ChangedSince("UpdateObjectEncryption", ref)
	}
	if h.Size != it.obj.Size || !target.MetBy(h.Encryption) {
		return nil, it.unproved("UpdateObjectEncryption", h)
	}
	it.run.updated.Store(true)
	return it.done(h.ETag, h.Encryption), nil
}

// orOlderRow finds out that an update was refused because the object is another one by now
// than its row tells: it is decided on anew then.
func (it *item) orOlderRow(ctx context.Context, refused error) error {
	if it.attrs != nil || object.ClassOf(refused) != object.ClassInvalid {
		return refused
	}
	h, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, it.obj.Ref)
	if err != nil || h.ETag == it.obj.ETag && h.Encryption.Type == it.obj.Encryption.Type {
		return refused
	}
	return look.ChangedSince("UpdateObjectEncryption", it.obj.Ref)
}
