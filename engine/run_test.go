package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

var mutations = []struct {
	op     object.Operation
	kind   object.RequestKind
	commit object.RequestKind // the request that changes the object
}{
	{object.OpCopy, object.ReqCopy, object.ReqCopy},
	{object.OpUpdate, object.ReqUpdate, object.ReqUpdate},
	{object.OpMultipart, object.ReqCreateUpload, object.ReqComplete},
	{object.OpRewrite, object.ReqPut, object.ReqPut},
}

// check asserts that every object is under the target, written in place exactly
// once, with its bytes, and that nothing is left open.
func check(t *testing.T, s *memStore, j *memJournal, n int) {
	t.Helper()
	if got := j.states(); got[object.Done] != n || got[object.Remaining] != 0 {
		for _, o := range j.mu.outcomes {
			if o.State != object.Done {
				t.Errorf("seq %d: %v %s %s", o.Seq, o.State, o.Reason, o.Message)
			}
		}
		t.Fatalf("states %v, want %d done", got, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		key := fmt.Sprintf("k%06d", i)
		o := s.mu.objects[key]
		if o.writes != 1 || o.Encryption.Type != object.SSEKMS || string(o.body) != fmt.Sprint("body ", i) {
			t.Errorf("%s: written %d times, %v, %q", key, o.writes, o.Encryption.Type, o.body)
		}
	}
	if len(s.mu.uploads) > 0 || len(j.mu.uploads) > 0 {
		t.Errorf("%d uploads open in the store, %d in the journal", len(s.mu.uploads), len(j.mu.uploads))
	}
}

func TestEveryOperationOnce(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.op.String(), func(t *testing.T) {
			s := newMemStore(300)
			j := planOf(s, false)
			if err := Run(t.Context(), memConfig(s, j, m.op)); err != nil {
				t.Fatal(err)
			}
			check(t, s, j, 300)
			again, before := planOf(s, false), s.count(m.kind)
			if err := Run(t.Context(), memConfig(s, again, m.op)); err != nil {
				t.Fatal(err)
			}
			if got := again.states(); got[object.Already] != 300 || s.count(m.kind) != before {
				t.Errorf("a second job: %v, %d more mutations", got, s.count(m.kind)-before)
			}
		})
	}
}

// oncePerKey lets a fault hit the first request of a kind for every key.
func oncePerKey(kind object.RequestKind, err func() error, applied bool) func(object.RequestKind, string) (error, bool) {
	var hit sync.Map
	return func(k object.RequestKind, key string) (error, bool) {
		if k != kind {
			return nil, true
		}
		if _, seen := hit.LoadOrStore(key, true); seen {
			return nil, true
		}
		return err(), applied
	}
}

func classError(c object.Class) func() error {
	return func() error { return &object.Error{Class: c, Op: "test", HTTPStatus: 503} }
}

func TestFaultsOfOneRequest(t *testing.T) {
	faults := []struct {
		name    string
		class   object.Class
		applied bool
	}{
		{"failed", object.ClassTransient, false},
		{"reply lost", object.ClassTransient, true},
		{"throttled", object.ClassThrottled, false},
		{"kms throttled", object.ClassKMSThrottled, false},
		{"unreachable", object.ClassUnreachable, false},
		{"full", object.ClassFull, false},
		{"full, and applied all the same", object.ClassFull, true},
		{"kms away", object.ClassKMSAway, false},
		{"kms away, and applied all the same", object.ClassKMSAway, true},
	}
	for _, m := range mutations {
		for _, f := range faults {
			for _, kind := range []object.RequestKind{m.kind, m.commit, object.ReqHead} {
				t.Run(fmt.Sprint(m.op, " ", kind, " ", f.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newMemStore(40)
						s.fault = oncePerKey(kind, classError(f.class), f.applied)
						j := planOf(s, false)
						cfg, log := memConfig(s, j, m.op), new(told)
						log.into(&cfg)
						if err := Run(t.Context(), cfg); err != nil {
							t.Fatal(err)
						}
						if kind == object.ReqCreateUpload && f.applied {
							checkNamed(t, s, j, 40, log)
							return
						}
						check(t, s, j, 40)
					})
				})
			}
		}
	}
}

// A request that hangs is given up after RequestTimeout, and the store is asked
// what became of it.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(20)
		stall := oncePerKey(object.ReqCopy, func() error {
			time.Sleep(10 * time.Minute)
			return &object.Error{Class: object.ClassCanceled}
		}, true)
		s.fault = stall
		j := planOf(s, false)
		if err := Run(t.Context(), memConfig(s, j, object.OpCopy)); err != nil {
			t.Fatal(err)
		}
		check(t, s, j, 20)
	})
}

// A drained run ends after what is in flight; the next one does the rest, once.
func TestDrainAndResume(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore(200)
				j := planOf(s, false)
				s.delay = time.Second
				for i := 0; ; i++ {
					drain := make(chan struct{})
					time.AfterFunc(5*time.Second, func() { close(drain) })
					cfg := memConfig(s, j, m.op)
					cfg.Drain = drain
					err := Run(t.Context(), cfg)
					if err == nil {
						break
					}
					if !errors.Is(err, ErrDrained) {
						t.Fatal(err)
					}
					if i > 200 {
						t.Fatalf("no progress: %v", j.states())
					}
					j.reopen()
				}
				check(t, s, j, 200)
			})
		})
	}
}

