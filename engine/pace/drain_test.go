package pace

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// What ends something passes before what begins, and stays when the run drains; what
// begins is let go.
func TestEndsGoFirstAndDrainLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Limits{RequestsPerSecond: 1})
		var mu sync.Mutex
		var passed []string
		gone := 0
		var calls sync.WaitGroup
		enter := func(name string, ends bool) {
			calls.Go(func() {
				c := &object.Call{Kind: object.ReqHead, Ends: ends}
				err := p.Enter(context.Background(), c)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					passed = append(passed, name)
					p.Leave(c, object.Result{OK: true})
				case errors.Is(err, ErrDrained):
					gone++
				default:
					t.Error(err)
				}
			})
			synctest.Wait() // they arrive in this order
		}
		enter("first", false)
		enter("begins 1", false)
		enter("begins 2", false)
		enter("ends 1", true)
		enter("ends 2", true)
		time.Sleep(2500 * time.Millisecond)
		enter("ends 3", true)
		p.Drain()
		enter("too late", false)
		calls.Wait()
		if want := []string{"first", "ends 1", "ends 2", "ends 3"}; !slices.Equal(passed, want) || gone != 3 {
			t.Errorf("passed %q, want %q; %d were let go", passed, want, gone)
		}
		if s := p.State(); s.InFlight != 0 || s.Waiting != 0 {
			t.Errorf("%d in flight and %d waiting", s.InFlight, s.Waiting)
		}
	})
}

// TestAnothersTurn: what is sent in the turn of another call waits for its rate, and for no slot.
func TestAnothersTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Limits{Concurrency: 1, RequestsPerSecond: 1})
		outer := &object.Call{Kind: object.ReqCopy}
		if err := p.Enter(t.Context(), outer); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 10 {
			c := &object.Call{Kind: object.ReqHead, Ends: true, InTurn: true}
			if err := p.Enter(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			p.Leave(c, object.Result{OK: true})
		}
		if took := time.Since(began); took < 8*time.Second || took > 11*time.Second {
			t.Errorf("ten requests took %v at one a second", took)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Enter(short, &object.Call{Kind: object.ReqHead, Ends: true}); err == nil {
			t.Error("two have the only slot")
		}
		p.Leave(outer, object.Result{OK: true})
		if n := p.State().InFlight; n != 0 {
			t.Errorf("%d in flight", n)
		}
	})
}
