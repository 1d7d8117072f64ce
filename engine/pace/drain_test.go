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
