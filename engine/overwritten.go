package engine

import (
	"context"
	"fmt"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// overwritten looks at an object that has changed while a request of ours carried a
// document to it. Where the object is that document now, the store does not know the
// request and has destroyed the object: the run ends at once, before the next one is
// destroyed. Otherwise another client has written it, and there is no error.
func (it *item) overwritten(ctx context.Context, now *object.Object) error {
	op, err := it.run.look.Echo(retry.Ending(ctx), it.run.cfg.Store, now)
	if err != nil || op == "" {
		return nil // what it is cannot be told; it is taken for another client's
	}
	e := &object.Error{Class: object.ClassUnproved, Op: op, Ref: now.Ref,
		Message: "the store wrote this request over the object: it holds the request's XML now, and its bytes are lost where no version keeps them",
		Hint:    "restore the object from an older version or a backup; this store is not the one that was examined: run `reseal doctor` before any other run"}
	it.run.halt(fmt.Errorf("stopped at once: %w", e))
	return e
}

// reapplied looks at an object to which a detail could not be written again.
func (it *item) reapplied(ctx context.Context, reply *object.CopyReply, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	h, herr := it.run.look.Head(retry.Ending(ctx), it.run.cfg.Store.Hot, it.dest())
	if herr != nil || h.ETag == reply.ETag {
		return err
	}
	if oerr := it.overwritten(ctx, &h.Object); oerr != nil {
		return oerr
	}
	return err
}
