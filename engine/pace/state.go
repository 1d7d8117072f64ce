package pace

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dustin/go-humanize/english"
)

// Reason is what holds requests back, in one word that scripts can match.
type Reason string

// The reasons. Unhindered: nothing does, the run is as fast as its workers.
const (
	Unhindered       Reason = "none"
	RequestCeiling   Reason = "max-requests-per-second"
	KMSCeiling       Reason = "max-kms-requests-per-second"
	BandwidthCeiling Reason = "max-bandwidth"
	S3Throttling     Reason = "s3-throttling"
	S3ReadThrottling Reason = "s3-read-throttling"
	KMSThrottling    Reason = "kms-throttling"
	Concurrency      Reason = "concurrency"
)

// State is what the pace is now, for status, progress and metrics.
type State struct {
	// Rate is the requests answered a second over the last few seconds, Allowed
	// the limit that is in force on them, 0 for none.
	Rate    float64 `json:"rate"`
	Allowed float64 `json:"allowed"`
	// Why is what held requests back in the last second, Detail a sentence on it.
	Why    Reason `json:"why"`
	Detail string `json:"detail"`
	// InFlight are the requests sent and not answered, Waiting those that want to
	// be sent, Concurrency the most that may be in flight; Found says that it was
	// found and not given.
	InFlight    int  `json:"in_flight"`
	Waiting     int  `json:"waiting"`
	Concurrency int  `json:"concurrency"`
	Found       bool `json:"found"`
	// Controllers are the adaptive limits that have been throttled, S3 first.
	Controllers []Controller `json:"controllers,omitempty"`
}

// Controller is one adaptive limit.
type Controller struct {
	// Reason is S3Throttling, of requests that change something, S3ReadThrottling or
	// KMSThrottling; Name the key prefix (empty for the
	// whole bucket) or the KMS key.
	Reason Reason `json:"reason"`
	Name   string `json:"name"`
	// Limit in requests a second, 0 while there is none; Rate what is achieved.
	Limit float64 `json:"limit"`
	Rate  float64 `json:"rate"`
	// Throttled counts the throttled replies, LastThrottle is when the last came.
	Throttled    uint64    `json:"throttled"`
	LastThrottle time.Time `json:"last_throttle"`
	// PausedUntil is set while a Retry-After is waited for.
	PausedUntil time.Time `json:"paused_until,omitzero"`
}

// State tells where the pace stands. It takes the lock for a moment: a few
// times a second is fine.
func (p *Pacer) State() State {
	m := &p.mu
	m.Lock()
	defer m.Unlock()
	now := p.now()
	p.stepIfDue(now)
	s := State{
		Rate:        m.achieved.rate(now, p.done.Load()),
		InFlight:    int(p.inFlight.Load()),
		Waiting:     int(p.queued.Load()),
		Concurrency: m.concurrency.n,
		Found:       m.limits.Concurrency == 0,
	}
	for _, l := range m.all {
		if l.adaptive && l.throttled > 0 {
			s.Controllers = append(s.Controllers, p.controller(now, l))
		}
	}
	slices.SortStableFunc(s.Controllers, func(a, b Controller) int {
		return cmp.Or(-cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Name, b.Name))
	})
	p.explain(now, &s)
	return s
}

func (p *Pacer) controller(now time.Duration, l *limiter) Controller {
	c := Controller{Reason: l.reason, Name: l.name, Limit: finite(l.rate.limit),
		Rate: l.achieved.rate(now, l.replies), Throttled: l.throttled, LastThrottle: p.start.Add(l.lastThrottle)}
	if l.rate.until > now {
		c.PausedUntil = p.start.Add(l.rate.until)
	}
	return c
}

// explain says which limit held calls back most. REQUIRES: mu.
func (p *Pacer) explain(now time.Duration, s *State) {
	m := &p.mu
	worst := m.slot
	for _, l := range m.all {
		if l.delays > worst.delays {
			worst = l
		}
	}
	s.Allowed = finite(p.bound())
	if worst.delays < 0.5 && worst.head == nil && s.InFlight < s.Concurrency {
		s.Why, s.Detail = Unhindered, "nothing holds the requests back"
		return
	}
	s.Why = worst.reason
	switch worst.reason {
	case Concurrency:
		flying := english.Plural(s.Concurrency, "request", "") + " in flight"
		s.Detail = flying + ", as --concurrency says"
		if s.Found {
			s.Detail = flying + "; with more the store was not seen to be faster"
			if s.Concurrency == m.concurrency.max {
				s.Detail = flying + ", the most that is tried"
			}
		}
	case S3Throttling, S3ReadThrottling, KMSThrottling:
		s.Allowed = finite(worst.rate.limit)
		s.Detail = throttleDetail(worst, now)
	default:
		s.Allowed = finite(worst.bucket.rate)
		s.Detail = fmt.Sprintf("the ceiling --%s", worst.reason)
	}
}

func throttleDetail(l *limiter, now time.Duration) string {
	who := "S3 asked for fewer requests"
	switch {
	case l.reason == S3ReadThrottling && l.name == "":
		who = "S3 asked for fewer reads"
	case l.reason == S3ReadThrottling:
		who = fmt.Sprintf("S3 asked for fewer reads under %q", l.name)
	case l.reason == KMSThrottling && l.name == "":
		who = "KMS asked for fewer requests"
	case l.reason == KMSThrottling:
		who = "KMS asked for fewer requests under " + l.name
	case l.name != "":
		who = fmt.Sprintf("S3 asked for fewer requests under %q", l.name)
	}
	if l.rate.until > now {
		return fmt.Sprintf("%s and a pause of %s", who, (l.rate.until - now).Round(time.Second))
	}
	return fmt.Sprintf("%s, %s ago", who, (now - l.lastThrottle).Round(time.Second))
}

func finite(r float64) float64 {
	if math.IsInf(r, 1) {
		return 0
	}
	return r
}
