package pace

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

const (
	stepTime = 100 * time.Millisecond
	// disarmAfter: with no limit in force and no throttled reply for this long the
	// calls take the lock-free way again.
	disarmAfter = 10 * time.Second
	// workUnit is how many bytes make a call count twice in the throughput.
	workUnit = 1 << 20
)

// Pacer lets requests through. Safe for concurrent use.
//
// As long as no ceiling is set and nothing is throttled a call costs a few
// atomic additions. Otherwise calls pass the gate one by one, under a mutex:
// whoever arrives is let through if every limit that concerns it has room and a
// slot is free, and waits in the queue of the first that has not. Tokens and slot
// are taken together, at the moment of sending, so that nobody sits on a slot
// while waiting for a rate, nor saves up tokens while waiting for a slot.
type Pacer struct {
	start   time.Time
	waiters sync.Pool
	// late says how much later a timer rings than it shall, in tests of a machine whose CPU others use.
	late func(time.Duration) time.Duration

	slots  atomic.Int64 // requests that may be in flight
	gated  atomic.Bool  // calls must pass the gate
	queued atomic.Int64 // calls that wait
	next   atomic.Int64 // time of the next step
	_      [64]byte     // what follows is written by every call

	inFlight atomic.Int64
	_        [64]byte
	done     atomic.Uint64
	work     atomic.Uint64 // bytes, beside done
	broken   atomic.Uint64

	mu struct {
		sync.Mutex
		limits      Limits
		concurrency concurrency
		slot        *limiter // the queue for a slot
		requests    *limiter
		kmsRequests *limiter
		bandwidth   *limiter
		s3          *family             // S3's limits: of all, or, once changes are known to have their own, of reads
		changes     *family             // nil until then
		keys        map[string]*limiter // by KMS key
		all         []*limiter
		draining    bool // nothing waits that begins something
		shared      bool // other processes are behind the same limits
		armed       bool // replies are counted for the adaptive limits
		lastStep    time.Duration
		quiet       time.Duration // in which nothing was under way
		alarm       *time.Timer
		alarmSet    bool
		alarmAt     time.Duration
		refused     int // in this step
		seen        struct{ done, work, broken uint64 }
		held        struct{ bySlots, byLimits int } // how often a call was, in this step
		throttled   time.Duration
		achieved    meter
		kinds       split // which kind of request is throttled
	}
}

// New returns a Pacer; the limits must be valid.
func New(l Limits) *Pacer {
	p := &Pacer{start: time.Now()}
	p.waiters.New = func() any { return &waiter{ready: make(chan struct{}, 1)} }
	m := &p.mu
	m.keys = make(map[string]*limiter)
	m.slot = &limiter{reason: Concurrency, bucket: bucket{rate: math.Inf(1)}}
	m.requests = p.add(&limiter{reason: RequestCeiling})
	m.kmsRequests = p.add(&limiter{reason: KMSCeiling})
	m.bandwidth = p.add(&limiter{reason: BandwidthCeiling})
	m.s3 = p.newFamily()
	p.SetLimits(l)
	return p
}

func (p *Pacer) add(l *limiter) *limiter {
	l.bucket = bucket{rate: math.Inf(1)}
	p.mu.all = append(p.mu.all, l)
	return l
}

// SetLimits changes the ceilings while requests run. What was found about the
// store stays.
func (p *Pacer) SetLimits(l Limits) {
	m := &p.mu
	m.Lock()
	defer m.Unlock()
	now := p.now()
	low, high := l.slots()
	oldLow, oldHigh := m.limits.slots()
	if m.concurrency.n == 0 || low != oldLow || high != oldHigh {
		m.concurrency = newConcurrency(low, high)
	}
	m.limits = l
	p.slots.Store(int64(m.concurrency.n))
	m.requests.bucket.set(now, unlimited(l.RequestsPerSecond))
	m.kmsRequests.bucket.set(now, unlimited(l.KMSRequestsPerSecond))
	m.bandwidth.bucket.set(now, unlimited(l.BytesPerSecond))
	p.regate()
	p.drainAll(now)
}

