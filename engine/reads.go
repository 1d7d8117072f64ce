package engine

import (
	"cmp"
	"context"
	"errors"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/store"
)

// Reads sends requests that change nothing outside of a Run: pages of a listing,
// inspections of a plan, an audit, a verification. They pass the same pace,
// observer and retry loop as a run's own.
type Reads struct{ r *run }

// NewReads uses of the Config what concerns single requests: Store and Source,
// Pace, Observer, Target's customer keys, Caps, Facts, the waits, Renew, Answers and Log.
// No Journal and no Chooser is needed.
func NewReads(cfg Config) *Reads {
	cfg.setDefaults()
	return &Reads{newRun(&cfg)}
}

// Do sends f until it succeeds or cannot. The context ends it between attempts.
func (q *Reads) Do(ctx context.Context, call object.Call, f func(context.Context) error) error {
	return q.ended(ctx, q.r.loop.Do(ctx, call, f))
}

// Inspect asks the store about one object, with the customer keys that it may be
// under, and reads its grants where it can have any.
func (q *Reads) Inspect(ctx context.Context, o *object.Object) (object.Head, error) {
	h, err := q.r.look.Inspect(ctx, o, false)
	if err != nil {
		return object.Head{}, q.ended(ctx, err)
	}
	q.saw(q.r.cfg.Source.Hot, h)
	return *h, nil
}

// saw takes an object that was looked at for the one that tells whether any is answered for.
func (q *Reads) saw(hot store.Hot, h *object.Head) {
	if q.r.cfg.Answers != nil && h.Encryption.Type != object.SSEC && !object.IsFolder(h.Ref.Bucket) {
		q.r.witnesses[atDest].saw(hot, h.Ref, object.CustomerKey{}, false)
	}
}

// Head asks about one object, with the customer keys that it may be under. dest
// asks Config.Store, else it is Config.Source.
func (q *Reads) Head(ctx context.Context, ref object.Ref, dest bool) (object.Head, error) {
	hot := q.r.cfg.Source.Hot
	if dest {
		hot = q.r.cfg.Store.Hot
	}
	h, err := q.r.look.Head(ctx, hot, ref)
	if err != nil {
		return object.Head{}, q.ended(ctx, err)
	}
	q.saw(hot, h)
	return *h, nil
}

// ended is the error of a request that was let go, and never none: what stopped them all is
// the end of the context, or an error that every one of them would meet.
func (q *Reads) ended(ctx context.Context, err error) error {
	if !errors.Is(err, retry.ErrStopping) {
		return err
	}
	return cmp.Or(context.Cause(ctx), q.stopped(), err)
}

func (q *Reads) stopped() error {
	q.r.mu.Lock()
	defer q.r.mu.Unlock()
	return q.r.mu.cause
}
