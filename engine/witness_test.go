package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestTheDataAreAway: the bucket is answered for while no object is: its data are away, or what
// they are read with hangs. Nothing fails for two hours, and the run stops after four.
func TestTheDataAreAway(t *testing.T) {
	for _, m := range mutations {
		for _, how := range []string{"heads too", "heads are answered", "hangs"} {
			if m.op == object.OpUpdate && how == "heads are answered" {
				continue // which touches no data
			}
			for _, away := range []time.Duration{2 * time.Hour, 24 * time.Hour} {
				t.Run(fmt.Sprint(m.op, " ", how, " ", away), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						const n = 200
						s, began := newMemStore(n), time.Now()
						s.fault = func(k object.RequestKind, _ string) (error, bool) {
							time.Sleep(300 * time.Millisecond)
							gone := time.Since(began)
							if gone < 3*time.Second || gone > away || k == object.ReqHead && how == "heads are answered" {
								return nil, true
							}
							if how == "hangs" {
								time.Sleep(time.Minute)
							}
							return &object.Error{Class: object.ClassTransient, Op: k.String(), HTTPStatus: 500}, false
						}
						j := planOf(s, true)
						cfg := memConfig(s, j, m.op)
						cfg.Answers = func(context.Context) error { return nil }
						outlasts(t, Run(t.Context(), cfg), s, j, n, began, away)
					})
				})
			}
		}
	}
}

// TestTheLastObjectsAreDamaged: what comes last and fails by itself is given up soon, since objects
// that were done before can be read: also where the damaged ones are all that is left of a job.
func TestTheLastObjectsAreDamaged(t *testing.T) {
	for _, m := range mutations {
		for _, heads := range []bool{false, true} {
			t.Run(fmt.Sprint(m.op, " heads are answered ", heads), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, began := newMemStore(200), time.Now()
					s.fault = func(k object.RequestKind, key string) (error, bool) {
						time.Sleep(300 * time.Millisecond)
						if key >= "k000100" && (k != object.ReqHead || !heads) {
							return &object.Error{Class: object.ClassTransient, Op: k.String(), HTTPStatus: 500}, false
						}
						return nil, true
					}
					j := planOf(s, true)
					cfg := memConfig(s, j, m.op)
					cfg.Answers = func(context.Context) error { return nil }
					if err := Run(t.Context(), cfg); err != nil {
						t.Fatal(err)
					}
					if got := j.states(); got[object.Done] != 100 || got[object.Failed] != 100 || time.Since(began) > time.Hour {
						t.Errorf("states %v after %v", got, time.Since(began))
					}
				})
			})
		}
	}
}
