package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/planner"
)

// planFlags are what plan takes besides the job.
type planFlags struct {
	jobFlags
	prices string
	pace   float64
}

func newPlan(a *app) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan [SOURCE] --sse TYPE --job DIR",
		Short: "Find the work, choose each object's operation, estimate; changes nothing",
		Long: `plan does the first half of run and stops: it finds the objects, asks about each one
where its row does not settle it, chooses its operation, and says what that amounts to.
Nothing of yours is changed. ` + "`reseal run --job DIR`" + ` then does exactly this plan, also when
objects have been added since.`,
		Example: "  reseal plan s3://bucket --sse aws:kms --sse-kms-key-id KEY --job ~/jobs/bucket\n  reseal run --job ~/jobs/bucket",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			prices, err := f.readPrices()
			if err != nil {
				return err
			}
			if err := checkRate("--at-requests-per-second", f.pace); err != nil {
				return err
			}
			o, err := f.Validate(cmd, args)
			if err != nil {
				return err
			}
			return a.plan(cmd.Context(), &f, o, prices)
		},
	}
	f.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&f.prices, "prices", "", "a price list in the form of the built-in one, see the planner's prices.json")
	cmd.Flags().Float64Var(&f.pace, "at-requests-per-second", 0, "the pace to estimate the duration at; --max-requests-per-second, or 1000, by default")
	return cmd
}

// plannedJob is what `plan --json` prints.
type plannedJob struct {
	Job      string `json:"job"`
	Complete bool   `json:"complete"`
	*planner.Estimate
}

func (a *app) plan(ctx context.Context, f *planFlags, o *order, prices *planner.Prices) (err error) {
	s, err := a.openSession(ctx, &f.jobFlags, o)
	if err != nil {
		return err
	}
	defer func() { err = withClose(err, s.Close()) }()
	stop, release := newStopper(a.drain.takeOver(), 0)
	defer release()
	now := time.Now()
	w := &work{session: s, began: now, told: now, stop: stop, inspectAll: true}
	if err := w.planOnly(ctx, &f.out); err != nil {
		return w.giveUp(err)
	}
	est, err := w.estimate(f, prices)
	if err != nil {
		return err
	}
	if f.out.json {
		return a.printJSON(plannedJob{Job: s.job.Dir, Complete: s.points.PlanIsComplete(), Estimate: est})
	}
	if err := est.WriteText(a.stdout); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	_, err = fmt.Fprintf(a.stdout, "\nNothing was changed. `reseal run --job %s` does exactly this plan.\n", s.job.Dir)
	return err
}

// planOnly reads the source to its end, or until somebody asks to stop: then the
// same command goes on from there.
func (w *work) planOnly(ctx context.Context, out *outputFlags) error {
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
	w.tell = newTeller(w)
	defer w.tell.tell()()
	defer w.console.showProgress(w.tell.progress, out)()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-w.stop.asked:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := w.plan(ctx); err != nil {
		if cause := w.stop.cause(); cause != nil {
			return cause
		}
		return err
	}
	return nil
}

// giveUp ends a plan that is not complete.
func (w *work) giveUp(cause error) error {
	if unusable := (*planner.UnusableError)(nil); errors.As(cause, &unusable) && w.points.Totals().Planned.Objects == 0 {
		w.discard = !w.resumed
	}
	return cause
}

// estimate adds up the plan as it stands in the checkpoint.
func (w *work) estimate(f *planFlags, prices *planner.Prices) (*planner.Estimate, error) {
	verify := w.order.consent.Verify
	e := planner.NewEstimator(planner.EstimateOptions{
		Target: w.target(), Caps: w.learnt.Caps, Facts: w.learnt.Facts, Elsewhere: w.order.spec.Target.DestBucket != "",
		PartSize: w.order.consent.PartSize, VerifyHead: verify == "head" || verify == "auto" && w.learnt.Caps.CopyShowsEncryption != object.Yes && w.learnt.Caps.ListMetadata != object.Yes,
		VerifyRead: verify == "read", RequestsPerSecond: firstPositive(f.pace, w.order.tempo.RequestsPerSec, 1000), Prices: prices, Now: time.Now(),
	})
	err := report.Rows(w.points.Rows)(func(t *object.Task, _ *object.Outcome) error { e.Add(t); return nil })
	return e.Estimate(), err
}

func firstPositive(numbers ...float64) float64 {
	for _, n := range numbers {
		if n > 0 {
			return n
		}
	}
	return 0
}

func (f *planFlags) readPrices() (*planner.Prices, error) {
	if f.prices == "" {
		return planner.DefaultPrices(), nil
	}
	data, err := os.ReadFile(f.prices)
	if err != nil {
		return nil, unusableBecause(err, "--prices", "name a readable file")
	}
	p, err := planner.ParsePrices(data)
	if err != nil {
		return nil, unusableBecause(err, "--prices "+f.prices, "write it as the built-in one")
	}
	return p, nil
}
