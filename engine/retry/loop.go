package retry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// ErrStopping ends the work on an object without an outcome: the run is stopping,
// and nothing that is known of the object would be true tomorrow. The next run
// finds it in doubt.
var ErrStopping = errors.New("abandoned: the run is stopping")

// keyErrorsToStop is how many answers in a row, over all workers and without a
// success between them, say that the KMS key is unusable before the run stops.
const keyErrorsToStop = 5

// KeyTries is how often one request is sent to a key that cannot be used.
const KeyTries = 3

// Pacer lets requests through. Every attempt of every request passes it.
type Pacer interface {
	// Enter waits until the call may be sent, or the context ends. A pacer that also
	// has Drain() fails, from then on, what waits and ends nothing; see Ending.
	Enter(ctx context.Context, c *object.Call) error
	// Leave tells how it ended. Called once for every successful Enter.
	Leave(c *object.Call, r object.Result)
}

// Observer sees every attempt. Called by many goroutines; must not block, and keeps
// no pointer.
type Observer interface {
	Requested(c *object.Call, r object.Result)
}

// Loop is the one retry loop of a run: every request goes through it. Its exported
// fields are set before the first request and none of them is nil, except Still, Gate, Renew and Answers.
type Loop struct {
	Pace     Pacer
	Observer Observer
	Log      *slog.Logger

	// MaxAttempts of one request that fails for a moment. Throttling, an
	// unreachable store and credentials that have to be renewed do not count: they
	// are waited for as long as the durations say.
	MaxAttempts    int
	ThrottleWait   time.Duration
	OutageWait     time.Duration
	CredentialWait time.Duration
	// RequestTimeout of a request that moves no data; a copy gets more by its size.
	RequestTimeout time.Duration
	// Backoff before attempt n (from 1) of a request, given what the store asked
	// for.
	Backoff func(attempt int, retryAfter time.Duration) time.Duration
	// Still waits until this process may send something, or stop is closed, and fails
	// where it never may again, which ends the run; nil where it always may. It is asked
	// before each attempt.
	Still func(ctx context.Context, stop <-chan struct{}) error
	// Gate blocks while nothing may begin (outside the window); nil where that is never. It is asked
	// before a mutation is sent again.
	Gate func(context.Context) error
	// Renew fetches fresh credentials; nil where there is nothing to renew.
	Renew func(context.Context) error
	// Answers asks the store something that is about no object, and fails where no answer
	// comes; nil where nobody can be asked. See silent.
	Answers func(context.Context) error

	// Stopping is closed once nobody may wait any longer.
	Stopping <-chan struct{}
	// Stop ends the run for an error that every object would meet.
	Stop func(error)

	keyErrors atomic.Int32
	kms       kmsWorked
	vain      vain
	outage    outage
	trouble   atomic.Pointer[time.Time] // when the store last failed for a moment
	renewal   struct {
		sync.Mutex
		last time.Time // when credentials were last renewed
	}
	told struct {
		sync.Mutex
		last time.Time // when the log was last told that the run waits
	}
}

// Do sends f until it succeeds or cannot. A mutation that may have been applied
// although it failed is not sent again here: its error comes back, and
// object.MaybeApplied says so; see Certain.
func (l *Loop) Do(ctx context.Context, call object.Call, f func(context.Context) error) error {
	var met troubles
	_, err := l.repeat(ctx, &call, &met, nil, f)
	return err
}

