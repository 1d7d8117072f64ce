package checkpoint

import (
	"context"
	"io"
	"math"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// lane is a stretch of the plan that is given out from its beginning on, beside others.
// There is one, the whole plan, until Fork is called; the last has no end but the plan's.
// What was given out is not in a lane any more, so that lanes and holes are what remains.
type lane struct {
	id uint64

	// Guarded by Store.mu.
	handed     uint64 // its first task, that is the first that was not given out
	end        uint64 // the task behind its last; openEnd of the last lane
	marked     uint64 // none from here on was ever given out; durable on this disk
	dispatched uint64 // the same wherever it has to be durable: tasks below may be given out
	doubt      uint64 // tasks below may have been sent by an earlier process

	// Of the goroutine that takes tasks.
	next   uint64        // the first task that was not read yet
	ahead  []object.Task // read, not given out; a part of space
	space  []object.Task
	asked  uint64    // the mark that was last asked for
	block  uint64    // how many tasks the next raise of it covers
	raised time.Time // when it was last asked for
}

// openEnd is the end of the last lane.
const openEnd = math.MaxUint64

const (
	// laneBlock and laneAhead are markBlock and readAhead where there are several lanes.
	laneBlock = 256
	laneAhead = 64
	// againLane is the number of what is taken again; those of lanes follow.
	againLane = 0
	// sameKey is how many versions of one key are looked through for the last.
	sameKey = 10_000
)

// last is the lane without an end. REQUIRES: mu.
func (s *Store) last() *lane { return s.mu.lanes[len(s.mu.lanes)-1] }

// wasGivenOut says whether a task is in no lane. REQUIRES: mu.
func (s *Store) wasGivenOut(seq uint64) bool {
	if len(s.mu.lanes) == 1 {
		return seq < s.mu.lanes[0].handed
	}
	return !slices.ContainsFunc(s.mu.lanes, func(l *lane) bool { return l.handed <= seq && seq < l.end })
}

// firstLane is the lowest.
func (s *Store) firstLane() *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.lanes[0]
}

// lastLane is last, for who does not hold mu.
func (s *Store) lastLane() *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last()
}

// Lanes are the stretches of the plan that can be given out side by side, in order of Seq,
// and before them what is to be taken again. Like Next it is for one goroutine.
func (s *Store) Lanes() (ids []uint64) {
	if s.reader.more() {
		ids = append(ids, againLane)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.mu.lanes {
		ids = append(ids, l.id)
	}
	return ids
}

// NextIn is Next for the tasks of one lane. It does not wait for the plan: none means that
// there may be some later, and io.EOF that there will not.
func (s *Store) NextIn(ctx context.Context, id uint64, buf []object.Task) (n int, err error) {
	if err := s.mayTake(ctx); err != nil {
		return 0, err
	}
	if id == againLane {
		if n, err = s.takeAgain(buf); n == 0 && err == nil {
			err = io.EOF
		}
		return n, err
	}
	s.mu.Lock()
	i := slices.IndexFunc(s.mu.lanes, func(l *lane) bool { return l.id == id })
	if i < 0 {
		s.mu.Unlock()
		return 0, io.EOF // given out
	}
	l, complete := s.mu.lanes[i], s.mu.complete
	s.mu.Unlock()
	if n, err = s.takeFrom(l, buf); n == 0 && err == nil && complete {
		err = io.EOF
	}
	return n, err
}

// Glance looks at up to n tasks, evenly spread over what was not given out.
func (s *Store) Glance(n int) (places []object.Place, err error) {
	type stretch struct{ from, to uint64 }
	var all []stretch
	total := uint64(0)
	s.mu.Lock()
	for _, l := range s.mu.lanes {
		if to := min(l.end, s.mu.plan.Objects); l.handed < to {
			all = append(all, stretch{l.handed, to})
			total += to - l.handed
		}
	}
	s.mu.Unlock()
	step := max(1, total/uint64(n))
	at := step / 2
	for _, w := range all {
		seq := w.from + at
		for ; seq < w.to && len(places) < n; seq += step {
			t, err := s.planned(seq)
			if err != nil {
				return nil, err
			}
			places = append(places, object.Place{Seq: seq, Key: t.Object.Key})
		}
		at = seq - w.to
	}
	return places, nil
}

// planned reads one task of the plan.
func (s *Store) planned(seq uint64) (t object.Task, err error) {
	v, ok, err := s.get(seqKey(planPrefix, seq))
	switch {
	case err != nil:
		return t, err
	case !ok:
		return t, s.damaged("p/", &corruptError{"a planned task is missing"})
	}
	if err := decodeTask(s.dict, seq, v, &t); err != nil {
		return t, s.damaged("p/", err)
	}
	return t, nil
}

// Fork begins a lane at each of these tasks, or a little behind it, since the versions of a
// key stay in one lane; a task that was given out begins none. Like Next it is for one
// goroutine. When it returns the lanes are durable.
func (s *Store) Fork(at []uint64) error {
	if s.ro {
		return ErrReadOnly
	}
	var cuts []uint64
	for _, seq := range at {
		cut, ok, err := s.cutBehind(seq)
		if err != nil {
			return err
		}
		if ok && !slices.Contains(cuts, cut) {
			cuts = append(cuts, cut)
		}
	}
	if len(cuts) == 0 {
		return nil
	}
	err := s.submit(&request{sync: true, far: true, fill: func(t *turn) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range cuts {
			s.cut(t, c)
		}
		return nil
	}})
	if err == nil {
		s.trimAhead()
	}
	return err
}

