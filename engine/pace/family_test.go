package pace

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// pairs looks at each object before it copies it, as the engine does.
func pairs(worker, i int) *object.Call {
	if i%2 == 0 {
		return &object.Call{Kind: object.ReqHead, Key: "k"}
	}
	return copies(worker, i)
}

// TestReadsAreLimitedApart: a limit on copies alone is found although every copy comes with
// a look, and follows them down and up; one limit on both together is found by both.
func TestReadsAreLimitedApart(t *testing.T) {
	changes := func(c *object.Call) bool { return c.Kind.Mutates() }
	halved := func(t time.Duration) float64 {
		if t >= 30*time.Second && t < time.Minute {
			return 150
		}
		return 300
	}
	synctest.Test(t, func(t *testing.T) {
		l := &limit{concerns: changes, class: object.ClassThrottled, rate: halved, depth: 0.1}
		s := newStore(20*time.Millisecond, l)
		p := New(Limits{})
		s.load(p, 256, 90*time.Second, pairs)
		curve(t, "copies accepted a second", l, 400)
		settled(t, l.ok, l.no, 5, 30, 300)
		settled(t, l.ok, l.no, 35, 60, 150)
		settled(t, l.ok, l.no, 75, 90, 300)
		for _, c := range p.State().Controllers {
			if c.Reason != S3Throttling {
				t.Errorf("%+v: nobody refused a read", c)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := throttling(always(600), 0.1)
		s := newStore(20*time.Millisecond, l)
		s.load(New(Limits{}), 256, 90*time.Second, pairs)
		curve(t, "accepted a second of both", l, 800)
		settled(t, l.ok, l.no, 15, 90, 600)
	})
}

// TestPrefixAfterPrefix: a job in order of keys works below one prefix and then below the
// next. Where one limit is for all of them, none is taken for spared because it was not
// worked on while the limit was found.
func TestPrefixAfterPrefix(t *testing.T) {
	for _, rate := range []float64{100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			l := throttling(always(rate), 1)
			s := newStore(20*time.Millisecond, l)
			var n atomic.Int64
			s.load(New(Limits{}), 256, 2*time.Minute, func(int, int) *object.Call {
				k := n.Add(1)
				return &object.Call{Kind: object.ReqCopy, Key: fmt.Sprintf("p%02d/%d", k/int64(rate*10), k)}
			})
			settled(t, l.ok, l.no, 15, 120, rate)
		})
	}
}

// TestPrefixesOfYesterday: a job that has passed through many prefixes with a limit each
// finds those of the next ones too, and does not hold up the rest by theirs.
func TestPrefixesOfYesterday(t *testing.T) {
	for name, was := range map[string]limiter{"answered": {replies: 1000, throttled: 1}, "given a limit, and never asked": {born: -time.Hour}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { afterOthers(t, &was) })
		})
	}
}

func afterOthers(t *testing.T, was *limiter) {
	p := New(Limits{})
	p.mu.Lock()
	for i := range maxPrefixes {
		l := p.add(&limiter{reason: S3Throttling, name: fmt.Sprintf("old%02d/", i), adaptive: true, rate: newRate(0), replies: was.replies, throttled: was.throttled, born: was.born})
		l.rate.limit, p.mu.s3.prefixes[l.name] = 100, l
	}
	p.mu.Unlock()
	hot := func(c *object.Call) bool { return c.Key[:4] == "hot/" }
	l := &limit{concerns: hot, class: object.ClassThrottled, rate: always(50), depth: 0.1}
	s := newStore(20*time.Millisecond, l)
	s.load(p, 64, 30*time.Second, func(worker, i int) *object.Call {
		return &object.Call{Kind: object.ReqCopy, Key: [...]string{"hot/", "cold/"}[worker%2] + fmt.Sprint(i)}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mu.s3.prefixes) > maxPrefixes || p.mu.s3.prefixes["hot/"] == nil {
		t.Errorf("%d prefixes, and hot/ has no limit of its own", len(p.mu.s3.prefixes))
	}
}

// TestPartedBeforeAPause: prefixes that have just got limits of their own are judged by what they
// take once they are asked again. What they took in a pause was taken for all that there is.
func TestPartedBeforeAPause(t *testing.T) {
	for _, ask := range []time.Duration{time.Minute, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(20*time.Millisecond, throttling(always(300), 0.5))
			p := New(Limits{})
			below := []string{"a/", "b/", "c/", "d/"}
			calls := func(worker, i int) *object.Call {
				return &object.Call{Kind: object.ReqCopy, Key: below[worker%len(below)] + "x"}
			}
			for second := 0; len(p.mu.s3.prefixes) == 0; second++ { // not while it looks for a floor
				if second > 60 {
					t.Fatal("the limit was not parted")
				}
				s.load(p, 128, time.Second, calls)
				p.Spread("", len(below), below)
			}
			s.load(p, 128, 8*time.Second, calls)
			for asleep := time.Duration(0); asleep < time.Minute; asleep += ask {
				time.Sleep(ask)
				p.State()
			}
			from := int(time.Since(s.begin)/time.Second) + 5
			s.load(p, 128, 35*time.Second, calls)
			if len(p.mu.s3.prefixes) > 0 {
				t.Errorf("%d prefixes have limits of their own, and the store has one for all", len(p.mu.s3.prefixes))
			}
			if got := between(s.ok, from, from+30) / 30; got < 270 {
				t.Errorf("%d accepted a second from five seconds after the pause on, want at least 0.9 of 300", got)
			}
		})
	}
}
