package retry

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestThePaceIsNoOutage: a mutation that had to wait for its turn longer than a store is waited
// for that has no room, or no KMS, is sent again all the same when it fails for a moment.
func TestThePaceIsNoOutage(t *testing.T) {
	for _, class := range []object.Class{object.ClassTransient, object.ClassFull, object.ClassKMSAway} {
		for _, failures := range []int{1, 3} {
			t.Run(fmt.Sprint(class, " ", failures), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, _ := testLoop()
					l.Pace = slowest{turn: 5 * time.Hour}
					sent := 0
					_, err := l.Certain(t.Context(), copyCall, func(context.Context) error {
						if sent++; sent <= failures {
							return failure(class)
						}
						return nil
					}, AskFunc(func(context.Context, error) (bool, error) { return false, nil }))
					if err != nil || sent != failures+1 {
						t.Errorf("sent %d times: %v", sent, err)
					}
				})
			})
		}
	}
}

// TestWaitedInVain: five objects for which was waited in vain stop the run, however many requests
// of one of them are sent, and not where others succeed meanwhile. A request to KMS names no object.
func TestWaitedInVain(t *testing.T) {
	for name, c := range map[string]struct {
		kind    object.RequestKind
		keys    []string
		between bool
		stops   bool
	}{
		"objects":             {object.ReqCopyPart, []string{"a", "b", "c", "d", "e"}, false, true},
		"fewer":               {object.ReqCopyPart, []string{"a", "b", "c", "d"}, false, false},
		"parts of one object": {object.ReqCopyPart, []string{"a", "a", "a", "a", "a", "a"}, false, false},
		"KMS itself":          {object.ReqKMS, []string{"", "", "", "", ""}, false, true},
		"others succeed":      {object.ReqCopyPart, []string{"a", "b", "c", "d", "e"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, stopped := testLoop()
				for _, key := range c.keys {
					call := object.Call{Kind: c.kind, Key: key, KMSKey: "key", OtherKey: true}
					if err := l.Do(t.Context(), call, func(context.Context) error { return failure(object.ClassKMSAway) }); object.ClassOf(err) != object.ClassKMSAway {
						t.Error(err)
					}
					if c.between {
						_ = l.Do(t.Context(), object.Call{Kind: c.kind}, func(context.Context) error { return nil })
					}
				}
				if got := len(stopped) > 0; got != c.stops {
					t.Errorf("stopped: %v", got)
				}
			})
		})
	}
}
