package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/report"
)

// live is what a running process tells of itself, in the job directory's
// status.json, once a second.
type live struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`
	// Stage is planning, working, window (outside it), draining or ended.
	Stage   string          `json:"stage"`
	Summary *report.Summary `json:"summary"`
	// ObjectsPerSecond settled over the last half minute, and the time that the rest
	// takes at that rate; absent while the plan is not complete.
	ObjectsPerSecond float64    `json:"objects_per_second"`
	ETASeconds       *float64   `json:"eta_seconds,omitempty"`
	Pace             pace.State `json:"pace"`
	// Errors counts failed requests of this process by class.
	Errors map[string]uint64 `json:"errors"`
	// Window is the text of --window, NextWindow when it opens or closes.
	Window     string    `json:"window,omitempty"`
	NextWindow time.Time `json:"next_window,omitzero"`
}

// staleAfter is how old status.json may be before nobody believes it.
const staleAfter = 10 * time.Second

// readLive reads what the process tells that holds the job; nil where it tells
// nothing that is fresh.
func readLive(j *job, now time.Time) (*live, error) {
	data, err := os.ReadFile(j.path(statusName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var l live
	if err := json.Unmarshal(data, &l); err != nil || now.Sub(l.Updated) > staleAfter {
		return nil, nil // of another time or version: the checkpoint knows more
	}
	return &l, nil
}

// teller writes status.json until it is told to end. What it cannot write is no
// reason to stop.
type teller struct {
	w       *work
	errors  [object.NumClasses]atomic.Uint64
	settled atomic.Int64

	mu struct {
		sync.Mutex
		outside bool // of the window
	}
}

// tell starts the teller; the function that it returns ends it.
func (t *teller) tell() (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		rate := newRate(30 * time.Second)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			now := time.Now()
			t.w.elapse(now)
			rate.see(now, t.settled.Load())
			t.write(t.look(now, rate.perSecond()))
			select {
			case <-tick.C:
			case <-stop:
				l := t.look(time.Now(), rate.perSecond())
				l.Stage = "ended"
				t.write(l)
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(stop); <-ended })
}

func (t *teller) look(now time.Time, rate float64) *live {
	l := &live{PID: os.Getpid(), Started: t.w.began.UTC(), Updated: now.UTC(), Summary: t.w.summary(),
		ObjectsPerSecond: rate, Pace: t.w.pacer.State(), Errors: map[string]uint64{}, Stage: t.stage()}
	for c := range t.errors {
		if n := t.errors[c].Load(); n > 0 {
			l.Errors[object.Class(c).String()] = n
		}
	}
	if t.w.points.PlanIsComplete() && rate > 0 {
		eta := float64(l.Summary.Remaining) / rate
		l.ETASeconds = &eta
	}
	if w := t.w.order.tempo.Window; w != nil {
		l.Window = w.text
		_, l.NextWindow = w.at(now)
	}
	return l
}

func (t *teller) stage() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.w.stop.cause() != nil:
		return "draining"
	case t.mu.outside:
		return "window"
	case !t.w.points.PlanIsComplete():
		return "planning"
	}
	return "working"
}

func (t *teller) setOutside(outside bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.outside = outside
}

func (t *teller) write(l *live) {
	data, err := json.Marshal(l)
	if err == nil {
		err = replaceFile(t.w.job.path(statusName), append(data, '\n'))
	}
	if err != nil {
		t.w.log.Debug("status not written", "error", err)
	}
}

// replaceFile is writeFile without durability: a reader sees the old file or the
// new one, and after a power cut nobody asks.
func replaceFile(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// rateMeter is a number's growth a second over a span.
type rateMeter struct {
	span time.Duration
	seen []seenAt
}

type seenAt struct {
	at time.Time
	n  int64
}

func newRate(span time.Duration) *rateMeter { return &rateMeter{span: span} }

func (r *rateMeter) see(at time.Time, n int64) {
	r.seen = append(r.seen, seenAt{at, n})
	for len(r.seen) > 2 && at.Sub(r.seen[1].at) >= r.span {
		r.seen = r.seen[1:]
	}
}

func (r *rateMeter) perSecond() float64 {
	if len(r.seen) < 2 {
		return 0
	}
	first, last := r.seen[0], r.seen[len(r.seen)-1]
	if !last.at.After(first.at) {
		return 0
	}
	return float64(last.n-first.n) / last.at.Sub(first.at).Seconds()
}
