package pace

import "math"

// thinQueue is how many seconds' worth of requests wait at a limit that has enough of them:
// a task takes about as long from its beginning to the request that the limit is on.
const thinQueue = 0.1

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

// Spread is told that work now lies in n times as many places below a prefix, as Full names
// it, as before: what was found of some of them may be far below what all can take.
func (p *Pacer) Spread(prefix string, n int) {
	m := &p.mu
	m.Lock()
	defer m.Unlock()
	for _, f := range []*family{m.changes, m.s3} {
		switch {
		case f == nil:
		case prefix == "":
			f.everything.rate.widen(float64(n))
		case f.prefixes[prefix] != nil:
			f.prefixes[prefix].rate.widen(float64(n))
		}
	}
}
