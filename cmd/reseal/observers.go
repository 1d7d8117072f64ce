package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/metrics"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
)

// Requested counts a request for the job's totals, the progress and the metrics.
func (w *work) Requested(c *object.Call, r object.Result) {
	w.points.AddRequests(c.Kind, 1)
	w.tell.progress.Requested(c, r)
	if m := w.metrics.Load(); m != nil {
		m.Requested(c, r)
	}
}

// Settled counts an object, and stops the run at the first failure where none is
// tolerated.
func (w *work) Settled(o *object.Outcome) {
	w.tell.progress.Settled(o)
	if m := w.metrics.Load(); m != nil {
		m.Settled(o)
	}
	if f := &w.order.tempo.MaxFailures; o.State == object.Failed && f.given && f.count == 0 && f.percent == 0 {
		w.stop.stop(fmt.Errorf("%w: --max-failures 0", engine.ErrMaxFailures))
	}
}

// metricsBox holds the metrics once they are served. The checkpoint, which is
// open before, reports to it.
type metricsBox struct {
	atomic.Pointer[metrics.Metrics]
}

// committed takes the time of one commit of the checkpoint.
func (b *metricsBox) committed(d time.Duration) {
	if m := b.Load(); m != nil {
		m.Committed(d)
	}
}

// serveMetrics serves what Prometheus asks for, where an address was given.
func (w *work) serveMetrics(addr string) (end func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	m := metrics.New(metrics.Options{Version: readVersion().Version, Pace: func() pace.State { return w.pacer.State() }, Job: w.jobOfMetrics})
	server, err := metrics.Listen(addr, m)
	if err != nil {
		return nil, unusableBecause(err, "--metrics-addr "+addr, "name a free port, such as :9090")
	}
	w.metrics.Store(m)
	w.log.Info("serving metrics", "address", server.Addr())
	return func() { _ = server.Close() }, nil
}

func (w *work) jobOfMetrics() metrics.Job {
	t := w.points.Totals()
	return metrics.Job{Planned: t.Planned.Objects, Remaining: t.States[object.Remaining].Objects, PlanComplete: t.PlanComplete}
}
