package pace

import (
	"math"
	"time"
)

// concurrency is the calculator of the requests in flight. By Little's law
// throughput times latency is what is in flight, so that with all slots in use
// one question covers both: when n grows by a factor f, by which power of f does
// the throughput grow? 1 is a store that takes all and answers as quickly as
// before, 0 one that only lets them wait.
//
//	climbing   n doubles as long as the power is a quarter or more; one window that
//	           denies it is asked again
//	holding    for a while, longer each time that nothing better was found
//	above      a quarter more is tried; the power is a third or more: keep it and try on
//	below      a fifth less is tried; the power is a quarter or less: keep it and try on
//
// Too few cost speed, and a few too many only latency, hence the bounds below a
// half. Time in which slots were free says nothing, and errors of an overloaded
// store that does not say SlowDown (timeouts, 500) halve n; where they come as
// often after two halvings, as far as chance lets tell, n is not their cause and comes back.
type concurrency struct {
	n        int
	min, max int
	phase    phase
	base     float64       // throughput at n, before a probe
	held     time.Duration // in this holding
	hold     time.Duration
	down     bool // the next probe goes below
	probe    int  // what n was before the probe
	asked    bool // a window of the climb has denied already
	win      flow
	settling time.Duration // of the window's start is ignored after a change
	took     time.Duration // by a call, on average
	ill      illness
}

// illness is what is known of errors that are no throttling.
type illness struct {
	share  float64 // that comes at any n
	before tally   // the last halving, which is to show whether it helps; empty if none is
	from   int     // n before the first halving in vain
	vain   int
}

type phase uint8

const (
	climbing phase = iota
	holding
	above
	below
)

const (
	// firstSlots are few for a store across a network, and enough for a small one.
	firstSlots = 32
	shortHold  = 2 * time.Second
	longHold   = 20 * time.Second
	// A window is long enough with this time and this many replies a slot.
	shortestWindow = 200 * time.Millisecond
	steadyWindow   = 500 * time.Millisecond // once it no longer climbs
	longestWindow  = 30 * time.Second
	repliesPerSlot = 4
	// tooIll is the share of errors from which on fewer are tried.
	tooIll = 0.1
	// longestTook bounds how long replies to what was sent before a change are left out.
	longestTook = 10 * time.Second
)

// flow is what came back within some time.
type flow struct {
	dt     time.Duration
	work   float64 // replies, weighted by the bytes that they moved
	done   int
	broken int // timeouts, lost connections, 5xx that are not throttling
	idle   time.Duration
}

func newConcurrency(lowestN, highestN int) concurrency {
	return concurrency{n: min(max(firstSlots, lowestN), highestN), min: lowestN, max: highestN, hold: shortHold}
}

// step takes in what was seen since the last step; full says whether all slots
// were in use.
func (c *concurrency) step(f flow, full bool) {
	if c.min == c.max {
		return
	}
	if c.settling > 0 {
		c.settling -= f.dt
		return
	}
	if !full {
		f.idle = f.dt
	}
	c.win.dt += f.dt
	c.win.work += f.work
	c.win.done += f.done
	c.win.broken += f.broken
	c.win.idle += f.idle
	if !c.enough() {
		return
	}
	w := c.win
	c.win = flow{}
	c.judge(w)
}

func (c *concurrency) enough() bool {
	w, least := c.win, shortestWindow
	if c.phase != climbing {
		least = steadyWindow
	}
	return w.dt >= least && w.done >= repliesPerSlot*c.n ||
		w.dt >= 5*time.Second && w.done >= c.n ||
		w.dt >= longestWindow
}

func (c *concurrency) judge(w flow) {
	x := w.work / w.dt.Seconds()
	if w.done > 0 {
		c.took = w.dt * time.Duration(c.n) / time.Duration(w.done)
	}
	switch {
	case c.fellIll(tally{sent: w.done, throttled: w.broken}):
	case w.idle*10 > w.dt:
		// Something else limits; nothing can be learnt about n.
		if c.phase == above || c.phase == below {
			c.set(c.probe)
		}
		if c.phase != climbing {
			c.rest(shortHold)
		}
		c.base = 0
	case c.phase == climbing:
		c.climb(x)
	case c.phase == holding:
		c.held += w.dt
		c.base = x
		if c.held >= c.hold {
			c.try()
		}
	default:
		c.settle(x)
	}
}

// fellIll takes in the errors of a window, and says whether n was changed for them.
func (c *concurrency) fellIll(w tally) bool {
	ill, known := &c.ill, tally{sent: w.sent, throttled: int(math.Round(c.ill.share * float64(w.sent)))}
	if !alike(known, w) && share(w) < ill.share {
		ill.share = share(w)
	}
	switch looking := ill.before.sent > 0; {
	case looking && share(w) < share(ill.before) && !alike(ill.before, w): // it helped
		ill.before, ill.vain = tally{}, 0
		return false
	case looking:
		ill.vain++
	case w.throttled < 3 || share(w) < tooIll || share(w) <= ill.share || alike(known, w):
		return false
	default:
		ill.vain, ill.from = 0, c.n
	}
	if ill.vain >= convincing {
		ill.share, ill.before, ill.vain = share(w), tally{}, 0
		c.set(ill.from)
	} else {
		ill.before = w
		c.set(max(c.min, c.n/2))
	}
	c.rest(shortHold)
	return true
}

func (c *concurrency) climb(x float64) {
	if c.base > 0 && x < c.base*math.Pow(2, 0.25) {
		if !c.asked {
			c.asked = true
			return
		}
		c.set(c.probe)
		c.down = false
		c.rest(shortHold)
		return
	}
	if c.n == c.max {
		c.rest(shortHold)
		return
	}
	c.base, c.probe, c.asked = x, c.n, false
	c.set(min(c.max, c.n*2))
}

// try begins a probe, alternating between more and less.
func (c *concurrency) try() {
	c.probe = c.n
	c.phase = above
	next := min(c.max, c.n+max(1, c.n/4))
	if c.down || next == c.n {
		c.phase = below
		next = max(c.min, c.n-max(1, c.n/5))
	}
	c.down = !c.down
	c.set(next)
}

// settle ends a probe: keep what it changed, or go back.
func (c *concurrency) settle(x float64) {
	power := 1.0 / 3
	if c.phase == below {
		power = 1.0 / 4
	}
	gain := math.Pow(float64(c.n)/float64(c.probe), power)
	if x >= c.base*gain && c.n != c.probe {
		c.base = x
		c.down = c.phase == below // go on in the same direction
		c.hold = shortHold
		c.try()
		return
	}
	c.set(c.probe)
	c.rest(min(longHold, c.hold*2))
}

func (c *concurrency) rest(d time.Duration) {
	c.phase, c.held, c.hold = holding, 0, d
}

// set changes n; replies to what was sent before the change are left out.
func (c *concurrency) set(n int) {
	if n != c.n {
		c.settling = max(shortestWindow/2, min(c.took, longestTook))
	}
	c.n = n
	c.win = flow{}
}
