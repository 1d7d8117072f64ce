package main

import (
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/metrics"
	"github.com/resealhq/reseal/engine/object"
)

// metricsBox holds the metrics once they are served. The job, which begins before,
// reports to it.
type metricsBox struct {
	atomic.Pointer[metrics.Metrics]
}

// Requested counts a request.
func (b *metricsBox) Requested(c *object.Call, r object.Result) {
	if m := b.Load(); m != nil {
		m.Requested(c, r)
	}
}

// Settled counts an object.
func (b *metricsBox) Settled(o *object.Outcome) {
	if m := b.Load(); m != nil {
		m.Settled(o)
	}
}

// committed takes the time of one commit of the checkpoint.
func (b *metricsBox) committed(d time.Duration) {
	if m := b.Load(); m != nil {
		m.Committed(d)
	}
}

// serve serves what Prometheus asks for, where an address was given.
func (b *metricsBox) serve(addr string, r *job.Running) (end func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	of := func() metrics.Job {
		t := r.Totals()
		return metrics.Job{Planned: t.Planned.Objects, Remaining: t.States[object.Remaining].Objects, PlanComplete: t.PlanComplete}
	}
	m := metrics.New(metrics.Options{Version: readVersion().Version, Pace: r.Pace, Job: of})
	server, err := metrics.Listen(addr, m)
	if err != nil {
		return nil, unusableBecause(err, "--metrics-addr "+addr, "name a free port, such as :9090")
	}
	b.Store(m)
	r.Log.Info("serving metrics", "address", server.Addr())
	return func() { _ = server.Close() }, nil
}
