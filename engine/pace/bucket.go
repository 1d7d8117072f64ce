package pace

import (
	"math"
	"time"
)

// bucket is a token bucket in the units of its rate. It is a value without a
// clock: now is the time since the pacer began.
type bucket struct {
	rate  float64 // tokens a second; +Inf for no limit
	level float64
	at    time.Duration
	// owed: a call waits for the next token, which is late if it comes later than wait said.
	owed bool
}

const (
	// slack is how much the bucket saves up while nobody wants it. More would be a burst. At
	// low rates the second token does the same for up to one interval.
	slack = 20 * time.Millisecond
	// lateness is how much of a pause it makes up for while calls wait: a machine whose CPU
	// others want rings timers late by tens of milliseconds, and without this each lateness
	// would be lost rate. The store has saved up as much meanwhile.
	lateness = 100 * time.Millisecond
)

func (b *bucket) depth() float64 { return math.Max(2, b.rate*slack.Seconds()) }

func (b *bucket) fill(now time.Duration) {
	if now > b.at && !math.IsInf(b.rate, 1) {
		top := b.depth()
		if b.owed {
			top = math.Max(top, b.rate*lateness.Seconds())
		}
		b.level = math.Min(top, b.level+b.rate*(now-b.at).Seconds())
	}
	b.at = max(b.at, now)
}

// set changes the rate from now on.
func (b *bucket) set(now time.Duration, rate float64) {
	if rate == b.rate {
		return
	}
	b.fill(now)
	if math.IsInf(b.rate, 1) {
		b.level = 1 // the first one need not wait
	}
	b.rate = rate
	if !math.IsInf(rate, 1) {
		b.level = math.Min(b.level, b.depth())
	}
}

// ready tells whether n tokens can be taken now. What is larger than the bucket
// is let through when the bucket is full and leaves a debt behind.
func (b *bucket) ready(now time.Duration, n float64) bool {
	if math.IsInf(b.rate, 1) {
		return true
	}
	b.fill(now)
	return b.level >= math.Min(n, b.depth())-1e-9
}

func (b *bucket) take(n float64) {
	if !math.IsInf(b.rate, 1) {
		b.level -= n
	}
}

// wait is how long it takes until n tokens can be taken.
func (b *bucket) wait(n float64) time.Duration {
	lack := math.Min(n, b.depth()) - b.level
	if lack <= 0 || math.IsInf(b.rate, 1) {
		return 0
	}
	return time.Duration(math.Ceil(lack / b.rate * float64(time.Second)))
}
