package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/planner"
)

func newRun(a *app) *cobra.Command {
	var f jobFlags
	cmd := &cobra.Command{
		Use:   "run [SOURCE] --sse TYPE --job DIR",
		Short: "Plan and do it; the same command again, or `reseal run --job DIR`, resumes",
		Long: `run finds the objects of SOURCE, brings each under the target by the cheapest safe
operation, proves it, and remembers it in the job directory. Killed at any instant, the
same command takes up exactly the rest. What the job was begun with is frozen; how fast
and how long it works is said anew at each run.`,
		Example: `  reseal run s3://bucket/prefix --sse aws:kms --sse-kms-key-id KEY --job ~/jobs/bucket
  reseal run --job ~/jobs/bucket --window 22:00-06:00 --max-requests-per-second 500`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.Validate(cmd, args)
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), &f, o)
		},
	}
	f.AddFlags(cmd.Flags())
	f.how.AddRunFlags(cmd.Flags())
	return cmd
}

// run does a job, or goes on with it, and says what came of it.
func (a *app) run(ctx context.Context, f *jobFlags, o *order) (err error) {
	s, err := a.openSession(ctx, f, o)
	if err != nil {
		return err
	}
	defer func() { err = withClose(err, s.Close()) }()
	if o.tempo.RetryFailed {
		n, err := s.points.Retry(s.order.consent.mayGoNow)
		if err != nil {
			return err
		}
		s.log.Info("taking objects again", "objects", n)
	}
	stop, release := newStopper(a.drain.takeOver(), o.tempo.StopAfter)
	defer release()
	now := time.Now()
	w := &work{session: s, began: now, told: now, stop: stop}
	return w.conclude(f, w.do(ctx, &f.out))
}

// work is one process's share of a job.
type work struct {
	*session
	began time.Time
	told  time.Time // the running time up to here is in the job's totals
	stop  *stopper
	pacer *pace.Pacer
	reads *engine.Reads
	tell  *teller
	// inspectAll makes the plan final: nothing is left to the workers to decide.
	inspectAll bool
}

// errStopAfter drains a run whose time is over.
var errStopAfter = errors.New("--stop-after has passed")

// do plans and works at the same time, until both are done or something stops
// them. The planner's failure drains the engine; the engine's end ends the
// planner. A manifest is read to its end before anything is touched, since a
// broken one shall leave everything as it was.
func (w *work) do(ctx context.Context, out *outputFlags) error {
	limits := w.order.tempo.Limits()
	if err := limits.Validate(); err != nil {
		return unusableBecause(err, "the ceilings", "correct them")
	}
	w.pacer = pace.New(limits)
	cfg, err := w.config(limits)
	if err != nil {
		return err
	}
	w.reads = engine.NewReads(cfg)
	endMetrics, err := w.serveMetrics(out.metricsAddr)
	if err != nil {
		return err
	}
	defer endMetrics()
	w.tell = newTeller(w)
	defer w.tell.tell()()
	defer w.console.showProgress(w.tell.progress, out)()
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
	if w.order.spec.Source.Manifest != "" {
		go func() {
			select {
			case <-w.stop.asked:
				stopPlanning()
			case <-planning.Done():
			}
		}()
		if err := planners.Wait(); err != nil {
			return cmp.Or(w.stop.cause(), err)
		}
	}
	err = engine.Run(ctx, cfg)
	stopPlanning()
	switch {
	case ctx.Err() != nil && (errors.Is(err, engine.ErrDrained) || errors.Is(err, context.Canceled)):
		return errGivenUp
	case errors.Is(err, engine.ErrDrained):
		return w.stop.cause()
	}
	return err
}

// elapse adds to the job's running time. The teller calls it, and conclude when
// the teller has ended.
func (w *work) elapse(now time.Time) {
	w.points.AddElapsed(now.Sub(w.told))
	w.told = now
}

