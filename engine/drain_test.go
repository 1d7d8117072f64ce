package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// drained runs until drain is closed after that long, and says how long the end took.
func drained(t *testing.T, cfg Config, after time.Duration) (took time.Duration, err error) {
	t.Helper()
	drain := make(chan struct{})
	time.AfterFunc(after, func() { close(drain) })
	cfg.Drain = drain
	began := time.Now()
	err = Run(t.Context(), cfg)
	return time.Since(began) - after, err
}

// TestADrainDoesNotWaitForAStoreThatHangs: a store takes requests and answers nobody. A run that
// is told to stop ends within half a minute and says what is not known; the next one finds that
// out, and does nothing twice.
func TestADrainDoesNotWaitForAStoreThatHangs(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, began := newMemStore(200), time.Now()
				s.delay = 300 * time.Millisecond
				var back atomic.Bool
				s.hangs = func() bool { return !back.Load() && time.Since(began) > 3*time.Second }
				j := planOf(s, true)
				cfg := memConfig(s, j, m.op)
				cfg.Answers = func(ctx context.Context) error {
					if !s.hangs() {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}
				took, err := drained(t, cfg, 6*time.Second)
				var doubt *DoubtError
				if !errors.Is(err, ErrDrained) || !errors.As(err, &doubt) || !doubt.Silent || doubt.Objects == 0 || doubt.Objects > int64(cfg.Workers) {
					t.Errorf("%v", err)
				}
				if took > 30*time.Second {
					t.Errorf("it ended %v after it was told to", took)
				}
				back.Store(true)
				j.reopen()
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				check(t, s, j, 200)
			})
		})
	}
}

// TestADrainWaitsForWhatTakesLong: a store that answers others is waited for, and one that was
// silent for a moment, too. Then nothing is in doubt.
func TestADrainWaitsForWhatTakesLong(t *testing.T) {
	for name, silence := range map[string]time.Duration{"answers": 0, "silent for a moment": 8 * time.Second} {
		for _, m := range mutations {
			t.Run(name+" "+m.op.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, began := newMemStore(20), time.Now()
					s.delays[m.commit] = 50 * time.Second
					j := planOf(s, true)
					cfg := memConfig(s, j, m.op)
					cfg.Answers = func(context.Context) error {
						if since := time.Since(began) - time.Second; since < silence {
							return errors.New("silent")
						}
						return nil
					}
					_, err := drained(t, cfg, time.Second)
					var doubt *DoubtError
					if got := j.states(); !errors.Is(err, ErrDrained) || errors.As(err, &doubt) || got[object.Done] != cfg.Workers {
						t.Errorf("%v, %v", err, got)
					}
				})
			})
		}
	}
}

// TestADrainTellsWhatIsInDoubt: what waits to ask about a copy that got no answer waits no longer
// once the run is to stop, and that is no end of everything in flight.
func TestADrainTellsWhatIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(20)
		j := planOf(s, true)
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			time.Sleep(100 * time.Millisecond)
			return &object.Error{Class: object.ClassTransient, Op: k.String(), HTTPStatus: 502}, true
		}
		cfg := memConfig(s, j, object.OpCopy)
		cfg.Answers = func(context.Context) error { return errors.New("502") }
		took, err := drained(t, cfg, 30*time.Second)
		var doubt *DoubtError
		if !errors.Is(err, ErrDrained) || !errors.As(err, &doubt) || doubt.Silent || doubt.Objects == 0 || took > 10*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestADrainHearsWhoeverIsAnswered: answers take their time on a line that is full of what is on
// its way, and come to others while the store is asked. Such a store is waited for.
func TestADrainHearsWhoeverIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, takes := range map[string]time.Duration{"slowly": 8 * time.Second, "others alone": time.Hour} {
			s := newMemStore(20)
			s.shows, s.delay = false, 10*time.Millisecond
			copies := 0
			s.fault = func(k object.RequestKind, _ string) (error, bool) {
				if k == object.ReqCopy { // the first is answered 7 s after the drain, the next 10 s later, and so on
					s.mu.Lock()
					copies++
					d := time.Duration(copies)*10*time.Second - 2*time.Second
					s.mu.Unlock()
					time.Sleep(d)
				}
				return nil, true
			}
			j := planOf(s, true)
			cfg := memConfig(s, j, object.OpCopy)
			cfg.RequestTimeout = 5 * time.Minute
			cfg.Answers = func(ctx context.Context) error {
				wait(ctx, takes)
				return ctx.Err()
			}
			took, err := drained(t, cfg, time.Second)
			var doubt *DoubtError
			if got := j.states(); !errors.Is(err, ErrDrained) || errors.As(err, &doubt) || got[object.Done] != cfg.Workers {
				t.Errorf("%s: after %v: %v, %v", name, took, err, got)
			}
		}
	})
}

// TestADrainWaitsForNoLeftover: a run that is told to stop does not wait either for a store that
// hangs while uploads are ended that were left, before its first object and after the last.
func TestADrainWaitsForNoLeftover(t *testing.T) {
	for name, done := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore(1)
				j := planOf(s, true)
				left := hanging{leave: func() {
					for seq := uint64(101); seq <= 105; seq++ {
						_ = j.Record(&object.Outcome{Seq: seq})
						_ = j.SaveUpload(object.Upload{Seq: seq, ID: "u", Target: object.Ref{Bucket: "b", Key: "k000000"}})
					}
				}}
				cfg := memConfig(s, j, object.OpCopy)
				cfg.Observer, s.hangs = &left, left.hangs.Load
				cfg.Answers = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
				if !done {
					left.Settled(nil)
				}
				if took, _ := drained(t, cfg, 6*time.Second); took > 30*time.Second {
					t.Errorf("it ended %v after it was told to", took)
				}
				if got := j.states(); got[object.Done] != map[bool]int{true: 1}[done] {
					t.Errorf("%v", got)
				}
			})
		})
	}
}

// hanging lets a store hang, and leaves uploads, once an object is done.
type hanging struct {
	hangs atomic.Bool
	leave func()
}

func (h *hanging) Requested(*object.Call, object.Result) {}

func (h *hanging) Settled(*object.Outcome) {
	h.leave()
	h.hangs.Store(true)
}
