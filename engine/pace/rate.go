package pace

import (
	"math"
	"time"
)

// The curve of one rate.
const (
	// decrease is what remains of the rate that the store was seen to take.
	decrease = 0.9
	// steepest is what remains at least after one cut: a single window may mislead.
	steepest = 0.5
	// A rate that held for proven is not cut below gentle at once: what a jam on the
	// way piled up may be refused when it arrives, and says nothing about the rate.
	// If it was no jam, the next cut comes with the next replies.
	gentle = 0.8
	proven = 2 * time.Second
	// tolerated is the share of throttled replies that is no reason to slow down:
	// S3 answers some SlowDown below its limits while it moves partitions.
	tolerated = 0.005
	// plateau is how long it takes to come back to the rate of the last cut, and
	// flat the time around it in which the rate hardly changes.
	plateau = 4 * time.Second
	// lowest is the rate that is never undercut, in requests a second.
	lowest = 1
	// longestPause bounds what a Retry-After can do to all other requests.
	longestPause = time.Minute
	// outage is the share of throttled replies from which on they tell no limit:
	// a rate ten times too high has less.
	outage = 0.9
)

// curvature makes the cubic pass through decrease at 0 and 1 at plateau.
var curvature = (1 - decrease) / math.Pow(plateau.Seconds(), 3)

// rate is the calculator of one adaptive limit.
//
//	the calls of up to a second, since the last cut     the limit
//	no more throttled than at any rate (see floor)      as if none were
//	few or none throttled, limit not in use             stays
//	few or none throttled, limit in use                 cubic in time: quickly back to where it was cut,
//	                                                    slowly past it, then faster and faster
//	a share f throttled                                 0.9 (1-f) of what was sent; at least half of it, and
//	                                                    0.72 the first time after a quiet while
//	most throttled, with Retry-After                    and nothing until then
//	nearly all throttled                                the same; that was no limit but an outage, so
//	                                                    recovery doubles each second up to half of before
//
// Replies to calls that were sent before the last cut tell nothing about the
// new rate, so one overload is answered by one cut however many errors it has.
type rate struct {
	limit float64       // requests a second; +Inf before the first cut
	peak  float64       // what the store took when it was cut
	clock time.Duration // time since the cut in which the limit was in use
	goal  float64       // up to which recovery doubles; 0 after ordinary cuts
	// held is the rate before the last cut that came after a quiet while, and was no part of an
	// outage that goes on.
	held float64
	// partly: the last cut saw some replies that were not throttled.
	partly bool
	// before is what was sent when the first throttled reply came.
	before float64
	cutAt  time.Duration
	until  time.Duration // nothing is sent before
	seen   history
	past   past
	floor  floor
}

// newRate begins without a limit. phase is where the wall clock stood at 0; see floor.
func newRate(phase time.Duration) rate {
	return rate{limit: math.Inf(1), cutAt: -1, floor: floor{phase: phase}}
}

// tally is what was seen of one limit within one step.
type tally struct {
	dt time.Duration
	// sent are the calls let through since the last cut, of whom refusals have come back in
	// dt, throttled those that were refused; see sends.
	sent, throttled int
	// inUse: calls waited for this limit.
	inUse bool
	// wait is the longest Retry-After.
	wait time.Duration
}

// history sums up to a second of tallies.
type history struct {
	ring [10]tally
	n    int
}

func (h *history) push(t tally) {
	h.ring[h.n%len(h.ring)] = t
	h.n++
}

// past sums up to ten seconds of tallies.
type past struct {
	tally   // of the second that runs
	seconds history
}

// ok are the calls that were not refused.
func (s *tally) ok() int { return max(0, s.sent-s.throttled) }

// taken is what the store accepted a second.
func (s *tally) taken() float64 {
	return float64(s.ok()) / max(s.dt, time.Millisecond).Seconds()
}

func (p *past) push(t tally) {
	p.add(t)
	if p.dt >= time.Second {
		p.seconds.push(p.tally)
		p.tally = tally{}
	}
}

func (p *past) sum() tally {
	s := p.seconds.sum()
	s.add(p.tally)
	return s
}

func (s *tally) add(t tally) {
	s.dt += t.dt
	s.sent += t.sent
	s.throttled += t.throttled
	s.inUse = s.inUse || t.inUse
	s.wait = max(s.wait, t.wait)
}

func (h *history) sum() (s tally) {
	for i := range min(h.n, len(h.ring)) {
		s.add(h.ring[i])
	}
	return s
}

// fresh says whether the reply to a call that was sent at the given time tells
// something about the limit in force.
func (r *rate) fresh(sent time.Duration) bool { return sent >= r.cutAt }