// repeat is Do for a request that may have met troubles before, and that is looked for
// something in the turn of each attempt; b is nil for nothing. settled says that nothing was
// left to be sent, or that nothing may.
func (l *Loop) repeat(ctx context.Context, call *object.Call, met *troubles, b *before, f func(context.Context) error) (settled bool, err error) {
	m := mannerOf(ctx)
	call.Ends, call.InTurn = m >= endsWhatBegan, m == inAnothersTurn
	for attempt := 1; ; attempt++ {
		if !call.Ends && l.IsStopping() {
			return false, ErrStopping
		}
		if err := l.reopened(ctx, call, met); err != nil {
			return false, err
		}
		settled, err := l.attempt(ctx, call, b, f)
		switch {
		case settled:
			return true, err
		case err == nil:
			if call.KMSKey != "" {
				l.keyErrors.Store(0)
			}
			l.worked(call)
			return false, nil
		case ctx.Err() != nil:
			return false, err
		}
		waited := met.add(object.ClassOf(err), l.kms.told(call), l.outage.of(call).Load())
		met.silent = met.silent && maybeAway(err) && l.silent(ctx, call, err)
		met.oneAbsence(err)
		call.Unanswered = met.silent
		again, counts := l.mayRepeat(call, err, met, waited)
		if !again {
			return false, l.orStopped(err, met)
		}
		switch {
		case counts:
			met.counted++
		case met.silent || object.ClassOf(err) == object.ClassUnreachable:
			attempt = min(attempt, 8) // many ask a store that is away, and it needs not be found at once
		default:
			attempt = min(attempt, 6) // waiting for the store keeps its own, longer, pace
		}
		if err := l.Pause(ctx, attempt, err); err != nil {
			return false, err
		}
	}
}

// troubles are what the attempts of one request have met: how many failed for a moment, and
// how long was waited for what takes longer. Each is counted for itself, or a store that has
// two troubles in turn would be waited for without end.
type troubles struct {
	counted int
	last    object.Class
	at      time.Time // when it was met last
	of      map[object.Class]*waited

	// singled says that others' requests to the KMS have succeeded since the last trouble, so
	// that this one's is not the KMS that is away; worked is how many had by then; see kmsWorked.
	singled bool
	worked  uint64

	// silent says that nobody was answered since the last trouble, and that the store may be away;
	// see Loop.silent. answers is how many were by then.
	silent  bool
	answers uint64
}

// waited is how often one kind of trouble was met, and for how long it was waited since.
type waited struct {
	times int
	sum   time.Duration
}

// fewTimes is how often a request meets a trouble before the time counts for which that was
// waited for. Under a ceiling hours may pass between two attempts, and say nothing of the store.
const fewTimes = 5

// add takes in the trouble that was met now, and is how long the like of it was waited for.
// worked is how many requests have succeeded by now that tell something of its KMS, answers how
// many of its sort were answered.
func (t *troubles) add(c object.Class, worked, answers uint64) time.Duration {
	now := time.Now()
	t.singled, t.worked = worked != t.worked && !t.at.IsZero(), worked
	t.silent, t.answers = answers == t.answers && !t.at.IsZero(), answers
	if t.of == nil {
		t.of = map[object.Class]*waited{}
	}
	if !t.at.IsZero() {
		t.of[t.last].sum += now.Sub(t.at)
	}
	if t.of[c] == nil {
		t.of[c] = new(waited)
	}
	t.last, t.at = c, now
	t.of[c].times++
	return t.waited(c)
}

// times is how often such a trouble was met.
func (t *troubles) times(c object.Class) int {
	if w := t.of[c]; w != nil {
		return w.times
	}
	return 0
}

// waited is for how long such a trouble was waited for.
func (t *troubles) waited(c object.Class) time.Duration {
	if w := t.of[c]; w != nil && w.times > fewTimes {
		return w.sum
	}
	return 0
}

// attempt sends once: paced, timed, observed.
func (l *Loop) attempt(ctx context.Context, call *object.Call, b *before, f func(context.Context) error) (settled bool, err error) {
	if err := l.Pace.Enter(ctx, call); err != nil {
		if ctx.Err() == nil && l.IsStopping() {
			return false, ErrStopping // the pace let it go
		}
		return false, &object.Error{Class: object.ClassCanceled, Op: call.Kind.String(), Message: "not sent: " + err.Error(), Err: err}
	}
	if settled, err := l.ready(ctx, call, b); settled || err != nil {
		l.Pace.Leave(call, object.Result{Class: object.ClassCanceled})
		return settled, err
	}
	start := time.Now()
	err = l.timed(ctx, call, b, f)
	res := object.Result{OK: err == nil, Latency: time.Since(start), Err: err}
	if err != nil {
		res.Class = object.ClassOf(err)
		e, ok := errors.AsType[*object.Error](err)
		if ok {
			res.RetryAfter = e.RetryAfter
		}
		if sent := !ok || !e.NotSent; sent && (res.Class == object.ClassTransient || res.Class == object.ClassKey || res.Class == object.ClassKMSAway) {
			now := time.Now()
			l.trouble.Store(&now)
		}
	}
	l.outage.met(call, &res)
	l.Pace.Leave(call, res)
	l.Observer.Requested(call, res)
	return false, err
}

