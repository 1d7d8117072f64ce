package report

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// rateWindow is the time over which rates are measured: long enough to be calm,
// short enough to follow the pace.
const rateWindow = time.Minute

// Progress is the one state behind the bar, the lines and the status file. It
// observes the engine: counting takes a few atomic additions and no lock. Its
// zero value counts from nothing; see NewProgress for a job that goes on.
type Progress struct {
	opts     ProgressOptions
	states   [object.NumStates]tally
	requests [object.NumRequestKinds]atomic.Uint64
	failures [object.NumClasses]atomic.Uint64
	// waiting is what the outside world owes the run; nil while requests come
	// through.
	waiting atomic.Pointer[wait]
	stuck   stuck

	mu struct {
		sync.Mutex
		samples []sample // oldest first, within rateWindow
	}
}

type tally struct {
	objects atomic.Uint64
	bytes   atomic.Int64
	_       [48]byte // a cache line each: workers settle different states at a time
}

// wait is an outage that the run sits out.
type wait struct {
	class object.Class
	use   object.KMSUse // of the request that met it first
	since time.Time
	last  atomic.Int64 // when a request met it last, in Unix nanoseconds
}

// waitsOn is how long after the last request that met it a wait is still told. Requests are
// sent again far sooner, unless the one that waited was given up and nothing else needs it.
const waitsOn = 2 * time.Minute

// endsWith says whether the success of such a request shows that the wait is over. A store
// that is full, or whose KMS is away, goes on answering what only looks.
func (w *wait) endsWith(c *object.Call) bool {
	switch w.class {
	case object.ClassKMSAway:
		return c.Kind.NeedsKMS() && c.KMSUse().Tells(w.use)
	case object.ClassFull:
		return c.Kind.NeedsKMS() && c.Kind.Mutates()
	case object.ClassTransient, object.ClassThrottled: // some stores show objects while their data are away
		return c.Kind.Mutates() || c.KMSUse().Side == w.use.Side
	}
	return true
}

// waitsFor says what is missing, for the classes that a run waits out.
func waitsFor(c object.Class) string {
	switch c {
	case object.ClassKMSAway:
		return "waiting for the KMS, which does not answer the store"
	case object.ClassFull:
		return "waiting for room in the store, which is full"
	case object.ClassUnreachable:
		return "waiting for the store, which cannot be reached"
	case object.ClassTransient, object.ClassThrottled: // of a request that is Unanswered
		return "waiting for the store, which answers nobody"
	case object.ClassCredentials:
		return "waiting for credentials that the store accepts"
	}
	return ""
}

type sample struct {
	at      time.Time
	objects uint64
	bytes   int64
}

// ProgressOptions tell a Progress what it cannot observe. All may be left out.
type ProgressOptions struct {
	Job string
	// Base is what the job had reached before this process.
	Base object.Totals
	// Planned is how much was planned so far, and whether that is all.
	Planned func() (planned object.Tally, complete bool)
	// Pace is the limits in force.
	Pace func() Pace
}

// Pace is the limits in force, for people who watch.
type Pace struct {
	// Concurrency is requests in flight that are allowed, InFlight those that are.
	Concurrency int `json:"concurrency,omitempty"`
	InFlight    int `json:"in_flight,omitempty"`
	// Requests and KMSRequests a second that are allowed; 0 for no limit.
	Requests    float64 `json:"requests_per_second_limit,omitempty"`
	KMSRequests float64 `json:"kms_requests_per_second_limit,omitempty"`
	// Why is the reason of the tightest limit, or of a pause.
	Why string `json:"why,omitempty"`
	// Paused: somebody has paused the run.
	Paused bool `json:"paused,omitempty"`
	// PausedUntil is when the next window opens, where one is closed.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	// WaitingSince is when the store became unreachable or full, or stopped to
	// accept the credentials; zero while requests come through.
	WaitingSince time.Time `json:"waiting_since,omitzero"`
	// WaitingFor is the class of the error that it waits out, in a word.
	WaitingFor string `json:"waiting_for,omitempty"`
}

// NewProgress starts counting where the job stands.
func NewProgress(o ProgressOptions) *Progress {
	p := &Progress{opts: o}
	for s := object.Done; s < object.NumStates; s++ {
		p.states[s].objects.Store(o.Base.States[s].Objects)
		p.states[s].bytes.Store(o.Base.States[s].Bytes)
	}
	return p
}

// Requested counts a request; the engine calls it.
func (p *Progress) Requested(c *object.Call, r object.Result) {
	p.requests[c.Kind].Add(1)
	if r.OK {
		if w := p.waiting.Load(); w != nil && w.endsWith(c) {
			p.waiting.Store(nil)
		}
		p.stuck.moved(c.Kind)
		return
	}
	p.failures[r.Class].Add(1)
	p.stuck.failed(&r)
	if waitsFor(r.Class) == "" || !c.Unanswered && (r.Class == object.ClassTransient || r.Class == object.ClassThrottled) {
		return
	}
	now := time.Now()
	w := p.waiting.Load()
	if w == nil || w.class != r.Class {
		next := &wait{class: r.Class, use: c.KMSUse(), since: now}
		next.last.Store(now.UnixNano())
		p.waiting.CompareAndSwap(w, next)
		return
	}
	w.last.Store(now.UnixNano())
}

// Settled counts an object; the engine calls it.
func (p *Progress) Settled(o *object.Outcome) {
	if o.State != object.Failed {
		p.stuck.forward.Add(1)
	}
	t := &p.states[o.State]
	t.objects.Add(1)
	t.bytes.Add(max(0, o.Size))
}

