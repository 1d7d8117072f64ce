package ledger

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func TestOneOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		var mu sync.Mutex
		var held []*Lease
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				l, err := Acquire(t.Context(), b.place(), "lease", Terms{})
				if e, ok := errors.AsType[*HeldError](err); ok && e.Epoch == 1 {
					return
				}
				must(t, err)
				mu.Lock()
				defer mu.Unlock()
				held = append(held, l)
			})
		}
		wg.Wait()
		if len(held) != 1 {
			t.Fatalf("%d of 8 hold it", len(held))
		}
		time.Sleep(time.Hour)
		must(t, held[0].Hold(t.Context(), nil))
		must(t, held[0].Release(t.Context()))
		began := time.Now()
		l, err := Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		if l.Holding().Epoch != 2 || time.Since(began) > time.Second {
			t.Errorf("epoch %d after %s: it was given back", l.Holding().Epoch, time.Since(began))
		}
		must(t, l.Release(t.Context()))
	})
}

func TestAHolderThatDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		first, err := Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		time.Sleep(50 * time.Second) // two renewals
		killed(first)
		renewed := first.mu.until.at.Add(-DefaultTTL)
		var told time.Duration
		second, err := Acquire(t.Context(), b.place(), "lease", Terms{Waiting: func(_ Holding, d time.Duration) { told = d }})
		must(t, err)
		if waited := time.Since(renewed); waited < 75*time.Second || waited > 90*time.Second || told != 75*time.Second {
			t.Errorf("taken %s after the last renewal; %s was announced", waited, told)
		}
		must(t, second.Release(t.Context()))
	})
}

// Whoever has other work is told at once that a lease is held, and takes it when its
// holder turns out to be gone.
func TestOneWhoPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		life, die := context.WithCancel(t.Context())
		if _, err := Acquire(t.Context(), b.place(), "lease", Terms{Life: life}); err != nil {
			t.Fatal(err)
		}
		watch, began := new(Watch), time.Now()
		_, err := Acquire(t.Context(), b.place(), "lease", Terms{Pass: true, Watch: watch})
		if _, held := errors.AsType[*HeldError](err); !held || time.Since(began) > 5*time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		die()
		for time.Since(began) < 5*time.Minute {
			l, err := Acquire(t.Context(), b.place(), "lease", Terms{Pass: true, Watch: watch})
			if err == nil {
				if waited := time.Since(began); waited < DefaultTTL {
					t.Errorf("taken after %v", waited)
				}
				if err := l.Release(t.Context()); err != nil {
					t.Error(err)
				}
				return
			}
			time.Sleep(time.Second)
		}
		t.Error("never taken")
	})
}

// TestAHolderThatSleeps: whoever wakes after another has taken the lease learns it
// before its next step, and whoever wakes before goes on.
func TestAHolderThatSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		l, err := Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		l.mu.Lock()
		l.mu.until = deadline{time.Now().Add(-time.Second)} // as after SIGSTOP
		l.mu.Unlock()
		began := time.Now()
		must(t, l.Hold(t.Context(), nil)) // renewed within its beat
		if d := time.Since(began); d == 0 || d > DefaultTTL/3 {
			t.Errorf("held after %s", d)
		}
		// Another takes it: as its renewals are refused, this one has lost it.
		etag := b.objects["jobs/a/lease"].etag
		_, err = (&Lease{place: b.place(), name: "lease"}).put(t.Context(), &Holding{Epoch: 2, Owner: "x", TTL: 60}, etag)
		must(t, err)
		l.mu.Lock()
		l.mu.until = deadline{time.Now().Add(-time.Second)}
		l.mu.Unlock()
		if err := l.Hold(t.Context(), nil); !errors.Is(err, ErrLost) {
			t.Errorf("held by two: %v", err)
		}
		must(t, l.Release(t.Context())) // leaves it alone
		if h, _, err := new(Watch).Look(t.Context(), b.place(), "lease"); err != nil || h.Owner != "x" || h.Free {
			t.Errorf("the other's lease: %+v, %v", h, err)
		}
	})
}

// TestNeverTwo: processes that take, sleep, die and give back, over a store that loses
// and repeats answers. No two ever believe to hold it at one instant.
func TestNeverTwo(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			b := newBucket()
			b.fault = func(int, string) fault {
				if r.IntN(3) > 0 {
					return works
				}
				return fault(r.IntN(4))
			}
			var holder sync.Map
			var taken, wg = 0, sync.WaitGroup{}
			var mu sync.Mutex
			draw := func(n int) int {
				b.mu.Lock() // r is the fault's, too
				defer b.mu.Unlock()
				return r.IntN(n)
			}
			for p := range 4 {
				wg.Go(func() {
					for range 6 {
						l, err := Acquire(t.Context(), b.place(), "lease", Terms{TTL: 3 * time.Second, Await: true})
						must(t, err)
						for range draw(20) {
							if l.Hold(t.Context(), nil) != nil {
								break
							}
							if other, two := holder.Swap("now", p); two && other != p {
								t.Errorf("seed %d: %v and %d hold it", seed, other, p)
							}
							time.Sleep(time.Duration(draw(100)) * time.Millisecond)
							holder.Delete("now")
							time.Sleep(time.Duration(draw(900)) * time.Millisecond)
						}
						mu.Lock()
						taken++
						mu.Unlock()
						if draw(2) == 0 {
							killed(l)
							continue
						}
						must(t, l.Release(t.Context()))
					}
				})
			}
			wg.Wait()
			if taken != 24 {
				t.Errorf("taken %d times", taken)
			}
		})
	}
}

