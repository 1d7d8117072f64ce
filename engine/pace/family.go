package pace

import (
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// family are S3's limits of one kind of request. It begins with one for all; what changes
// something gets its own once only the one kind is seen to be throttled, as split finds
// prefixes. AWS limits reads and changes apart.
type family struct {
	everything *limiter            // the limit for what has none of its own
	prefixes   map[string]*limiter // by prefix
	parted     parted
}

func (p *Pacer) newFamily() *family {
	return &family{everything: p.add(&limiter{reason: S3Throttling, adaptive: true, rate: p.newRate()}), prefixes: map[string]*limiter{}}
}

// The kinds of requests in the form of path segments, for split.
const (
	changing = "changes/"
	reading  = "reads/"
)

func kindOf(c *object.Call) string {
	if c.Kind.Mutates() {
		return changing
	}
	return reading
}

// familyOf is the one that a request belongs to. REQUIRES: mu.
func (p *Pacer) familyOf(k object.RequestKind) *family {
	if p.mu.changes != nil && k.Mutates() {
		return p.mu.changes
	}
	return p.mu.s3
}

// part gives changes their own limits where these or reads alone are throttled. What was
// found of both together is true of neither. REQUIRES: mu.
func (p *Pacer) part(now time.Duration) {
	m := &p.mu
	if m.changes != nil {
		return
	}
	ofChanges := m.kinds.share(changing)
	if len(m.kinds.hit()) != 1 {
		return
	}
	m.changes = p.newFamily()
	own, old := m.changes.everything, m.s3.everything
	own.throttled, old.throttled = old.throttled, 0
	for _, l := range m.all {
		if l.reason == S3Throttling && l != own {
			l.reason = S3ReadThrottling
		}
	}
	achieved := m.achieved.rate(now, p.done.Load())
	for l, rate := range map[*limiter]float64{own: achieved * ofChanges, old: achieved * (1 - ofChanges)} {
		l.lastThrottle = now
		l.restart(now, p.newRate())
		l.begin(now, rate)
	}
}

// limitOf is S3's limit for a key: that of the longest prefix with its own.
func (f *family) limitOf(key string) *limiter {
	l := f.everything
	if len(f.prefixes) == 0 {
		return l
	}
	for i := range len(key) {
		if key[i] == '/' {
			if own := f.prefixes[key[:i+1]]; own != nil {
				l = own
			}
		}
	}
	return l
}
