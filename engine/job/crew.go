package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/report"
)

// crew is a process that works on shards of a divided job, one after another: with one
// pace, one progress, one clock, and one look at what the store does.
type crew struct {
	whole    *Job
	opt      *Options
	pacer    *pace.Pacer
	progress *report.Progress
	began    time.Time
	seen     map[string]*learnt // by the first shard that asked the store, by bucket

	// Of the goroutine that works.
	seenTo  map[int]bool // shards that this process is done with
	begun   bool         // something was, in any of them
	ended   bool         // one of them was worked on to its end
	readers int          // how often somebody who only reads was waited for
	failed  error        // of a shard whose bucket cannot be worked on; the others go on

	mu struct {
		sync.Mutex
		totals  []object.Totals // of every shard, as last seen
		index   int             // of the shard at work
		work    *work           // nil between two shards
		tell    *teller         // its own
		setting *Setting        // that somebody asked for
		// Objects with an outcome, in this process, and those of them that failed.
		recorded, failed int64
	}
}

// saw is what this process saw of the store when it asked for the bucket; nil where it
// has not, or works on no shards.
func (c *crew) saw(bucket string) *learnt {
	if c == nil {
		return nil
	}
	return c.seen[bucket]
}

// Settled counts failures; the other half of an observer is of no interest here.
func (c *crew) Settled(o *object.Outcome) {
	c.progress.Settled(o)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.recorded++
	if o.State == object.Failed {
		c.mu.failed++
	}
}

// outcomes are those of the objects of this process so far, of whatever shard.
func (c *crew) outcomes() (recorded, failed int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.recorded, c.mu.failed
}

// Requested counts a request for the progress of all.
func (c *crew) Requested(call *object.Call, r object.Result) { c.progress.Requested(call, r) }

// newCrew looks where the shards stand.
func (j *Job) newCrew(opt *Options) (*crew, error) {
	opt.setDefaults()
	if err := opt.Limits.Validate(); err != nil {
		return nil, err
	}
	r, err := j.openRecords()
	if err != nil {
		return nil, jobUnusable(err)
	}
	defer r.Close()
	c := &crew{whole: j, opt: opt, pacer: pace.New(opt.pace()), began: time.Now(), seenTo: map[int]bool{}, seen: map[string]*learnt{}}
	c.pacer.Share()
	for i := range r.shards {
		c.mu.totals = append(c.mu.totals, r.shards[i].totals)
	}
	c.mu.index = -1
	c.progress = report.NewProgress(report.ProgressOptions{Job: j.Dir, Base: r.Totals(), Planned: c.planned, Pace: c.paceShown})
	return c, nil
}

// Totals are those of all shards, as far as this process knows.
func (c *crew) Totals() object.Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := object.Totals{PlanComplete: true}
	for i := range c.mu.totals {
		t := c.mu.totals[i]
		if i == c.mu.index && c.mu.work != nil {
			t = c.mu.work.points.Totals()
		}
		sum.Add(&t)
	}
	return sum
}

func (c *crew) planned() (object.Tally, bool) {
	t := c.Totals()
	return t.Planned, t.PlanComplete
}

func (c *crew) paceShown() report.Pace {
	c.mu.Lock()
	t := c.mu.tell
	c.mu.Unlock()
	if t == nil {
		return report.Pace{}
	}
	return t.pace()
}

// tells is told who tells of the shard at work.
func (c *crew) tells(t *teller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.tell = t
}

// Setting is how fast it works now.
func (c *crew) Setting() *Setting {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.work != nil {
		return c.mu.work.setting.Load()
	}
	s := c.opt.setting(c.began)
	return &s
}

// takes is told of the shard that is now at work, and lets it go on with what somebody
// has set for the one before.
func (c *crew) takes(w *work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.work, c.mu.index, c.begun = w, w.job.Part.Index, true
	if s := c.mu.setting; s != nil {
		now := *s
		now.Run = w.run.Began
		w.setting.Store(&now)
		w.run.mu.Lock()
		w.run.Pace = now
		w.keepRun()
		w.run.mu.Unlock()
	}
	w.share()
}

// leaves is told that the shard is not at work any more.
func (c *crew) leaves(w *work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.totals[c.mu.index] = w.points.Totals()
	if s := w.setting.Load(); !s.At.IsZero() {
		c.mu.setting = s
	}
	c.mu.work, c.mu.tell, c.mu.index = nil, nil, -1
}

// options are what the next shard is worked on with: what is left of the limits.
func (c *crew) options() Options {
	o := *c.opt
	o.crew, o.Free, o.Await = c, false, false
	o.Observers = append([]engine.Observer{c}, o.Observers...)
	if o.StopAfter > 0 {
		o.StopAfter = max(time.Millisecond, o.StopAfter-time.Since(c.began))
	}
	if m := &o.MaxFailures; m.Count > 0 {
		c.mu.Lock()
		m.Count, m.Set = max(0, m.Count-c.mu.failed), true // 0: the next one is one too many
		c.mu.Unlock()
	}
	return o
}

