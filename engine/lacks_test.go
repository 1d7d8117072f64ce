package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// A store that is full, or without its KMS, for an hour is waited for, although what became
// of every request has to be asked each time; one that stays so fails its objects where these are
// so few that it may be their own trouble.
func TestWhatAStoreLacks(t *testing.T) {
	for _, m := range mutations {
		for _, class := range []object.Class{object.ClassFull, object.ClassKMSAway} {
			for _, lacks := range []time.Duration{time.Hour, 24 * time.Hour} {
				t.Run(fmt.Sprint(m.op, " ", class, " ", lacks), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						n := 40
						if lacks > time.Hour {
							n = 4
						}
						s, began := newMemStore(n), time.Now()
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
							check(t, s, j, n)
							return
						}
						if got := j.states(); got[object.Failed] != n || time.Since(began) > 5*time.Hour {
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

// TestOthersNeedNoKMS: that what needs no KMS succeeds, or another one, as where a copy goes to
// another store, says nothing of the KMS that is away. It is waited for.
func TestOthersNeedNoKMS(t *testing.T) {
	underKMS := func(key string) bool { return key < "k000004" }
	for name, c := range map[string]struct {
		op    object.Operation
		fails func(k object.RequestKind, key string) bool
		slow  object.RequestKind
	}{
		"plain objects beside":   {object.OpCopy, func(k object.RequestKind, key string) bool { return k == object.ReqCopy && underKMS(key) }, object.ReqCopy},
		"the source has another": {object.OpRewrite, func(k object.RequestKind, key string) bool { return k == object.ReqPut }, object.ReqGet},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 600
				s := newMemStore(n)
				for key, o := range s.mu.objects {
					if underKMS(key) || c.op == object.OpRewrite {
						o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/old"}
					}
				}
				began := time.Now()
				s.fault = func(k object.RequestKind, key string) (error, bool) {
					if k == c.slow {
						time.Sleep(time.Duration(key[len(key)-2]%6*10+key[len(key)-1]%10) * time.Second)
					}
					if c.fails(k, key) && time.Since(began) < 15*time.Minute {
						return &object.Error{Class: object.ClassKMSAway, Op: k.String(), HTTPStatus: 500}, false
					}
					return nil, true
				}
				j := planOf(s, true)
				cfg := memConfig(s, j, c.op)
				cfg.Workers = 64
				if c.op == object.OpCopy {
					cfg.Target = object.Target{SSE: object.SSES3}
					cfg.Chooser = always{cfg.Target, c.op}
				}
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				if got := j.states(); got[object.Done] != n {
					t.Errorf("states %v after %v", got, time.Since(began))
				}
			})
		})
	}
}

// TestALackForGood: what stays away stops the run after the time for which it is waited, and not
// after as many times of it as there are objects for each worker.
func TestALackForGood(t *testing.T) {
	for _, m := range mutations {
		for _, class := range []object.Class{object.ClassFull, object.ClassKMSAway, object.ClassThrottled, object.ClassKMSThrottled} {
			t.Run(fmt.Sprint(m.op, " ", class), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, began := newMemStore(200), time.Now()
					s.fault = func(k object.RequestKind, key string) (error, bool) {
						if k == m.kind && key >= "k000020" {
							return &object.Error{Class: class, Op: k.String(), HTTPStatus: 500}, false
						}
						return nil, true
					}
					j := planOf(s, false)
					cfg := memConfig(s, j, m.op)
					cfg.Workers = 2 // so that the others have not waited for as long
					err := Run(t.Context(), cfg)
					if object.ClassOf(err) != class || time.Since(began) > 5*time.Hour {
						t.Errorf("%v after %v", err, time.Since(began))
					}
					if got := j.states(); got[object.Failed] >= 5 || got[object.Done] != 20 {
						t.Errorf("states %v", got)
					}
				})
			})
		}
	}
}
