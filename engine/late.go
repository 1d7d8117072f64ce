package engine

import (
	"bytes"
	"context"
	"time"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// This file is about requests that had to wait. What they carry is what the object had when it
// was looked at: nothing in S3 guards tags, grants and holds, which others set without another
// ETag. A request that waits for a store which throttles, or is away, gives them hours for it.

// again knows the object that a request replaces.
type again struct {
	it  *item
	req *object.CopyRequest
}

// Late says whether what the request carries was seen too long ago. What was not looked at is
// not carried.
func (a again) Late() bool {
	return a.it.attrs != nil && !a.it.looked.IsZero() && (retry.LongAgo(a.it.looked, retry.LookedWithin) || a.it.mayHide())
}

// shownFor is how long a second look is believed that follows trouble of the store: others
// may meet more all the time, and an object is not looked at without end for that.
const shownFor = 5 * time.Second

// mayHide says whether the object may have a checksum that the store did not show, since it
// was in trouble around the time of the look.
func (it *item) mayHide() bool {
	trouble := it.run.loop.LastTrouble()
	return !trouble.IsZero() && trouble.Add(retry.LookedWithin).After(it.looked) && look.MayHide(&it.obj, &it.rules().Caps) && time.Since(it.confirmed) > shownFor
}

// Ask is becameOf, and then looks whether the object still has what the request carries.
func (a again) Ask(ctx context.Context, call object.Call, lost error) (applied bool, err error) {
	if lost != nil {
		a.it.past.noAnswer(a.it)
	}
	if a.it.past.lost {
		if applied, err = a.it.becameOf(ctx, call); applied || err != nil {
			return applied, err
		}
	}
	return false, a.it.lookAgain(ctx, call, a.req)
}

// lookAgain is an error of ClassChanged where the object is another one than the request was
// made of, or has something else than that carries. What was not looked at is not carried.
func (it *item) lookAgain(ctx context.Context, call object.Call, req *object.CopyRequest) error {
	if it.attrs == nil {
		return nil
	}
	if !it.run.cfg.Dest.InPlace() && !req.DestAbsent {
		switch _, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, req.Dest); {
		case err == nil:
			return look.ChangedSince(call.Kind.String(), req.Dest)
		case object.ClassOf(err) != object.ClassGone:
			return err
		}
	}
	now, err := it.run.look.Inspect(ctx, &it.task.Object, true)
	if err != nil {
		return err
	}
	choice := object.Choice{Operation: object.OpCopy}
	if call.Kind == object.ReqPut {
		choice.Operation = object.OpRewrite
		if err := it.run.look.ListAnnotations(ctx, &now.Object, &now.Attributes); err != nil {
			return err
		}
	}
	if req.ReplaceTags || it.run.rules.NeedsTags(choice) {
		if err := it.run.look.ReadTags(ctx, now.Ref, &now.Attributes); err != nil {
			return err
		}
	}
	carries := it.rules().Copy(&now.Object, &now.Attributes, choice, now.At).Carries()
	if now.ETag != it.obj.ETag || now.Encryption != it.obj.Encryption || look.Revealed(&it.obj, &now.Object) || it.run.leaves(now) || !bytes.Equal(carries, req.Carries()) {
		return look.ChangedSince(call.Kind.String(), it.dest())
	}
	it.looked, it.confirmed = now.At, time.Now()
	return nil
}

// leaves says whether the object, as it is now, would not be touched: it has something that
// cannot be carried, or is as wanted.
func (r *run) leaves(now *object.Head) bool {
	return r.cfg.Chooser.Choose(&now.Object, &now.Attributes).Operation == object.OpNone
}
