package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestTroublesInTurn: a store that fails for one reason and another in turn is given up as
// one that fails for one of them, and no sooner.
func TestTroublesInTurn(t *testing.T) {
	throttled, moment, down := failure(object.ClassThrottled), failure(object.ClassTransient), failure(object.ClassUnreachable)
	for name, c := range map[string]struct {
		turns       []error
		least, most int // times it is sent
	}{
		"throttled":                     {[]error{throttled}, 60, 62},
		"for a moment":                  {[]error{moment}, 4, 4},
		"throttled, and for a moment":   {[]error{throttled, moment}, 8, 8},
		"for a moment, and throttled":   {[]error{moment, throttled}, 7, 7},
		"throttled, and not reachable":  {[]error{throttled, down}, 120, 123},
		"long unreachable, then slowly": {append(repeat(down, 600), repeat(throttled, 200)...), 660, 662},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
				defer cancel()
				l, _ := testLoop()
				sent := 0
				err := l.Do(ctx, object.Call{Kind: object.ReqHead}, func(context.Context) error {
					sent++
					return c.turns[(sent-1)%len(c.turns)]
				})
				if err == nil || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || sent < c.least || sent > c.most {
					t.Errorf("sent %d times, want %d to %d: %v, %v", sent, c.least, c.most, err, ctx.Err())
				}
			})
		})
	}
}

func repeat(err error, n int) (errs []error) {
	for range n {
		errs = append(errs, err)
	}
	return errs
}
