package checkpoint

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// group is the outcomes that wait for one sync: their encodings in one buffer,
// and beside each what has to be counted.
type group struct {
	buf   []byte
	items []groupItem
}

type groupItem struct {
	seq  uint64
	end  int // of its encoding in buf
	fact fact
	// first is set by the writer where the task had no outcome before.
	first bool
}

func (g *group) len() int { return len(g.items) }

// swap gives what is in g and leaves it empty, with the space of an older group
// that nobody uses any more.
func (g *group) swap(space *group) group {
	t := *g
	clear(space.items) // they hold strings
	*g = group{buf: space.buf[:0], items: space.items[:0]}
	*space = group{}
	return t
}

var encodings = sync.Pool{New: func() any { b := make([]byte, 0, 256); return &b }}

// Record takes an outcome; it is durable within an interval, or at the next
// Flush. It blocks only while Options.Backlog outcomes wait for the disk. An
// outcome for a task that has one replaces it. The first failure of the disk is
// returned by all calls after it.
func (s *Store) Record(o *object.Outcome) error {
	if s.ro {
		return ErrReadOnly
	}
	if o.State == object.Remaining || o.State >= object.NumStates {
		return fmt.Errorf("an outcome of task %d with state %s", o.Seq, o.State)
	}
	buf := encodings.Get().(*[]byte)
	e := encoder{b: (*buf)[:0], d: s.dict}
	e.outcome(o)
	err := s.enqueueOutcome(o, e.b)
	*buf = e.b
	encodings.Put(buf)
	return err
}

func (s *Store) enqueueOutcome(o *object.Outcome, encoded []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.mu.group.len() >= s.opts.Backlog && s.refusal() == nil {
		s.mu.room.Wait()
	}
	if err := s.refusal(); err != nil {
		return err
	}
	if !s.wasGivenOut(o.Seq) {
		return fmt.Errorf("an outcome of task %d, which was never given out", o.Seq)
	}
	g := &s.mu.group
	g.buf = append(g.buf, encoded...)
	g.items = append(g.items, groupItem{seq: o.Seq, end: len(g.buf), fact: factOf(o)})
	if n := g.len(); n == 1 || n == groupMax {
		s.signal()
	}
	return nil
}

// Flush returns when everything recorded and appended before is durable.
func (s *Store) Flush() error { return s.submit(&request{sync: true}) }

// addOutcomes puts a group into the batch. A task that is not a hole has an
// outcome already, or one that was taken back: the store tells which.
func (s *Store) addOutcomes(t *turn, g group) error {
	if g.len() == 0 {
		return nil
	}
	t.state = true
	var again map[uint64]*fact // of this group, where some come more than once
	if s.fillHoles(g) < g.len() {
		again = make(map[uint64]*fact, g.len())
	}
	begin := 0
	var space [10]byte
	for i := range g.items {
		it := &g.items[i]
		key := appendSeqKey(space[:0], outcomePrefix, it.seq)
		if !it.first {
			if err := s.replace(t, it.seq, key, again[it.seq]); err != nil {
				return err
			}
		}
		if again != nil {
			again[it.seq] = &it.fact
		}
		_ = t.Set(key, g.buf[begin:it.end], nil)
		t.counts.count(&it.fact, it.seq, 1)
		begin = it.end
	}
	return nil
}

// fillHoles removes the group's tasks from the holes, marks the items that did
// as the first of their tasks, and counts them.
func (s *Store) fillHoles(g group) (firsts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range g.items {
		it := &g.items[i]
		if _, it.first = s.mu.holes[it.seq]; it.first {
			delete(s.mu.holes, it.seq)
			firsts++
		}
	}
	return firsts
}

// replace takes back what is counted for a task that gets another outcome.
// sameGroup is its earlier outcome in this very group, if there is one.
func (s *Store) replace(t *turn, seq uint64, key []byte, sameGroup *fact) error {
	if sameGroup != nil {
		t.counts.count(sameGroup, seq, -1)
		return nil
	}
	old, ok, err := s.get(key)
	if err != nil {
		return err
	}
	if !ok {
		return t.Delete(seqKey(retryPrefix, seq), nil)
	}
	var o object.Outcome
	if err := decodeOutcome(s.dict, seq, old, &o); err != nil {
		return s.damaged(string(key), err)
	}
	f := factOf(&o)
	t.counts.count(&f, seq, -1)
	return nil
}

// askedCounts are requests and time that no batch holds yet.
type askedCounts struct {
	requests [object.NumRequestKinds]atomic.Uint64
	elapsed  atomic.Int64
}

// AddRequests counts requests sent; they become durable with the next group of
// outcomes.
func (s *Store) AddRequests(k object.RequestKind, n uint64) { s.asked.requests[k].Add(n) }

// AddElapsed adds to the running time of the job.
func (s *Store) AddElapsed(d time.Duration) { s.asked.elapsed.Add(int64(d)) }

func (a *askedCounts) fold(c *counters) (changed bool) {
	for k := range a.requests {
		n := a.requests[k].Swap(0)
		c.requests[k] += n
		changed = changed || n > 0
	}
	d := a.elapsed.Swap(0)
	c.elapsed += time.Duration(d)
	return changed || d != 0
}

// Totals is the job in numbers, of what is durable or about to be.
func (s *Store) Totals() object.Totals {
	s.mu.Lock()
	plan, complete := s.mu.plan, s.mu.complete
	s.mu.Unlock()
	return s.counts.Load().totals(plan, complete)
}
