package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/folder"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/planner"
)

// Run does the job, or goes on with it. It plans and works at the same time; with
// a complete plan it does exactly that plan. The summary says where the job stands
// now, also beside an error, unless nothing was begun. The error means that the run
// stopped: objects that were left or failed are counted in the summary, and have
// their rows in the report.
func (j *Job) Run(ctx context.Context, opt Options) (sum *report.Summary, err error) {
	if err := j.dividedWhereMany(ctx, &opt); err != nil {
		return nil, err
	}
	if j.Division != nil {
		return j.runShards(ctx, opt)
	}
	if err := j.refuseSubmitted(); err != nil {
		return nil, err
	}
	opt.setDefaults()
	w, end, err := j.beginOrAwait(ctx, &opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = w.ended(err, end()) }()
	defer w.tellPanic()
	if opt.RetryFailed {
		n, err := w.points.Retry(undone)
		if err != nil {
			w.endRun(err)
			return nil, err
		}
		w.log.Info("taking objects again", "objects", n)
	}
	return w.conclude(w.do(ctx))
}

// undone are the objects that RetryFailed takes again: all that were left or failed. What
// an object was left for can have gone in more ways than an outcome tells (a permission was
// granted, versioning enabled, another operation chosen), so each is decided on anew.
func undone(o *object.Outcome) bool {
	return o.State == object.Failed || o.State == object.Left
}

// work is one process's share of a job.
type work struct {
	*session
	began time.Time
	told  time.Time // the running time up to here is in the job's totals
	stop  *stopper
	cfg   engine.Config
	pacer *pace.Pacer
	reads *engine.Reads
	tell  *teller
	// lookout looks whether the settings are as they were; nil where nobody has to.
	lookout *lookout
	// setting is how fast it works now.
	setting atomic.Pointer[Setting]
	// shares is how many shards are at work, and share the ceilings.
	shares atomic.Int64
	// files is the folder that is read, written the one that is written; nil for none.
	files   *folder.Source
	written *folder.Dest
	// adding estimates the plan while it is made; nil where it is read back.
	adding *addingUp
	// inspectAll makes the plan final: nothing is left to the workers to decide.
	inspectAll bool
}

// What a process is recorded to do.
const (
	verbPlan = "plan"
	verbRun  = "run"
)

// begin is what Plan and Run have in common: the job is taken, its store known,
// and everything ready to send. A stop that comes before that ends it at once.
func (j *Job) begin(ctx context.Context, opt *Options, verb string) (_ *work, end func() error, err error) {
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	opened := make(chan struct{})
	defer close(opened)
	j.home.toldToStop(time.Time{})
	go func() {
		select {
		case <-opt.Stop:
			j.home.toldToStop(time.Now())
			cancel()
		case <-opened:
		}
	}()
	s, err := j.open(opening, opt, verb)
	if err != nil {
		return nil, nil, err
	}
	stop, release := newStopper(opt.Stop, opt.StopAfter)
	endHurry, endWatch := j.home.hurries(stop), stop.watch(s.lost)
	end = func() error {
		defer endHurry() // what is brought to a bucket at the end is hurried, too
		defer release()
		endWatch()
		return s.Close()
	}
	now := time.Now()
	w := &work{session: s, began: now, told: now, stop: stop, inspectAll: verb == verbPlan}
	w.setting.Store(&w.run.Pace)
	if c := opt.crew; c != nil {
		w.pacer = c.pacer
	} else {
		w.pacer = pace.New(opt.pace())
	}
	if err = w.openFolders(opening, verb); err == nil {
		w.cfg, err = w.config()
	}
	if err != nil {
		s.endRun(err)
		return nil, nil, withClose(err, end())
	}
	w.reads = engine.NewReads(w.cfg)
	if c := opt.crew; c != nil {
		c.takes(w)
		closing := end
		return w, func() error { c.leaves(w); return closing() }, nil
	}
	w.share()
	return w, end, nil
}

// watched tells of the work until the function that it returns is called.
func (w *work) watched() (end func(), err error) {
	w.tell = newTeller(w)
	if c := w.opt.crew; c != nil {
		c.tells(w.tell)
	}
	endWatch := func() {}
	if w.opt.Watch != nil {
		r := &Running{Progress: w.tell.progress, Log: w.log, Pace: w.pacer.State, Setting: w.setting.Load, Totals: w.points.Totals, Row: w.points.Row}
		if c := w.opt.crew; c != nil {
			r.OfShards, r.Progress, r.Setting, r.Totals = true, c.progress, c.Setting, c.Totals
		}
		end, err := w.opt.Watch(r)
		if err != nil {
			return nil, err
		}
		if end != nil {
			endWatch = end
		}
	}
	endAsking, endTelling := w.askIdentity(), w.tell.tell()
	return func() { endWatch(); endTelling(); endAsking() }, nil
}

