package planner

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
)

// inspecting asks about objects, many at once but never more than busy holds.
type inspecting struct {
	ask  Inspector
	busy chan struct{} // holds one token for each inspection under way
}

func newInspecting(ask Inspector, atOnce int) inspecting {
	if atOnce <= 0 {
		atOnce = 64
	}
	return inspecting{ask, make(chan struct{}, atOnce)}
}

// inspected is what the store said about one object.
type inspected struct {
	head object.Head
	err  error
}

// gone says whether the object is not there any more.
func (r *inspected) gone() bool { return r.err != nil && object.ClassOf(r.err) == object.ClassGone }

// all asks about every object. Its own error is one that concerns the whole run;
// those of single objects stand in the results.
func (in inspecting) all(ctx context.Context, objects []*object.Object) ([]inspected, error) {
	results := make([]inspected, len(objects))
	g, ctx := errgroup.WithContext(ctx)
	for i, o := range objects {
		select {
		case in.busy <- struct{}{}:
		case <-ctx.Done():
			return nil, firstOf(g.Wait(), context.Cause(ctx))
		}
		g.Go(func() error {
			defer func() { <-in.busy }()
			head, err := in.ask(ctx, o)
			results[i] = inspected{head, err}
			if err != nil && (ctx.Err() != nil || concernsTheRun(object.ClassOf(err))) {
				return err
			}
			return nil
		})
	}
	return results, g.Wait()
}

func concernsTheRun(c object.Class) bool {
	return c.Fatal() || c == object.ClassCanceled || c == object.ClassUnreachable
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
