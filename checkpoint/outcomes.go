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
}

func (g *group) len() int { return len(g.items) }

func (g *group) take() group {
	t := *g
	*g = group{buf: make([]byte, 0, cap(t.buf)), items: make([]groupItem, 0, cap(t.items))}
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
	if o.Seq >= s.mu.handed {
		return fmt.Errorf("an outcome of task %d, which was never given out", o.Seq)
	}
	g := &s.mu.group
	g.buf = append(g.buf, encoded...)
	g.items = append(g.items, groupItem{o.Seq, len(g.buf), factOf(o)})
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
	first := s.fillHoles(g)
	var again map[uint64]*fact // of this group, for those that come more than once
	if len(first) < g.len() {
		again = make(map[uint64]*fact, g.len())
	}
	begin := 0
	for i := range g.items {
		it := &g.items[i]
		key := seqKey(outcomePrefix, it.seq)
		if _, ok := first[i]; !ok {
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

// fillHoles removes the group's tasks from the holes and says which items did.
func (s *Store) fillHoles(g group) map[int]struct{} {
	first := make(map[int]struct{}, g.len())
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range g.items {
		if _, ok := s.mu.holes[g.items[i].seq]; ok {
			delete(s.mu.holes, g.items[i].seq)
			first[i] = struct{}{}
		}
	}
	return first
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
