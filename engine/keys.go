package engine

import (
	"cmp"
	"context"
	"errors"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// keyRefused decides what an error about a KMS key means. The key that the object is
// under is this object's trouble alone, and the error comes back with its name. The
// target's key is everybody's: answers about it are counted until the run stops, and
// no error means that the object is tried again.
func (it *item) keyRefused(ctx context.Context, err error) error {
	if !it.rules().OtherKey(&it.obj) || it.run.cfg.Source.Reader == nil {
		return err // the loop has counted and repeated it
	}
	oerr := it.run.look.Opens(ctx, &it.obj)
	switch {
	case object.ClassOf(oerr) == object.ClassKey:
		return it.underUnusableKey(oerr)
	case errors.Is(oerr, retry.ErrStopping):
		return oerr
	case it.run.loop.KeyRefused(err):
		return err
	}
	it.past.refusals++
	if it.past.refusals >= retry.KeyTries {
		return err
	}
	return it.run.loop.Pause(ctx, it.past.refusals, err)
}

// underUnusableKey names the key that an object is under.
func (it *item) underUnusableKey(err error) error {
	e, _ := errors.AsType[*object.Error](err)
	named := *e
	under := "the key that it is under cannot be used: "
	if it.obj.Encryption.Type != object.SSEUnknown {
		under = "it is under " + describe(it.obj.Encryption) + ", and that key cannot be used: "
	}
	named.Message = under + cmp.Or(e.Message, e.Code)
	named.Hint = "enable or restore the key that it is under; then run again with --retry-failed"
	return &named
}
