package job

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/engine/pace"
)

// Limits are how fast and how long one run works; every run says them anew. The
// zero value finds its own pace and works to the end.
type Limits struct {
	// Concurrency is the requests in flight, up to MaxConcurrency; 0 finds it.
	Concurrency int
	// Ceilings over the adaptive pace, per second; 0 for none.
	RequestsPerSecond    float64
	KMSRequestsPerSecond float64
	BytesPerSecond       int64
	// Window is when work is allowed; nil is always.
	Window *Window
	// StopAfter drains and stops after this long; 0 never.
	StopAfter time.Duration
	// MaxFailures stops the run when more objects have failed.
	MaxFailures MaxFailures
	// RetryFailed takes the objects of an existing job again that failed or were left, and
	// decides on each anew.
	RetryFailed bool
	// Lease is for how long a process that works on a job in a bucket holds it without
	// renewing; a minute where 0. After its end another waits a quarter longer.
	Lease time.Duration
	// RequestTimeout of a request that moves no data; a minute where 0.
	RequestTimeout time.Duration
}

// MaxConcurrency is the most that Limits.Concurrency can be: each request in flight takes
// a goroutine of the program from the beginning on.
const MaxConcurrency = 100_000

// MaxFailures is a number of objects, or a percentage of those settled. The zero
// value is no limit; Set with neither tolerates no failure.
type MaxFailures struct {
	Set     bool
	Count   int64
	Percent float64
}

func (m *MaxFailures) none() bool { return m.Set && m.Count == 0 && m.Percent == 0 }

// Validate refuses what is no limit.
func (l *Limits) Validate() error {
	for _, r := range []struct {
		field string
		value float64
	}{{"Limits.RequestsPerSecond", l.RequestsPerSecond}, {"Limits.KMSRequestsPerSecond", l.KMSRequestsPerSecond}} {
		if !(r.value >= 0 && r.value <= math.MaxFloat64) {
			return unusablef("it must be a number above 0, or 0 for none", "%s %v", r.field, r.value)
		}
	}
	if l.Lease != 0 && (l.Lease < ledger.MinTTL || l.Lease > ledger.MaxTTL) {
		return unusablef("it must be from "+ledger.MinTTL.String()+" to "+ledger.MaxTTL.String(), "Limits.Lease %s", l.Lease)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"Limits.StopAfter", l.StopAfter}, {"Limits.RequestTimeout", l.RequestTimeout}} {
		if d.value < 0 {
			return unusablef("give a time above 0, or 0 for the default", "%s %s", d.field, d.value)
		}
	}
	switch m := l.MaxFailures; {
	case m.Count < 0 || !(m.Percent >= 0 && m.Percent <= 100):
		return unusablef("give a number of objects, or a percentage from 0 to 100", "Limits.MaxFailures %d, %v%%", m.Count, m.Percent)
	case l.Concurrency > MaxConcurrency:
		return unusablef(fmt.Sprintf("it must be from 1 to %d, or 0 for what the store takes", MaxConcurrency), "Limits.Concurrency %d", l.Concurrency)
	case l.Window != nil && l.Window.zone == nil:
		return unusable("Limits.Window is none that ParseWindow has made", "make it with ParseWindow; nil is always")
	}
	p := l.pace()
	if err := p.Validate(); err != nil {
		return unusableBecause(err, "the ceilings", "correct them")
	}
	return nil
}

func (l *Limits) lease() time.Duration { return cmp.Or(l.Lease, ledger.DefaultTTL) }

// pace is what the pace is told.
func (l *Limits) pace() pace.Limits {
	return pace.Limits{Concurrency: l.Concurrency, RequestsPerSecond: l.RequestsPerSecond, KMSRequestsPerSecond: l.KMSRequestsPerSecond, BytesPerSecond: float64(l.BytesPerSecond)}
}

// keyStoreShare is how much of a key store's rate a job takes by itself: the rest is for
// the others who use the store.
func keyStoreShare(rate int) float64 { return float64(rate) * 9 / 10 }

// holdBelowKeyStore makes the rate of a key store of one's own, which cannot be raised,
// the ceiling of KMS requests where nobody has named one.
func (s *session) holdBelowKeyStore() {
	if s.learnt.KeyStoreRate == 0 || s.opt.KMSRequestsPerSecond > 0 {
		return
	}
	s.opt.KMSRequestsPerSecond = keyStoreShare(s.learnt.KeyStoreRate)
	s.log.Info("the KMS key is in a key store of its own, and requests to it are held below what that takes", "per_second", s.opt.KMSRequestsPerSecond)
	if r := s.run; r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.Pace.KMSRequestsPerSecond = s.opt.KMSRequestsPerSecond
		s.keepRun()
	}
}
