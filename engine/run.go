package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// ErrDrained is Run's error when Config.Drain was closed before the end.
var ErrDrained = errors.New("drained before the end")

// ErrMaxFailures is wrapped by Run's error when too many objects failed.
var ErrMaxFailures = errors.New("too many objects failed")

// run is the state of one Run.
type run struct {
	Config

	// draining is closed once nothing new may begin: by Drain, by stop.
	draining chan struct{}
	drained  sync.Once

	keyErrors atomic.Int32
	settled   atomic.Int64
	failed    atomic.Int64
	// ssec remembers which customer key the last SSE-C object opened with, the
	// first guess for the next.
	ssec atomic.Int32

	// unfinished counts tasks that were handed out and got no outcome.
	unfinished atomic.Int64
	prover     *prover
	copyTime   atomic.Int64 // how long a small copy takes, of late

	renewal struct {
		sync.Mutex
		last time.Time // when credentials were last renewed
	}

	mu struct {
		sync.Mutex
		cause       error // why the run stops; the first one stays
		lastWaiting time.Time
	}
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
	r := &run{Config: cfg, draining: make(chan struct{})}
	if err := r.cleanUp(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopWatch := context.AfterFunc(ctx, r.drain)
	defer stopWatch()
	go func() {
		select {
		case <-cfg.Drain:
			r.fail(ErrDrained)
		case <-ctx.Done():
		}
	}()
	everything := r.work(ctx)
	if err := r.Journal.Flush(); err != nil {
		return journalError("written", err)
	}
	if ctx.Err() == nil {
		if err := r.cleanUp(ctx); err != nil {
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
	return r.mu.cause
}

func journalError(how string, err error) error {
	return fmt.Errorf("the job's checkpoint cannot be %s: %w", how, err)
}

// work hands tasks to the workers until there are none, or the run drains; it
// says whether every task of the journal has its outcome now.
func (r *run) work(ctx context.Context) (everything bool) {
	tasks := make(chan object.Task, r.Workers)
	var workers sync.WaitGroup
	r.prover = newProver(ctx, r)
	for range r.Workers {
		workers.Go(func() {
			it := new(item)
			for t := range tasks {
				if r.isDraining() {
					r.unfinished.Add(1) // it stays in doubt, which is cheap to settle
					continue
				}
				if taken := r.handle(ctx, it, &t); taken {
					it = new(item)
				}
			}
		})
	}
	all, err := r.dispatch(ctx, tasks)
	if err != nil {
		r.fail(err)
	}
	close(tasks)
	workers.Wait()
	r.prover.close()
	return all && r.unfinished.Load() == 0
}

// dispatch feeds the workers in the plan's order; all is true once the plan was
// handed out to its end.
func (r *run) dispatch(ctx context.Context, tasks chan<- object.Task) (all bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-r.draining:
			cancel()
		case <-stop:
		}
	}()
	buf := make([]object.Task, 64)
	for {
		if r.Gate != nil {
			if err := r.Gate(ctx); err != nil {
				return false, r.unlessDraining(err)
			}
		}
		n, err := r.Journal.Next(ctx, buf)
		for _, t := range buf[:n] {
			select {
			case tasks <- t:
			case <-r.draining:
				return false, nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, r.unlessDraining(err)
		}
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
	out, err := r.do(ctx, it, t, asPlanned)
	switch {
	case err != nil:
		r.abandon(t, err)
	case out == nil:
		return true
	default:
		r.settle(out)
	}
	return false
}

// abandon notes why a task got no outcome.
func (r *run) abandon(t *object.Task, err error) {
	r.unfinished.Add(1)
	if !errors.Is(err, errAbandon) && object.ClassOf(err) != object.ClassCanceled {
		r.fail(err)
	}
	r.Log.Debug("abandoned", "bucket", t.Object.Bucket, "key", t.Object.Key, "seq", t.Seq, "error", err)
}

// settle records an outcome. An error of the journal stops the run: what cannot
// be remembered must not be done.
func (r *run) settle(out *object.Outcome) {
	out.FinishedAt = time.Now().UTC()
	if err := r.Journal.Record(out); err != nil {
		r.fail(journalError("written", err))
		return
	}
	r.Observer.Settled(out)
	n := r.settled.Add(1)
	if out.State == object.Failed {
		r.countFailure(r.failed.Add(1), n)
	}
}

func (r *run) countFailure(failed, settled int64) {
	tooMany := r.MaxFailures > 0 && failed > r.MaxFailures ||
		r.MaxFailuresPercent > 0 && settled >= 100 && float64(failed)*100 > r.MaxFailuresPercent*float64(settled)
	if tooMany {
		r.fail(fmt.Errorf("%w: %d of %d in this run; `reseal report` names them", ErrMaxFailures, failed, settled))
	}
}

// stop ends the run for an error that every object would meet.
func (r *run) stop(err error) { r.fail(err) }

// fail keeps the first cause and drains.
func (r *run) fail(err error) {
	r.mu.Lock()
	first := r.mu.cause == nil
	if first {
		r.mu.cause = err
	}
	r.mu.Unlock()
	if first {
		r.Log.Info("stopping", "cause", err)
	}
	r.drain()
}

func (r *run) drain() { r.drained.Do(func() { close(r.draining) }) }

func (r *run) isDraining() bool {
	select {
	case <-r.draining:
		return true
	default:
		return false
	}
}

// waiting logs, at most every 30 s, that the run waits for the outside world.
func (r *run) waiting(class object.Class, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.mu.lastWaiting) < 30*time.Second {
		return
	}
	r.mu.lastWaiting = time.Now()
	r.Log.Warn("waiting", "class", class.String(), "error", cause)
}
