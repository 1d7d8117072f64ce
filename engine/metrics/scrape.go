package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/resealhq/reseal/engine/pace"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// paceCollector asks the pace once a scrape, so that its figures fit together.
type paceCollector struct {
	state func() pace.State

	inFlight, waiting, concurrency, rate, allowed, limit, limitRate, throttled *prometheus.Desc
}

func newPaceCollector(state func() pace.State) *paceCollector {
	return &paceCollector{
		state:       state,
		inFlight:    describe("reseal_requests_in_flight", "Requests sent and not answered yet."),
		waiting:     describe("reseal_requests_waiting", "Requests that wait for the pace."),
		concurrency: describe("reseal_concurrency_limit", "The most requests that may be in flight now."),
		rate:        describe("reseal_request_rate", "Requests answered a second, over the last few seconds."),
		allowed:     describe("reseal_request_rate_limit", "Requests a second that are allowed now, by what holds them back; +Inf where no rate does.", "reason"),
		limit:       describe("reseal_throttle_limit", "Requests a second that a limit found by throttling allows; +Inf while it allows all. scope is a key prefix or a KMS key, empty for the whole bucket.", "reason", "scope"),
		limitRate:   describe("reseal_throttle_rate", "Requests answered a second under a limit found by throttling.", "reason", "scope"),
		throttled:   describe("reseal_throttled_replies_total", "Replies that asked for fewer requests.", "reason", "scope"),
	}
}

// Describe names what Collect gives.
func (c *paceCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.inFlight, c.waiting, c.concurrency, c.rate, c.allowed, c.limit, c.limitRate, c.throttled} {
		ch <- d
	}
}

// Collect gives the figures of one moment.
func (c *paceCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.state()
	gauge(ch, c.inFlight, float64(s.InFlight))
	gauge(ch, c.waiting, float64(s.Waiting))
	gauge(ch, c.concurrency, float64(s.Concurrency))
	gauge(ch, c.rate, s.Rate)
	gauge(ch, c.allowed, orInf(s.Allowed), string(s.Why))
	for _, l := range s.Controllers {
		gauge(ch, c.limit, orInf(l.Limit), string(l.Reason), l.Name)
		gauge(ch, c.limitRate, l.Rate, string(l.Reason), l.Name)
		ch <- prometheus.MustNewConstMetric(c.throttled, prometheus.CounterValue, float64(l.Throttled), string(l.Reason), l.Name)
	}
}

// jobCollector asks the job once a scrape.
type jobCollector struct {
	job                          func() Job
	planned, remaining, complete *prometheus.Desc
}

func newJobCollector(job func() Job) *jobCollector {
	return &jobCollector{
		job:       job,
		planned:   describe("reseal_objects_planned", "Objects of the job found so far, by all its processes."),
		remaining: describe("reseal_objects_remaining", "Planned objects without an outcome: the backlog."),
		complete:  describe("reseal_plan_complete", "1 once the source has been read to its end."),
	}
}

// Describe names what Collect gives.
func (c *jobCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.planned, c.remaining, c.complete} {
		ch <- d
	}
}

// Collect gives the figures of one moment.
func (c *jobCollector) Collect(ch chan<- prometheus.Metric) {
	j := c.job()
	complete := 0.0
	if j.PlanComplete {
		complete = 1
	}
	gauge(ch, c.planned, float64(j.Planned))
	gauge(ch, c.remaining, float64(j.Remaining))
	gauge(ch, c.complete, complete)
}