// config makes the flags the engine's Config.
func (w *work) config(limits pace.Limits) (engine.Config, error) {
	c, t := &w.order.consent, &w.order.tempo
	cfg := engine.Config{
		Journal: w.points,
		Store:   engine.Store{Hot: w.hot, Uploads: w.store, Details: w.store, Reader: w.store},
		Chooser: w.chooser(), Pace: w.pacer, Observer: w,
		Target: w.target(), Caps: w.learnt.Caps, Facts: w.learnt.Facts,
		Dest: w.order.spec.Dest(), DestFacts: w.learnt.Dest,
		Workers: limits.Workers(), PartSize: c.PartSize, RequestTimeout: t.RequestTimeout,
		Renew: w.renew, Gate: w.gate, Drain: w.stop.asked,
		MaxFailures: t.MaxFailures.count, MaxFailuresPercent: t.MaxFailures.percent,
		Log: w.log,
	}
	if w.learnt.Caps.ListMetadata == object.Yes {
		cfg.Bulk = w.store
	}
	cfg.Inspect = map[string]engine.Inspect{"always": engine.InspectAlways, "never": engine.InspectNever}[c.Inspect]
	cfg.Verify = map[string]engine.Verify{"response": engine.VerifyResponse, "head": engine.VerifyHead, "read": engine.VerifyRead}[c.Verify]
	if c.Guard == "strict" {
		cfg.Guard = engine.GuardStrict
	}
	return cfg, cfg.Validate()
}

// chooser is the plan's and the workers' way to decide.
func (s *session) chooser() *planner.Chooser {
	c := &s.order.consent
	ch := &planner.Chooser{Target: s.target(), Caps: s.learnt.Caps, Facts: s.learnt.Facts, Dest: s.learnt.Dest,
		MultipartThreshold: c.MultipartThreshold, Strict: c.Guard == "strict", Unseen: c.Inspect == "never"}
	for _, a := range c.Accept {
		ch.Accept = append(ch.Accept, object.Reason(a))
	}
	ch.Operation = map[string]planner.Restriction{"update": planner.UpdateOnly, "copy": planner.CopyOnly}[c.Operation]
	return ch
}

// Limits is what the pace is told.
func (t *tempo) Limits() pace.Limits {
	return pace.Limits{Concurrency: t.Concurrency, RequestsPerSecond: t.RequestsPerSec, KMSRequestsPerSecond: t.KMSPerSec, BytesPerSecond: float64(t.BytesPerSec)}
}

// gate holds new work back outside the window.
func (w *work) gate(ctx context.Context) error {
	return w.order.tempo.Window.wait(ctx, func(until time.Time) {
		w.tell.setOutside(!until.IsZero())
		if until.IsZero() {
			w.log.Info("the window has opened", "window", w.order.tempo.Window.text)
			return
		}
		w.log.Info("outside the window", "window", w.order.tempo.Window.text, "opens", until)
	})
}

// renew fetches fresh credentials.
func (w *work) renew(ctx context.Context) error {
	w.store.Invalidate()
	_, _, _, _, err := w.store.Credentials(ctx)
	return err
}

// conclude says what came of the run, on standard output, and makes the error
// that the exit code is made of.
func (w *work) conclude(f *jobFlags, cause error) error {
	w.elapse(time.Now())
	if err := w.points.Flush(); err != nil && cause == nil {
		cause = err
	}
	if unusable := (*planner.UnusableError)(nil); errors.As(cause, &unusable) && w.points.Totals().Planned.Objects == 0 {
		w.discard = !w.resumed
		return cause
	}
	if unusable := (*unusableError)(nil); errors.As(cause, &unusable) {
		return cause
	}
	sum := w.summary()
	if err := w.a.printSummary(f, sum); err != nil {
		cause = cmp.Or(cause, err)
	}
	w.log.Info("run ended", "done", sum.Done, "already", sum.Already, "left", sum.Left, "failed", sum.Failed, "remaining", sum.Remaining, "cause", cause)
	again := fmt.Sprintf("`reseal run --job %s` goes on", w.job.Dir)
	switch {
	case errors.Is(cause, engine.ErrMaxFailures), errors.Is(cause, errStopAfter):
		return &onPurposeError{what: cause.Error(), fix: again}
	case cause != nil:
		return cause
	case sum.Left+sum.Failed > 0:
		return &someError{left: sum.Left, failed: sum.Failed, fix: fmt.Sprintf("`reseal report --job %s` names them", w.job.Dir)}
	case sum.Remaining > 0:
		return fmt.Errorf("%s remain without a cause in %s; %s", objects(sum.Remaining), w.job.Dir, again)
	}
	return nil
}

// summary is the job in numbers.
func (s *session) summary() *report.Summary {
	t := s.points.Totals()
	sum := report.Summarize(s.job.Dir, &t, s.points.Row)
	sum.Resumed = s.resumed
	return sum
}

// printSummary is the result of run on standard output.
func (a *app) printSummary(f *jobFlags, sum *report.Summary) error {
	if f.out.json {
		return a.printJSON(sum)
	}
	if err := sum.WriteText(a.stdout); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}