// TestAnotherTTL: a lease that is held for less from now on is renewed accordingly, and
// its holder's end is noticed sooner.
func TestAnotherTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		l, err := Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		must(t, l.Change(t.Context(), 3*time.Second))
		time.Sleep(10 * time.Second)
		must(t, l.Hold(t.Context(), nil))
		if n := l.Holding().Beat; n < 9 || n > 12 {
			t.Errorf("renewed %d times in 10 s", n)
		}
		killed(l)
		began := time.Now()
		l, err = Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("taken after %s", d)
		}
		must(t, l.Release(t.Context()))
	})
}

func TestForeignLease(t *testing.T) {
	b := newBucket()
	for _, text := range []string{"", "{}", "[]", "nonsense", `{"epoch":-1}`, `{"epoch":18446744073709551615,"free":true}`} {
		b.objects["jobs/a/lease"] = stored{data: []byte(text)}
		_, err := Acquire(t.Context(), b.place(), "lease", Terms{})
		if d, ok := errors.AsType[*DamagedError](err); !ok || d.Fix == "" {
			t.Errorf("%q was taken for a lease, or nobody is told what to do: %v", text, err)
		}
	}
}

func TestProve(t *testing.T) {
	b := newBucket()
	must(t, b.place().Prove(t.Context()))
	must(t, b.place().Prove(t.Context()))
	b.fault = func(n int, _ string) fault { return fault(n % 4) }
	must(t, b.place().Prove(t.Context()))
	b.fault, b.quotes = nil, true
	var no *UnconditionalError
	if err := b.place().Prove(t.Context()); !errors.As(err, &no) || !no.Never {
		t.Errorf("a store whose conditions never hold: %v", err)
	}
	b.quotes, b.blind = false, true
	if err := b.place().Prove(t.Context()); !errors.As(err, &no) || no.Never {
		t.Errorf("a store that ignores conditions: %v", err)
	}
	for _, condition := range []string{"If-None-Match", "If-Match"} {
		p := b.place()
		p.Store = without{newBucket(), condition}
		if err := p.Prove(t.Context()); !errors.As(err, &no) || !no.Unknown || no.Condition != condition {
			t.Errorf("a store that knows no %s: %v", condition, err)
		}
	}
	if got := string(b.objects["jobs/a/"+conditionsName].data); got != conditionsText {
		t.Errorf("it holds %q", got)
	}
}

// TestRefusedCredentials: what was never answered is no moment's trouble.
func TestRefusedCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Place{Store: refusing{newBucket()}, Bucket: "state", Untried: true, Backoff: newBucket().place().Backoff}
		began := time.Now()
		if _, _, err := p.Read(t.Context(), "job.json"); object.ClassOf(err) != object.ClassCredentials || time.Since(began) > time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		p.Untried = false // they have run out, and may be renewed
		if _, _, err := p.Read(t.Context(), "job.json"); err == nil || time.Since(began) < time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

type refusing struct{ *bucket }

// without is a store that does not implement PutObject with a condition, as OpenStack Swift.
type without struct {
	*bucket
	condition string
}

func (w without) Put(ctx context.Context, r *object.PutRequest) (object.CopyReply, error) {
	if r.DestAbsent && w.condition == "If-None-Match" || r.DestETag != "" && w.condition == "If-Match" {
		return object.CopyReply{}, &object.Error{Class: object.ClassUnsupported, Op: "PutObject", HTTPStatus: 501, Code: "NotImplemented"}
	}
	return w.bucket.Put(ctx, r)
}

func (refusing) Get(_ context.Context, r *object.GetRequest) (object.GetReply, error) {
	return object.GetReply{}, &object.Error{Class: object.ClassCredentials, Op: "GetObject", Ref: r.Ref, HTTPStatus: 403}
}

// TestADeletedLease: a lease that a lifecycle rule took away ends its holder, who is not
// told that another process is at work.
func TestADeletedLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		l, err := Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		b.set("jobs/a/lease", nil)
		time.Sleep(DefaultTTL)
		if err := l.Hold(t.Context(), nil); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "s3://state/jobs/a/lease was deleted") {
			t.Errorf("%v", err)
		}
		must(t, l.Release(t.Context()))
	})
}

// TestALeaseOfAnyLength: the duration that a lease is changed to is told in seconds, of which
// some have no exact number. It is changed all the same, and once.
func TestALeaseOfAnyLength(t *testing.T) {
	for _, ttl := range []time.Duration{4100 * time.Millisecond, 16900 * time.Millisecond, 66100 * time.Millisecond, MinTTL + 1, MaxTTL - 1} {
		synctest.Test(t, func(t *testing.T) {
			b := newBucket()
			l, err := Acquire(t.Context(), b.place(), "lease", Terms{})
			must(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			b.fault = func(write int, _ string) fault {
				if write > 20 {
					cancel()
				}
				return works
			}
			must(t, l.Change(ctx, ttl))
			if held := l.Holding(); held.TTL.duration() != ttl || held.Beat != 1 {
				t.Errorf("held for %s, want %s; renewed %d times", held.TTL.duration(), ttl, held.Beat)
			}
			must(t, l.Release(t.Context()))
			cancel()
		})
	}
}