// LastTrouble is when the store last failed for a moment, or could not use a key; zero for
// never. What it showed around that time may be less than there is.
func (l *Loop) LastTrouble() time.Time {
	if t := l.trouble.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

// UntilStopping is ctx for what may wait no longer once the run is stopping; end ends it.
func (l *Loop) UntilStopping(ctx context.Context) (waiting context.Context, end context.CancelFunc) {
	waiting, end = context.WithCancel(ctx)
	go func() {
		select {
		case <-l.Stopping:
			end()
		case <-waiting.Done():
		}
	}()
	return waiting, end
}

// still waits until this process may send the call.
func (l *Loop) still(ctx context.Context, call *object.Call) error {
	if l.Still == nil {
		return nil
	}
	stop := l.Stopping
	if call.Ends {
		stop = nil
	}
	err := l.Still(ctx, stop)
	if err == nil {
		return nil
	}
	if ctx.Err() == nil && !l.IsStopping() {
		l.Stop(err)
	}
	return ErrStopping
}

// atOnce is closed: whoever asks Still with it does not wait.
var atOnce = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// timed bounds one attempt. A copy gets a second more for every 4 MiB: stores
// answer a CopyObject only when all bytes are there.
func (l *Loop) timed(ctx context.Context, call *object.Call, b *before, f func(context.Context) error) error {
	limit := l.RequestTimeout + time.Duration(call.Bytes/(4<<20))*time.Second
	var a Asker
	if b != nil {
		a = b.Asker
	}
	var away func() bool
	if l.Still != nil {
		away = func() bool { return l.Still(ctx, atOnce) != nil }
	}
	tctx := withLimit(ctx, limit, a, away)
	defer tctx.release()
	err := f(tctx)
	if err != nil && ctx.Err() == nil && tctx.Err() != nil && object.ClassOf(err) != object.ClassCredentials {
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
// as an attempt; waited is for how long the like of its trouble was waited for.
func (l *Loop) mayRepeat(call *object.Call, err error, met *troubles, waited time.Duration) (again, counts bool) {
	attempt := met.counted
	if met.counts(object.ClassOf(err)) {
		attempt++
	}
	switch class := object.ClassOf(err); class {
	case object.ClassThrottled, object.ClassKMSThrottled:
		if call.Kind.Mutates() && !repeatable(call.Kind) && object.MaybeApplied(err) {
			return false, false
		}
		return !l.enough(call, attempt, err, met), false
	case object.ClassUnreachable:
		return met.away(class) < l.OutageWait, false
	case object.ClassCredentials:
		return l.Renew != nil && waited < l.CredentialWait, false
	case object.ClassKey:
		switch {
		case call.OtherKey:
			return false, true // whose key it is has to be asked
		case call.KMSKey != "" && l.KeyRefused(err):
			return false, true
		}
		return attempt < KeyTries, true
	case object.ClassTransient, object.ClassFull, object.ClassKMSAway:
		if call.Kind.Mutates() && !repeatable(call.Kind) && object.MaybeApplied(err) {
			return false, true
		}
		return !l.enough(call, attempt, err, met), met.counts(class)
	}
	return false, true
}

// KeyRefused counts an answer that the key of the run's target is unusable. It says
// whether that was one too many, and the run stops.
func (l *Loop) KeyRefused(err error) (stops bool) {
	if l.keyErrors.Add(1) < keyErrorsToStop {
		return false
	}
	l.Stop(err)
	return true
}

// repeatable mutations have the same effect when they are applied twice.
func repeatable(k object.RequestKind) bool {
	return k == object.ReqCopyPart || k == object.ReqAbort || k == object.ReqPutDetail
}
