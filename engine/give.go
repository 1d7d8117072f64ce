package engine

import (
	"context"
	"errors"
	"io"

	"github.com/resealhq/reseal/engine/dispatch"
	"github.com/resealhq/reseal/engine/object"
)

// taskBatch is how many tasks are taken from the journal at a time. Several lanes are
// taken from one by one, and the window is asked as often as laneBatch.
const (
	taskBatch = 64
	laneBatch = 16
)

// given is a task that was given to the workers, and the lane that it is of, nil where
// the plan is one.
type given struct {
	object.Task
	lane *dispatch.Lane
}

// dispatch feeds the workers in the plan's order, or from several places of it where a
// prefix holds it up; all is true once the plan was handed out to its end.
func (r *run) dispatch(ctx context.Context, tasks chan<- given) (all bool, err error) {
	buf := make([]object.Task, taskBatch)
	for {
		if err := r.gate(ctx); err != nil {
			return false, r.unlessDraining(err)
		}
		n, err := r.cfg.Journal.Next(ctx, buf)
		for i := range buf[:n] {
			if !r.give(tasks, &buf[i], nil) {
				return false, nil
			}
		}
		if n > 0 && err == nil {
			err = r.dispatchLanes(ctx, tasks, buf[n-1].Object.Key)
		}
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, r.unlessDraining(err)
		}
	}
}

// dispatchLanes takes from several places of the plan, as long as there are, where tasks
// like the one with this key would wait for the limit of their prefix.
func (r *run) dispatchLanes(ctx context.Context, tasks chan<- given, key string) error {
	crowded, err := r.lanes.Crowded(key)
	if !crowded || err != nil {
		return err
	}
	r.beside.Do(func() { r.cfg.Log.Info("a prefix is at its limit; work goes on below others too", "key", key) })
	for n := 0; ; n++ {
		if n%laneBatch == 0 {
			if err := r.gate(ctx); err != nil {
				return err
			}
		}
		t, lane, err := r.lanes.Next(ctx)
		switch {
		case errors.Is(err, dispatch.ErrOneLane):
			return nil
		case err != nil:
			return err
		}
		if !r.give(tasks, t, lane) {
			return errDraining
		}
	}
}

// errDraining ends the dispatch of a run that begins nothing any more.
var errDraining = errors.New("draining")

// give hands one task to the workers; false where nothing may begin any more.
func (r *run) give(tasks chan<- given, t *object.Task, lane *dispatch.Lane) bool {
	select {
	case tasks <- given{*t, lane}:
		return true
	case <-r.draining:
		return false
	}
}

// gate waits until new work may begin.
func (r *run) gate(ctx context.Context) error {
	if r.cfg.Gate == nil {
		return nil
	}
	return r.cfg.Gate(ctx)
}
