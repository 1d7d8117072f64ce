package retry

import (
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// IsStopping says whether nobody may wait any longer.
func (l *Loop) IsStopping() bool {
	select {
	case <-l.Stopping:
		return true
	default:
		return false
	}
}

// Wait lets that much time pass. A run that is stopping does not wait: the object is
// abandoned.
func (l *Loop) Wait(ctx context.Context, d time.Duration) error { return l.WaitFor(ctx, d, nil) }

// WaitFor is Wait that also ends with an event; nil is none.
func (l *Loop) WaitFor(ctx context.Context, d time.Duration, event <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ErrStopping
	case <-l.Stopping:
		return ErrStopping
	case <-event:
		return nil
	case <-t.C:
		return nil
	}
}

// Pause waits before the next attempt, and renews the credentials where these were
// refused.
func (l *Loop) Pause(ctx context.Context, attempt int, cause error) error {
	var after time.Duration
	if e, ok := errors.AsType[*object.Error](cause); ok {
		after = e.RetryAfter
	}
	class := object.ClassOf(cause)
	switch class {
	case object.ClassCredentials, object.ClassUnreachable, object.ClassFull, object.ClassKMSAway:
		l.tell(class, cause)
	}
	paused := time.Now()
	if err := l.Wait(ctx, l.Backoff(attempt, after)); err != nil {
		return err
	}
	if class == object.ClassCredentials {
		l.renew(ctx, paused)
	}
	return nil
}

// renew fetches fresh credentials unless another worker has done so since the
// refusal.
func (l *Loop) renew(ctx context.Context, refused time.Time) {
	l.renewal.Lock()
	defer l.renewal.Unlock()
	if l.renewal.last.After(refused) {
		return
	}
	if err := l.Renew(ctx); err != nil {
		l.Log.Warn("credentials could not be renewed yet", "error", err)
		return
	}
	l.renewal.last = time.Now()
}

// tell logs, at most every 30 s, that the run waits for the outside world.
func (l *Loop) tell(class object.Class, cause error) {
	l.told.Lock()
	defer l.told.Unlock()
	if time.Since(l.told.last) < 30*time.Second {
		return
	}
	l.told.last = time.Now()
	l.Log.Warn("waiting", "class", class.String(), "error", cause)
}
