package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// A store that is full, or without its KMS, for an hour is waited for, although what became
// of every request has to be asked each time; one that stays so fails its objects.
func TestWhatAStoreLacks(t *testing.T) {
	for _, m := range mutations {
		for _, class := range []object.Class{object.ClassFull, object.ClassKMSAway} {
			for _, lacks := range []time.Duration{time.Hour, 24 * time.Hour} {
				t.Run(fmt.Sprint(m.op, " ", class, " ", lacks), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s, began := newMemStore(40), time.Now()
						s.fault = func(k object.RequestKind, _ string) (error, bool) {
							if k == m.kind && time.Since(began) < lacks {
								return &object.Error{Class: class, Op: k.String(), HTTPStatus: 500}, false
							}
							return nil, true
						}
						j := planOf(s, false)
						if err := Run(t.Context(), memConfig(s, j, m.op)); err != nil {
							t.Fatal(err)
						}
						if lacks == time.Hour {
							check(t, s, j, 40)
							return
						}
						if got := j.states(); got[object.Failed]+got[object.Done] != 40 || got[object.Failed] == 0 {
							t.Errorf("states %v", got)
						}
					})
				})
			}
		}
	}
}

// TestOneObjectsKMS: what fails by its KMS while others' requests to it succeed is that
// object's own trouble, and is given up as one that fails for a moment.
func TestOneObjectsKMS(t *testing.T) {
	for _, m := range mutations {
		t.Run(fmt.Sprint(m.op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, began := newMemStore(600), time.Now()
				s.fault = func(k object.RequestKind, key string) (error, bool) {
					time.Sleep(4 * time.Second)
					if k == m.kind && key == "k000007" {
						return &object.Error{Class: object.ClassKMSAway, Op: k.String(), HTTPStatus: 500}, false
					}
					return nil, true
				}
				j := planOf(s, false)
				if err := Run(t.Context(), memConfig(s, j, m.op)); err != nil {
					t.Fatal(err)
				}
				if got := j.states(); got[object.Failed] != 1 || got[object.Done] != 599 || time.Since(began) > time.Hour {
					t.Errorf("states %v after %v", got, time.Since(began))
				}
			})
		})
	}
}
