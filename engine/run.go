package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/dispatch"
	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/upload"
)

// ErrMaxFailures is wrapped by Run's error when too many objects failed.
var ErrMaxFailures = errors.New("too many objects failed")

// run is the state of one Run, and what its workers share.
type run struct {
	cfg       *Config
	rules     *carry.Rules
	loop      *retry.Loop
	look      *look.Looker
	uploads   *upload.Copier
	prover    *prover
	below     *below
	room      *room
	versions  keeping
	notes     *semaphore.Weighted // bytes of annotations that are held
	refused   refused
	updated   atomic.Bool // some object was, by UpdateObjectEncryption
	berths    berths
	witnesses witnesses
	lanes     *dispatch.Dispatcher // nil where the journal, or the pace, knows of none
	beside    sync.Once            // it was said that there are several lanes

	// draining is closed once nothing new may begin: by Drain, by fail.
	draining chan struct{}
	drained  sync.Once

	recorded atomic.Int64
	failed   atomic.Int64
	// cancel ends the run's context.
	cancel context.CancelFunc
	// unfinished counts tasks that were handed out and got no outcome.
	unfinished atomic.Int64
	// doubtful counts those of them that may have been changed.
	doubtful atomic.Int64
	gaveUp   atomic.Bool // what was on its way, since the store answered nobody

	mu struct {
		sync.Mutex
		cause error // why the run stops; the first one stays
	}
}

// newRun stacks the storeys. cfg has its defaults.
func newRun(cfg *Config) *run {
	r := &run{cfg: cfg, draining: make(chan struct{}), notes: semaphore.NewWeighted(maxAnnotationsHeld)}
	r.versions = keeping{turn: make(chan struct{}, 1), now: cfg.Facts.Versioning}
	if cfg.Facts.KeepsNoneOfSome {
		r.versions.now, r.versions.settled = object.VersioningSuspended, true
	}
	held := int64(maxBytesHeld)
	switch {
	case cfg.Reupload != nil:
		held = maxPartsHeld
	case cfg.FromFiles, cfg.ToFiles: // as many large parts as fly at once
		held = 8 * maxWhole
	}
	r.room = newRoom(mayHold(held))
	r.rules = &carry.Rules{Target: cfg.Target, Caps: cfg.Caps, Dest: cfg.Dest, Facts: cfg.Facts, Annotations: cfg.KeepAnnotations, Ahead: cfg.Ahead}
	if cfg.DestFacts != nil {
		r.rules.Facts = *cfg.DestFacts
	}
	r.loop = &retry.Loop{Pace: cfg.Pace, Observer: cfg.Observer, Log: cfg.Log,
		MaxAttempts: cfg.MaxAttempts, ThrottleWait: cfg.ThrottleWait, OutageWait: cfg.OutageWait, CredentialWait: cfg.CredentialWait,
		RequestTimeout: cfg.RequestTimeout, Backoff: cfg.Backoff, Still: cfg.Still, Gate: cfg.Gate, Renew: cfg.Renew,
		Stopping: r.draining, Stop: r.fail}
	if cfg.Answers != nil {
		r.loop.Answers = r.answers
	}
	r.look = &look.Looker{Loop: r.loop, Source: cfg.Source, Rules: r.rules, Facts: &cfg.Facts, TwoStores: cfg.TwoStores}
	r.uploads = &upload.Copier{Loop: r.loop, Look: r.look, Rules: r.rules, Store: cfg.Store, Journal: cfg.Journal,
		PartsInFlight: cfg.PartsInFlight, Gate: cfg.Gate, Log: cfg.Log}
	r.berths = berths{ceilings: cfg.Ceilings, partSize: cfg.PartSize, turn: make(chan struct{}, 1)}
	r.lanes = dispatch.New(cfg.Journal, cfg.Pace, cfg.Workers)
	r.prover = &prover{r: r, bulk: cfg.Bulk}
	r.below = &below{r: r, versions: cfg.Versions}
	if cfg.Bulk != nil {
		r.loop.Observer = timing{cfg.Observer, r.prover}
	}
	return r
}

