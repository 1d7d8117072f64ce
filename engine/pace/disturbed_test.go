package pace

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// busy is a machine that does something else half of the time: its turns are as long as chance
// has it, gap on average. A process stands still meanwhile.
type busy struct {
	begin time.Time
	turns []time.Duration // when it goes on with the other, beginning with the process
}

func newBusy(gap, d time.Duration) *busy {
	b, random := &busy{begin: time.Now()}, rand.New(rand.NewPCG(7, 8))
	for t := time.Duration(0); t < d; b.turns = append(b.turns, t) {
		t += time.Duration(random.ExpFloat64() * float64(gap))
	}
	return b
}

// late is how much later than in d the process goes on.
func (b *busy) late(d time.Duration) time.Duration {
	at := time.Since(b.begin) + d
	for i, turn := range b.turns {
		if turn > at {
			if i%2 == 0 {
				return 0
			}
			return turn - at
		}
	}
	return 0
}

// TestOnABusyMachine: the process stands still half of the time, for 50 ms on average, so that
// timers are late and most of the time less is sent than what is allowed. Neither refusals at
// any rate nor a limit may end in a crawl there.
func TestOnABusyMachine(t *testing.T) {
	for _, tc := range []struct {
		name  string
		share float64
		class object.Class
		limit float64
		want  float64 // of what the same machine does without refusals, or of the limit
	}{
		{"1 % by S3", 0.01, object.ClassThrottled, 0, 0.9},
		{"3 % by KMS", 0.03, object.ClassKMSThrottled, 0, 0.9},
		{"a limit", 0, object.ClassThrottled, 300, 0.7},
	} {
		if testing.Short() && tc.limit == 0 {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			run := func(t *testing.T, refuse bool) (rate, share float64) {
				synctest.Test(t, func(t *testing.T) {
					const d = 90 * time.Second
					s := newStore(20 * time.Millisecond)
					s.servers, s.busy = 20, newBusy(50*time.Millisecond, d)
					if refuse {
						s.stray, s.strayClass = tc.share, tc.class
						if tc.limit > 0 {
							s.limits = append(s.limits, throttling(always(tc.limit), 0.5))
						}
					}
					p := New(Limits{})
					p.late = s.busy.late
					s.load(p, 64, d, func(worker, i int) *object.Call {
						return &object.Call{Kind: object.ReqCopy, Key: "k", KMSKey: "key"}
					})
					ok, no := between(s.ok, 15, 90), between(s.no, 15, 90)
					rate, share = float64(ok)/75, float64(no)/float64(ok+no)
				})
				return rate, share
			}
			whole := tc.limit
			if whole == 0 {
				whole, _ = run(t, false)
			}
			got, refused := run(t, true)
			t.Logf("%.0f accepted a second of %.0f (%.3f), %.1f %% refused", got, whole, got/whole, refused*100)
			if got < tc.want*whole*(1-tc.share) {
				t.Errorf("%.0f requests/s, want at least %.2f of %.0f", got, tc.want, whole*(1-tc.share))
			}
		})
	}
}

// TestSlowCopies: what is refused comes back at once, and large copies when they are done. The
// share that is refused is not that of the replies of a moment.
func TestSlowCopies(t *testing.T) {
	for _, latency := range []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second} {
		if testing.Short() {
			continue // half a million simulated requests are for the round without -race
		}
		undisturbed := 0.0
		for _, share := range []float64{0, 0.01, 0.03, 0.10, 0.30} {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(latency)
				s.servers = int(400 * latency.Seconds())
				s.stray, s.strayClass = share, object.ClassThrottled
				const from, to = 240, 360
				s.load(New(Limits{}), 300, to*time.Second, copies)
				got := float64(between(s.ok, from, to)) / (to - from)
				if share == 0 {
					undisturbed = got
				}
				left := undisturbed * (1 - share)
				t.Logf("%v, %.0f %% refused: %.0f accepted a second of %.0f (%.2f)", latency, 100*share, got, left, got/left)
				if got < 0.8*left {
					t.Errorf("%v, %.0f %% refused: %.0f accepted a second, want at least 0.8 of %.0f", latency, 100*share, got, left)
				}
			})
		}
	}
}

