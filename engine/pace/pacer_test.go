package pace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// curve logs what the store saw in each second.
func curve(t *testing.T, title string, l *limit, top float64) {
	t.Helper()
	var values, bound []float64
	for i, n := range l.ok {
		values = append(values, float64(n))
		bound = append(bound, l.rate(time.Duration(i)*time.Second))
	}
	t.Log("\n" + plot(title, values, bound, top))
}

func throttling(rate func(time.Duration) float64, depth float64) *limit {
	return &limit{concerns: anyCall, class: object.ClassThrottled, rate: rate, depth: depth}
}

func TestFindsTheLimit(t *testing.T) {
	for _, tc := range []struct {
		rate    float64
		depth   float64
		latency time.Duration
		retry   time.Duration
		seconds int
	}{
		{20, 1, 50 * time.Millisecond, 0, 90},
		{100, 1, 10 * time.Millisecond, 0, 90},
		{100, 0.1, 50 * time.Millisecond, 0, 90},
		{100, 1, 10 * time.Millisecond, time.Second, 90},
		{1000, 1, 10 * time.Millisecond, 0, 60},
		{1000, 5, 30 * time.Millisecond, 0, 60},
		{1000, 0.05, 100 * time.Millisecond, 0, 60},
		{10000, 1, 10 * time.Millisecond, 0, 36},
	} {
		if testing.Short() && tc.rate > 100 {
			continue // a million simulated requests are for the round without -race
		}
		t.Run(fmt.Sprintf("R=%v,depth=%vs,latency=%v,retry=%v", tc.rate, tc.depth, tc.latency, tc.retry), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(tc.latency, throttling(always(tc.rate), tc.depth))
				s.retry = tc.retry
				s.load(New(Limits{}), 256, time.Duration(tc.seconds)*time.Second, copies)
				curve(t, "requests accepted a second", s.limits[0], tc.rate*1.6)
				settled(t, s.ok, s.no, 30, tc.seconds, tc.rate)
			})
		})
	}
}

func TestFollowsTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 1,000, half of it after a minute, double after two.
		l := throttling(func(t time.Duration) float64 {
			switch {
			case t < time.Minute:
				return 1000
			case t < 2*time.Minute:
				return 500
			}
			return 1000
		}, 1)
		s := newStore(15*time.Millisecond, l)
		s.load(New(Limits{}), 256, 3*time.Minute, copies)
		curve(t, "requests accepted a second", l, 1600)
		settled(t, s.ok, s.no, 30, 60, 1000)
		settled(t, s.ok, s.no, 65, 120, 500)
		settled(t, s.ok, s.no, 140, 180, 1000)
	})
}

func TestOnlyKMSGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kms := &limit{concerns: func(c *object.Call) bool { return c.KMSKey == "key" }, class: object.ClassKMSThrottled, rate: always(100), depth: 1}
		s3 := throttling(always(1000), 1)
		s := newStore(10*time.Millisecond, s3, kms)
		p := New(Limits{})
		s.load(p, 256, time.Minute, func(worker, i int) *object.Call {
			c := &object.Call{Kind: object.ReqCopy, Key: "k", KMSKey: "key"}
			if worker%2 != 0 { // half of the workers do what needs no KMS
				c = &object.Call{Kind: object.ReqHead, Key: "k"}
			}
			return c
		})
		curve(t, "requests accepted by KMS a second", kms, 200)
		settled(t, kms.ok, kms.no, 30, 60, 100)
		settled(t, s3.ok, s3.no, 30, 60, 1000)
		for _, c := range p.State().Controllers {
			t.Logf("%+v", c)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		kms := &limit{concerns: func(c *object.Call) bool { return c.KMSKey != "" }, class: object.ClassKMSThrottled, rate: always(100), depth: 1}
		s := newStore(10*time.Millisecond, throttling(always(1000), 1), kms)
		p := New(Limits{})
		s.load(p, 64, time.Minute, func(worker, i int) *object.Call {
			return &object.Call{Kind: object.ReqCopy, Key: "k", KMSKey: "key"}
		})
		settled(t, kms.ok, kms.no, 30, 60, 100)
		st := p.State()
		if len(st.Controllers) != 1 || st.Controllers[0].Reason != KMSThrottling || st.Controllers[0].Name != "key" {
			t.Errorf("controllers %+v, want that of the KMS key alone", st.Controllers)
		}
		if st.Why != KMSThrottling || st.Allowed == 0 || st.Allowed > 200 {
			t.Errorf("state %+v", st)
		}
	})
}

func TestPrefixesGetTheirOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hot := &limit{concerns: func(c *object.Call) bool { return c.Key[:4] == "hot/" }, class: object.ClassThrottled, rate: always(100), depth: 1}
		s := newStore(20*time.Millisecond, hot)
		p := New(Limits{})
		s.load(p, 64, time.Minute, func(worker, i int) *object.Call {
			if worker%2 == 0 {
				return &object.Call{Kind: object.ReqCopy, Key: "hot/x"}
			}
			return &object.Call{Kind: object.ReqCopy, Key: fmt.Sprintf("cold%d/x", i%5)}
		})
		curve(t, "accepted under hot/", hot, 200)
		settled(t, hot.ok, hot.no, 30, 60, 100)
		cold := float64(between(s.ok, 30, 60)-between(hot.ok, 30, 60)) / 30
		t.Logf("the others: %.0f/s", cold)
		if cold < 1000 { // 32 workers at 20 ms are 1,600 a second
			t.Errorf("%.0f requests/s of the prefixes that are not throttled", cold)
		}
		st := p.State()
		named := 0
		for _, c := range st.Controllers {
			if c.Name == "hot/" {
				named++
			} else if c.Limit != 0 {
				t.Errorf("%q is limited to %.0f", c.Name, c.Limit)
			}
		}
		if named != 1 {
			t.Errorf("controllers %+v, want one of hot/", st.Controllers)
		}
	})
}

// TestPrefixesFarDown: what comes after the path that all keys share has limits of its own,
// although some keys lie elsewhere.
func TestPrefixesFarDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const path = "data/region=eu/table=orders/"
		hot := &limit{concerns: func(c *object.Call) bool { return strings.HasPrefix(c.Key, path+"hot/") }, class: object.ClassThrottled, rate: always(100), depth: 1}
		s := newStore(20*time.Millisecond, hot)
		p := New(Limits{})
		s.load(p, 64, time.Minute, func(worker, i int) *object.Call {
			switch {
			case worker == 1 && i%500 == 0:
				return &object.Call{Kind: object.ReqCopy, Key: "README"}
			case worker%2 == 0:
				return &object.Call{Kind: object.ReqCopy, Key: path + "hot/x"}
			}
			return &object.Call{Kind: object.ReqCopy, Key: fmt.Sprintf("%scold%d/x", path, i%5)}
		})
		settled(t, hot.ok, hot.no, 30, 60, 100)
		if cold := float64(between(s.ok, 30, 60)-between(hot.ok, 30, 60)) / 30; cold < 1000 {
			t.Errorf("%.0f requests/s of the prefixes that are not throttled", cold)
		}
		if prefix, _ := p.Full(path+"hot/y", 1); prefix != path+"hot/" {
			t.Errorf("the limit is on %q", prefix)
		}
	})
}

func TestUniformThrottlingIsNotDivided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := throttling(always(300), 1)
		s := newStore(20*time.Millisecond, l)
		p := New(Limits{})
		s.load(p, 64, 5*time.Minute, func(worker, i int) *object.Call {
			return &object.Call{Kind: object.ReqCopy, Key: fmt.Sprintf("p%d/x", rand.IntN(7))}
		})
		settled(t, s.ok, s.no, 30, 300, 300)
		if st := p.State(); len(st.Controllers) != 1 || st.Controllers[0].Name != "" {
			t.Errorf("controllers %+v, want that of the bucket alone", st.Controllers)
		}
	})
}

func TestStrayThrottlesAreTolerated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// One in 500 requests is refused whatever the rate is.
		l := throttling(nil, 0)
		var n int
		l.concerns = func(*object.Call) bool { n++; return n%500 == 0 }
		l.rate = always(0)
		s := newStore(20*time.Millisecond, l)
		s.load(New(Limits{Concurrency: 32}), 32, time.Minute, copies)
		if got := between(s.ok, 30, 60) / 30; got < 1300 { // 1,600 without any
			t.Errorf("%d requests/s", got)
		}
	})
}

// TestRefusalsAtAnyRate: a store, or its KMS, that refuses a share of the requests
// whatever their rate is as fast as one that refuses none, but for that share.
func TestRefusalsAtAnyRate(t *testing.T) {
	for _, tc := range []struct {
		share   float64
		class   object.Class
		servers int // of 20 ms each; 0 for a limit of 1,000 a second besides
	}{
		{0.01, object.ClassThrottled, 8}, {0.03, object.ClassThrottled, 8}, {0.1, object.ClassThrottled, 8}, {0.3, object.ClassThrottled, 8},
		{0.1, object.ClassKMSThrottled, 8}, {0.3, object.ClassKMSThrottled, 8}, {0.1, object.ClassThrottled, 0},
	} {
		if testing.Short() && tc.share != 0.3 {
			continue
		}
		t.Run(fmt.Sprintf("%v of class %v, %d servers", tc.share, tc.class, tc.servers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				undisturbed := 1000.0 * (1 - tc.share) // what is left of it
				s := newStore(20 * time.Millisecond)
				if s.servers = tc.servers; s.servers == 0 {
					s.limits = append(s.limits, throttling(always(1000), 0.5))
				} else {
					undisturbed = float64(s.servers) / 0.020 * (1 - tc.share)
				}
				s.stray, s.strayClass = tc.share, tc.class
				s.load(New(Limits{}), 256, 90*time.Second, func(worker, i int) *object.Call {
					return &object.Call{Kind: object.ReqCopy, Key: "k", KMSKey: "key"}
				})
				got := float64(between(s.ok, 15, 90)) / 75
				t.Logf("%.0f accepted a second of %.0f (%.3f)", got, undisturbed, got/undisturbed)
				if got < 0.9*undisturbed {
					t.Errorf("%.0f requests/s, want at least 0.9 of %.0f", got, undisturbed)
				}
			})
		})
	}
}

func TestRetryAfterPausesWhereAllIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := func(t time.Duration) float64 {
			if t >= 10*time.Second && t < 20*time.Second {
				return 0
			}
			return 1e6
		}
		s := newStore(20*time.Millisecond, throttling(down, 0.01))
		s.retry = 5 * time.Second
		s.load(New(Limits{Concurrency: 16}), 16, 60*time.Second, copies)
		if n := between(s.no, 10, 20); n > 100 {
			t.Errorf("%d requests to a store that asked for a pause", n)
		}
		// 800 a second before: the recovery is slow since nobody told the new limit.
		if n := between(s.ok, 50, 60) / 10; n < 500 {
			t.Errorf("%d requests/s half a minute after the pause", n)
		}
	})
}

func TestConcurrencyIsFound(t *testing.T) {
	for _, tc := range []struct {
		name     string
		servers  int
		latency  time.Duration
		low, top int     // of the concurrency found
		rate     float64 // that the store can do
	}{
		{"two slow servers", 2, 4 * time.Millisecond, 2, 8, 500},
		{"eight servers", 8, 5 * time.Millisecond, 7, 20, 1600},
		{"forty servers", 40, 20 * time.Millisecond, 32, 80, 2000},
		{"any number", 0, 30 * time.Millisecond, 200, 256, 256 / 0.03},
	} {
		if testing.Short() && tc.rate > 600 {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(tc.latency)
				s.servers = tc.servers
				p := New(Limits{})
				var st State
				time.AfterFunc(119*time.Second, func() { st = p.State() })
				s.load(p, 256, 2*time.Minute, copies)
				got := float64(between(s.ok, 60, 119)) / 59
				t.Logf("%d in flight, %.0f requests/s of %.0f: %s", st.Concurrency, got, tc.rate, st.Detail)
				if st.Concurrency < tc.low || st.Concurrency > tc.top {
					t.Errorf("concurrency %d, want %d to %d", st.Concurrency, tc.low, tc.top)
				}
				if got < 0.85*tc.rate {
					t.Errorf("%.0f requests/s, want 0.85 of %.0f", got, tc.rate)
				}
				if st.Why != Concurrency || !st.Found {
					t.Errorf("state %+v", st)
				}
			})
		})
	}
}

func TestConcurrencyIsNotExceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Limits{Concurrency: 7})
		var in, most atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				c := &object.Call{Kind: object.ReqHead}
				for range 100 {
					if err := p.Enter(t.Context(), c); err != nil {
						t.Error(err)
						return
					}
					n := in.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					time.Sleep(time.Millisecond)
					in.Add(-1)
					p.Leave(c, object.Result{OK: true, Latency: time.Millisecond})
				}
			})
		}
		wg.Wait()
		if most.Load() != 7 {
			t.Errorf("%d in flight at most, want 7", most.Load())
		}
		if st := p.State(); st.InFlight != 0 || st.Waiting != 0 {
			t.Errorf("state at the end %+v", st)
		}
	})
}

func benchmarkEnterLeave(b *testing.B, l Limits, goroutines int) {
	p := New(l)
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for g := range goroutines {
		n := b.N / goroutines
		if g == 0 {
			n = b.N - n*(goroutines-1)
		}
		wg.Go(func() {
			c := &object.Call{Kind: object.ReqCopy, Key: "a/b/c", Bytes: 1000}
			r := object.Result{OK: true, Latency: time.Millisecond}
			for range n {
				if p.Enter(context.Background(), c) != nil {
					panic("refused")
				}
				p.Leave(c, r)
			}
		})
	}
	wg.Wait()
}

func BenchmarkEnterLeave(b *testing.B) {
	for _, g := range []int{1, 64} {
		b.Run(fmt.Sprintf("free/goroutines=%d", g), func(b *testing.B) {
			benchmarkEnterLeave(b, Limits{Concurrency: 256}, g)
		})
		b.Run(fmt.Sprintf("gated/goroutines=%d", g), func(b *testing.B) {
			benchmarkEnterLeave(b, Limits{Concurrency: 256, RequestsPerSecond: 1e9}, g)
		})
	}
}
