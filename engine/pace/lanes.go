package pace

import (
	"math"
	"slices"
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
// is throttled: a store that limits all of them together says so soon.
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
		case len(below) > 1:
			p.partPrefixes(now, f, l, below)
		default:
			l.rate.widen(float64(n))
		}
	}
	p.drainAll(now)
}

// partPrefixes gives prefixes below a limit their own. REQUIRES: mu.
func (p *Pacer) partPrefixes(now time.Duration, f *family, l *limiter, below []string) {
	p.forget(now, f, len(below))
	found, parted := l.rate.limit, false
	for _, name := range below {
		if f.prefixes[name] != nil || len(f.prefixes) >= maxPrefixes {
			continue
		}
		own := p.add(&limiter{reason: l.reason, name: name, adaptive: true, rate: newRate(p.phase()), born: now, lastThrottle: now})
		own.rate.start(now, found/float64(len(below)))
		own.bucket.set(now, own.rate.limit)
		f.prefixes[name] = own
		parted = true
	}
	if parted {
		l.rate = newRate(p.phase())
		l.rate.cutAt = now
		l.bucket.set(now, l.rate.limit)
		l.split = split{}
	}
}

// forget makes room for n more prefixes by those of which nothing is asked any more.
// REQUIRES: mu.
func (p *Pacer) forget(now time.Duration, f *family, n int) {
	for name, l := range f.prefixes {
		if len(f.prefixes)+n <= maxPrefixes {
			return
		}
		if l.head == nil && l.replies > 0 && l.achieved.rate(now, l.replies) == 0 {
			delete(f.prefixes, name)
			p.mu.all = slices.DeleteFunc(p.mu.all, func(o *limiter) bool { return o == l })
			if l.timer != nil {
				l.timer.Stop()
			}
		}
	}
}
