package retry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestA503OfAProxyMayHaveBeenApplied: a proxy says 503 also of a request that it had handed on
// (Envoy: "upstream connect error or disconnect/reset before headers"), so that the store is asked
// before a mutation is sent again. What asks for fewer requests is waited for as before, and so is a
// store's own 503, of which nobody need be asked.
func TestA503OfAProxyMayHaveBeenApplied(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   *object.Error
		asked bool
	}{
		{"of a proxy", &object.Error{Class: object.ClassThrottled, HTTPStatus: http.StatusServiceUnavailable}, true},
		{"of the store", &object.Error{Class: object.ClassThrottled, HTTPStatus: http.StatusServiceUnavailable, Code: "SlowDown"}, false},
		{"of the store, without words", &object.Error{Class: object.ClassThrottled, HTTPStatus: http.StatusServiceUnavailable, RequestID: "1"}, false},
		{"429", &object.Error{Class: object.ClassThrottled, HTTPStatus: http.StatusTooManyRequests}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, stopped := testLoop()
				sent, asked := 0, 0
				ask := AskFunc(func(context.Context, error) (bool, error) { asked++; return asked > 1, nil })
				_, err := l.Certain(t.Context(), copyCall, func(context.Context) error {
					if sent++; sent > 3 {
						return nil
					}
					return test.err
				}, ask)
				if err != nil || test.asked && (sent != 2 || asked != 2) || !test.asked && (sent != 4 || asked != 0) {
					t.Errorf("sent %d times, asked %d times: %v", sent, asked, err)
				}
				ask = func(context.Context, error) (bool, error) { return false, nil }
				for range vainToStop {
					began := time.Now()
					call := copyCall
					call.Key = fmt.Sprint(began)
					if _, err := l.Certain(t.Context(), call, func(context.Context) error { return test.err }, ask); err == nil {
						t.Error("nothing")
					}
					if took := time.Since(began); took < l.ThrottleWait || took > 2*l.ThrottleWait {
						t.Errorf("given up after %v", took)
					}
				}
				if len(stopped) != 1 {
					t.Errorf("stopped %d times", len(stopped))
				}
			})
		})
	}
}

// silentLoop is of a store that answers nobody. It is stopped once, as a run is.
func silentLoop(stopping chan struct{}) (*Loop, chan error) {
	l, stopped := testLoop()
	l.Answers = func(context.Context) error { return errors.New("502") }
	l.Stopping = stopping
	stop := l.Stop
	var once sync.Once
	l.Stop = func(err error) { once.Do(func() { close(stopping); stop(err) }) }
	return l, stopped
}

// TestWhoeverWaitedInVainForAllIsNotToBlame: what gives up when the run has been stopped for the
// very thing is no failure of its object, but for the few that had to show it.
func TestWhoeverWaitedInVainForAllIsNotToBlame(t *testing.T) {
	for _, send := range []string{"Do", "Certain"} {
		t.Run(send, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, stopped := silentLoop(make(chan struct{}))
				var failed atomic.Int64
				for i := range 20 {
					go func() {
						call := object.Call{Kind: object.ReqCopyPart, Key: fmt.Sprint(i)}
						down := func(context.Context) error { return failure(object.ClassTransient) }
						var err error
						if send == "Do" {
							err = l.Do(t.Context(), call, down)
						} else {
							call.Kind = object.ReqCopy
							_, err = l.Certain(t.Context(), call, down, AskFunc(func(context.Context, error) (bool, error) { return false, nil }))
						}
						if err == nil || !errors.Is(err, ErrStopping) {
							failed.Add(1)
						}
					}()
				}
				time.Sleep(6 * time.Hour)
				synctest.Wait()
				if n := failed.Load(); n >= vainToStop || len(stopped) == 0 {
					t.Errorf("%d failed, %d stops", n, len(stopped))
				}
			})
		})
	}
}

// TestRequestsWhileNobodyIsAnswered: many workers ask a store that is away less often the longer
// that lasts, and go on soon when it is back.
func TestRequestsWhileNobodyIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 512
		l, _ := silentLoop(make(chan struct{}))
		l.OutageWait = 4 * time.Hour
		l.Backoff = doubling
		began, sent, done := time.Now(), atomic.Int64{}, atomic.Int64{}
		for i := range workers {
			go func() {
				time.Sleep(time.Duration(i) * 100 * time.Microsecond)
				err := l.Do(t.Context(), object.Call{Kind: object.ReqHead, Key: fmt.Sprint(i)}, func(context.Context) error {
					if time.Since(began) > time.Hour {
						return nil
					}
					sent.Add(1)
					return failure(object.ClassTransient)
				})
				if err == nil {
					done.Add(1)
				}
			}()
		}
		time.Sleep(30 * time.Minute)
		early := sent.Load()
		time.Sleep(30*time.Minute - time.Second)
		if rate := float64(sent.Load()-early) / 1800; rate > workers/6 {
			t.Errorf("%.0f requests a second", rate)
		}
		time.Sleep(20 * time.Second)
		if n := done.Load(); n != workers {
			t.Errorf("%d of %d go on", n, workers)
		}
	})
}