// step takes in what was seen since the last step.
func (r *rate) step(now time.Duration, t tally) {
	if now < r.until {
		return
	}
	if t.dt == 0 && t.sent == 0 && t.throttled == 0 { // a pause, or just after a cut
		r.seen = history{}
		return
	}
	r.seen.push(t)
	r.past.push(t)
	s := r.seen.sum()
	turned := r.floor.turned(now)
	if r.floor.looking {
		switch r.floor.look(t) {
		case undecided:
			return
		case proved, suspected:
			r.restore(now)
			return
		case inVain:
			r.look(now, r.floor.after)
			return
		}
	}
	due := turned && s.sent > 0 && r.floor.due(r.past.sum())
	switch {
	case due:
		r.look(now, s)
		r.floor.aligned = true
	case r.floor.waiting && !r.floor.worse(s):
	case congested(s) && !r.floor.explains(s):
		r.cut(now, s)
	case t.inUse && r.reached(s):
		r.recover(t.dt)
	}
}

// look goes below what the store accepted of s, to see whether it refuses less.
func (r *rate) look(now time.Duration, s tally) {
	limit, peak := r.limit, r.peak
	r.peak = math.Max(lowest, s.taken())
	past := r.past.sum()
	if !r.floor.shared && r.floor.vain != 1 { // sent in bursts, where copies are slow: a second may see none
		r.peak = math.Max(r.peak, past.taken())
	}
	r.lower(now)
	r.floor.begin(s, past, limit, peak, r.limit)
	r.floor.aligned = false
}

// restore takes back cuts that were in vain.
func (r *rate) restore(now time.Duration) {
	r.limit, r.peak = r.floor.limit, r.floor.peak
	r.clock, r.goal, r.partly = plateau, 0, false
	r.cutAt = now
	r.seen = history{}
}

// lower makes the rate what is left of its peak.
func (r *rate) lower(now time.Duration) {
	r.limit = math.Max(lowest, r.peak*decrease)
	r.clock = 0
	r.cutAt = now
	r.seen = history{}
}

// reached says whether what was sent is about what the limit lets through. Calls
// may wait here and yet be held up elsewhere.
func (r *rate) reached(s tally) bool {
	return float64(s.sent) >= 0.75*r.limit*s.dt.Seconds()-3
}

func (r *rate) recover(dt time.Duration) {
	if r.limit < r.goal {
		r.limit *= math.Exp2(dt.Seconds())
		r.peak = r.limit / decrease
		return
	}
	r.clock += dt
	x := (r.clock - plateau).Seconds()
	r.limit = math.Max(lowest, r.peak*(1+curvature*x*x*x))
}

// widen is told that requests now go to n times as many places as when the limit was found.
// Up to that many times of it recovery doubles, until something is throttled.
func (r *rate) widen(n float64) {
	if !math.IsInf(r.limit, 1) {
		r.goal, r.partly = max(r.goal, r.limit*n), true
	}
}

// start begins with a limit, and doubles it each second until something is throttled.
func (r *rate) start(now time.Duration, limit float64) {
	r.limit = math.Max(lowest, limit)
	r.peak = r.limit / decrease
	r.goal, r.partly, r.cutAt = math.Inf(1), true, now
}

func congested(s tally) bool {
	n := s.sent
	switch {
	case s.throttled == 0 || s.dt < stepTime/2:
		return false
	case s.throttled == 1:
		// A single one counts only where there is little to compare it with.
		return n < 20 && s.dt >= time.Second
	}
	return float64(s.throttled) > tolerated*float64(n)
}

func (r *rate) cut(now time.Duration, s tally) {
	share := r.floor.excess(s)
	sent := r.limit
	if measured := float64(s.sent) / s.dt.Seconds(); math.IsInf(r.limit, 1) {
		sent = math.Max(measured, r.before)
	} else if !r.reached(s) {
		sent = math.Min(sent, measured)
	}
	least := steepest
	if quiet := now-max(r.cutAt, r.until) > proven; quiet || math.IsInf(r.limit, 1) {
		if r.partly || r.limit >= r.goal { // else it is the outage that goes on, and was looked at
			r.held = sent
		}
		if !math.IsInf(r.limit, 1) {
			least = gentle
		}
	}
	switch {
	case share >= outage:
		r.goal, r.partly = r.held/2, false
	case r.partly:
		r.goal = 0
	default:
		r.partly = true // the end of an outage looks like this too, once
	}
	// What was taken since the last cut can be taken, whatever the share says: a
	// refusal comes back sooner than a copy, and weighs too much for a moment.
	taken := math.Min(sent, float64(s.ok())/s.dt.Seconds()/(1-r.floor.share))
	limit, peak := r.limit, r.peak
	r.peak = max(lowest, taken, sent*math.Max(least, 1-share))
	below := share < outage && r.peak <= max(taken, sent*(1-share)) && r.peak > lowest
	if s.sent < fewest && s.dt > midLook-stepTime {
		// So few a second do not tell what the store accepts; those of a longer while do. Soon
		// after a cut these are of another rate, of which nearly all may have been refused.
		if s = r.past.sum(); s.sent >= fewest {
			r.peak = math.Max(lowest, math.Min(r.peak, float64(s.ok())/s.dt.Seconds()/(1-r.floor.share)))
		}
	}
	r.lower(now)
	if below {
		r.floor.begin(s, r.past.sum(), limit, peak, r.limit)
		r.floor.aligned = false
	}
	if s.wait > 0 && share >= 0.5 {
		r.until = now + min(s.wait, longestPause)
	}
}
