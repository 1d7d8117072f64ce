package engine

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// This file is about requests that had to wait. What they carry is what the object had when it
// was looked at: nothing in S3 guards tags, grants and holds, which others set without another
// ETag. A request that waits for a store which throttles, or is away, gives them hours for it.

// inTime sends a request that replaces the object, and looks again before it is sent late or
// once more after an answer that was lost. ClassChanged says that the object has something else
// now. found is what once finds.
func (it *item) inTime(ctx context.Context, call object.Call, req *object.CopyRequest, send func(context.Context) error) (found *object.Head, err error) {
	ask := retry.AskFunc(func(ctx context.Context, lost error) (bool, error) {
		if applied, err := it.Ask(ctx, call, lost); applied || err != nil {
			return applied, err
		}
		return false, it.lookAgain(ctx, call, req)
	})
	var cause error
	for began := time.Now(); ; {
		found, err = it.once(ctx, call, func(ctx context.Context) error {
			if it.attrs != nil && !it.looked.IsZero() && retry.LongAgo(it.looked, retry.LookedWithin) {
				return &retry.LateError{Cause: cause}
			}
			cause = send(ctx)
			return cause
		}, ask)
		late, ok := errors.AsType[*retry.LateError](err)
		switch {
		case !ok:
			return found, err
		case late.Cause != nil && retry.LongAgo(began, max(it.run.cfg.ThrottleWait, it.run.cfg.OutageWait)):
			return nil, late.Cause
		}
		var applied bool
		if it.past.lost {
			applied, err = ask(retry.Ending(ctx), late.Cause)
		} else {
			err = it.lookAgain(ctx, call, req)
		}
		if applied || err != nil {
			return it.found, err
		}
	}
}

// lookAgain is an error of ClassChanged where the object is another one than the request was
// made of, or has something else than that carries. What was not looked at is not carried.
func (it *item) lookAgain(ctx context.Context, call object.Call, req *object.CopyRequest) error {
	if it.attrs == nil {
		return nil
	}
	at := time.Now()
	now, err := it.run.look.Inspect(ctx, &it.task.Object, it.past.changed)
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
	carries := func(o *object.Object, a *object.Attributes) []byte {
		return it.run.rules.Copy(o, a, choice, at).Carries()
	}
	was := it.obj
	was.Size = now.Size // that of what is sent may be another one
	if now.ETag != was.ETag || !bytes.Equal(carries(&was, it.attrs), carries(&now.Object, &now.Attributes)) {
		return look.ChangedSince(call.Kind.String(), it.dest())
	}
	it.looked = at
	return nil
}