// Run works until every task of the journal has an outcome, and then returns
// nil. Its error says why it stopped before: the context, ErrDrained,
// ErrMaxFailures, an unusable key, credentials, a bucket that is gone, a journal
// that cannot be written. An object's failure is an outcome, never an error.
//
// It starts Workers goroutines and waits for them. When the context ends, no new
// mutation begins; those that are in flight are abandoned and found in doubt by
// the next run. When Run returns, everything recorded is durable unless the
// error says that the journal failed.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	r := newRun(&cfg)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.cancel = cancel
	stopWatch := context.AfterFunc(ctx, r.drain)
	defer stopWatch()
	go func() {
		select {
		case <-cfg.Drain:
			r.fail(ErrDrained)
		case <-ctx.Done():
		}
	}()
	defer r.endSilence(ctx)()
	if err := r.uploads.CleanUp(ctx); err != nil {
		return err
	}
	everything := r.work(ctx)
	if err := cfg.Journal.Flush(); err != nil {
		return upload.JournalError("written", err)
	}
	if ctx.Err() == nil {
		if err := r.uploads.CleanUp(ctx); err != nil {
			r.fail(err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.mu.cause == nil:
		return context.Cause(ctx)
	case everything && errors.Is(r.mu.cause, ErrDrained):
		return nil // the signal came when there was nothing left to drain
	}
	return r.orInDoubt(r.mu.cause)
}

// work hands tasks to the workers until there are none, or the run drains; it
// says whether every task of the journal has its outcome now.
func (r *run) work(ctx context.Context) (everything bool) {
	tasks := make(chan given, min(r.cfg.Workers, taskBatch))
	starting, end := r.loop.UntilStopping(ctx)
	defer end()
	var workers sync.WaitGroup
	r.prover.start(ctx)
	r.below.start(ctx)
	for range r.cfg.Workers {
		workers.Go(func() {
			defer r.tellPanic()
			it := new(item)
			for g := range tasks {
				berth, err := r.berth(starting, &g.Task)
				if err != nil || r.isDraining() {
					r.unfinished.Add(1) // it stays in doubt, which is cheap to clear up
				} else if taken := r.handle(ctx, it, &g.Task); taken {
					it = new(item)
				}
				r.berths.leave(berth)
				r.lanes.Done(g.lane)
			}
		})
	}
	all, err := r.dispatch(starting, tasks)
	if err != nil {
		r.fail(err)
	}
	close(tasks)
	workers.Wait()
	r.prover.close()
	r.below.close()
	return all && r.unfinished.Load() == 0
}

// tellPanic lets the job know why it dies. The panic goes on, with its stack.
func (r *run) tellPanic() {
	if p := recover(); p != nil {
		r.cfg.Panicked(p)
		panic(p)
	}
}

func (r *run) unlessDraining(err error) error {
	if r.isDraining() {
		return nil
	}
	return err
}

// handle does one task and records its outcome, unless the prover has taken the
// item over.
func (r *run) handle(ctx context.Context, it *item, t *object.Task) (taken bool) {
	out, err := r.do(ctx, it, t, false)
	switch {
	case err != nil:
		r.abandon(t, it.inDoubt(), err)
	case out == nil:
		return true
	default:
		r.finish(it, out)
	}
	return false
}

// abandon notes why a task got no outcome, and whether its object may have been changed.
func (r *run) abandon(t *object.Task, inDoubt bool, err error) {
	r.unfinished.Add(1)
	if inDoubt {
		r.doubtful.Add(1)
	}
	if !errors.Is(err, retry.ErrStopping) && object.ClassOf(err) != object.ClassCanceled {
		r.fail(err)
	}
	r.cfg.Log.Debug("abandoned", "bucket", t.Object.Bucket, "key", t.Object.Key, "seq", t.Seq, "error", err)
}

// record keeps an outcome. An error of the journal stops the run: what cannot
// be remembered must not be done.
func (r *run) record(out *object.Outcome) {
	out.FinishedAt = time.Now().UTC()
	if err := r.cfg.Journal.Record(out); err != nil {
		r.fail(upload.JournalError("written", err))
		return
	}
	r.cfg.Observer.Settled(out)
	n := r.recorded.Add(1)
	if out.State == object.Failed {
		r.countFailure(r.failed.Add(1), n)
	}
}

func (r *run) countFailure(failed, recorded int64) {
	tooMany := r.cfg.MaxFailures > 0 && failed > r.cfg.MaxFailures
	failed, recorded = failed+r.cfg.Earlier.Failed, recorded+r.cfg.Earlier.Recorded
	tooMany = tooMany || r.cfg.MaxFailuresPercent > 0 && recorded >= 100 && float64(failed)*100 > r.cfg.MaxFailuresPercent*float64(recorded)
	if tooMany {
		r.fail(fmt.Errorf("%w: %d of %d in this run; `reseal report` names them", ErrMaxFailures, failed, recorded))
	}
}

// fail ends the run: it keeps the first cause and drains.
func (r *run) fail(err error) {
	r.mu.Lock()
	first := r.mu.cause == nil
	if first {
		r.mu.cause = err
	}
	r.mu.Unlock()
	if first {
		r.cfg.Log.Info("stopping", "cause", err)
	}
	r.drain()
}

// halt ends the run at once: what was not sent yet is not sent any more.
func (r *run) halt(err error) {
	r.fail(err)
	r.cancel()
}

// drain lets nothing begin any more. What waits at the pace and ends nothing is let
// go.
func (r *run) drain() {
	r.drained.Do(func() {
		close(r.draining)
		if p, ok := r.cfg.Pace.(interface{ Drain() }); ok {
			p.Drain()
		}
	})
}

func (r *run) isDraining() bool {
	select {
	case <-r.draining:
		return true
	default:
		return false
	}
}
