// Package metrics shows a run to Prometheus. It is an engine.Observer: it
// counts what the engine tells it, asks the pace and the job for what can only
// be asked when somebody scrapes, and promises that a request costs it well
// under a microsecond and that it never waits.
//
//	m := metrics.New(metrics.Options{Pace: pacer.State, Job: progress})
//	srv, err := metrics.Listen(":9090", m)   // 127.0.0.1:9090; a host must be named to be seen from outside
//	defer srv.Close()
//
// All names begin with reseal_; counters end in _total, units are seconds and
// bytes. Labels never carry keys of objects.
package metrics

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
)

// Job is where the job stands, over all its processes.
type Job struct {
	// Planned objects, and those of them that have no outcome yet.
	Planned, Remaining uint64
	// PlanComplete: Planned grows no more.
	PlanComplete bool
}

// Options of the metrics. What is nil is not shown.
type Options struct {
	// Version of reseal.
	Version string
	// Pace and Job are asked at every scrape.
	Pace func() pace.State
	Job  func() Job
}

// Metrics counts. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	// byResult holds the counters of requests once they were used: by kind, then OK
	// or class.
	byResult [object.NumRequestKinds][object.NumClasses + 1]atomic.Pointer[prometheus.Counter]
	latency  [object.NumRequestKinds]prometheus.Observer
	moved    prometheus.Counter

	objects    [object.NumStates]prometheus.Counter
	operations *prometheus.CounterVec
	reasons    *prometheus.CounterVec
	bytes      prometheus.Counter
	attempts   prometheus.Counter
	commit     prometheus.Histogram
}

// New returns metrics with a registry of their own.
func New(o Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.addRequests()
	m.addObjects()
	m.addCheckpoint()
	if o.Version != "" {
		info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "reseal_build_info", Help: "Always 1; the version is the label.",
			ConstLabels: prometheus.Labels{"version": o.Version}})
		info.Set(1)
		m.registry.MustRegister(info)
	}
	if o.Pace != nil {
		m.registry.MustRegister(newPaceCollector(o.Pace))
	}
	if o.Job != nil {
		m.registry.MustRegister(newJobCollector(o.Job))
	}
	return m
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) addRequests() {
	m.requests = m.counters("reseal_requests_total", "Requests sent to the store, every attempt counted, by operation and by result: ok or the class of the error.", "operation", "result")
	m.moved = m.counter("reseal_copied_bytes_total", "Bytes that the store copied, those of failed objects and of parts included.")
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "reseal_request_duration_seconds",
		Help: "How long a request took, by operation; every attempt counted, waiting for the pace not.",
		// 0.5 ms to 262 s: a HEAD on the same machine to a part of 5 GiB.
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 20)}, []string{"operation"})
	m.registry.MustRegister(h)
	for k := range object.RequestKind(object.NumRequestKinds) {
		m.latency[k] = h.WithLabelValues(k.String())
	}
}

func (m *Metrics) addObjects() {
	vec := m.counters("reseal_objects_total", "Objects settled by this process, by state.", "state")
	for s := object.Done; int(s) < object.NumStates; s++ {
		m.objects[s] = vec.WithLabelValues(s.String())
	}
	m.operations = m.counters("reseal_operations_total", "Objects changed by this process, by operation.", "operation")
	m.reasons = m.counters("reseal_not_done_total", "Objects left or failed in this process, by state and reason.", "state", "reason")
	m.bytes = m.counter("reseal_object_bytes_total", "Bytes of the objects changed by this process.")
	m.attempts = m.counter("reseal_object_attempts_total", "Mutations tried, over all objects of this process.")
}

func (m *Metrics) addCheckpoint() {
	m.commit = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "reseal_checkpoint_commit_duration_seconds",
		Help: "How long it took to make a group of outcomes or tasks durable.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)})
	m.registry.MustRegister(m.commit)
}

// Requested counts one attempt of a request.
func (m *Metrics) Requested(c *object.Call, r object.Result) {
	i := 0
	if !r.OK {
		i = 1 + int(r.Class)
	}
	counter := m.byResult[c.Kind][i].Load()
	if counter == nil {
		result := "ok"
		if !r.OK {
			result = r.Class.String()
		}
		fresh := m.requests.WithLabelValues(c.Kind.String(), result)
		counter = &fresh
		m.byResult[c.Kind][i].Store(counter)
	}
	(*counter).Inc()
	m.latency[c.Kind].Observe(r.Latency.Seconds())
	if r.OK && c.Bytes > 0 {
		m.moved.Add(float64(c.Bytes))
	}
}

// Settled counts one outcome.
func (m *Metrics) Settled(o *object.Outcome) {
	if c := m.objects[o.State]; c != nil {
		c.Inc()
	}
	m.attempts.Add(float64(o.Attempts))
	switch o.State {
	case object.Done:
		m.operations.WithLabelValues(o.Operation.String()).Inc()
		m.bytes.Add(float64(max(0, o.Size)))
	case object.Left, object.Failed:
		m.reasons.WithLabelValues(o.State.String(), string(o.Reason)).Inc()
	}
}

// Committed takes the time of one commit of the checkpoint.
func (m *Metrics) Committed(d time.Duration) { m.commit.Observe(d.Seconds()) }

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, MaxRequestsInFlight: 4})
}