// trimAhead forgets what was read of a lane and is of another now.
func (s *Store) trimAhead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.mu.lanes {
		if l.next > l.end {
			l.ahead = l.ahead[:len(l.ahead)-int(l.next-l.end)]
			l.next = l.end
		}
	}
}

// cutBehind is the first task from seq on that is of another key than the one before it.
func (s *Store) cutBehind(seq uint64) (cut uint64, ok bool, err error) {
	s.mu.Lock()
	i := s.laneOf(seq)
	end, given := uint64(0), i < 0 || seq <= s.mu.lanes[i].handed
	if !given {
		end = min(s.mu.lanes[i].end, s.mu.plan.Objects)
	}
	s.mu.Unlock()
	if given || seq >= end {
		return 0, false, nil
	}
	before, err := s.planned(seq - 1)
	if err != nil {
		return 0, false, err
	}
	for n := 0; seq < end && n < sameKey; n++ {
		t, err := s.planned(seq)
		if err != nil {
			return 0, false, err
		}
		if t.Object.Key != before.Object.Key || t.Object.Bucket != before.Object.Bucket {
			return seq, true, nil
		}
		seq++
	}
	return 0, false, nil
}

// laneOf is the index of the lane that holds a task; -1 for none. REQUIRES: mu.
func (s *Store) laneOf(seq uint64) int {
	return slices.IndexFunc(s.mu.lanes, func(l *lane) bool { return l.handed <= seq && seq < l.end })
}

// cut divides a lane; the upper part is the new one. Its first block is marked with it,
// so that not every lane begins with a wait. REQUIRES: mu; the taker waits.
func (s *Store) cut(t *turn, at uint64) {
	i := s.laneOf(at)
	if i < 0 || at <= s.mu.lanes[i].handed {
		return
	}
	l := s.mu.lanes[i]
	if l.end == openEnd {
		l.marked = t.dispatched
	}
	s.mu.lastLane++
	up := &lane{id: s.mu.lastLane, handed: at, end: l.end, next: at, doubt: max(at, l.doubt), dispatched: max(at, l.dispatched)}
	up.marked = max(l.marked, min(t.plan.Objects, l.end, at+laneBlock))
	l.end = at
	l.marked, l.dispatched, l.doubt = min(l.marked, at), min(l.dispatched, at), min(l.doubt, at)
	l.asked = l.dispatched
	s.mu.lanes = slices.Insert(s.mu.lanes, i+1, up)
	t.state, t.raised = true, append(t.raised, l) // its mark may be of this very turn
	if up.end == openEnd {
		t.mark(up.marked)
		return
	}
	t.raised = append(t.raised, up)
}

// laneState is what m/state says of a lane that is not the last.
type laneState struct{ handed, marked, end uint64 }

// laneStates are those of all lanes but the last. REQUIRES: mu.
func (s *Store) laneStates() (all []laneState) {
	for _, l := range s.mu.lanes[:len(s.mu.lanes)-1] {
		all = append(all, laneState{l.handed, l.marked, l.end})
	}
	return all
}

// loadLanes makes the lanes that an earlier process had. Before anybody else has the store.
func (s *Store) loadLanes(states []laneState, handed, mark uint64) {
	s.mu.lanes = nil
	for _, l := range append(slices.Clone(states), laneState{handed, mark, openEnd}) {
		s.mu.lastLane++
		s.mu.lanes = append(s.mu.lanes, &lane{id: s.mu.lastLane, handed: l.handed, end: l.end,
			marked: l.marked, dispatched: l.marked, doubt: l.marked, next: l.handed})
	}
}