// Snapshot is a job at one instant: what the printers print and what the status
// file of a running job holds. Counters of objects are the job's, those of
// requests and errors this process's.
type Snapshot struct {
	Job          string    `json:"job,omitempty"`
	At           time.Time `json:"at"`
	Planned      uint64    `json:"planned"`
	PlanComplete bool      `json:"plan_complete"`
	Done         uint64    `json:"done"`
	Already      uint64    `json:"already"`
	Left         uint64    `json:"left"`
	Failed       uint64    `json:"failed"`
	Remaining    uint64    `json:"remaining"`
	// Bytes of the objects done, and of all planned.
	Bytes        int64 `json:"bytes"`
	PlannedBytes int64 `json:"planned_bytes"`
	// ObjectsPerSecond and BytesPerSecond over the last minute.
	ObjectsPerSecond float64 `json:"objects_per_second"`
	BytesPerSecond   float64 `json:"bytes_per_second"`
	// ETASeconds is there once the plan is complete and something moves.
	ETASeconds *float64          `json:"eta_seconds,omitempty"`
	Requests   map[string]uint64 `json:"requests"`
	// Errors are requests that did not succeed, by class. Most were sent again.
	Errors map[string]uint64 `json:"errors"`
	// StuckSince is when anything last went forward, where nothing has for half a minute and
	// requests fail; LastError is how the last of them did.
	StuckSince time.Time `json:"stuck_since,omitzero"`
	LastError  string    `json:"last_error,omitempty"`
	Pace
	// Final is set on the last one of a process.
	Final bool `json:"final"`
}

// Settled is how many objects have an outcome.
func (s *Snapshot) Settled() uint64 { return s.Done + s.Already + s.Left + s.Failed }

// Snapshot looks at the counters, now.
func (p *Progress) Snapshot(now time.Time) *Snapshot {
	n := func(st object.State) uint64 { return p.states[st].objects.Load() }
	s := &Snapshot{Job: p.opts.Job, At: now.UTC(), Done: n(object.Done), Already: n(object.Already), Left: n(object.Left), Failed: n(object.Failed),
		Bytes: p.states[object.Done].bytes.Load(), Requests: map[string]uint64{}, Errors: map[string]uint64{}}
	if p.opts.Planned != nil {
		planned, complete := p.opts.Planned()
		s.Planned, s.PlannedBytes, s.PlanComplete = planned.Objects, planned.Bytes, complete
	}
	// An outcome may be counted here a moment before its task is counted there.
	s.Planned = max(s.Planned, s.Settled())
	s.Remaining = s.Planned - s.Settled()
	for k := range p.requests {
		if n := p.requests[k].Load(); n > 0 {
			s.Requests[object.RequestKind(k).String()] = n
		}
	}
	for c := range p.failures {
		if n := p.failures[c].Load(); n > 0 {
			s.Errors[object.Class(c).String()] = n
		}
	}
	if p.opts.Pace != nil {
		s.Pace = p.opts.Pace()
	}
	if w := p.waiting.Load(); w != nil && now.Sub(time.Unix(0, w.last.Load())) > waitsOn {
		p.waiting.CompareAndSwap(w, nil)
	}
	if w := p.waiting.Load(); w != nil {
		s.WaitingSince, s.WaitingFor = w.since.UTC(), w.class.String()
		s.Why = waitsFor(w.class) + " since " + w.since.UTC().Format(TimeLayout)
	}
	if waits := s.Paused || !s.PausedUntil.IsZero() || !s.WaitingSince.IsZero(); waits {
		p.stuck.rest(now)
	} else {
		s.StuckSince, s.LastError = p.stuck.look(now, !s.PlanComplete)
	}
	p.rates(s, now)
	return s
}

func (p *Progress) rates(s *Snapshot, now time.Time) {
	latest := sample{now, s.Settled(), s.Bytes}
	p.mu.Lock()
	first := latest
	for len(p.mu.samples) > 1 && now.Sub(p.mu.samples[1].at) >= rateWindow {
		p.mu.samples = p.mu.samples[1:]
	}
	if len(p.mu.samples) > 0 {
		first = p.mu.samples[0]
	}
	if n := len(p.mu.samples); n == 0 || now.Sub(p.mu.samples[n-1].at) >= rateWindow/100 {
		p.mu.samples = append(p.mu.samples, latest)
	}
	p.mu.Unlock()
	if seconds := now.Sub(first.at).Seconds(); seconds > 0 {
		s.ObjectsPerSecond = float64(latest.objects-first.objects) / seconds
		s.BytesPerSecond = float64(latest.bytes-first.bytes) / seconds
	}
	if s.PlanComplete && s.ObjectsPerSecond > 0 && s.WaitingSince.IsZero() && s.PausedUntil.IsZero() && !s.Paused && s.StuckSince.IsZero() {
		eta := float64(s.Remaining) / s.ObjectsPerSecond
		s.ETASeconds = &eta
	}
}

// Printer shows snapshots. One goroutine calls it; the last call has Final set.
type Printer interface {
	Print(*Snapshot)
}

// Show gives the printer a snapshot at once, then one every so often until the
// context ends, then the final one. It returns after that: wait for it.
func (p *Progress) Show(ctx context.Context, every time.Duration, to Printer) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	to.Print(p.Snapshot(time.Now()))
	for {
		select {
		case <-ticks.C:
			to.Print(p.Snapshot(time.Now()))
		case <-ctx.Done():
			s := p.Snapshot(time.Now())
			s.Final = true
			to.Print(s)
			return
		}
	}
}
