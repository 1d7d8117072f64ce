package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// aged is the Asker of an object that was looked at.
type aged struct {
	looked time.Time
	took   time.Duration // each look
	asked  []error       // what of
	l      *Loop
	now    func() (bool, error) // what is found
}

func (a *aged) Late() bool { return LongAgo(a.looked, LookedWithin) }

func (a *aged) Ask(ctx context.Context, _ object.Call, lost error) (bool, error) {
	a.asked = append(a.asked, lost)
	at := time.Now()
	err := a.l.Do(ctx, object.Call{Kind: object.ReqHead}, func(context.Context) error {
		time.Sleep(a.took)
		return nil
	})
	if err != nil {
		return false, err
	}
	a.looked = at
	if a.now != nil {
		return a.now()
	}
	return false, nil
}

// noting is a pace that notes the looks.
type noting struct {
	open
	looks []object.Call
}

func (p *noting) Enter(_ context.Context, c *object.Call) error {
	if c.Kind == object.ReqHead {
		p.looks = append(p.looks, *c)
	}
	return nil
}

// TestALookInItsTurn: what waited is asked about in the turn of the request, and by requests
// that need none of their own; and the request follows at once.
func TestALookInItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := testLoop()
		l.ThrottleWait = 30 * time.Minute
		pace := &noting{}
		l.Pace = pace
		a := &aged{looked: time.Now(), l: l}
		began := time.Now()
		lost, err := l.Certain(t.Context(), copyCall, func(context.Context) error {
			if age := time.Since(a.looked); age > LookedWithin {
				t.Errorf("sent %v after the look", age)
			}
			if time.Since(began) < 10*time.Minute {
				return failure(object.ClassThrottled)
			}
			return nil
		}, a)
		if lost || err != nil || len(a.asked) < 9 || len(a.asked) > 10 {
			t.Errorf("lost %t, %v, asked %d times", lost, err, len(a.asked))
		}
		for i, c := range pace.looks {
			if !c.InTurn || !c.Ends || a.asked[i] != nil {
				t.Fatalf("look %d: %+v, after %v", i, c, a.asked[i])
			}
		}
	})
}

// TestWhatALookFindsEndsIt: no more is sent, and the error is that of the look.
func TestWhatALookFindsEndsIt(t *testing.T) {
	changed := failure(object.ClassChanged)
	for name, c := range map[string]struct {
		applied bool
		err     error
	}{"applied": {true, nil}, "changed": {false, changed}, "no answer": {false, failure(object.ClassTransient)}, "throttled": {false, failure(object.ClassThrottled)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := testLoop()
				a := &aged{l: l, now: func() (bool, error) { return c.applied, c.err }}
				lost, err := l.Certain(t.Context(), copyCall, func(context.Context) error {
					t.Error("sent")
					return nil
				}, a)
				if lost || !errors.Is(err, c.err) || len(a.asked) != 1 {
					t.Errorf("lost %t, %v, asked %d times", lost, err, len(a.asked))
				}
			})
		})
	}
}