// stopped is why no further shard is begun.
func (c *crew) stopped(ctx context.Context) error {
	select {
	case <-c.opt.Stop:
		return ErrInterrupted
	default:
	}
	switch {
	case ctx.Err() != nil:
		return ErrGivenUp
	case c.opt.StopAfter > 0 && time.Since(c.began) >= c.opt.StopAfter:
		return ErrStopAfter
	}
	return nil
}

// each does something with one shard after another, until none is left that is free. It
// answers with the shards that other processes are at work on.
func (c *crew) each(ctx context.Context, ended func(*object.Totals) bool, do func(*Job, Options) error) (busy []int, err error) {
	idle := time.Now()
	for {
		took := 0
		busy = nil
		for i, shard := range c.whole.parts() {
			if c.seenTo[i] {
				continue
			}
			if err := c.stopped(ctx); err != nil {
				return busy, err
			}
			over, err := c.look(i, shard, ended)
			if err == nil && !over {
				err = do(shard, c.options())
			}
			var locked *checkpoint.LockedError
			if errors.As(err, &locked) {
				busy = append(busy, i)
				continue
			}
			c.ended = c.ended || err == nil && !over
			if err != nil && c.whole.Division.Kind == ByBuckets && ofOnePlace(err) {
				c.opt.Log.Error("this place cannot be worked on; the others go on", "shard", i, "source", shard.Spec.Source.String(), "error", err)
				c.failed = cmp.Or(c.failed, fmt.Errorf("shard %d, %s: %w", i, &shard.Spec.Source, err))
				err = nil
			}
			if err != nil {
				return busy, err
			}
			c.seenTo[i] = true
			if !over {
				took++
			}
		}
		if took > 0 {
			idle = time.Now()
		}
		if len(busy) == 0 || took == 0 && !c.readersOnly(busy) && !c.undecided(ctx, busy, idle) {
			return busy, nil
		}
	}
}

// look says whether there is nothing to do on a shard, or that somebody is at work on it.
func (c *crew) look(i int, shard *Job, ended func(*object.Totals) bool) (over bool, err error) {
	pid, locked, err := shard.locked()
	if err != nil {
		return false, jobUnusable(err)
	}
	if locked {
		return false, &checkpoint.LockedError{Dir: shard.Dir, PID: pid}
	}
	points, running, err := shard.openReader()
	switch {
	case errors.Is(err, checkpoint.ErrNoStore):
		return false, nil
	case err != nil:
		return false, jobUnusable(err)
	}
	t := points.Totals()
	if err := points.Close(); err != nil {
		return false, err
	}
	c.mu.Lock()
	c.mu.totals[i] = t
	c.mu.Unlock()
	return !running && ended(&t), nil
}

// finished: there is nothing left to do, nor to try again where that is asked for.
func (c *crew) finished(t *object.Totals) bool {
	if !t.PlanComplete || t.States[object.Remaining].Objects > 0 {
		return false
	}
	return !c.opt.RetryFailed || t.States[object.Failed].Objects+t.States[object.Left].Objects == 0
}

// runShards is Run of a divided job.
func (j *Job) runShards(ctx context.Context, opt Options) (*report.Summary, error) {
	c, err := j.newCrew(&opt)
	if err != nil {
		return nil, err
	}
	resumed := c.Totals()
	if !opt.Free {
		if err := c.refuseBusy(); err != nil {
			return nil, err
		}
	}
	busy, cause := c.each(ctx, c.finished, func(shard *Job, o Options) error {
		_, err := shard.Run(ctx, o)
		return err
	})
	if cause == nil && len(busy) > 0 && !opt.Free {
		cause = fmt.Errorf("%s of %s are at work in other processes since this run began (the first is shard %d); "+
			"reseal status shows them; run again when they have ended", report.Count(uint64(len(busy)), "shard"), j.Dir, busy[0])
	}
	if cause == nil && c.failed != nil {
		cause = c.placeFailed()
	}
	if cause != nil && !c.begun {
		return nil, cause
	}
	if j.home.isGivenUp() { // nor would it tell where the shards stand
		t := c.Totals()
		s := report.Summarize(j.Dir, &t, nil)
		s.State, s.Resumed = report.StateStopped, resumed.Planned.Objects > 0
		return s, cause
	}
	s, err := j.statusOfShards()
	if err != nil {
		cause = errors.Join(cause, err)
	}
	if c.ended {
		cause = afterBeginning(cause)
	}
	if err != nil {
		return nil, cause
	}
	s.Summary.Resumed = resumed.Planned.Objects > 0
	return s.Summary, cause
}