// A second signal cancels the context: what was in flight is in doubt, and the
// next run finds out without doing it twice.
func TestStopAtOnceAndResume(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore(100)
				j := planOf(s, false)
				for i := 0; ; i++ {
					ctx, cancel := context.WithCancel(t.Context())
					// The context ends while requests are on their way: they are applied, and
					// nobody hears of it.
					var n atomic.Int32
					s.fault = func(k object.RequestKind, _ string) (error, bool) {
						if k == m.commit && n.Add(1) > 20 {
							cancel()
							return &object.Error{Class: object.ClassCanceled, Err: context.Canceled}, true
						}
						return nil, true
					}
					err := Run(ctx, memConfig(s, j, m.op))
					cancel()
					if err == nil {
						break
					}
					if !errors.Is(err, context.Canceled) || i > 50 {
						t.Fatalf("run %d: %v, %v", i, err, j.states())
					}
					j.reopen()
				}
				got := j.states()
				if got[object.Done]+got[object.Already] != 100 {
					t.Fatalf("states %v", got)
				}
				for key, o := range s.mu.objects {
					if o.writes != 1 || o.Encryption.Type != object.SSEKMS {
						t.Errorf("%s: written %d times, %v", key, o.writes, o.Encryption.Type)
					}
				}
			})
		})
	}
}

func TestMaxFailures(t *testing.T) {
	s := newMemStore(500)
	s.fault = func(k object.RequestKind, _ string) (error, bool) {
		if k == object.ReqCopy {
			return &object.Error{Class: object.ClassDenied, Op: "CopyObject", HTTPStatus: 403}, false
		}
		return nil, true
	}
	j := planOf(s, false)
	cfg := memConfig(s, j, object.OpCopy)
	cfg.MaxFailures = 10
	if err := Run(t.Context(), cfg); !errors.Is(err, ErrMaxFailures) {
		t.Fatal(err)
	}
	if got := j.states()[object.Failed]; got < 11 || got > 11+cfg.Workers {
		t.Errorf("%d failed", got)
	}
}

// An unusable key stops the run after a few answers; nobody's outcome blames the
// object, and the next run, with the key enabled, does all of it.
func TestUnusableKeyStopsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(1000)
		j := planOf(s, false)
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			if k == object.ReqCopy && s.count(object.ReqCopy) > 300 {
				return &object.Error{Class: object.ClassKey, Op: "CopyObject", Code: "KMS.DisabledException"}, false
			}
			return nil, true
		}
		err := Run(t.Context(), memConfig(s, j, object.OpCopy))
		if object.ClassOf(err) != object.ClassKey {
			t.Fatal(err)
		}
		if got := j.states(); got[object.Failed] > 0 || got[object.Done] < 300-8 || got[object.Done] > 300 {
			t.Errorf("states %v", got)
		}
		if n := s.count(object.ReqCopy); n > 300+2*8 {
			t.Errorf("%d copies sent after the key was disabled", n-300)
		}
		s.fault = nil
		j.reopen()
		if err := Run(t.Context(), memConfig(s, j, object.OpCopy)); err != nil {
			t.Fatal(err)
		}
		check(t, s, j, 1000)
	})
}

// Others write every object just before its copy: the refusal is noticed, and
// what they wrote is what gets encrypted.
func TestConcurrentWritersAreNotOverwritten(t *testing.T) {
	for _, m := range mutations {
		if m.op == object.OpUpdate {
			continue // takes no condition and leaves the bytes alone
		}
		t.Run(m.op.String(), func(t *testing.T) {
			s := newMemStore(50)
			j := planOf(s, false)
			var hit sync.Map
			s.fault = func(k object.RequestKind, key string) (error, bool) {
				if k != m.commit {
					return nil, true
				}
				if _, seen := hit.LoadOrStore(key, true); !seen {
					s.put(key, []byte("newer "+key))
				}
				return nil, true
			}
			if err := Run(t.Context(), memConfig(s, j, m.op)); err != nil {
				t.Fatal(err)
			}
			if got := j.states(); got[object.Done] != 50 {
				t.Fatalf("states %v", got)
			}
			for key, o := range s.mu.objects {
				if string(o.body) != "newer "+key || o.Encryption.Type != object.SSEKMS {
					t.Errorf("%s: %q under %v", key, o.body, o.Encryption.Type)
				}
			}
		})
	}
}

// A journal that cannot be written stops the run: what cannot be remembered must
// not be done.
func TestJournalFailureStops(t *testing.T) {
	s := newMemStore(500)
	j := planOf(s, false)
	j.mu.failing = errors.New("no space left on device")
	err := Run(t.Context(), memConfig(s, j, object.OpCopy))
	if !errors.Is(err, j.mu.failing) {
		t.Fatal(err)
	}
	if n := s.count(object.ReqCopy); n > 32 {
		t.Errorf("%d copies sent without a memory", n)
	}
}

// A store that knows no key but UTF-8 refuses others with the very answer that it
// has for an object under SSE-C.
func TestKeysThatAreNotUTF8(t *testing.T) {
	s := newMemStore(0)
	s.put("caf\xe9", []byte("body"))
	j := planOf(s, false)
	s.fault = func(object.RequestKind, string) (error, bool) {
		return &object.Error{Class: object.ClassInvalid, Op: "HeadObject", HTTPStatus: 400}, false
	}
	if err := Run(t.Context(), memConfig(s, j, object.OpCopy)); err != nil {
		t.Fatal(err)
	}
	if o := j.mu.outcomes[0]; o.State != object.Failed || !strings.Contains(o.Message, "not valid UTF-8") {
		t.Errorf("%v %s %q", o.State, o.Reason, o.Message)
	}
}
