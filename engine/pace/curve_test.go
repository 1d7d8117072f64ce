package pace

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// drawRate steps the calculator alone, against a store that is a token bucket,
// in time steps of 10 ms: no goroutine, no clock, the same curve every time.
// demand is how many requests a second there would be without the limit.
type drawRate struct {
	demand  float64
	allowed func(sec float64) float64
	depth   float64 // of the store's bucket, in seconds
	latency time.Duration
	jitter  float64    // of the latency
	stray   float64    // share refused at any rate
	strays  [2]float64 // from and to which second; all the time where empty
	retry   time.Duration
	seed    uint64
	// gap is how long the machine does something else, on average, each time it has worked for
	// as long as that: nothing is sent then, no reply is seen, and no step is made.
	gap time.Duration
}

func (d drawRate) run(seconds int) (accepted, bound, limits []float64, throttled []int) {
	const dt = 10 * time.Millisecond
	random := rand.New(rand.NewPCG(3+d.seed, 4))
	type reply struct {
		at, sent  time.Duration
		throttled bool
	}
	r := newRate(0)
	var (
		out   bucket
		store = d.allowed(0) * d.depth
		fly   []reply
		seen  tally
		next  = stepTime
		owed  float64
		turn  = time.Duration(math.MaxInt64)
		gone  bool
	)
	if d.gap > 0 {
		turn = d.gap
	}
	out.rate = math.Inf(1)
	armed := false
	accepted = make([]float64, seconds)
	throttled = make([]int, seconds)
	for now := time.Duration(0); now < time.Duration(seconds)*time.Second; now += dt {
		sec := int(now / time.Second)
		rate := d.allowed(now.Seconds())
		store = math.Min(store+rate*dt.Seconds(), math.Max(1, rate*d.depth))
		if now%time.Second == 0 {
			bound = append(bound, rate)
			limits = append(limits, r.limit)
		}
		if now >= turn {
			gone, turn = !gone, now+time.Duration(random.ExpFloat64()*float64(d.gap))
		}
		if gone {
			continue
		}
		owed = math.Min(owed+d.demand*dt.Seconds(), d.demand/10)
		for owed >= 1 {
			if now < r.until || !out.ready(now, 1) {
				seen.inUse, out.owed = true, true
				break
			}
			out.take(1)
			out.owed = false
			owed--
			strays := d.strays[1] == 0 || now.Seconds() >= d.strays[0] && now.Seconds() < d.strays[1]
			refused := store < 1 || random.Float64() < d.stray && strays
			if refused {
				throttled[sec]++
			} else {
				store--
				accepted[sec]++
			}
			wait := time.Duration(float64(d.latency) * (1 + d.jitter*(2*random.Float64()-1)))
			fly = append(fly, reply{now + wait, now, refused})
		}
		rest := fly[:0]
		for _, f := range fly {
			if f.at > now {
				rest = append(rest, f)
				continue
			}
			armed = armed || f.throttled
			if !r.fresh(f.sent) {
				continue
			}
			seen.sent++
			if f.throttled {
				seen.throttled++
				seen.wait = d.retry
			}
		}
		fly = rest
		if now >= next {
			next = now + stepTime
			seen.dt = stepTime // what it comes later is not counted
			if armed {
				r.step(now, seen)
				out.set(now, r.limit)
			}
			seen = tally{}
		}
	}
	return accepted, bound, limits, throttled
}

