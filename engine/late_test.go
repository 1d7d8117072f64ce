package engine

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// lateWays are the operations whose last request replaces the object.
var lateWays = map[string]struct {
	kind object.RequestKind
	make func(n int) (*memStore, *memJournal, Config)
}{
	"copy": {object.ReqCopy, func(n int) (*memStore, *memJournal, Config) {
		s := newMemStore(n)
		j := planOf(s, false)
		return s, j, memConfig(s, j, object.OpCopy)
	}},
	"rewrite": {object.ReqPut, func(n int) (*memStore, *memJournal, Config) {
		s := newMemStore(n)
		j := planOf(s, false)
		return s, j, memConfig(s, j, object.OpRewrite)
	}},
	"multipart":        {object.ReqComplete, inParts},
	"rewrite in parts": {object.ReqComplete, resends},
}

// TestARequestIsGivenUpInTime: a store that throttles without end is waited for as long as
// ThrottleWait says, however often the object is looked at meanwhile, and one that loses every
// answer beside it is, too.
func TestARequestIsGivenUpInTime(t *testing.T) {
	for name, way := range lateWays {
		for _, loses := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " loses ", loses), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, j, cfg := way.make(1)
					n := 0
					s.fault = func(k object.RequestKind, _ string) (error, bool) {
						if k != way.kind {
							return nil, true
						}
						if n++; loses && n%200 == 0 {
							return &object.Error{Class: object.ClassTransient, Op: k.String()}, false
						}
						return &object.Error{Class: object.ClassThrottled, Op: k.String()}, false
					}
					ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
					defer cancel()
					began := time.Now()
					if err := Run(ctx, cfg); err != nil || j.states()[object.Failed] != 1 {
						t.Errorf("%v, states %v", err, j.states())
					}
					if took := time.Since(began); took < 30*time.Minute || took > 32*time.Minute {
						t.Errorf("given up after %v", took)
					}
					if looks := s.count(object.ReqHead); looks < 15 {
						t.Errorf("looked at %d times meanwhile", looks)
					}
					if len(s.mu.uploads) > 0 {
						t.Errorf("%d uploads are left", len(s.mu.uploads))
					}
				})
			})
		}
	}
}

// slowTags takes longer to tell the tags than a look may be old.
type slowTags struct{ *memStore }

func (s slowTags) Tags(ctx context.Context, ref object.Ref) ([]object.Tag, error) {
	time.Sleep(80 * time.Second)
	return s.memStore.Tags(ctx, ref)
}

// TestAStoreThatTakesLongToShow: a store that is slow to answer is served all the same. Where
// something is 80 seconds old each time that the rest is known, nothing is sent, and that ends.
func TestAStoreThatTakesLongToShow(t *testing.T) {
	for name, way := range lateWays {
		for what, state := range map[string]object.State{"answers": object.Done, "tags": object.Failed} {
			t.Run(name+" "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, j, cfg := way.make(1)
					cfg.RequestTimeout, cfg.Caps.GetTagging = 5*time.Minute, object.Yes
					if what == "tags" {
						cfg.Store.Details = slowTags{s}
					} else {
						s.delays[object.ReqHead], s.delays[object.ReqGet] = 80*time.Second, 80*time.Second
					}
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
					defer cancel()
					if err := Run(ctx, cfg); err != nil || j.states()[state] != 1 {
						t.Errorf("%v, states %v", err, j.states())
					}
				})
			})
		}
	}
}

// slowPace lets a request through that begins something every two minutes.
type slowPace struct{ unpaced }

func (slowPace) Enter(ctx context.Context, c *object.Call) error {
	if !c.Ends {
		time.Sleep(2 * time.Minute)
	}
	return ctx.Err()
}

// TestAPaceSlowerThanALook: what waits for its turn for longer than a look may be old is looked
// at in its turn, and done.
func TestAPaceSlowerThanALook(t *testing.T) {
	for name, way := range lateWays {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j, cfg := way.make(1)
				cfg.Pace = slowPace{}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
				defer cancel()
				if err := Run(ctx, cfg); err != nil || j.states()[object.Done] != 1 || s.mu.objects["k000000"].writes != 1 {
					t.Errorf("%v, states %v, written %d times", err, j.states(), s.mu.objects["k000000"].writes)
				}
			})
		})
	}
}