// do plans and works at the same time, until both are done or something stops
// them. The planner's failure drains the engine; the engine's end ends the
// planner. A manifest is read to its end before anything is touched, since a
// broken one shall leave everything as it was.
func (w *work) do(ctx context.Context) error {
	end, err := w.watched()
	if err != nil {
		return err
	}
	defer end()
	planning, stopPlanning := context.WithCancel(ctx)
	defer stopPlanning()
	var planners errgroup.Group
	defer func() { _ = planners.Wait() }()
	planners.Go(func() error {
		err := w.plan(planning)
		if err != nil && planning.Err() == nil {
			w.stop.stop(err)
		}
		return err
	})
	if w.job.Spec.Source.Manifest != "" {
		go w.stop.relay(planning, stopPlanning)
		if err := planners.Wait(); err != nil {
			return cmp.Or(w.stop.cause(), err)
		}
	}
	endLooking := w.lookOut(ctx)
	err = engine.Run(ctx, w.cfg)
	stopPlanning()
	drained := errors.Is(err, engine.ErrDrained)
	changed := endLooking((err == nil || drained) && !silent(err))
	switch {
	case ctx.Err() != nil && (drained || errors.Is(err, context.Canceled)):
		err = ErrGivenUp
	case w.stop.cause() != nil && w.job.home.isGivenUp():
		err = &doubtError{w.stop.cause(), notRecorded}
	case drained:
		err = inDoubt(w.stop.cause(), err)
	}
	return whyStopped(err, changed)
}

// elapse adds to the job's running time. The teller calls it, and conclude when
// the teller has ended.
func (w *work) elapse(now time.Time) {
	w.points.AddElapsed(now.Sub(w.told))
	w.told = now
}

// config is what the engine is told.
func (w *work) config() (engine.Config, error) {
	p, l := &w.job.Policy, &w.opt.Limits
	facts, dest := w.learnt.facts()
	cfg := engine.Config{
		Journal: w.points,
		Store:   engineStore(w.toHot, w.to), Source: engineStore(w.hot, w.store),
		Chooser: w.chooser(), Narrow: w.narrowed, Pace: w.pacer, Observer: w,
		Target: w.target(), Caps: w.learnt.caps(), Facts: facts,
		Dest: w.job.Spec.Dest(), DestFacts: dest, TwoStores: w.learnt.twoStores(&w.job.Spec),
		Inspect: p.inspect(), Verify: p.verify(), PartSize: p.PartSize,
		KeepAnnotations: w.job.keepsAnnotations(&w.learnt),
		Workers:         l.pace().Workers(), RequestTimeout: l.RequestTimeout,
		Renew: w.renew, Answers: w.answers, Backoff: w.job.ground.backoff, Still: w.still, Gate: w.gate, Current: w.current, Ceilings: w.ceilings, Drain: w.stop.asked,
		MaxFailures: l.MaxFailures.Count, MaxFailuresPercent: l.MaxFailures.Percent,
		Panicked: w.panicked, Log: w.log,
	}
	if c := w.opt.crew; c != nil {
		cfg.Earlier.Recorded, cfg.Earlier.Failed = c.outcomes()
	}
	w.towardsFolders(&cfg)
	if w.learnt.Caps.ListMetadata == object.Yes && !w.learnt.through() {
		cfg.Bulk = w.store
	}
	if w.to != nil { // a folder's clock is this machine's
		cfg.Ahead = w.to.ClockOffset
	}
	if w.files == nil && w.written == nil && cfg.Dest.InPlace() {
		cfg.Versioning = func(ctx context.Context) (object.Versioning, error) { return w.to.Versioning(ctx, w.learnt.Bucket) }
		if !w.learnt.Caps.IsAWS() { // which compares a condition and writes in one step; of others nobody knows
			cfg.Versions = w.to
		}
	}
	if err := w.rewraps(&cfg); err != nil {
		return cfg, err
	}
	if p.Inspect == InspectAuto && w.resumed && w.files == nil && w.points.Totals().Planned.Objects > 0 {
		// What an earlier process saw may be long past: of a plan that lay for a week,
		// of a directory that was copied and whose copy has run.
		cfg.Inspect = engine.InspectAlways
	}
	return cfg, cfg.Validate()
}

