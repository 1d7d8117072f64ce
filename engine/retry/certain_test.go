package retry

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

type open struct{}

func (open) Enter(ctx context.Context, _ *object.Call) error { return ctx.Err() }
func (open) Leave(*object.Call, object.Result)               {}
func (open) Requested(*object.Call, object.Result)           {}

// testLoop waits a second before every attempt. What stops it comes back by the
// channel.
func testLoop() (*Loop, chan error) {
	stopped := make(chan error, 10)
	return &Loop{Pace: open{}, Observer: open{}, Log: slog.New(slog.DiscardHandler), MaxAttempts: 4,
		ThrottleWait: time.Minute, OutageWait: time.Hour, CredentialWait: time.Hour, RequestTimeout: 10 * time.Second,
		Backoff:  func(int, time.Duration) time.Duration { return time.Second },
		Stopping: make(chan struct{}), Stop: func(err error) { stopped <- err }}, stopped
}

func failure(c object.Class) error { return &object.Error{Class: c, Op: "test"} }

var copyCall = object.Call{Kind: object.ReqCopy, KMSKey: "key"}

// What Certain makes of each answer, and how often it sends and asks.
func TestCertain(t *testing.T) {
	lost, denied, elsewhere := failure(object.ClassTransient), failure(object.ClassDenied), failure(object.ClassChanged)
	for _, test := range []struct {
		name    string
		answers []error // the last one stays
		applied bool    // what Ask finds
		ask     error
		sent    int
		asked   int
		lost    bool
		want    error
	}{
		{name: "success", answers: []error{nil}, sent: 1},
		{name: "refused", answers: []error{denied}, sent: 1, want: denied},
		{name: "lost and applied", answers: []error{lost}, applied: true, sent: 1, asked: 1, lost: true},
		{name: "lost, not applied, sent again", answers: []error{lost, nil}, sent: 2, asked: 1, lost: true},
		{name: "lost, then refused", answers: []error{lost, denied}, sent: 2, asked: 2, lost: true, want: denied},
		{name: "lost, and another object is there", answers: []error{lost}, ask: elsewhere, sent: 1, asked: 1, lost: true, want: elsewhere},
		{name: "lost again and again", answers: []error{lost}, sent: 4, asked: 4, lost: true, want: lost},
		{name: "throttled, then success", answers: []error{failure(object.ClassThrottled), nil}, sent: 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := testLoop()
				sent, asked := 0, 0
				lost, err := l.Certain(t.Context(), copyCall, func(context.Context) error {
					sent++
					return test.answers[min(sent, len(test.answers))-1]
				}, AskFunc(func(_ context.Context, err error) (bool, error) {
					asked++
					if !object.MaybeApplied(err) {
						t.Errorf("asked after %v", err)
					}
					return test.applied, test.ask
				}))
				if sent != test.sent || asked != test.asked || lost != test.lost || !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("sent %d, asked %d, lost %v, %v", sent, asked, lost, err)
				}
			})
		})
	}
}

// A mutation that was not answered when the context ended is not asked about, and is
// known to be lost.
func TestCertainIsCancelled(t *testing.T) {
	l, _ := testLoop()
	ctx, cancel := context.WithCancel(t.Context())
	lost, err := l.Certain(ctx, copyCall, func(context.Context) error {
		cancel()
		return failure(object.ClassCanceled)
	}, AskFunc(func(context.Context, error) (bool, error) {
		t.Error("asked")
		return false, nil
	}))
	if !lost || object.ClassOf(err) != object.ClassCanceled {
		t.Errorf("lost %v, %v", lost, err)
	}
}

// Once the run is stopping, nobody waits for another attempt.
func TestStoppingEndsTheWait(t *testing.T) {
	l, _ := testLoop()
	stopping := make(chan struct{})
	close(stopping)
	l.Stopping = stopping
	for _, c := range []object.Class{object.ClassThrottled, object.ClassUnreachable} {
		if err := l.Do(t.Context(), copyCall, func(context.Context) error { return failure(c) }); !errors.Is(err, ErrStopping) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// Five answers in a row that a key is unusable stop the run; a success between them
// begins anew.
func TestKeyBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stopped := testLoop()
		refused := func(context.Context) error { return failure(object.ClassKey) }
		for range 3 {
			_ = l.Do(t.Context(), copyCall, refused) // three answers each
			if len(stopped) > 0 {
				t.Fatal("stopped although the key works")
			}
			_ = l.Do(t.Context(), copyCall, func(context.Context) error { return nil })
		}
		_, _ = l.Do(t.Context(), copyCall, refused), l.Do(t.Context(), copyCall, refused)
		if len(stopped) == 0 {
			t.Error("not stopped")
		}
	})
}
