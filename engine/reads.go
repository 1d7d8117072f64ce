package engine

import (
	"context"
	"errors"

	"github.com/resealhq/reseal/engine/object"
)

// Reads sends requests that change nothing outside of a Run: pages of a listing,
// inspections of a plan, an audit, a verification. They pass the same pace,
// observer and retry loop as a run's own.
type Reads struct{ r *run }

// NewReads uses of the Config what concerns single requests: Store and Source,
// Pace, Observer, Target's customer keys, Caps, Facts, the waits, Renew and Log.
// No Journal and no Chooser is needed.
func NewReads(cfg Config) *Reads {
	cfg.setDefaults()
	return &Reads{&run{Config: cfg, draining: make(chan struct{})}}
}

// Do sends f until it succeeds or cannot. The context ends it between attempts.
func (q *Reads) Do(ctx context.Context, call object.Call, f func(context.Context) error) error {
	return q.ended(ctx, q.r.send(ctx, call, f))
}

// Inspect asks the store about one object, with the customer keys that it may be
// under, and reads its grants where it can have any.
func (q *Reads) Inspect(ctx context.Context, o *object.Object) (object.Head, error) {
	it := &item{run: q.r, task: object.Task{Object: *o}, obj: *o}
	if err := it.inspect(ctx); err != nil {
		return object.Head{}, q.ended(ctx, err)
	}
	return object.Head{Object: it.obj, Attributes: *it.attrs, ShownVersionID: it.version}, nil
}

// Head asks about one object, with the customer keys that it may be under. dest
// asks Config.Store, else it is Config.Source.
func (q *Reads) Head(ctx context.Context, ref object.Ref, dest bool) (object.Head, error) {
	hot := q.r.Source.Hot
	if dest {
		hot = q.r.Store.Hot
	}
	h, err := q.r.head(ctx, hot, ref)
	return h, q.ended(ctx, err)
}

func (q *Reads) ended(ctx context.Context, err error) error {
	if errors.Is(err, errAbandon) {
		return context.Cause(ctx)
	}
	return err
}
