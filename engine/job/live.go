package job

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

// Live is what a running process tells of itself, in the job directory's
// status.json, once a second.
type Live struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// Stage is planning, working, waiting (for the store, or for credentials),
	// window (outside it), paused, draining or ended.
	Stage    string           `json:"stage"`
	Progress *report.Snapshot `json:"progress"`
	// PaceState is the ceiling in force, and why.
	PaceState pace.State `json:"pace"`
	// Set is the last change of the pace that was taken up.
	Set *Setting `json:"set,omitempty"`
	// Window is the text of Limits.Window, NextWindow when it opens or closes.
	Window     string    `json:"window,omitempty"`
	NextWindow time.Time `json:"next_window,omitzero"`
	// Outside says that it is closed, whatever else holds the run.
	Outside bool `json:"outside_window,omitempty"`
}

// staleAfter is how old status.json may be before nobody believes it.
const staleAfter = 10 * time.Second

// readLive reads what the process tells that holds the job; nil where it tells
// nothing that is fresh.
func readLive(j *Job, now time.Time) (*Live, error) {
	l, err := readStatus(j)
	if err != nil || l == nil || now.Sub(l.Progress.At) > staleAfter {
		return nil, err // of another time: the checkpoint knows more
	}
	return l, nil
}

// lastLive is the last that a process told, however long ago.
func (j *Job) lastLive() *Live {
	l, _ := readStatus(j)
	return l
}

func readStatus(j *Job) (*Live, error) {
	j.fresh(statusName)
	data, err := readPlain(j.path(statusName), ofUs, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var l Live
	if err := json.Unmarshal(data, &l); err != nil || l.Progress == nil {
		return nil, nil // of another version
	}
	return &l, nil
}

// teller keeps status.json, and the job's running time, up to date. What it
// cannot write is no reason to stop.
type teller struct {
	w        *work
	progress *report.Progress
	took     latencies // by the requests since the last moment of the history

	// clock is the store's offset that was warned of last; look alone uses it.
	clock time.Duration
	// stood is since when nothing went forward when that was warned of last; look alone uses it.
	stood time.Time
	// refused is why the last setting was; takeSetting alone uses it.
	refused string
	// counted is when the shards at work were; look alone uses it.
	counted time.Time

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
	if set := t.w.setting.Load(); set.Paused {
		p.Paused, p.Why = true, "paused since "+set.At.UTC().Format(report.TimeLayout)+"; `reseal set "+t.w.opt.again(t.w.job.Dir)+" --resume` goes on"
		return p
	}
	if t.isOutside() {
		_, p.PausedUntil = t.w.opt.Window.at(time.Now())
		p.Why = "outside the window " + t.w.opt.Window.text
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
		kept := openHistory(t.w.job, &t.took, t.w.log)
		for {
			l := t.look(time.Now())
			t.write(l)
			kept.add(l)
			select {
			case <-tick.C:
			case <-stop:
				l := t.look(time.Now())
				l.Stage, l.Progress.Final = "ended", true
				t.write(l)
				kept.last(l)
				return
			}
		}
	})
	return sync.OnceFunc(func() { close(stop); telling.Wait() })
}

func (t *teller) look(now time.Time) *Live {
	t.w.elapse(now)
	t.w.mendRun()
	t.warnOfClock()
	t.takeSetting()
	t.countShards(now)
	l := &Live{PID: os.Getpid(), Started: t.w.began.UTC(), Progress: t.progress.Snapshot(now), PaceState: t.w.pacer.State(), Stage: t.stage()}
	t.warnOfStanding(l.Progress)
	if !l.Progress.WaitingSince.IsZero() && l.Stage != "draining" && l.Stage != "paused" {
		l.Stage = "waiting"
	}
	if set := t.w.setting.Load(); !set.At.IsZero() {
		l.Set = set
	}
	if w := t.w.opt.Window; w != nil {
		l.Window = w.text
		var open bool
		open, l.NextWindow = w.at(now)
		l.Outside = !open
	}
	return l
}

// warnOfStanding tells once, each time that nothing goes forward, what the store answers.
func (t *teller) warnOfStanding(s *report.Snapshot) {
	if !s.StuckSince.IsZero() && s.StuckSince != t.stood {
		t.w.log.Warn("no object is finished and nothing written any more, since requests fail; they are sent again", "since", s.StuckSince.Format(report.TimeLayout), "last_error", s.LastError)
	}
	if !s.StuckSince.IsZero() {
		t.stood = s.StuckSince
	}
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
	case t.w.setting.Load().Paused:
		return "paused"
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

func (t *teller) setOutside(outside bool) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed = t.mu.outside != outside
	t.mu.outside = outside
	return changed
}

func (t *teller) write(l *Live) {
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
	_ = os.Remove(tmp) // of a process that died
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY|plainly, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