// answers fails where a store that the job reads from or writes to gives no answer to anybody.
func (w *work) answers(ctx context.Context) error {
	if w.to != nil {
		if err := w.to.Answers(ctx, cmp.Or(w.job.Spec.Target.DestBucket, w.learnt.Bucket)); err != nil {
			return err
		}
	}
	if w.store != nil && w.store != w.to {
		return w.store.Answers(ctx, w.learnt.Bucket)
	}
	return nil
}

// keepsAnnotations says whether the engine asks for annotations and writes them again.
func (j *Job) keepsAnnotations(known *learnt) bool {
	is := known.Caps.IsAWS()
	if known.through() {
		is = known.Source.AWS
	}
	return is && !j.Policy.Accepts(AcceptAnnotations)
}

// rewraps tells the engine what it needs to change envelopes.
func (w *work) rewraps(cfg *engine.Config) error {
	c := &w.job.Spec.Target.ClientSide
	if !c.Given() {
		return nil
	}
	if c.remakes() {
		return w.reuploads(cfg, c)
	}
	cfg.Rewrap = &engine.Rewrap{Target: c.target(), OtherReaders: w.job.Policy.Accepts(AcceptReaders)}
	k, err := w.wrappingKMS()
	if err != nil || k == nil {
		return err
	}
	cfg.Rewrap.KMS = k
	if c.KMSKeyID != "" {
		cfg.Rewrap.Usable = w.wrappingKeyUsable
	}
	return nil
}

// chooser is the plan's and the workers' way to decide.
func (w *work) chooser() *planner.Chooser {
	return w.job.chooser(&w.learnt)
}

// chooser decides what is to be done with an object, by what is known.
func (j *Job) chooser(known *learnt) *planner.Chooser {
	p := &j.Policy
	operation := p.restriction()
	if known.through() {
		operation = planner.RewriteOnly
	}
	facts, dest := known.facts()
	return &planner.Chooser{Target: known.target(&j.Spec), Caps: known.caps(), Facts: facts, Dest: dest,
		MultipartThreshold: p.MultipartThreshold, Strict: p.Guard == GuardStrict, Unseen: p.Inspect == InspectNever,
		Accept: p.losses(), Operation: operation, Reupload: j.reupload(), Folder: j.folder(),
		Elsewhere: known.twoStores(&j.Spec)}
}

// narrowed decides as chooser does, on a store that turned out to do less.
func (w *work) narrowed(caps object.Capabilities) engine.Chooser {
	c := w.chooser()
	c.Caps = caps
	return c
}

// gate holds new work back outside the window, and while the run is paused.
func (w *work) gate(ctx context.Context) error {
	if err := w.waitPaused(ctx); err != nil {
		return err
	}
	return w.opt.Window.wait(ctx, func(until time.Time) {
		switch changed := w.tell.setOutside(!until.IsZero()); {
		case !changed: // others stand here, too
		case until.IsZero():
			w.log.Info("the window has opened", "window", w.opt.Window.text)
		default:
			w.log.Info("outside the window", "window", w.opt.Window.text, "opens", until)
		}
	})
}

// ceilings are those that somebody has set, as they are now.
func (w *work) ceilings() engine.Ceilings {
	return w.inForce().ceilings()
}

// renew fetches fresh credentials.
func (w *work) renew(ctx context.Context) error {
	err := renewed(ctx, w.store)
	if w.to != w.store {
		err = cmp.Or(err, renewed(ctx, w.to))
	}
	return err
}

// noJob says whether the source turned out to be unusable before anything was
// planned: what was begun because of it is no job.
func (w *work) noJob(cause error) bool {
	var source *planner.UnusableError
	if !errors.As(cause, &source) || w.points.Totals().Planned.Objects > 0 {
		return false
	}
	w.discard = !w.resumed
	return true
}

// conclude says what came of the run.
func (w *work) conclude(cause error) (*report.Summary, error) {
	w.elapse(time.Now())
	if err := w.points.Flush(); err != nil && cause == nil {
		cause = err
	}
	w.keepRates()
	var here *UnusableError
	if w.noJob(cause) || errors.As(cause, &here) {
		w.endRun(cause)
		return nil, cause
	}
	sum, err := w.job.summaryOf(w.points)
	if err != nil && cause == nil {
		cause = err
	}
	sum.Resumed = w.resumed
	w.log.Info("run ended", "done", sum.Done, "already", sum.Already, "left", sum.Left, "failed", sum.Failed, "remaining", sum.Remaining, "cause", cause)
	if cause == nil && sum.Left+sum.Failed == 0 && sum.Remaining > 0 {
		cause = fmt.Errorf("%s remain without a cause in %s; run the job again", report.Count(sum.Remaining, "object"), w.job.Dir)
	}
	w.endRun(cause)
	sum.Standing = w.run.standing(sum.Complete)
	return sum, cause
}
