package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
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
	// Stage is planning, working, waiting (for the store, or for credentials),
	// window (outside it), draining or ended.
	Stage    string           `json:"stage"`
	Progress *report.Snapshot `json:"progress"`
	// PaceState is the ceiling in force, and why.
	PaceState pace.State `json:"pace"`
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
	if err := json.Unmarshal(data, &l); err != nil || l.Progress == nil || now.Sub(l.Progress.At) > staleAfter {
		return nil, nil // of another time or version: the checkpoint knows more
	}
	return &l, nil
}

// teller keeps status.json, and the job's running time, up to date. What it
// cannot write is no reason to stop.
type teller struct {
	w        *work
	progress *report.Progress

	// clock is the store's offset that was warned of last; look alone uses it.
	clock time.Duration

	mu struct {
		sync.Mutex
		outside bool // of the window
	}
}

func newTeller(w *work) *teller {
	t := &teller{w: w}
	t.progress = report.NewProgress(report.ProgressOptions{Job: w.job.Dir, Base: w.points.Totals(), Planned: t.planned, Pace: t.pace})
	return t
}

func (t *teller) planned() (object.Tally, bool) {
	totals := t.w.points.Totals()
	return totals.Planned, totals.PlanComplete
}

// pace is what progress shows of the limits in force.
func (t *teller) pace() report.Pace {
	s := t.w.pacer.State()
	p := report.Pace{Concurrency: s.Concurrency, InFlight: s.InFlight, Requests: s.Allowed}
	if s.Why != pace.Unhindered && s.Why != pace.Concurrency {
		p.Why = s.Detail
	}
	for _, c := range s.Controllers {
		if c.Reason == pace.KMSThrottling {
			p.KMSRequests = c.Limit
		}
	}
	if t.isOutside() {
		_, p.PausedUntil = t.w.order.tempo.Window.at(time.Now())
		p.Why = "outside the window " + t.w.order.tempo.Window.text
	}
	return p
}

// tell starts the teller; the function that it returns ends it.
func (t *teller) tell() (end func()) {
	stop := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			t.write(t.look(time.Now()))
			select {
			case <-tick.C:
			case <-stop:
				l := t.look(time.Now())
				l.Stage, l.Progress.Final = "ended", true
				t.write(l)
				return
			}
		}
	})
	return sync.OnceFunc(func() { close(stop); telling.Wait() })
}

func (t *teller) look(now time.Time) *live {
	t.w.elapse(now)
	t.warnOfClock()
	l := &live{PID: os.Getpid(), Started: t.w.began.UTC(), Progress: t.progress.Snapshot(now), PaceState: t.w.pacer.State(), Stage: t.stage()}
	if !l.Progress.WaitingSince.IsZero() && l.Stage != "draining" {
		l.Stage = "waiting"
	}
	if w := t.w.order.tempo.Window; w != nil {
		l.Window = w.text
		_, l.NextWindow = w.at(now)
	}
	return l
}

// warnOfClock tells when signatures go by the store's clock because this machine's
// was refused.
func (t *teller) warnOfClock() {
	ahead := t.w.store.ClockOffset()
	if (ahead - t.clock).Abs() < time.Minute {
		return
	}
	t.clock = ahead
	t.w.log.Warn("the clock of this machine and that of the store differ; requests are signed by the store's. Set the one that is wrong (NTP)", "store_ahead", ahead.Round(time.Second))
}

func (t *teller) stage() string {
	switch {
	case t.w.stop.cause() != nil:
		return "draining"
	case t.isOutside():
		return "window"
	case !t.w.points.PlanIsComplete():
		return "planning"
	}
	return "working"
}

func (t *teller) isOutside() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.outside
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