// TestACompleteThatComesLate: a Complete got no answer and was not applied when that was asked.
// It takes effect before the next one is, which then finds no upload. What the store has dropped
// with it is written again.
func TestACompleteThatComesLate(t *testing.T) {
	for name, refuses := range map[string]error{
		"no upload":    nil,
		"not allowed":  &object.Error{Class: object.ClassDenied, Op: "CompleteMultipartUpload", HTTPStatus: 403},
		"out of order": &object.Error{Class: object.ClassInvalid, Op: "CompleteMultipartUpload", HTTPStatus: 400},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j, cfg := tagged(1, object.OpMultipart)
				n := 0
				s.fault = func(k object.RequestKind, _ string) (error, bool) {
					if k != object.ReqComplete {
						return nil, true
					}
					if n++; n == 1 {
						return &object.Error{Class: object.ClassTransient, Op: k.String()}, false
					}
					s.completeNow()
					return refuses, refuses == nil
				}
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				check(t, s, j, 1)
				checkTags(t, s)
				if len(j.mu.uploads) > 0 {
					t.Errorf("%d records are left", len(j.mu.uploads))
				}
			})
		})
	}
}

// completeNow completes every upload that is open.
func (s *memStore) completeNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, u := range s.mu.uploads {
		var body []byte
		for n := 1; n <= len(u.parts); n++ {
			body = append(body, u.parts[n]...)
		}
		delete(s.mu.uploads, id)
		s.write(u.req, body)
	}
}

// TestAStopWhileACompleteIsInDoubt: the upload of an object that went through this process was
// completed, the answer is lost, and the run stops before anybody could ask. Nothing is taken
// for aborted, and the next process writes again what the store has dropped.
func TestAStopWhileACompleteIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j, cfg := resends(1)
		s.dropsTags = true
		s.mu.objects["k000000"].attrs.Tags = someTags
		cfg.Caps.KeepsTags, cfg.Caps.PutTagging = object.No, object.Yes
		drain := make(chan struct{})
		cfg.Drain = drain
		completed := false
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			switch {
			case k == object.ReqComplete && !completed:
				completed = true
				return &object.Error{Class: object.ClassTransient, Op: k.String()}, true
			case completed && drain != nil && k == object.ReqListParts:
				close(drain)
				drain = nil
				return &object.Error{Class: object.ClassThrottled, Op: k.String()}, false
			}
			return nil, true
		}
		if err := Run(t.Context(), cfg); err == nil {
			t.Fatal("it was not stopped")
		}
		s.fault, cfg.Drain = nil, nil
		j.reopen()
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if j.states()[object.Done] != 1 || s.mu.objects["k000000"].writes != 1 {
			t.Errorf("states %v, written %d times", j.states(), s.mu.objects["k000000"].writes)
		}
		checkTags(t, s)
	})
}

// TestTagsThatAreWrittenLate: a copy has dropped the tags, and the request that writes them
// again has to wait, or its answer is lost. Those that another client gives the object
// meanwhile stay.
func TestTagsThatAreWrittenLate(t *testing.T) {
	theirs := []object.Tag{{Key: "set by", Value: "another"}}
	for name, op := range map[string]object.Operation{"copy": object.OpCopy, "multipart": object.OpMultipart} {
		for what, set := range map[string]struct {
			class   object.Class
			applied bool
			after   time.Duration
		}{
			"throttled":    {object.ClassThrottled, false, 10 * time.Minute},
			"lost":         {object.ClassTransient, true, 0},
			"lost copy":    {object.ClassTransient, true, 10 * time.Minute},
			"not answered": {object.ClassTransient, false, 0},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, j, cfg := tagged(1, op)
					var since time.Time
					var puts atomic.Int32
					copied := func(k object.RequestKind) bool { return k == object.ReqCopy || k == object.ReqComplete }
					s.fault = func(k object.RequestKind, key string) (error, bool) {
						switch {
						case what == "lost copy" && copied(k):
							since = time.Now()
							return &object.Error{Class: set.class, Op: k.String()}, true
						case what == "lost copy" && !since.IsZero() && time.Since(since) < set.after && (k == object.ReqHead || k == object.ReqListParts):
							s.alter(key, func(o *memObject) { o.attrs.Tags = theirs })
							return &object.Error{Class: object.ClassThrottled, Op: k.String()}, false
						case what == "lost copy" || k != object.ReqPutDetail:
							return nil, true
						}
						if puts.Add(1) == 1 {
							since = time.Now()
							time.AfterFunc(max(1, set.after/2), func() { s.alter(key, func(o *memObject) { o.attrs.Tags = theirs }) })
							return &object.Error{Class: set.class, Op: k.String()}, set.applied
						}
						if time.Since(since) < set.after {
							return &object.Error{Class: set.class, Op: k.String()}, false
						}
						return nil, true
					}
					if err := Run(t.Context(), cfg); err != nil {
						t.Fatal(err)
					}
					if got := s.mu.objects["k000000"].attrs.Tags; !slices.Equal(got, theirs) || j.states()[object.Done] != 1 || len(j.mu.uploads) > 0 {
						t.Errorf("tags %v, %v, %d records", got, j.states(), len(j.mu.uploads))
					}
				})
			})
		}
	}
}
