package pace

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Virtual time lets one goroutine after another run: a second core has them only hand locks to
// each other. The race detector, whose round is the short one, sees them side by side.
func TestMain(m *testing.M) {
	if flag.Parse(); !testing.Short() {
		runtime.GOMAXPROCS(1)
	}
	m.Run()
}

var update = flag.Bool("update", false, "rewrite the golden files")

// store is a simulated S3: token buckets for what it allows, a number of
// requests that it serves at a time, and a latency. Guarded by mu, since the
// calls come from many goroutines.
type store struct {
	mu      sync.Mutex
	rand    *rand.Rand
	latency func(r *rand.Rand) time.Duration
	refuse  time.Duration // latency of a throttled reply
	servers int           // requests served at a time; 0 for any number
	free    []time.Time   // when each server is free
	brittle bool          // where all servers are busy the next request ends in an error
	limits  []*limit
	// stray is the share that is refused at any rate, as strayClass.
	stray      float64
	strayClass object.Class
	retry      time.Duration
	busy       *busy // the machine that the calls come from; nil for one that does nothing else
	ok         []int // by second
	no         []int
	begin      time.Time
}

// limit is one token bucket of the store.
type limit struct {
	concerns func(c *object.Call) bool
	class    object.Class
	rate     func(t time.Duration) float64
	depth    float64 // in seconds of the rate
	level    float64
	at       time.Duration
	ok, no   []int
}

func always(r float64) func(time.Duration) float64 { return func(time.Duration) float64 { return r } }
func anyCall(*object.Call) bool                    { return true }

func (l *limit) admit(t time.Duration) bool {
	r := l.rate(t)
	if l.at == 0 {
		l.level = r * l.depth // full at the beginning
	}
	l.level = min(l.level+r*(t-l.at).Seconds(), max(1, r*l.depth))
	l.at = max(t, 1)
	if l.level < 1 {
		return false
	}
	l.level--
	return true
}

func count(s *[]int, t time.Duration) {
	i := int(t / time.Second)
	for len(*s) <= i {
		*s = append(*s, 0)
	}
	(*s)[i]++
}

// do serves one call and says how long it takes and how it ends.
func (s *store) do(c *object.Call) (time.Duration, object.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	t := now.Sub(s.begin)
	for _, l := range s.limits {
		if !l.concerns(c) {
			continue
		}
		if !l.admit(t) {
			count(&l.no, t)
			count(&s.no, t)
			return s.refuse, object.Result{Class: l.class, RetryAfter: s.retry, Latency: s.refuse}
		}
		count(&l.ok, t)
	}
	if s.stray > 0 && s.rand.Float64() < s.stray {
		count(&s.no, t)
		return s.refuse, object.Result{Class: s.strayClass, RetryAfter: s.retry, Latency: s.refuse}
	}
	d := s.latency(s.rand)
	if s.servers > 0 {
		if s.free == nil {
			s.free = make([]time.Time, s.servers)
		}
		first := 0
		for i, at := range s.free {
			if at.Before(s.free[first]) {
				first = i
			}
		}
		start := now
		if s.brittle && s.free[first].After(now) {
			count(&s.no, t)
			return s.refuse, object.Result{Class: object.ClassTransient, Latency: s.refuse}
		}
		if s.free[first].After(now) {
			start = s.free[first]
		}
		s.free[first] = start.Add(d)
		d = s.free[first].Sub(now)
	}
	count(&s.ok, t)
	return d, object.Result{OK: true, Latency: d}
}

func newStore(latency time.Duration, limits ...*limit) *store {
	return &store{rand: rand.New(rand.NewPCG(1, 2)), refuse: 2 * time.Millisecond, begin: time.Now(), limits: limits,
		latency: func(r *rand.Rand) time.Duration {
			return time.Duration(float64(latency) * (0.7 + 0.6*r.Float64()))
		}}
}

// load runs workers against the store for some time: each makes one call after
// another, and tries again after Backoff as the engine does.
func (s *store) load(p *Pacer, workers int, d time.Duration, next func(worker, i int) *object.Call) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c := next(w, i)
				for attempt := 1; ; attempt++ {
					if p.Enter(ctx, c) != nil {
						return
					}
					took, res := s.do(c)
					s.sleep(took)
					p.Leave(c, res)
					if res.OK || ctx.Err() != nil {
						break
					}
					s.sleep(Backoff(attempt, res.RetryAfter, nil))
				}
			}
		})
	}
	wg.Wait()
}

// sleep is time.Sleep on the machine that the calls come from.
func (s *store) sleep(d time.Duration) {
	if s.busy != nil {
		d += s.busy.late(d)
	}
	time.Sleep(d)
}

func copies(worker, i int) *object.Call {
	return &object.Call{Kind: object.ReqCopy, Key: "k"}
}

// between sums what happened in the seconds from a to b.
func between(s []int, a, b int) (n int) {
	for i := a; i < b && i < len(s); i++ {
		n += s[i]
	}
	return n
}

// settled asserts the promise of the package on the seconds from a to b: at
// least 0.9 of rate and under 2 % throttled.
func settled(t *testing.T, ok, no []int, a, b int, rate float64) {
	t.Helper()
	n, thr := between(ok, a, b), between(no, a, b)
	got := float64(n) / float64(b-a)
	share := float64(thr) / float64(max(1, n+thr))
	t.Logf("seconds %d to %d: %.0f requests/s of %.0f (%.3f), %.2f %% throttled", a, b, got, rate, got/rate, share*100)
	if got < 0.9*rate {
		t.Errorf("%.0f requests/s, want at least 0.9 of %.0f", got, rate)
	}
	if share >= 0.02 {
		t.Errorf("%.2f %% throttled, want under 2 %%", share*100)
	}
}

// plot draws values as a curve, one column each, and the limit as dots.
func plot(title string, values, bound []float64, top float64) string {
	const height = 16
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", title)
	for row := height; row >= 0; row-- {
		label := ""
		if row%4 == 0 {
			label = fmt.Sprintf("%.0f", top*float64(row)/height)
		}
		line := make([]byte, len(values))
		for i, v := range values {
			line[i] = ' '
			if level(bound[i], top, height) == row {
				line[i] = '.'
			}
			if level(v, top, height) == row {
				line[i] = '*'
			}
		}
		fmt.Fprintf(&b, "%8s |%s\n", label, strings.TrimRight(string(line), " "))
	}
	fmt.Fprintf(&b, "%8s +%s\n", "", strings.Repeat("-", len(values)))
	return b.String()
}

func level(v, top float64, height int) int {
	return min(height, int(v/top*float64(height)+0.5))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the curve differs from %s; look at it, then run with -update\n%s", path, got)
	}
}
