package checkpoint

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Tally counts objects and their bytes. Objects of unknown size add no bytes.
type Tally struct {
	Objects uint64 `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

func (t *Tally) add(size int64, sign int) {
	t.Objects += uint64(sign)
	if size > 0 {
		t.Bytes += int64(sign) * size
	}
}

// Cause is one reason why objects were left or failed.
type Cause struct {
	State     object.State
	Reason    object.Reason
	ErrorCode string
	Tally
	// Example is the Seq of one of them; Store.Row tells it.
	Example uint64
}

// Totals is a job in numbers, exact at any time: it is kept with the outcomes.
type Totals struct {
	Planned      Tally
	PlanComplete bool
	// States by object.State; Remaining is what has no outcome.
	States [object.NumStates]Tally
	// Operations of the objects done, by object.Operation.
	Operations [object.OpMultipart + 1]Tally
	// OldVersions counts the versions that copies left behind under their old
	// encryption.
	OldVersions Tally
	// Requests by object.RequestKind, of all processes of the job.
	Requests [object.NumRequestKinds]uint64
	// Elapsed is the running time of all processes, as told to AddElapsed.
	Elapsed time.Duration
	// Causes of left and failed objects, the most frequent first.
	Causes []Cause
}

// Past this many different causes, the rest is counted without its error code.
const maxCauses = 512

type causeKey struct {
	state  object.State
	reason object.Reason
	code   string
}

type causeCount struct {
	Tally
	example uint64
}

// counters is what m/state keeps. The writer makes a new one for every group and
// publishes it when the group is durable; readers take it as it is.
type counters struct {
	states      [object.NumStates]Tally
	operations  [object.OpMultipart + 1]Tally
	oldVersions Tally
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
	c.states[f.state].add(f.size, sign)
	if f.state == object.Done && int(f.operation) < len(c.operations) {
		c.operations[f.operation].add(f.size, sign)
	}
	if f.oldKept {
		c.oldVersions.add(f.size, sign)
	}
	if f.state == object.Left || f.state == object.Failed {
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
	n.add(f.size, sign)
	if n.Objects == 0 {
		delete(c.causes, k)
		return
	}
	c.causes[k] = n
}

// settled is how many tasks have an outcome.
func (c *counters) settled() (t Tally) {
	for s := object.Done; s < object.NumStates; s++ {
		t.Objects += c.states[s].Objects
		t.Bytes += c.states[s].Bytes
	}
	return t
}

func (c *counters) totals(planned Tally, complete bool) Totals {
	t := Totals{Planned: planned, PlanComplete: complete, States: c.states, Operations: c.operations,
		OldVersions: c.oldVersions, Requests: c.requests, Elapsed: c.elapsed}
	settled := c.settled()
	// Sizes may have changed since the plan, so bytes can only be near.
	t.States[object.Remaining] = Tally{planned.Objects - settled.Objects, max(0, planned.Bytes-settled.Bytes)}
	if t.States[object.Remaining].Objects == 0 {
		t.States[object.Remaining].Bytes = 0
	}
	for k, n := range c.causes {
		t.Causes = append(t.Causes, Cause{State: k.state, Reason: k.reason, ErrorCode: k.code, Tally: n.Tally, Example: n.example})
	}
	slices.SortFunc(t.Causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Objects, a.Objects), cmp.Compare(b.State, a.State),
			cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.ErrorCode, b.ErrorCode))
	})
	return t
}

// state writes m/state: counters, handed and the holes below it, ascending.
func (e *encoder) state(c *counters, handed uint64, holes []uint64) {
	e.byte(valueVersion)
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

func (e *encoder) tally(t Tally) {
	e.uint(t.Objects)
	e.int(t.Bytes)
}

func (d *decoder) tally() Tally { return Tally{d.uint(), d.int()} }

func decodeState(d *dict, b []byte) (c *counters, handed uint64, holes []uint64, err error) {
	r := decoder{b: b, d: d}
	r.version()
	c = new(counters).clone()
	handed = r.uint()
	last := uint64(0)
	for range r.count() {
		last += r.uint()
		holes = append(holes, last)
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
	return c, handed, holes, r.err
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
