package engine

import (
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// errAbandon ends the work on an object without an outcome: the run is stopping,
// and nothing that is known of the object would be true tomorrow. The next run
// finds it in doubt.
var errAbandon = errors.New("abandoned: the run is stopping")

// keyErrorsToStop is how many answers in a row, over all workers and without a
// success between them, say that the KMS key is unusable before the run stops.
const keyErrorsToStop = 5

// send is the one retry loop: every request of the engine goes through it. f
// sends one attempt. A mutation that may have been applied although it failed is
// not sent again here: its error comes back with an Ambiguous class, so that the
// caller asks the store first; everything else that can be repeated is.
func (r *run) send(ctx context.Context, call object.Call, f func(context.Context) error) error {
	var trouble object.Class // what the last attempt met, and since when
	var since time.Time
	for attempt := 1; ; attempt++ {
		err := r.attempt(ctx, &call, f)
		if err == nil {
			if call.KMSKey != "" {
				r.keyErrors.Store(0)
			}
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if class := object.ClassOf(err); class != trouble || since.IsZero() {
			trouble, since = class, time.Now()
		}
		again, counts := r.mayRepeat(&call, err, attempt, time.Since(since))
		if !again {
			return err
		}
		if !counts {
			attempt = min(attempt, 6) // waiting for the store keeps its own, longer, pace
		}
		if err := r.pause(ctx, attempt, err); err != nil {
			return err
		}
	}
}

// attempt sends once: paced, timed, observed.
func (r *run) attempt(ctx context.Context, call *object.Call, f func(context.Context) error) error {
	if err := r.Pace.Enter(ctx, call); err != nil {
		return &object.Error{Class: object.ClassCanceled, Op: call.Kind.String(), Message: "not sent: " + err.Error(), Err: err}
	}
	start := time.Now()
	err := r.timed(ctx, call, f)
	res := object.Result{OK: err == nil, Latency: time.Since(start)}
	if err != nil {
		res.Class = object.ClassOf(err)
		if e, ok := errors.AsType[*object.Error](err); ok {
			res.RetryAfter = e.RetryAfter
		}
	}
	if call.Kind == object.ReqCopy && res.OK && call.Bytes <= timedUpTo && r.Bulk != nil {
		average(&r.copyTime, res.Latency, 16)
	}
	r.Pace.Leave(call, res)
	r.Observer.Requested(call, res)
	return err
}

// timed bounds one attempt. A copy gets a second more for every 4 MiB: stores
// answer a CopyObject only when all bytes are there.
func (r *run) timed(ctx context.Context, call *object.Call, f func(context.Context) error) error {
	limit := r.RequestTimeout + time.Duration(call.Bytes/(4<<20))*time.Second
	tctx := withLimit(ctx, limit)
	defer tctx.release()
	err := f(tctx)
	if err != nil && ctx.Err() == nil && tctx.Err() != nil {
		// Our own time limit, not the run's end: unless it was never sent, the request
		// may have been applied.
		e, _ := errors.AsType[*object.Error](err)
		return &object.Error{Class: object.ClassTransient, Op: call.Kind.String(),
			Message: "no answer within " + limit.String(), Err: err, NotSent: e != nil && e.NotSent,
			Hint: "the store hangs; the request is repeated after asking the store"}
	}
	return err
}

// mayRepeat says whether the same request is sent again, and whether that counts
// as an attempt.
func (r *run) mayRepeat(call *object.Call, err error, attempt int, waited time.Duration) (again, counts bool) {
	switch class := object.ClassOf(err); class {
	case object.ClassThrottled, object.ClassKMSThrottled:
		return waited < r.ThrottleWait, false
	case object.ClassUnreachable:
		return waited < r.OutageWait, false
	case object.ClassCredentials:
		return r.Renew != nil && waited < r.CredentialWait, false
	case object.ClassKey:
		if r.keyErrors.Add(1) >= keyErrorsToStop {
			r.stop(err)
			return false, true
		}
		return attempt < 3, true
	case object.ClassTransient, object.ClassFull:
		if call.Kind.Mutates() && !repeatable(call.Kind) && object.MaybeApplied(err) {
			return false, true
		}
		return !r.enough(attempt, err, waited), class == object.ClassTransient
	}
	return false, true
}

// enough says whether a request that failed for a moment, n times by now, is given
// up. Waiting for room does not count: it lasts as long as an outage may.
func (r *run) enough(n int, err error, waited time.Duration) bool {
	if object.ClassOf(err) == object.ClassFull {
		return waited >= r.OutageWait
	}
	return n >= r.MaxAttempts
}

// repeatable mutations have the same effect when they are applied twice.
func repeatable(k object.RequestKind) bool {
	return k == object.ReqCopyPart || k == object.ReqAbort || k == object.ReqPutDetail
}

// pause waits before the next attempt. A run that is stopping does not wait: the
// object is abandoned.
func (r *run) pause(ctx context.Context, attempt int, cause error) error {
	var after time.Duration
	if e, ok := errors.AsType[*object.Error](cause); ok {
		after = e.RetryAfter
	}
	class := object.ClassOf(cause)
	switch class {
	case object.ClassCredentials, object.ClassUnreachable, object.ClassFull:
		r.waiting(class, cause)
	}
	paused := time.Now()
	t := time.NewTimer(r.Backoff(attempt, after))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return errAbandon
	case <-r.draining:
		return errAbandon
	case <-t.C:
	}
	if class == object.ClassCredentials {
		r.renew(ctx, paused)
	}
	return nil
}

// renew fetches fresh credentials unless another worker has done so since the
// refusal.
func (r *run) renew(ctx context.Context, refused time.Time) {
	r.renewal.Lock()
	defer r.renewal.Unlock()
	if r.renewal.last.After(refused) {
		return
	}
	if err := r.Renew(ctx); err != nil {
		r.Log.Warn("credentials could not be renewed yet", "error", err)
		return
	}
	r.renewal.last = time.Now()
}