// doubling is the pace's own backoff, at its longest.
func doubling(attempt int, _ time.Duration) time.Duration {
	return min(20*time.Second, 100*time.Millisecond<<(min(max(attempt, 1), 10)-1))
}

// TestTheWindowHasClosedMeanwhile: a mutation that waited for a store that was away is not sent
// again outside of the window, and the time until that opens is none in which the store was away.
func TestTheWindowHasClosedMeanwhile(t *testing.T) {
	for _, kind := range []object.RequestKind{object.ReqCopy, object.ReqHead} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := silentLoop(make(chan struct{}))
				began := time.Now()
				closed := func() bool { gone := time.Since(began); return gone > 10*time.Minute && gone < 16*time.Hour }
				l.Gate = func(ctx context.Context) error {
					for closed() {
						time.Sleep(time.Minute)
					}
					return ctx.Err()
				}
				sent := 0
				_, err := l.Certain(t.Context(), object.Call{Kind: kind}, func(context.Context) error {
					if sent++; kind == object.ReqCopy && closed() {
						t.Errorf("sent after %v", time.Since(began))
					}
					if time.Since(began) < 15*time.Minute || kind == object.ReqCopy && time.Since(began) < 16*time.Hour+10*time.Minute {
						return failure(object.ClassTransient)
					}
					return nil
				}, AskFunc(func(context.Context, error) (bool, error) { return false, nil }))
				if err != nil || kind == object.ReqHead && closed() && time.Since(began) > time.Hour {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// TestDrivesThatAreAway: MinIO asks for fewer requests where too many of its drives are away to read
// or to write. Where it does so of everything it is waited for as long as a store that is away.
func TestDrivesThatAreAway(t *testing.T) {
	for code, least := range map[string]time.Duration{"SlowDownRead": 4 * time.Hour, "SlowDownWrite": 4 * time.Hour, "SlowDown": 30 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l, _ := silentLoop(make(chan struct{}))
			l.ThrottleWait, l.OutageWait = 30*time.Minute, 4*time.Hour
			began := time.Now()
			err := l.Do(t.Context(), object.Call{Kind: object.ReqHead}, func(context.Context) error {
				return &object.Error{Class: object.ClassThrottled, HTTPStatus: http.StatusServiceUnavailable, Code: code, RequestID: "1"}
			})
			if took := time.Since(began); err == nil || took < least || took > least+time.Minute {
				t.Errorf("%s: given up after %v", code, took)
			}
		})
	}
}

// TestProxiesThatSayOneThingAndAnother: a store that is away is waited for as long as any other where
// what stands in front of it says 502 and 503 in turn, or takes no connection, and no more objects
// fail for it.
func TestProxiesThatSayOneThingAndAnother(t *testing.T) {
	badGateway := &object.Error{Class: object.ClassTransient, HTTPStatus: http.StatusBadGateway}
	unavailable := &object.Error{Class: object.ClassThrottled, HTTPStatus: http.StatusServiceUnavailable}
	refused := &object.Error{Class: object.ClassUnreachable, NotSent: true}
	for name, all := range map[string][]error{"502, 503": {badGateway, unavailable}, "502, refused": {badGateway, refused},
		"503, refused": {unavailable, refused}, "all": {badGateway, unavailable, refused}} {
		for _, send := range []string{"Do", "Certain"} {
			t.Run(name+" "+send, func(t *testing.T) { saysInTurn(t, send, all) })
		}
	}
}

func saysInTurn(t *testing.T, send string, what []error) {
	synctest.Test(t, func(t *testing.T) {
		l, stopped := silentLoop(make(chan struct{}))
		l.ThrottleWait, l.OutageWait, l.Backoff = 30*time.Minute, 4*time.Hour, doubling
		began, failed := time.Now(), atomic.Int64{}
		says := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		down := func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			return what[says.IntN(len(what))]
		}
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 137 * time.Millisecond)
				call := object.Call{Kind: object.ReqHead, Key: fmt.Sprint(i)}
				var err error
				if send == "Do" {
					err = l.Do(t.Context(), call, down)
				} else {
					call.Kind = object.ReqCopy
					_, err = l.Certain(t.Context(), call, down, AskFunc(func(context.Context, error) (bool, error) { return false, nil }))
				}
				switch {
				case object.ClassOf(err) == object.ClassUnreachable:
					l.Stop(err) // as the engine has it
				case !errors.Is(err, ErrStopping):
					failed.Add(1)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); failed.Load() >= vainToStop || len(stopped) == 0 || took < 4*time.Hour || took > 4*time.Hour+10*time.Minute {
			t.Errorf("%s: %d failed, %d stops, after %v", send, failed.Load(), len(stopped), took)
		}
	})
}
