package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSegmentsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		l, err := Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		log, had := take(t, b.place(), l)
		if len(had) > 0 {
			t.Fatal(had)
		}
		for _, w := range words(0, 40) {
			must(t, log.Keep([]byte(w)))
		}
		if got := read(t, b.place()); !slices.Equal(got, words(0, 40)) {
			t.Errorf("%q", got)
		}
		must(t, l.Release(t.Context()))
		l, err = Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		log, had = take(t, b.place(), l)
		must(t, log.Keep([]byte("more")))
		if got := read(t, b.place()); len(had) != 40 || len(got) != 41 || got[40] != "more" {
			t.Errorf("%d, then %q", len(had), got)
		}
		if n, size := log.Size(); n != 43 || size == 0 {
			t.Errorf("%d objects, %d bytes", n, size)
		}
		must(t, l.Release(t.Context()))
	})
}

// TestEveryWriteOfState fails, loses or repeats each write in turn: what Keep has
// answered is there, once, in order.
func TestEveryWriteOfState(t *testing.T) {
	for _, what := range []fault{fails, loses, repeats} {
		for n := 1; n < 12; n++ {
			synctest.Test(t, func(t *testing.T) {
				b := newBucket()
				b.fault = func(write int, _ string) fault {
					if write == n {
						return what
					}
					return works
				}
				l, err := Acquire(t.Context(), b.place(), "lease", Terms{})
				must(t, err)
				log, _ := take(t, b.place(), l)
				for _, w := range words(0, 8) {
					must(t, log.Keep([]byte(w)))
				}
				if got := read(t, b.place()); !slices.Equal(got, words(0, 8)) {
					t.Errorf("write %d, fault %d: %q", n, what, got)
				}
				must(t, l.Release(t.Context()))
			})
		}
	}
}

// TestALateSegment: a segment of the old holder that arrives when the new one has read
// the log is read by it; one that arrives after it began is refused, and its writer
// learns that it lost the log, also where its lease's object is gone.
func TestALateSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		old, err := Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		log, _ := take(t, b.place(), old)
		must(t, log.Keep([]byte("one")))
		delete(b.objects, "jobs/a/lease") // somebody cleaned up
		young, err := Acquire(t.Context(), b.place(), "lease", Terms{})
		must(t, err)
		late := true
		b.fault = func(_ int, key string) fault {
			if late && key == "jobs/a/log/000000000003" {
				late = false
				b.mu.Unlock()
				must(t, log.Keep([]byte("two"))) // between the reading and the beginning
				b.mu.Lock()
			}
			return works
		}
		next, had := take(t, b.place(), young)
		if !slices.Equal(had, []string{"one", "two"}) {
			t.Errorf("the new holder has %q", had)
		}
		if err := log.Keep([]byte("three")); !errors.Is(err, ErrLost) {
			t.Errorf("the old one adds: %v", err)
		}
		must(t, next.Keep([]byte("four")))
		if got := read(t, b.place()); !slices.Equal(got, []string{"one", "two", "four"}) || next.epoch != 2 {
			t.Errorf("%q, epoch %d", got, next.epoch)
		}
		killed(old)
		must(t, young.Release(t.Context()))
	})
}

// TestManyHolders: holders that die, sleep and come back, over a store that loses and
// repeats answers. What was answered is there, in the order of the holders.
func TestManyHolders(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			b := newBucket()
			b.fault = func(int, string) fault { return []fault{works, works, works, fails, loses, repeats}[r.IntN(6)] }
			draw := func(n int) int {
				b.mu.Lock()
				defer b.mu.Unlock()
				return r.IntN(n)
			}
			var mu sync.Mutex
			var answered []string
			var wg sync.WaitGroup
			for p := range 3 {
				wg.Go(func() {
					for life := range 5 {
						l, err := Acquire(t.Context(), b.place(), "lease", Terms{TTL: 2 * time.Second, Await: true})
						must(t, err)
						log, _ := take(t, b.place(), l)
						for i := range draw(8) {
							w := fmt.Sprintf("%d.%d.%d", p, life, i)
							if err := log.Keep([]byte(w)); err != nil {
								if !errors.Is(err, ErrLost) {
									t.Error(err)
								}
								break
							}
							mu.Lock()
							answered = append(answered, w)
							mu.Unlock()
							time.Sleep(time.Duration(draw(700)) * time.Millisecond)
						}
						killed(l)
					}
				})
			}
			wg.Wait()
			if got := read(t, b.place()); !slices.Equal(got, answered) {
				t.Errorf("seed %d: there are %q, answered were %q", seed, got, answered)
			}
		})
	}
}

// TestADamagedLog: one changed bit, a missing segment, two that were exchanged, and one of
// another job are all found.
func TestADamagedLog(t *testing.T) {
	b := newBucket()
	l, err := Acquire(t.Context(), b.place(), "lease", Terms{})
	must(t, err)
	log, _ := take(t, b.place(), l)
	for _, w := range words(0, 3) {
		must(t, log.Keep([]byte(w)))
	}
	must(t, l.Release(t.Context()))
	const third, second = "jobs/a/log/000000000003", "jobs/a/log/000000000002"
	whole := b.objects[third].data
	bad := func(what string) {
		t.Helper()
		var d *DamagedError
		var err error
		for _, err = range NewLog(b.place(), "log", "id").Segments(t.Context(), nil) {
			if err != nil {
				break
			}
		}
		if !errors.As(err, &d) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range whole {
		for bit := range 8 {
			flipped := slices.Clone(whole)
			flipped[i] ^= 1 << bit
			b.set(third, &stored{data: flipped})
			bad(fmt.Sprintf("byte %d, bit %d", i, bit))
		}
	}
	other := b.objects[second]
	b.set(third, &other)
	bad("exchanged")
	b.set(third, nil)
	bad("missing")
	b.set(third, &stored{data: whole})
	b.set("jobs/a/log/notes.txt", &stored{})
	bad("another file")
	b.set("jobs/a/log/notes.txt", nil)
	for _, err = range NewLog(b.place(), "log", "another").Segments(t.Context(), nil) {
		break
	}
	if d, ok := errors.AsType[*DamagedError](err); !ok {
		t.Errorf("another job's: %v", d)
	}
}