// regate decides whether calls have to pass the gate. REQUIRES: mu.
func (p *Pacer) regate() {
	l := p.mu.limits
	p.gated.Store(p.mu.armed || l.RequestsPerSecond > 0 || l.KMSRequestsPerSecond > 0 || l.BytesPerSecond > 0)
}

func (p *Pacer) now() time.Duration { return time.Since(p.start) }

// Share is told, before the first request, that other processes work behind the same limits.
func (p *Pacer) Share() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.shared = true
	p.mu.s3.everything.rate = p.newRate()
}

// newRate begins without a limit. REQUIRES: mu.
func (p *Pacer) newRate() rate {
	r := newRate(p.phase())
	r.floor.shared = p.mu.shared
	return r
}

// phase is where the wall clock stood when this pace began.
func (p *Pacer) phase() time.Duration {
	return time.Duration(p.start.UnixNano() % int64(lastDoubt))
}

// Enter waits until the call may be sent, or the context ends.
func (p *Pacer) Enter(ctx context.Context, c *object.Call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !p.gated.Load() && p.queued.Load() == 0 && p.takeSlot(c) {
		return nil
	}
	return p.enterGate(ctx, c)
}

func (p *Pacer) takeSlot(c *object.Call) bool {
	for !c.InTurn {
		n := p.inFlight.Load()
		if n >= p.slots.Load() {
			return false
		}
		if p.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return true
}

func (p *Pacer) giveSlot(c *object.Call) {
	if !c.InTurn {
		p.inFlight.Add(-1)
	}
}

func (p *Pacer) enterGate(ctx context.Context, c *object.Call) error {
	m := &p.mu
	m.Lock()
	now := p.now()
	p.stepIfDue(now)
	// Counted before the slot is tried for: a Leave that does not see it has
	// already given its slot back, and is seen here.
	p.queued.Add(1)
	at := p.try(now, c, nil)
	if at == nil {
		p.queued.Add(-1)
		m.Unlock()
		return nil
	}
	if m.draining && !c.Ends {
		p.queued.Add(-1)
		m.Unlock()
		return ErrDrained
	}
	w := p.waiters.Get().(*waiter)
	w.call, w.moved, w.letGo = c, false, false
	at.pushBack(w)
	p.arm(now, at)
	m.Unlock()

	select {
	case <-w.ready:
	case <-ctx.Done():
		m.Lock()
		if w.in == nil { // the grant came at the same time: it has a slot to give back
			<-w.ready
			if !w.letGo {
				p.giveSlot(c)
			}
		} else {
			w.in.remove(w)
			p.queued.Add(-1)
		}
		p.drainAll(p.now())
		m.Unlock()
		w.call = nil
		p.waiters.Put(w)
		return ctx.Err()
	}
	letGo := w.letGo
	w.call = nil
	p.waiters.Put(w)
	if letGo {
		return ErrDrained
	}
	return nil
}

// try takes all that the call needs, or nothing: then it returns the limiter
// that has no room. from is the queue that the call is the first of. REQUIRES: mu.
func (p *Pacer) try(now time.Duration, c *object.Call, from *limiter) *limiter {
	limits, n := p.limitsOf(c)
	for _, l := range limits[:n] {
		if l != from && l.head != nil || !l.ready(now, c) {
			p.mu.held.byLimits++
			return p.delayed(l)
		}
	}
	if !c.InTurn && from != p.mu.slot && p.mu.slot.head != nil || !p.takeSlot(c) {
		p.mu.held.bySlots++
		return p.delayed(p.mu.slot)
	}
	for _, l := range limits[:n] {
		l.bucket.take(l.cost(c))
	}
	if p.mu.armed {
		p.asked(c, func(l *limiter) { l.sends.total++ })
	}
	return nil
}

// asked goes over the adaptive limits that a call concerns. REQUIRES: mu.
func (p *Pacer) asked(c *object.Call, each func(*limiter)) {
	if c.Kind != object.ReqKMS {
		each(p.familyOf(c.Kind).limitOf(c.Key))
	}
	if k := p.mu.keys[c.KMSKey]; k != nil {
		each(k)
	}
}

func (p *Pacer) delayed(l *limiter) *limiter {
	l.delays++
	l.now.inUse = true
	return l
}

// limitsOf names the limits that concern a call, the ceilings first. REQUIRES: mu.
func (p *Pacer) limitsOf(c *object.Call) (ls [5]*limiter, n int) {
	m := &p.mu
	add := func(l *limiter) {
		if l != nil && (!math.IsInf(l.bucket.rate, 1) || l.rate.until > 0) {
			ls[n] = l
			n++
		}
	}
	toStore := c.Kind != object.ReqKMS
	if toStore {
		add(m.requests)
	}
	if c.KMSKey != "" {
		add(m.kmsRequests)
	}
	if c.Bytes > 0 {
		add(m.bandwidth)
	}
	if toStore {
		add(p.familyOf(c.Kind).limitOf(c.Key))
	}
	if c.KMSKey != "" {
		add(m.keys[c.KMSKey])
	}
	return ls, n
}

// Leave tells how a call that entered has ended.
func (p *Pacer) Leave(c *object.Call, r object.Result) {
	n := p.done.Add(1)
	if c.Bytes > 0 && r.OK {
		p.work.Add(uint64(c.Bytes))
	}
	throttled := r.Class == object.ClassThrottled || r.Class == object.ClassKMSThrottled
	if !r.OK && (r.Class == object.ClassTransient || r.Class == object.ClassUnreachable || r.Class == object.ClassKMSAway) {
		p.broken.Add(1)
	}
	p.giveSlot(c)
	// The clock is asked at every sixteenth quick call only: it costs as much as
	// all the rest.
	look := n%16 == 0 || r.Latency >= stepTime
	if p.gated.Load() || p.queued.Load() > 0 || !r.OK && throttled || look && int64(p.now()) >= p.next.Load() {
		p.leaveGate(c, r)
	}
}

func (p *Pacer) leaveGate(c *object.Call, r object.Result) {
	m := &p.mu
	m.Lock()
	defer m.Unlock()
	now := p.now()
	p.attribute(now, c, r)
	p.stepIfDue(now)
	p.drain(now, m.slot)
}

// attribute counts a reply for the limits that it tells about. REQUIRES: mu.
func (p *Pacer) attribute(now time.Duration, c *object.Call, r object.Result) {
	m := &p.mu
	byS3 := !r.OK && r.Class == object.ClassThrottled
	byKMS := !r.OK && r.Class == object.ClassKMSThrottled
	if byS3 || byKMS {
		m.throttled = now
		m.refused++
		if !m.armed {
			m.armed = true
			m.s3.everything.begin(now, m.achieved.rate(now, p.done.Load()))
			p.regate()
		}
	}
	if !m.armed {
		return
	}
	if !answered(r) {
		p.asked(c, func(l *limiter) { l.notAsked(now, r) })
		return
	}
	p.stepSoon(now)
	if c.Kind != object.ReqKMS {
		l := p.familyOf(c.Kind).limitOf(c.Key)
		l.saw(now, c, r, byS3)
		if m.changes == nil {
			m.kinds.count(kindOf(c), byS3)
		}
	}
	k := m.keys[c.KMSKey]
	if byS3 {
		if k != nil {
			k.notAsked(now, r)
		}
		return
	}
	if k == nil && byKMS && len(m.keys) < maxPrefixes {
		k = p.add(&limiter{reason: KMSThrottling, name: c.KMSKey, adaptive: true, rate: p.newRate(), born: now})
		m.keys[c.KMSKey] = k
	}
	if k != nil {
		k.saw(now, c, r, byKMS)
	}
}

// answered says whether the store itself answered.
func answered(r object.Result) bool {
	if r.OK {
		return true
	}
	switch r.Class {
	case object.ClassTransient, object.ClassCanceled, object.ClassUnreachable, object.ClassKMSAway:
		return false
	}
	return true
}
