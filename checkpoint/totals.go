package checkpoint

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// The numbers of a job are nouns that the report shares.
type (
	Tally  = object.Tally
	Cause  = object.Cause
	Totals = object.Totals
)

func add(t *object.Tally, size int64, sign int) {
	t.Objects += uint64(sign)
	if size > 0 {
		t.Bytes += int64(sign) * size
	}
}

// Past this many different causes, the rest is counted without its error code.
const maxCauses = 512

type causeKey struct {
	state  object.State
	reason object.Reason
	code   string
}

type causeCount struct {
	object.Tally
	example uint64
}

// counters is what m/state keeps. The writer makes a new one for every group and
// publishes it when the group is durable; readers take it as it is.
type counters struct {
	states      [object.NumStates]object.Tally
	operations  [object.NumOperations]object.Tally
	oldVersions object.Tally
	requests    [object.NumRequestKinds]uint64
	elapsed     time.Duration
	causes      map[causeKey]causeCount
}

func (c *counters) clone() *counters {
	n := *c
	n.causes = maps.Clone(c.causes)
	if n.causes == nil {
		n.causes = map[causeKey]causeCount{}
	}
	return &n
}

// fact is the part of an outcome that is counted.
type fact struct {
	state     object.State
	operation object.Operation
	reason    object.Reason
	code      string
	size      int64
	oldKept   bool
}

func factOf(o *object.Outcome) fact {
	return fact{o.State, o.Operation, o.Reason, o.ErrorCode, o.Size, o.OldVersionKept}
}

// count adds an outcome, or takes it back with sign -1.
func (c *counters) count(f *fact, seq uint64, sign int) {
	add(&c.states[f.state], f.size, sign)
	if f.state == object.Done && int(f.operation) < len(c.operations) {
		add(&c.operations[f.operation], f.size, sign)
	}
	if f.oldKept {
		add(&c.oldVersions, f.size, sign)
	}
	if f.state == object.Left || f.state == object.Failed || f.reason == object.ReasonInDoubt {
		c.cause(f, seq, sign)
	}
}

func (c *counters) cause(f *fact, seq uint64, sign int) {
	k := causeKey{f.state, f.reason, f.code}
	n, known := c.causes[k]
	if !known && (sign < 0 || len(c.causes) >= maxCauses) {
		k.code = ""
		n = c.causes[k]
	}
	if n.Objects == 0 {
		n.example = seq
	}
	add(&n.Tally, f.size, sign)
	if n.Objects == 0 {
		delete(c.causes, k)
		return
	}
	c.causes[k] = n
}

// settled is how many tasks have an outcome.
func (c *counters) settled() (t object.Tally) {
	for s := object.Done; s < object.NumStates; s++ {
		t.Objects += c.states[s].Objects
		t.Bytes += c.states[s].Bytes
	}
	return t
}

func (c *counters) totals(planned object.Tally, complete bool) object.Totals {
	t := object.Totals{Planned: planned, PlanComplete: complete, States: c.states, Operations: c.operations,
		OldVersions: c.oldVersions, Requests: c.requests, Elapsed: c.elapsed}
	settled := c.settled()
	// Sizes may have changed since the plan, so bytes can only be near.
	t.States[object.Remaining] = object.Tally{Objects: planned.Objects - settled.Objects, Bytes: max(0, planned.Bytes-settled.Bytes)}
	if t.States[object.Remaining].Objects == 0 {
		t.States[object.Remaining].Bytes = 0
	}
	for k, n := range c.causes {
		t.Causes = append(t.Causes, object.Cause{State: k.state, Reason: k.reason, ErrorCode: k.code, Tally: n.Tally, Example: n.example})
	}
	slices.SortFunc(t.Causes, func(a, b object.Cause) int {
		return cmp.Or(cmp.Compare(b.Objects, a.Objects), cmp.Compare(b.State, a.State),
			cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.ErrorCode, b.ErrorCode))
	})
	return t
}

// state is m/state.
type state struct {
	counts *counters
	handed uint64
	lanes  []laneState
	holes  []uint64
}

// stateOfLanes is the version of m/state where there are lanes. An older reseal, which
// would pass over what lies in them, refuses it; where there are none it reads what it wrote.
const stateOfLanes = 2

