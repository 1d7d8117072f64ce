package pace

import (
	"math"
	"time"
)

// stepIfDue steps the calculators. REQUIRES: mu.
func (p *Pacer) stepIfDue(now time.Duration) {
	m := &p.mu
	dt := now - m.lastStep
	if dt < stepTime {
		return
	}
	m.lastStep = now
	p.next.Store(int64(now + stepTime))
	idle := p.idle(dt)
	p.stepConcurrency(now, dt)
	if dt -= p.lateness(now); idle {
		dt = 0
	}
	for _, l := range m.all {
		l.step(now, dt, m.armed)
	}
	m.slot.delays *= 0.8
	if m.armed {
		p.divide(now, idle)
		p.disarm(now)
	}
	p.drainAll(now)
	if m.armed && p.queued.Load() > 0 {
		p.stepSoon(now)
	}
}

// away is how long nothing has to be under way so that it says nothing about the store.
const away = time.Second

// idle says whether nothing has been asked of the store for a while: the run is paused, outside
// its window, or done with what it has found so far. A rate that is measured over such a time would
// be taken for all that the store can do, and the first refusals after it cut the pace to that.
// REQUIRES: mu.
func (p *Pacer) idle(dt time.Duration) bool {
	m := &p.mu
	m.quiet += dt
	if p.inFlight.Load() > 0 || p.queued.Load() > 0 || p.done.Load() != m.seen.done {
		m.quiet = 0
	}
	return m.quiet > away
}

// lateness is how much later this step comes than one was promised. A machine whose CPU others
// use lets a process stand still for a while: what was not sent or read then says nothing about
// the store, and a rate that is measured over it would be taken for all that the store can do.
// REQUIRES: mu.
func (p *Pacer) lateness(now time.Duration) time.Duration {
	m := &p.mu
	if !m.alarmSet {
		return 0
	}
	m.alarmSet = false
	m.alarm.Stop()
	return max(0, now-m.alarmAt)
}

// stepSoon sees to it that replies are looked at although nobody comes by: when
// all is throttled everybody may be waiting to try again. REQUIRES: mu.
func (p *Pacer) stepSoon(now time.Duration) {
	m := &p.mu
	if m.alarmSet {
		return
	}
	m.alarmSet, m.alarmAt = true, max(now, m.lastStep+stepTime)
	d := p.timer(m.alarmAt - now)
	if m.alarm != nil {
		m.alarm.Reset(d)
		return
	}
	m.alarm = time.AfterFunc(d, func() {
		m.Lock()
		defer m.Unlock()
		p.stepIfDue(p.now())
	})
}

// timer is how long to set a timer that shall ring in d.
func (p *Pacer) timer(d time.Duration) time.Duration {
	if p.late == nil {
		return d
	}
	return d + p.late(d)
}

func (p *Pacer) stepConcurrency(now, dt time.Duration) {
	m := &p.mu
	done, work, broken := p.done.Load(), p.work.Load(), p.broken.Load()
	m.achieved.mark(now, done)
	// A refusal comes back at once, and is no work.
	f := flow{dt: dt, done: max(0, int(done-m.seen.done)-m.refused), broken: int(broken - m.seen.broken)}
	f.work = float64(max(0, f.done-f.broken)) + float64(work-m.seen.work)/workUnit
	m.refused = 0
	m.seen.done, m.seen.work, m.seen.broken = done, work, broken
	// Where the rates hold back more than the slots, these are not what limits; but where
	// calls wait for a slot that no rate holds back, these are, whatever waits elsewhere.
	full := m.slot.head != nil || m.held.bySlots > 0 && m.held.bySlots >= m.held.byLimits
	m.concurrency.step(f, full)
	m.held.bySlots, m.held.byLimits = 0, 0
	p.slots.Store(int64(m.concurrency.n))
}

// divide gives prefixes that are throttled while others are not their own limit.
func (p *Pacer) divide(now time.Duration, idle bool) {
	p.part(now)
	p.divideFamily(now, p.mu.s3)
	p.judge(now, p.mu.s3, idle)
	if p.mu.changes != nil {
		p.divideFamily(now, p.mu.changes)
		p.judge(now, p.mu.changes, idle)
	}
}

func (p *Pacer) divideFamily(now time.Duration, f *family) {
	if f.parted.from == nil { // those that are judged are not forgotten meanwhile
		p.forget(now, f, nil, 1)
	}
	for _, l := range p.mu.all {
		if l.reason != f.everything.reason {
			continue
		}
		for _, seg := range l.split.hit() {
			if len(f.prefixes) >= maxPrefixes {
				return
			}
			own := p.add(&limiter{reason: l.reason, name: l.split.under + seg, adaptive: true, rate: p.newRate(), born: now})
			own.lastThrottle = now
			own.rate.cutAt = now
			f.prefixes[own.name] = own
			l.split.drop(seg)
			// The rest was spared, so what is known is known of the others only.
			l.restart(now, p.newRate())
		}
	}
}

// disarm ends the counting when no limit is in force and none has been for a
// while.
func (p *Pacer) disarm(now time.Duration) {
	m := &p.mu
	if now-m.throttled < disarmAfter {
		return
	}
	for _, l := range m.all {
		if l.adaptive && !l.idle(now) {
			return
		}
	}
	m.armed = false
	p.regate()
}

// drainAll lets through whoever can be let through. REQUIRES: mu.
func (p *Pacer) drainAll(now time.Duration) {
	p.drain(now, p.mu.slot)
	for _, l := range p.mu.all {
		p.drain(now, l)
	}
}

// drain lets the first of a queue through until one has to stay. REQUIRES: mu.
func (p *Pacer) drain(now time.Duration, l *limiter) {
	for l.head != nil {
		w := l.head
		at := p.try(now, w.call, l)
		if at == l {
			break
		}
		l.remove(w)
		switch {
		case at == nil:
			p.queued.Add(-1)
			w.ready <- struct{}{}
			continue
		case w.moved || l == p.mu.slot:
			// It has had its turn there: a call that needs two scarce things would
			// otherwise lose its place for one whenever it waits for the other.
			at.pushFront(w)
		default:
			at.pushBack(w)
		}
		w.moved = true
		p.arm(now, at)
	}
	p.arm(now, l)
}

// arm sets the clock for the first of a queue. The slot queue has none: a Leave
// drains it. REQUIRES: mu.
func (p *Pacer) arm(now time.Duration, l *limiter) {
	if l == p.mu.slot {
		return
	}
	if l.head == nil {
		if l.timer != nil {
			l.timer.Stop()
		}
		return
	}
	d := p.timer(l.wait(now))
	if l.timer == nil {
		l.timer = time.AfterFunc(d, func() { p.ring(l) })
		return
	}
	l.timer.Reset(d)
}

func (p *Pacer) ring(l *limiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.stepIfDue(now)
	p.drain(now, l)
}

// bound is the least of the limits in force on all requests, +Inf for none.
// REQUIRES: mu.
func (p *Pacer) bound() float64 {
	b := p.mu.requests.bucket.rate
	for _, f := range []*family{p.mu.s3, p.mu.changes} {
		if f != nil && len(f.prefixes) == 0 {
			b = math.Min(b, f.everything.bucket.rate)
		}
	}
	return b
}
