package pace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func TestCeilings(t *testing.T) {
	for _, tc := range []struct {
		limits Limits
		why    Reason
		want   float64 // calls a second
	}{
		{Limits{RequestsPerSecond: 50}, RequestCeiling, 50},
		{Limits{RequestsPerSecond: 3}, RequestCeiling, 3},
		{Limits{RequestsPerSecond: 2000}, RequestCeiling, 2000},
		{Limits{KMSRequestsPerSecond: 30, RequestsPerSecond: 300}, KMSCeiling, 30},
		{Limits{BytesPerSecond: 1 << 20}, BandwidthCeiling, 128},
		{Limits{BytesPerSecond: 1 << 10}, BandwidthCeiling, 1.0 / 8},
	} {
		if testing.Short() && tc.want > 600 {
			continue // more requests of the same kind
		}
		t.Run(fmt.Sprintf("%+v", tc.limits), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(5 * time.Millisecond)
				p := New(tc.limits)
				const seconds = 80
				s.load(p, 32, seconds*time.Second, func(worker, i int) *object.Call {
					return &object.Call{Kind: object.ReqCopy, Key: "k", KMSKey: "key", Bytes: 8 << 10}
				})
				n := float64(between(s.ok, 0, seconds))
				if most := tc.want*seconds + tc.want*0.02 + 2; n > most || n < tc.want*seconds*0.97-1 {
					t.Errorf("%.0f calls in %d s, want %.0f", n, seconds, tc.want*seconds)
				}
				if st := p.State(); st.Why != tc.why {
					t.Errorf("why %q (%s), want %q", st.Why, st.Detail, tc.why)
				}
			})
		})
	}
}

// TestKMSCeilingCountsKMSItself: a request that goes to KMS counts against the ceiling
// of KMS, and against none of the store's.
func TestKMSCeilingCountsKMSItself(t *testing.T) {
	for _, tc := range []struct {
		limits Limits
		want   float64
	}{{Limits{KMSRequestsPerSecond: 30}, 30}, {Limits{KMSRequestsPerSecond: 300, RequestsPerSecond: 3}, 300}} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(5 * time.Millisecond)
			p := New(tc.limits)
			const seconds = 40
			s.load(p, 32, seconds*time.Second, func(int, int) *object.Call {
				return &object.Call{Kind: object.ReqKMS, KMSKey: "key", OtherKey: true}
			})
			n := float64(between(s.ok, 0, seconds))
			if most := tc.want*seconds + tc.want*0.02 + 2; n > most || n < tc.want*seconds*0.97-1 {
				t.Errorf("%+v: %.0f calls in %d s, want %.0f", tc.limits, n, seconds, tc.want*seconds)
			}
		})
	}
}

func TestSetLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(5 * time.Millisecond)
		p := New(Limits{RequestsPerSecond: 0.01})
		time.AfterFunc(10*time.Second, func() { p.SetLimits(Limits{RequestsPerSecond: 100}) })
		time.AfterFunc(20*time.Second, func() { p.SetLimits(Limits{Concurrency: 1}) })
		s.load(p, 8, 30*time.Second, copies)
		for _, w := range []struct{ a, b, low, high int }{{0, 10, 0, 2}, {10, 20, 980, 1010}, {20, 30, 1900, 2100}} {
			if n := between(s.ok, w.a, w.b); n < w.low || n > w.high {
				t.Errorf("seconds %d to %d: %d calls, want %d to %d", w.a, w.b, n, w.low, w.high)
			}
		}
	})
}

func TestEnterEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Limits{Concurrency: 2, RequestsPerSecond: 5})
		c := &object.Call{Kind: object.ReqHead}
		ctx, cancel := context.WithCancel(t.Context())
		var entered, refused atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := p.Enter(ctx, c); err != nil {
					refused.Add(1)
					return
				}
				entered.Add(1)
			})
		}
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		if entered.Load() != 2 || refused.Load() != 8 {
			t.Errorf("%d entered, %d were refused; want 2 and 8", entered.Load(), refused.Load())
		}
		if err := p.Enter(ctx, c); err == nil {
			t.Error("an ended context was let through")
		}
		p.Leave(c, object.Result{OK: true})
		p.Leave(c, object.Result{OK: true})
		for range 2 { // nothing of the refused ones is left behind
			if err := p.Enter(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		if st := p.State(); st.InFlight != 2 || st.Waiting != 0 {
			t.Errorf("state %+v", st)
		}
	})
}

func TestValidate(t *testing.T) {
	for _, l := range []Limits{{Concurrency: -1}, {RequestsPerSecond: -1}, {BytesPerSecond: -0.5}} {
		if l.Validate() == nil {
			t.Errorf("%+v is valid", l)
		}
	}
	if err := (Limits{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestBackoff(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for attempt, bound := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 9: 20 * time.Second, 1000: 20 * time.Second} {
		for range 100 {
			if d := Backoff(attempt, 0, r); d < bound/2 || d > bound {
				t.Errorf("attempt %d: %v, want %v to %v", attempt, d, bound/2, bound)
			}
		}
	}
	if d := Backoff(1, 7*time.Second, r); d < 7*time.Second || d > 8*time.Second {
		t.Errorf("the store asked for 7s, and the wait is %v", d)
	}
	if d := Backoff(1, 24*time.Hour, r); d > 6*time.Minute {
		t.Errorf("the store asked for a day, and the wait is %v", d)
	}
}
