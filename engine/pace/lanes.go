package pace

import (
	"math"
	"slices"
	"strings"
	"time"
)

// thinQueue is how many seconds' worth of requests wait at a limit that has enough of them:
// a task takes about as long from its beginning to the request that the limit is on.
const thinQueue = 0.04

// Full says whether requests for a key wait for S3's limit on its prefix, as many as it lets
// through within a moment, or most: whoever has other work does that first. prefix is the
// limit's, and empty where there is one for all. Ceilings and KMS are not looked at, since no
// other key would be better off.
func (p *Pacer) Full(key string, most int) (prefix string, full bool) {
	if !p.gated.Load() && p.queued.Load() == 0 {
		return "", false
	}
	m := &p.mu
	m.Lock()
	defer m.Unlock()
	for _, f := range []*family{m.changes, m.s3} {
		if f == nil {
			continue
		}
		l := f.limitOf(key)
		if len(l.name) > len(prefix) {
			prefix = l.name
		}
		if l.waiting >= min(most, 2+int(thinQueue*math.Min(l.bucket.rate, 1e6))) {
			return l.name, true
		}
	}
	return prefix, false
}

// Spread is told that work below a prefix, as Full names it, now lies in n times as many
// places as before, and which prefixes below it have much of it. What was found of some of
// them may be far below what all can take. So each gets a limit of its own, which begins
// where it is with the others what was found of all, and doubles each second until something
// is throttled. Where that brings nothing, the store limits all of them together, and they
// have one limit again; see parted.
func (p *Pacer) Spread(prefix string, n int, below []string) {
	m := &p.mu
	m.Lock()
	defer m.Unlock()
	now := p.now()
	for _, f := range []*family{m.changes, m.s3} {
		if f == nil {
			continue
		}
		l := f.everything
		if prefix != "" {
			l = f.prefixes[prefix]
		}
		switch {
		case l == nil || math.IsInf(l.rate.limit, 1) || now < l.rate.until || l.rate.floor.looking:
		case len(below) < 2:
			l.rate.widen(float64(n))
		case now-l.found >= foundAfter && now >= f.parted.again && f.parted.from == nil:
			p.partPrefixes(now, f, l, below)
		}
	}
	p.drainAll(now)
}

// parted is what became of prefixes that got limits of their own because work lay below them.
//
//	half of them, and two at least, were throttled since   it is seen whether they take more
//	a third more than before is taken of all               each keeps its limit
//	they do not                                            they have one again, and are not parted
//	                                                       for a while, each time for longer
type parted struct {
	from   *limiter // nil for nothing that is to be judged
	own    []*limiter
	before float64
	at     time.Duration
	again  time.Duration // not before
	wait   time.Duration
}

const (
	// foundAfter is how long a limit has to be known before it is parted.
	foundAfter = 2 * time.Second
	// judgedAfter is how long after that it is seen what came of it, lostAfter when not.
	judgedAfter = 12 * time.Second
	lostAfter   = 2 * time.Minute
	// moreTaken is what prefixes have to take more than before.
	moreTaken = 1.33
	// firstWait is how long prefixes with one limit are not parted again.
	firstWait = 5 * time.Minute
)

// partPrefixes gives prefixes below a limit their own. REQUIRES: mu.
func (p *Pacer) partPrefixes(now time.Duration, f *family, l *limiter, below []string) {
	p.forget(now, f, l, len(below))
	found := parted{from: l, before: max(l.rate.limit, f.taken(now)), at: now, wait: max(firstWait, f.parted.wait)}
	for name, own := range f.prefixes {
		if own != l && strings.HasPrefix(name, l.name) { // by what was refused; it is judged with the others
			found.own = append(found.own, own)
		}
	}
	before := len(found.own)
	for _, name := range below {
		if f.prefixes[name] != nil || len(f.prefixes) >= maxPrefixes {
			continue
		}
		own := p.add(&limiter{reason: l.reason, name: name, adaptive: true, rate: p.newRate(), born: now, lastThrottle: now, found: now})
		own.rate.start(now, l.rate.limit/float64(len(below)))
		own.bucket.set(now, own.rate.limit)
		f.prefixes[name] = own
		found.own = append(found.own, own)
	}
	if len(found.own) == before {
		return
	}
	l.restart(now, p.newRate())
	l.split = split{}
	// A few beside many that have a limit already could not take a third more.
	if f.parted = found; len(found.own) == 1 || len(found.own) < 2*before {
		f.parted.from = nil
	}
}

// judge sees what came of prefixes that were parted, while they are asked. REQUIRES: mu.
func (p *Pacer) judge(now time.Duration, f *family, idle bool) {
	d := &f.parted
	if idle {
		d.at = now
	}
	if d.from == nil || now-d.at < judgedAfter {
		return
	}
	throttled, taken := 0, f.taken(now)
	for _, l := range d.own {
		if l.throttled > 0 {
			throttled++
		}
	}
	switch {
	case taken >= moreTaken*d.before, now-d.at >= lostAfter:
		*d = parted{wait: d.wait}
	case throttled >= max(2, len(d.own)/2):
		p.join(now, f)
	}
}

// taken is what is accepted a second of all requests of the family.
func (f *family) taken(now time.Duration) float64 {
	sum := f.everything.taken(now)
	for _, l := range f.prefixes {
		sum += l.taken(now)
	}
	return sum
}

// taken is what is accepted a second of the requests that have this limit.
func (l *limiter) taken(now time.Duration) float64 {
	return l.accepted.rate(now, l.replies-l.throttled)
}

// join gives prefixes that were parted one limit again. REQUIRES: mu.
func (p *Pacer) join(now time.Duration, f *family) {
	l, taken := f.parted.from, 0.0
	for _, own := range f.parted.own {
		taken += own.taken(now)
		for own.head != nil {
			w := own.head
			own.remove(w)
			l.pushBack(w)
		}
		l.throttled += own.throttled
		l.lastThrottle = max(l.lastThrottle, own.lastThrottle)
		p.drop(f, own)
	}
	l.restart(now, p.newRate())
	l.rate.limit, l.found = math.Max(lowest, taken), now
	l.rate.peak = l.rate.limit / decrease
	l.bucket.set(now, l.rate.limit)
	f.parted = parted{again: now + f.parted.wait, wait: 2 * f.parted.wait}
}

// forget makes room for n more prefixes by those, but for one, of which nothing is asked
// any more. REQUIRES: mu.
func (p *Pacer) forget(now time.Duration, f *family, keep *limiter, n int) {
	for _, l := range f.prefixes {
		if len(f.prefixes)+n <= maxPrefixes {
			return
		}
		asked := l.replies > 0 || now-l.born > lostAfter // long enough to have been answered
		if l != keep && l.head == nil && asked && l.achieved.rate(now, l.replies) == 0 {
			p.drop(f, l)
		}
	}
}

// drop forgets the limit of a prefix, at which nobody waits. REQUIRES: mu.
func (p *Pacer) drop(f *family, l *limiter) {
	delete(f.prefixes, l.name)
	p.mu.all = slices.DeleteFunc(p.mu.all, func(o *limiter) bool { return o == l })
	if l.timer != nil {
		l.timer.Stop()
	}
}
