package retry

import (
	"context"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// limited is a run's context with one attempt's time limit. context.WithTimeout
// costs a timer, a place in the list of the run's context, which every worker
// locks, and ten allocations; here all that is made only if somebody waits on
// Done. A client that keeps time limits itself asks for Limit instead.
type limited struct {
	context.Context // the run's
	limit           time.Time
	asker           Asker       // nil for none
	away            func() bool // whether this process may send nothing just now; nil for never

	mu struct {
		sync.Mutex
		timed  context.Context
		cancel context.CancelFunc
	}
}

// withLimit bounds ctx. Whoever calls it calls release when the attempt is over.
func withLimit(ctx context.Context, d time.Duration, a Asker, away func() bool) *limited {
	l := &limited{Context: ctx, limit: time.Now().Add(d), asker: a, away: away}
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(l.limit) {
		l.limit = earlier
	}
	return l
}

// Limit is the context without the limit, and the limit.
func (l *limited) Limit() (context.Context, time.Time) { return l.Context, l.limit }

// Value has what object.TooLate asks for.
func (l *limited) Value(key any) any {
	if key == (object.LateKey{}) && (l.asker != nil || l.away != nil) {
		return l
	}
	return l.Context.Value(key)
}

// Late says whether the request is not to be sent after all: its turn came, and then a
// connection was waited for, or the machine slept.
func (l *limited) Late() bool {
	return l.asker != nil && l.asker.Late() || l.away != nil && l.away()
}

// Deadline is the limit.
func (l *limited) Deadline() (time.Time, bool) { return l.limit, true }

// Done makes the timer.
func (l *limited) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.timed == nil {
		l.mu.timed, l.mu.cancel = context.WithDeadline(l.Context, l.limit)
	}
	return l.mu.timed.Done()
}

// Err is not nil once Done is closed, or would be.
func (l *limited) Err() error {
	l.mu.Lock()
	timed := l.mu.timed
	l.mu.Unlock()
	if timed != nil {
		return timed.Err()
	}
	if err := l.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(l.limit) {
		return context.DeadlineExceeded
	}
	return nil
}

// release stops the timer, where there is one. The context must not be used after
// it.
func (l *limited) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.cancel != nil {
		l.mu.cancel()
	}
}
