package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestAStoreThatFailsForEverybody: behind a proxy that answers 502 or 503, or nothing, while its
// store is away, nothing fails for two hours, and the run stops after four.
func TestAStoreThatFailsForEverybody(t *testing.T) {
	for _, m := range mutations {
		for says, class := range map[string]object.Class{"502": object.ClassTransient, "503": object.ClassThrottled, "nothing": object.ClassTransient} {
			hangs := says == "nothing"
			for _, away := range []time.Duration{2 * time.Hour, 24 * time.Hour} {
				t.Run(fmt.Sprint(m.op, " ", says, " ", away), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						const n = 200
						s, began := newMemStore(n), time.Now()
						down := func() bool {
							gone := time.Since(began)
							return gone > 3*time.Second && gone < away
						}
						s.fault = func(k object.RequestKind, _ string) (error, bool) {
							time.Sleep(300 * time.Millisecond)
							if !down() {
								return nil, true
							}
							if hangs {
								time.Sleep(time.Minute)
							}
							status := 502
							if class == object.ClassThrottled {
								status = 503
							}
							return &object.Error{Class: class, Op: k.String(), HTTPStatus: status}, false
						}
						j := planOf(s, true)
						cfg := memConfig(s, j, m.op)
						cfg.Answers = func(ctx context.Context) error {
							if !down() {
								return nil
							}
							if hangs {
								<-ctx.Done()
							}
							return errors.New("502")
						}
						outlasts(t, Run(t.Context(), cfg), s, j, n, began, away)
					})
				})
			}
		}
	}
}

// outlasts wants all done by a run whose store came back within four hours, and otherwise an end
// of the run with few objects given up.
func outlasts(t *testing.T, err error, s *memStore, j *memJournal, n int, began time.Time, away time.Duration) {
	t.Helper()
	got := j.states()
	switch {
	case away < 4*time.Hour:
		if err != nil {
			t.Fatal(err)
		}
		check(t, s, j, n)
	case err == nil || time.Since(began) > 6*time.Hour || got[object.Failed] > 4:
		t.Errorf("after %v: %v, %v", time.Since(began), err, got)
	}
}

// TestOneObjectFails: a store that answers is not waited for, be it that nobody's request but
// those of a few objects is left.
func TestOneObjectFails(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, began := newMemStore(20), time.Now()
				s.fault = func(k object.RequestKind, key string) (error, bool) {
					if key >= "k000010" {
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
				if got := j.states(); got[object.Done] != 10 || got[object.Failed] != 10 || time.Since(began) > 5*time.Minute {
					t.Errorf("states %v after %v", got, time.Since(began))
				}
			})
		})
	}
}