// TestErrorsAtAnyRate: timeouts and 500 that come at any number in flight cost their share, and
// those of a store that is asked for too much at once go away with fewer in flight.
func TestErrorsAtAnyRate(t *testing.T) {
	for _, tc := range []struct {
		latency  time.Duration
		shares   []float64
		from, to int
	}{
		{20 * time.Millisecond, []float64{0.05, 0.10, 0.20, 0.40}, 30, 120},
		{500 * time.Millisecond, []float64{0.05, 0.10, 0.20, 0.40}, 60, 180},
		{2 * time.Second, []float64{0.10, 0.40}, 180, 300},
	} {
		if testing.Short() {
			continue // as in TestSlowCopies
		}
		undisturbed := 0.0
		for _, share := range append([]float64{0}, tc.shares...) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(tc.latency)
				s.servers = int(400 * tc.latency.Seconds())
				s.stray, s.strayClass = share, object.ClassTransient
				p := New(Limits{})
				s.load(p, 300, time.Duration(tc.to)*time.Second, copies)
				got := float64(between(s.ok, tc.from, tc.to)) / float64(tc.to-tc.from)
				if share == 0 {
					undisturbed = got
				}
				t.Logf("%v, %.0f %% end in errors: %.0f accepted a second of %.0f, %d in flight", tc.latency, 100*share, got, undisturbed, p.State().Concurrency)
				if got < 0.8*undisturbed {
					t.Errorf("%v, %.0f %% end in errors: %.0f accepted a second of %.0f", tc.latency, 100*share, got, undisturbed)
				}
			})
		}
	}
	t.Run("too much at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(50 * time.Millisecond)
			s.servers, s.brittle = 24, true
			p := New(Limits{})
			s.load(p, 300, 2*time.Minute, copies)
			got, no := float64(between(s.ok, 30, 120))/90, between(s.no, 30, 120)
			failed := float64(no) / float64(no+between(s.ok, 30, 120))
			t.Logf("%.0f accepted a second of 480, %.1f %% end in errors, %d in flight", got, 100*failed, p.State().Concurrency)
			if got < 0.5*480 || failed > 0.25 {
				t.Errorf("%.0f accepted a second of 480, %.1f %% end in errors", got, 100*failed)
			}
		})
	})
}

// TestAfterAPause: a run that is paused, or outside its window, sends nothing and waits for
// nothing. That time is no slowness of the store: the first refusal after it is not one too many,
// and a limit that has changed meanwhile is found as it would be without the pause.
func TestAfterAPause(t *testing.T) {
	for _, tc := range []struct {
		before, after float64
		pause, ask    time.Duration // ask: how often somebody asks for the state meanwhile
	}{
		{30, 30, time.Minute, 0}, {30, 30, time.Minute, 500 * time.Millisecond}, {30, 30, 12 * time.Second, 2 * time.Second},
		{300, 150, 5 * time.Second, 0}, {300, 150, 10 * time.Minute, 0}, {300, 150, 10 * time.Minute, time.Second},
		{1000, 500, time.Hour, 0},
	} {
		if testing.Short() && tc.before > 100 {
			continue
		}
		t.Run(fmt.Sprintf("%v then %v a second, %v, asked every %v", tc.before, tc.after, tc.pause, tc.ask), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { afterAPause(t, tc.before, tc.after, tc.pause, tc.ask) })
		})
	}
}

func afterAPause(t *testing.T, before, after float64, pause, ask time.Duration) {
	rate := before
	s := newStore(20*time.Millisecond, throttling(func(time.Duration) float64 { return rate }, 0.5))
	p := New(Limits{})
	s.load(p, 128, time.Minute, copies)
	rate = after
	for end := time.Now().Add(pause); time.Now().Before(end); {
		time.Sleep(cmp.Or(ask, pause))
		p.State()
	}
	from := int(time.Since(s.begin)/time.Second) + 5
	s.load(p, 128, 30*time.Second, copies)
	got := float64(between(s.ok, from, from+25)) / 25
	t.Logf("%.0f accepted a second of %.0f (%.2f)", got, after, got/after)
	if got < 0.9*after {
		t.Errorf("%.0f accepted a second from five seconds on, want at least 0.9 of %.0f", got, after)
	}
}
