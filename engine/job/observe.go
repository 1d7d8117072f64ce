package job

import (
	"fmt"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
)

// Requested counts a request for the job's totals and the progress, and tells the
// observers.
func (w *work) Requested(c *object.Call, r object.Result) {
	if w.here(c) {
		return
	}
	w.points.AddRequests(c.Kind, 1)
	w.tell.progress.Requested(c, r)
	w.tell.took.add(r.Latency)
	for _, o := range w.opt.Observers {
		o.Requested(c, r)
	}
}

// Settled counts an object, and stops the run at the first failure where none is
// tolerated.
func (w *work) Settled(o *object.Outcome) {
	w.tell.progress.Settled(o)
	for _, other := range w.opt.Observers {
		other.Settled(o)
	}
	if o.State == object.Failed && w.opt.MaxFailures.none() {
		w.stop.stop(fmt.Errorf("%w: Limits.MaxFailures 0", engine.ErrMaxFailures))
	}
}