// TestCertainGivesUpInTime: however many answers are lost, and however often the object is
// looked at, a store is waited for as long as for any other request.
func TestCertainGivesUpInTime(t *testing.T) {
	throttled, lost := failure(object.ClassThrottled), failure(object.ClassTransient)
	for name, c := range map[string]struct {
		answer func(n int) error
		took   time.Duration // a look
		least  time.Duration
		most   time.Duration
	}{
		"throttled":                {func(int) error { return throttled }, 0, 30 * time.Minute, 31 * time.Minute},
		"throttled, and it sleeps": {func(int) error { return throttled }, 20 * time.Second, 30 * time.Minute, 31 * time.Minute},
		"throttled, and lost": {func(n int) error {
			if n%500 == 0 {
				return lost
			}
			return throttled
		}, 0, 30 * time.Minute, 31 * time.Minute},
		"never soon after a look": {func(int) error { return nil }, 2 * time.Minute, 30 * time.Minute, 34 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := testLoop()
				l.ThrottleWait, l.RequestTimeout = 30*time.Minute, time.Hour
				a := &aged{took: c.took, l: l}
				began, n := time.Now(), 0
				_, err := l.Certain(t.Context(), copyCall, func(context.Context) error {
					n++
					return c.answer(n)
				}, a)
				if took := time.Since(began); err == nil || took < c.least || took > c.most {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// slowest is a pace at which each request waits for its turn for longer than a store is waited for.
type slowest struct {
	open
	turn time.Duration
}

func (s slowest) Enter(ctx context.Context, _ *object.Call) error {
	time.Sleep(s.turn)
	return ctx.Err()
}

// TestATurnThatTakesLongIsNotTheStores: under a ceiling the next attempt may come hours later. A
// store that refused one or two of them was not waited for in all that time.
func TestATurnThatTakesLongIsNotTheStores(t *testing.T) {
	for _, class := range []object.Class{object.ClassThrottled, object.ClassKMSThrottled, object.ClassUnreachable} {
		synctest.Test(t, func(t *testing.T) {
			l, _ := testLoop()
			l.Pace, l.ThrottleWait, l.OutageWait = slowest{turn: 2 * time.Hour}, 30*time.Minute, 4*time.Hour
			n := 0
			err := l.Do(t.Context(), copyCall, func(context.Context) error {
				if n++; n <= 3 {
					return failure(class)
				}
				return nil
			})
			if err != nil {
				t.Errorf("%v after %d attempts", err, n)
			}
			n = -100
			began := time.Now()
			if err := l.Do(t.Context(), copyCall, func(context.Context) error { n++; return failure(class) }); err == nil || time.Since(began) > 24*time.Hour {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
}

// TestWhatWaitsWhileItIsSent: a request that had to wait for credentials when its turn had come asks
// whether it is late, is not sent, and the object is looked at once more.
func TestWhatWaitsWhileItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := testLoop()
		l.RequestTimeout = time.Hour
		a := &aged{looked: time.Now(), l: l}
		tries, sent := 0, 0
		_, err := l.Certain(t.Context(), copyCall, func(ctx context.Context) error {
			if tries++; tries == 1 {
				time.Sleep(10 * time.Minute)
			}
			if err := object.TooLate(ctx, "test", object.Ref{}); err != nil {
				return err
			}
			sent++
			return nil
		}, a)
		if err != nil || tries != 2 || sent != 1 || len(a.asked) != 1 || a.asked[0] != nil {
			t.Errorf("%v; tried %d times, sent %d times, asked %v", err, tries, sent, a.asked)
		}
		if !l.LastTrouble().IsZero() {
			t.Error("what was not sent is taken for trouble of the store")
		}
		if object.TooLate(t.Context(), "test", object.Ref{}) != nil {
			t.Error("of no concern, and too late")
		}
	})
}

// TestWhatSleepsWhileItIsSent: the machine slept between the turn of a request and the moment at
// which it goes out, and another process may have the job by now. It is not sent, and the run ends.
func TestWhatSleepsWhileItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := testLoop()
		var ended error
		l.Stop = func(err error) { ended = err }
		until, lost := time.Now().Add(time.Minute), errors.New("lost")
		l.Still = func(_ context.Context, stop <-chan struct{}) error {
			if time.Now().Before(until) {
				return nil
			}
			select {
			case <-stop:
				return errors.New("not known yet")
			case <-time.After(time.Second):
				return lost
			}
		}
		for name, send := range map[string]func(f func(context.Context) error) error{
			"certain": func(f func(context.Context) error) error {
				_, err := l.Certain(t.Context(), copyCall, f, AskFunc(func(context.Context, error) (bool, error) { return false, nil }))
				return err
			},
			"plain": func(f func(context.Context) error) error { return l.Do(t.Context(), copyCall, f) },
		} {
			until, ended = time.Now().Add(time.Minute), nil
			tries := 0
			err := send(func(ctx context.Context) error {
				tries++
				if err := object.TooLate(ctx, "test", object.Ref{}); err != nil {
					t.Errorf("%s: in time: %v", name, err)
				}
				time.Sleep(time.Minute)
				return object.TooLate(ctx, "test", object.Ref{})
			})
			if !errors.Is(err, ErrStopping) || !errors.Is(ended, lost) || tries != 1 {
				t.Errorf("%s: tried %d times: %v; the run ended by %v", name, tries, err, ended)
			}
		}
	})
}
