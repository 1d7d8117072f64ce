package pace

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// shared runs processes, each with a pace of its own that knows nothing of the others,
// behind one limit of the store, and counts what each got through in the seconds from a
// to b.
func shared(s *store, processes, workers int, starts time.Duration, d time.Duration, a, b int) []int {
	got := make([]int, processes)
	var wg sync.WaitGroup
	for p := range processes {
		wg.Go(func() {
			time.Sleep(time.Duration(p) * starts)
			pacer := New(Limits{})
			pacer.Share()
			s.loadCounted(pacer, workers, d-time.Duration(p)*starts, copies, func(at time.Duration) {
				if at >= time.Duration(a)*time.Second && at < time.Duration(b)*time.Second {
					got[p]++ // under the store's lock
				}
			})
		})
	}
	wg.Wait()
	return got
}

// loadCounted is load, and tells of each call that got through.
func (s *store) loadCounted(p *Pacer, workers int, d time.Duration, next func(worker, i int) *object.Call, through func(at time.Duration)) {
	s.load(p, workers, d, func(worker, i int) *object.Call {
		if i > 0 { // the one before got through
			s.mu.Lock()
			through(time.Since(s.begin))
			s.mu.Unlock()
		}
		return next(worker, i)
	})
}

// TestManyProcessesShareOneLimit: shards on many machines know of each other by nothing
// but the store's refusals. Together they reach what it allows, and are as polite as one. How
// it falls to each of them is told, and not promised: nothing evens it out (see README.md).
func TestManyProcessesShareOneLimit(t *testing.T) {
	for _, c := range []struct {
		name      string
		processes int
		starts    time.Duration // between one and the next
	}{
		{"2 at once", 2, 0}, {"4 at once", 4, 0}, {"16 at once", 16, 0}, {"16, one every 10 s", 16, 10 * time.Second},
	} {
		if testing.Short() && c.processes > 2 {
			continue // half a million simulated requests are for the round without -race
		}
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const a, b = 250, 550 // a process that mistakes the others' refusals for chance costs ten seconds of a tenth, now and then
				rate := 3500.0
				if testing.Short() {
					rate = 350 // a tenth of the requests
				}
				s := newStore(40*time.Millisecond, &limit{concerns: anyCall, class: object.ClassThrottled, rate: always(rate), depth: 1})
				got := shared(s, c.processes, 256/c.processes+64, c.starts, b*time.Second, a, b)
				all, refused := between(s.ok, a, b), between(s.no, a, b)
				together, throttled := float64(all)/(b-a)/rate, float64(refused)/float64(all+refused)
				fair := float64(all) / float64(c.processes)
				least, most := float64(slices.Min(got))/fair, float64(slices.Max(got))/fair
				t.Logf("together %.3f of the limit, %.2f %% throttled; the least %.2f of its share, the most %.2f", together, throttled*100, least, most)
				if together < 0.95 || throttled >= 0.02 {
					t.Errorf("want at least 0.95, and under 2 %%: %v", got)
				}
			})
		})
	}
}

// TestManyProcessesBesideRefusals: refusals that come at any rate cost processes that share a
// limit no more than one alone, also where each sends so little that a look takes seconds.
func TestManyProcessesBesideRefusals(t *testing.T) {
	if testing.Short() {
		t.Skip("a quarter of a million simulated requests are for the round without -race")
	}
	const draws, a, b = 6, 60, 240
	sum := 0.0
	for range draws {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(20 * time.Millisecond)
			s.servers = 4 // 200 a second
			s.stray, s.strayClass = 0.03, object.ClassThrottled
			shared(s, 4, 16, 0, b*time.Second, a, b)
			got := float64(between(s.ok, a, b)) / (b - a) / 200
			t.Logf("4 processes, 3 %% refused: %.2f of what is accepted without", got)
			sum += got
		})
	}
	if sum < 0.95*draws {
		t.Errorf("%.2f on average of what is accepted without refusals, want at least 0.95", sum/draws)
	}
}

// TestLooksTogetherAreNoReasonForTheNext: two processes at a low limit, one of whose looks
// together, and what it takes to find the limit again, refuse more than crowded, do not go on
// looking at each window that follows, which left them a twelfth below the limit for good.
func TestLooksTogetherAreNoReasonForTheNext(t *testing.T) {
	if testing.Short() {
		t.Skip("the round without -race plays it")
	}
	for range 5 { // one in four fell into it
		synctest.Test(t, func(t *testing.T) {
			const a, b, rate = 250, 550, 350
			s := newStore(40*time.Millisecond, &limit{concerns: anyCall, class: object.ClassThrottled, rate: always(rate), depth: 1})
			shared(s, 2, 192, 0, b*time.Second, a, b)
			all, refused := between(s.ok, a, b), between(s.no, a, b)
			if together := float64(all) / (b - a) / rate; together < 0.97 || float64(refused) > 0.01*float64(all) {
				t.Errorf("together %.3f of the limit, %d refused of %d; want at least 0.97, and at most 1 %%", together, refused, all)
			}
		})
	}
}