// state writes m/state: counters, handed, and below it lanes and holes, ascending.
func (e *encoder) state(c *counters, handed uint64, lanes []laneState, holes []uint64) {
	if len(lanes) == 0 {
		e.byte(valueVersion)
	} else {
		e.byte(stateOfLanes)
		e.lanes(lanes)
	}
	e.uint(handed)
	e.uint(uint64(len(holes)))
	last := uint64(0)
	for _, h := range holes {
		e.uint(h - last)
		last = h
	}
	e.uint(uint64(len(c.states)))
	for _, t := range c.states {
		e.tally(t)
	}
	e.uint(uint64(len(c.operations)))
	for _, t := range c.operations {
		e.tally(t)
	}
	e.tally(c.oldVersions)
	e.uint(uint64(len(c.requests)))
	for _, n := range c.requests {
		e.uint(n)
	}
	e.int(int64(c.elapsed))
	e.uint(uint64(len(c.causes)))
	for k, n := range c.causes {
		e.byte(byte(k.state))
		e.word(string(k.reason))
		e.word(k.code)
		e.tally(n.Tally)
		e.uint(n.example)
	}
}

func (e *encoder) tally(t object.Tally) {
	e.uint(t.Objects)
	e.int(t.Bytes)
}

func (d *decoder) tally() object.Tally { return object.Tally{Objects: d.uint(), Bytes: d.int()} }

func (e *encoder) lanes(lanes []laneState) {
	e.uint(uint64(len(lanes)))
	last := uint64(0)
	for _, l := range lanes {
		e.uint(l.handed - last)
		e.uint(l.marked - l.handed)
		e.uint(l.end - l.handed)
		last = l.end
	}
}

func (d *decoder) lanes() (lanes []laneState) {
	last := uint64(0)
	for range d.count() {
		l := laneState{handed: last + d.uint()}
		l.marked, l.end = l.handed+d.uint(), l.handed+d.uint()
		if l.handed < last || l.marked < l.handed || l.end <= l.handed || l.marked > l.end {
			d.fail("its lanes are in disorder")
			return nil
		}
		lanes, last = append(lanes, l), l.end
	}
	return lanes
}

func decodeState(d *dict, b []byte) (s state, err error) {
	r := decoder{b: b, d: d}
	if len(b) > 0 && b[0] == stateOfLanes {
		r.byte()
		s.lanes = r.lanes()
	} else {
		r.version()
	}
	c := new(counters).clone()
	s.counts, s.handed = c, r.uint()
	s.holes = r.holes()
	if !s.ordered() {
		r.fail("its lanes and holes are in disorder")
	}
	// A newer reseal may know more states or kinds; what is not known here is
	// refused rather than dropped, or sums would be wrong.
	r.each(len(c.states), func(i int) { c.states[i] = r.tally() })
	r.each(len(c.operations), func(i int) { c.operations[i] = r.tally() })
	c.oldVersions = r.tally()
	r.each(len(c.requests), func(i int) { c.requests[i] = r.uint() })
	c.elapsed = time.Duration(r.int())
	for range r.count() {
		k := causeKey{state: object.State(r.byte()), reason: object.Reason(r.word()), code: r.word()}
		c.causes[k] = causeCount{Tally: r.tally(), example: r.uint()}
	}
	return s, r.err
}

func (d *decoder) holes() (holes []uint64) {
	last := uint64(0)
	for range d.count() {
		last += d.uint()
		holes = append(holes, last)
	}
	return holes
}

// ordered says whether lanes and holes lie below handed, and no task in two of them: it
// would be given out twice.
func (s *state) ordered() bool {
	if n := len(s.lanes); n > 0 && s.lanes[n-1].end > s.handed {
		return false
	}
	lanes := s.lanes
	for i, h := range s.holes {
		for len(lanes) > 0 && lanes[0].end <= h {
			lanes = lanes[1:]
		}
		if h >= s.handed || i > 0 && h <= s.holes[i-1] || len(lanes) > 0 && h >= lanes[0].handed {
			return false
		}
	}
	return true
}

func (d *decoder) each(max int, read func(i int)) {
	n := d.count()
	if n > uint64(max) {
		d.fail("it counts what this reseal does not know")
		return
	}
	for i := range int(n) {
		read(i)
	}
}
