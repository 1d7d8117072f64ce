package job

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/planner"
)

// PlanOptions are what an estimate needs besides.
type PlanOptions struct {
	Options
	// Prices of requests; the built-in list where nil.
	Prices *planner.Prices
	// AtRequestsPerSecond is the pace at which the duration is estimated; the
	// ceiling, or 1,000, where 0.
	AtRequestsPerSecond float64
}

// Plan does the first half of Run: it finds the objects, chooses the operation of
// each, and says what that amounts to. Nothing of theirs is changed.
func (j *Job) Plan(ctx context.Context, opt PlanOptions) (est *planner.Estimate, err error) {
	opt.StopAfter = 0
	if err := j.dividedWhereMany(ctx, &opt.Options); err != nil {
		return nil, err
	}
	if j.Division != nil {
		return j.planShards(ctx, &opt)
	}
	w, end, err := j.begin(ctx, &opt.Options, verbPlan)
	if err != nil {
		return nil, err
	}
	defer func() { err = w.ended(err, end()) }()
	defer w.tellPanic()
	if w.points.Totals().Planned.Objects == 0 {
		w.adding = &addingUp{Estimator: planner.NewEstimator(j.estimated(&w.learnt, &opt))}
	}
	err = w.planOnly(ctx)
	w.elapse(time.Now())
	w.keepRates()
	w.endRun(err)
	if err != nil {
		w.noJob(err)
		return nil, err
	}
	if w.adding != nil {
		est = w.adding.Estimate()
	} else if est, err = j.estimate(&w.learnt, w.points.Rows, &opt); err != nil {
		return est, err
	}
	w.job.keep(estimateName, est, w.log)
	return est, nil
}

// addingUp estimates a plan while it is made, so that it need not be read back.
type addingUp struct {
	planner.Sink
	mu sync.Mutex
	*planner.Estimator
}

func (a *addingUp) Append(tasks []object.Task, cursors []object.Cursor) error {
	if err := a.Sink.Append(tasks, cursors); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range tasks {
		a.Add(&tasks[i])
	}
	return nil
}

// planOnly reads the source to its end, or until somebody asks to stop: then the
// same plan goes on from there.
func (w *work) planOnly(ctx context.Context) error {
	end, err := w.watched()
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go w.stop.relay(ctx, cancel)
	if err := w.plan(ctx); err != nil {
		return cmp.Or(w.stop.cause(), err)
	}
	return nil
}

// estimate adds up the plan as it stands on record.
func (j *Job) estimate(known *learnt, rows report.Rows, o *PlanOptions) (*planner.Estimate, error) {
	e := planner.NewEstimator(j.estimated(known, o))
	err := rows(func(t *object.Task, _ *object.Outcome) error { e.Add(t); return nil })
	return e.Estimate(), err
}

// estimateOfShards is estimate of a divided job. What holds for one of several places need
// not hold for the next.
func (j *Job) estimateOfShards(r *records, o *PlanOptions) (*planner.Estimate, error) {
	if j.Division.Kind != ByBuckets {
		return j.estimate(&j.Division.learnt, r.Rows, o)
	}
	e := planner.NewEstimator(j.estimated(&j.Division.learnt, o))
	for i := range j.Division.Places {
		p := &j.Division.Places[i]
		if p.Unread != "" {
			continue
		}
		e.Under(j.estimated(p.Learnt, o))
		if err := r.rowsOf(&p.Place, func(t *object.Task, _ *object.Outcome) error { e.Add(t); return nil }); err != nil {
			return e.Estimate(), err
		}
	}
	return e.Estimate(), nil
}

// estimated is what an estimate has to know of the job.
func (j *Job) estimated(known *learnt, o *PlanOptions) planner.EstimateOptions {
	p := &j.Policy
	prices := o.Prices
	if prices == nil {
		prices = planner.DefaultPrices()
	}
	usable := known.caps()
	caps := &usable
	facts, _ := known.facts()
	return planner.EstimateOptions{
		Target: known.target(&j.Spec), Caps: *caps, Facts: facts, Elsewhere: j.Spec.Target.DestBucket != "",
		FromFiles: j.Spec.Source.Folder != "", ToFiles: j.Spec.Target.DestFolder != "",
		Annotations: j.keepsAnnotations(known), Reupload: j.reupload(), Chooser: j.chooser(known), Key: known.KeyUnresolved,
		PartSize: p.PartSize, VerifyHead: p.Verify == VerifyHead || p.Verify == VerifyAuto && caps.CopyShowsEncryption != object.Yes && caps.ListMetadata != object.Yes,
		VerifyRead: p.Verify == VerifyRead, RequestsPerSecond: cmp.Or(o.AtRequestsPerSecond, o.RequestsPerSecond, 1000), Prices: prices, Now: time.Now(),
	}
}