func TestRateCurves(t *testing.T) {
	steady := func(r float64) func(float64) float64 { return func(float64) float64 { return r } }
	for _, tc := range []struct {
		file, title string
		d           drawRate
		seconds     int
		// want are the spans in which the promise must hold.
		want [][2]int
	}{
		{"finds.txt", "accepted a second; the store takes 1000 (dots); demand 5000", drawRate{demand: 5000, allowed: steady(1000), depth: 1, latency: 20 * time.Millisecond, jitter: 0.5}, 80, [][2]int{{30, 80}}},
		{"slow.txt", "the store takes 10; demand 1000", drawRate{demand: 1000, allowed: steady(10), depth: 1, latency: 100 * time.Millisecond}, 100, [][2]int{{30, 100}}},
		{"follows.txt", "the limit halves at 40 s and doubles at 80 s", drawRate{demand: 5000, depth: 0.2, latency: 30 * time.Millisecond, jitter: 0.9,
			allowed: func(s float64) float64 {
				if s >= 40 && s < 80 {
					return 500
				}
				return 1000
			}}, 130, [][2]int{{30, 40}, {45, 80}, {100, 130}}},
		{"stray.txt", "one reply in 500 is SlowDown at any rate; demand 2000, no limit", drawRate{demand: 2000, allowed: steady(1e6), depth: 1, latency: 20 * time.Millisecond, stray: 0.002}, 60, nil},
		{"outage.txt", "nothing is taken from 20 s to 30 s; demand 1000, no limit before and after", drawRate{demand: 1000, depth: 0.1, latency: 20 * time.Millisecond, retry: 3 * time.Second,
			allowed: func(s float64) float64 {
				if s >= 20 && s < 30 {
					return 0
				}
				return 1e6
			}}, 80, nil},
		{"noise04.txt", "0.4 % refused at any rate; demand 3000, no limit", drawRate{demand: 3000, allowed: steady(1e6), depth: 1, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.004}, 120, nil},
		{"noise1.txt", "1 % refused at any rate; demand 350, no limit", drawRate{demand: 350, allowed: steady(1e6), depth: 1, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.01}, 120, nil},
		{"noise3.txt", "3 % refused at any rate; demand 350, no limit", drawRate{demand: 350, allowed: steady(1e6), depth: 1, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.03}, 120, nil},
		{"noise10.txt", "10 % refused at any rate; demand 350, no limit", drawRate{demand: 350, allowed: steady(1e6), depth: 1, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.1}, 120, nil},
		{"noise30.txt", "30 % refused at any rate; demand 350, no limit", drawRate{demand: 350, allowed: steady(1e6), depth: 1, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.3}, 120, nil},
		{"noise10fast.txt", "10 % refused at any rate; demand 20000, no limit", drawRate{demand: 20000, allowed: steady(1e6), depth: 1, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.1}, 60, nil},
		{"noise10slow.txt", "10 % refused at any rate; demand 10, no limit", drawRate{demand: 10, allowed: steady(1e6), depth: 1, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.1}, 120, nil},
		{"starved1.txt", "1 % refused at any rate, demand 700, by a machine that does something else half of the time, 60 ms on average; no limit", drawRate{demand: 700, allowed: steady(1e6), depth: 1, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.01, gap: 60 * time.Millisecond}, 120, nil},
		{"starved.txt", "the store takes 1000; demand 6000, by a machine that does something else half of the time, 30 ms on average", drawRate{demand: 6000, allowed: steady(1000), depth: 0.5, latency: 20 * time.Millisecond, jitter: 0.5, gap: 30 * time.Millisecond}, 120, [][2]int{{30, 120}}},
		{"both.txt", "10 % refused at any rate, and the store takes 1000; demand 5000", drawRate{demand: 5000, allowed: steady(1000), depth: 0.5, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.1}, 120, nil},
		{"ends.txt", "the store takes 1000; demand 5000; 10 % refused at any rate from 40 s to 80 s", drawRate{demand: 5000, allowed: steady(1000), depth: 0.5, latency: 20 * time.Millisecond, jitter: 0.5, stray: 0.1, strays: [2]float64{40, 80}}, 120, nil},
		{"lent.txt", "others take a third of 1500 for 20 s of every 40", drawRate{demand: 5000, depth: 0.5, latency: 20 * time.Millisecond, jitter: 0.5,
			allowed: func(s float64) float64 {
				if math.Mod(s, 40) >= 20 {
					return 1000
				}
				return 1500
			}}, 120, nil},
	} {
		t.Run(tc.file, func(t *testing.T) {
			accepted, bound, _, throttled := tc.d.run(tc.seconds)
			top, demand := 0.0, tc.d.demand
			if tc.d.gap > 0 {
				demand /= 2
			}
			for i, b := range bound {
				if bound[i] = math.Min(b, demand); bound[i]*1.25 > top {
					top = bound[i] * 1.25
				}
			}
			for _, span := range tc.want {
				ok := make([]int, len(accepted))
				for i, n := range accepted {
					ok[i] = int(n)
				}
				settled(t, ok, throttled, span[0], span[1], bound[span[0]+1])
			}
			// What is refused at any rate costs just that share, once it is known.
			if d := &tc.d; d.stray > 0.002 && d.strays[1] == 0 {
				from, sum := tc.seconds/3, 0.0
				for _, n := range accepted[from:] {
					sum += n
				}
				got, left := sum/float64(tc.seconds-from), math.Min(demand, d.allowed(0))*(1-d.stray)
				t.Logf("from %d s on: %.1f accepted a second of %.1f", from, got, left)
				if got < 0.9*left {
					t.Errorf("%.1f accepted a second, want at least 0.9 of %.1f", got, left)
				}
			}
			golden(t, tc.file, plot(tc.title, accepted, bound, top))
		})
	}
}

// TestConcurrencyCurves draws what the calculator finds for stores of known
// throughput: n servers of 10 ms each, so that the throughput grows up to n in
// flight and the latency from there on.
func TestConcurrencyCurves(t *testing.T) {
	for _, tc := range []struct {
		file, title string
		servers     func(sec int) float64
		broken      func(sec int) bool
		noise       float64
		low, high   int // of n at the end
	}{
		{"knee.txt", "in flight; the store serves 24 at a time (dots)", func(int) float64 { return 24 }, nil, 0.05, 18, 40},
		{"moves.txt", "24 at a time, 12 from 60 s on, 48 from 120 s on", func(s int) float64 {
			return []float64{24, 12, 48}[s/60]
		}, nil, 0.05, 36, 80},
		{"timeouts.txt", "24 at a time; from 60 s to 65 s every fifth request times out", func(int) float64 { return 24 },
			func(s int) bool { return s >= 60 && s < 65 }, 0.05, 18, 40},
		{"faulty.txt", "24 at a time; from 60 s on every fifth request times out at any n", func(int) float64 { return 24 },
			func(s int) bool { return s >= 60 }, 0.05, 18, 40},
	} {
		t.Run(tc.file, func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, 6))
			c := newConcurrency(1, 256)
			var n, bound []float64
			for i := range 1800 {
				sec := i / 10
				k := tc.servers(sec)
				// Past the knee a queue costs a little throughput too.
				x := math.Min(float64(c.n), k) / 0.010 * (1 - 0.0005*math.Max(0, float64(c.n)-k))
				x *= 1 + tc.noise*random.NormFloat64()
				done := int(x * stepTime.Seconds())
				f := flow{dt: stepTime, work: float64(done), done: done}
				if tc.broken != nil && tc.broken(sec) {
					f.broken = done / 5
					f.work -= float64(f.broken)
				}
				c.step(f, true)
				if i%20 == 0 {
					n = append(n, float64(c.n))
					bound = append(bound, k)
				}
			}
			if c.n < tc.low || c.n > tc.high {
				t.Errorf("%d in flight at the end, want %d to %d", c.n, tc.low, tc.high)
			}
			golden(t, tc.file, plot(tc.title+"; a column is 2 s", n, bound, 80))
		})
	}
}
