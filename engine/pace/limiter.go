package pace

import (
	"math"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// limiter is one limit with the calls that wait for it, in order of arrival.
// All of it is guarded by the mutex of the Pacer.
type limiter struct {
	reason Reason
	// name is the prefix or the KMS key of an adaptive limit.
	name   string
	bucket bucket
	// rate, now (the tally of the step that runs) and split are those of an
	// adaptive limit.
	adaptive bool
	rate     rate
	now      tally
	sends    sends
	split    split

	head, tail *waiter
	waiting    int // in the queue
	timer      *time.Timer
	// born is when it began to count replies.
	born time.Duration
	// delays counts the calls that waited here; it fades with each step.
	delays float64

	replies, throttled uint64
	lastThrottle       time.Duration
	achieved, accepted meter // of replies, and of those that were not throttled
	// found is when it was lowered from no limit.
	found time.Duration
}

// waiter is one call in a queue.
type waiter struct {
	call       *object.Call
	in         *limiter
	prev, next *waiter
	moved      bool          // from one queue to another, once or more
	letGo      bool          // by Drain: it gets its value without a grant
	ready      chan struct{} // gets one value with the grant
}

// pushBack queues what begins something at the end, and what ends something behind
// its like: a proof does not wait for new work.
func (l *limiter) pushBack(w *waiter) {
	if w.call.Ends {
		l.pushBehindEnds(w)
		return
	}
	l.waiting++
	w.in, w.prev, w.next = l, l.tail, nil
	if l.tail != nil {
		l.tail.next = w
	} else {
		l.head = w
	}
	l.tail = w
	l.bucket.owed = true
}

func (l *limiter) pushBehindEnds(w *waiter) {
	at := l.head
	for at != nil && at.call.Ends {
		at = at.next
	}
	switch {
	case at == l.head:
		l.pushFront(w)
		return
	case at == nil:
		w.in, w.prev, w.next = l, l.tail, nil
		l.tail.next, l.tail = w, w
	default:
		w.in, w.prev, w.next = l, at.prev, at
		at.prev.next, at.prev = w, w
	}
	l.waiting++
}

func (l *limiter) pushFront(w *waiter) {
	l.waiting++
	w.in, w.prev, w.next = l, nil, l.head
	if l.head != nil {
		l.head.prev = w
	} else {
		l.tail = w
	}
	l.head = w
	l.bucket.owed = true
}

func (l *limiter) remove(w *waiter) {
	l.waiting--
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.tail = w.prev
	}
	w.in, w.prev, w.next = nil, nil, nil
	l.bucket.owed = l.head != nil
}

// cost is what a call takes from this limit.
func (l *limiter) cost(c *object.Call) float64 {
	if l.reason == BandwidthCeiling {
		return float64(c.Bytes)
	}
	return 1
}

func (l *limiter) ready(now time.Duration, c *object.Call) bool {
	return now >= l.rate.until && l.bucket.ready(now, l.cost(c))
}

// wait is how long the first in the queue has to wait.
func (l *limiter) wait(now time.Duration) time.Duration {
	l.bucket.fill(now)
	return max(l.bucket.wait(l.cost(l.head.call)), l.rate.until-now, 0)
}

// saw counts one reply. blamed says that it was this limit that throttled.
func (l *limiter) saw(now time.Duration, c *object.Call, r object.Result, blamed bool) {
	l.replies++
	if blamed {
		l.throttled++
		l.lastThrottle = now
		l.now.wait = max(l.now.wait, r.RetryAfter)
		l.sends.refused(r.Latency)
		if l.fresh(now, r) {
			l.now.throttled++
		}
	}
	if l.reason == S3Throttling || l.reason == S3ReadThrottling {
		l.split.countPath(c.Key, blamed)
	}
}

// fresh says whether a call was sent since the last cut, and was counted.
func (l *limiter) fresh(now time.Duration, r object.Result) bool {
	sent := now - r.Latency
	return sent >= l.born && l.rate.fresh(sent)
}

// notAsked is told of a call that was let through and never came to what has this limit.
func (l *limiter) notAsked(now time.Duration, r object.Result) {
	if l.fresh(now, r) {
		l.sends.takeBack()
	}
}

// begin forgets what was seen: counting starts now, at the given rate.
func (l *limiter) begin(now time.Duration, rate float64) {
	l.born, l.now, l.rate.seen, l.rate.before = now, tally{}, history{}, rate
	l.sends.cut(now)
}

// restart takes the limit away, and counts anew.
func (l *limiter) restart(now time.Duration, r rate) {
	l.rate = r
	l.rate.cutAt = now
	l.sends.cut(now)
	l.bucket.set(now, l.rate.limit)
}

// step moves an adaptive limit on and sets its bucket. dt is the time since the last step in
// which this process could have sent and read replies.
func (l *limiter) step(now, dt time.Duration, armed bool) {
	l.delays *= 0.8
	l.achieved.mark(now, l.replies)
	l.accepted.mark(now, l.replies-l.throttled)
	if !l.adaptive || !armed {
		return
	}
	t := l.now
	t.sent = l.sends.step(now)
	t.dt = max(0, min(dt, now-l.sends.behind()-max(l.born, l.rate.cutAt)))
	t.inUse = (t.inUse || l.head != nil) && now >= l.rate.until
	l.now = tally{inUse: l.head != nil}
	free := math.IsInf(l.rate.limit, 1)
	l.rate.step(now, t)
	if free {
		l.found = now
	}
	l.bucket.set(now, l.rate.limit)
	if l.rate.cutAt == now {
		l.bucket.level = 0 // what was saved up would be a burst on an empty bucket there
		l.sends.cut(now)
	}
}

// idle says whether the limit was never cut, or has not been of use for long.
func (l *limiter) idle(now time.Duration) bool {
	return math.IsInf(l.rate.limit, 1) && now-l.lastThrottle > disarmAfter
}

// meter is a rate over the last seconds.
type meter struct {
	ring [8]mark
	n    int
}

type mark struct {
	at    time.Duration
	total uint64
}

const meterStep = 500 * time.Millisecond

func (m *meter) mark(now time.Duration, total uint64) {
	if m.n > 0 && now-m.ring[(m.n-1)%len(m.ring)].at < meterStep {
		return
	}
	m.ring[m.n%len(m.ring)] = mark{now, total}
	m.n++
}

func (m *meter) rate(now time.Duration, total uint64) float64 {
	if m.n == 0 {
		return 0
	}
	old := m.ring[0]
	if m.n > len(m.ring) {
		old = m.ring[m.n%len(m.ring)]
	}
	if now-old.at < meterStep {
		return 0
	}
	return float64(total-old.total) / (now - old.at).Seconds()
}
