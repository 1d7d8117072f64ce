package checkpoint

import (
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/resealhq/reseal/engine/object"
)

// request is one change that waits for its turn.
type request struct {
	// fill adds the change to a batch; nil to wait for durability only. The writer
	// calls it, once, outside of mu. An error is the end of the store, except a
	// refusal, which must leave the batch as it was.
	fill func(*turn) error
	// sync asks for durability before the answer; far for durability away from this
	// machine too, where that is kept.
	sync, far bool
	answer    error
	done      chan error
}

// refused is an answer to one request that does no harm to the store.
type refused struct{ err error }

func (r refused) Error() string { return r.err.Error() }

// turn is one batch and what goes with it.
type turn struct {
	*pebble.Batch
	counts *counters // the next ones; changed in place
	state  bool      // m/state has to be written
	sync   bool
	far    []*request // answered when they are kept away
	// What publish makes known once the batch is applied. Only the writer changes
	// their originals, so it reads them without mu.
	plan       object.Tally
	planned    bool // plan or complete has changed
	complete   bool
	dispatched uint64  // of the last lane
	raised     []*lane // others whose mark it raises
	open       *lane   // the last lane after it
}

// submit queues a change and waits until it was applied.
func (s *Store) submit(r *request) error {
	if err := s.enqueue(r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-s.failed:
		return s.failErr
	}
}

func (s *Store) enqueue(r *request) error {
	if s.ro {
		return ErrReadOnly
	}
	r.done = make(chan error, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusal(); err != nil {
		return err
	}
	s.mu.queue = append(s.mu.queue, r)
	s.signal()
	return nil
}

// refusal is why nothing more is taken. REQUIRES: mu.
func (s *Store) refusal() error {
	if err := s.failure(); err != nil {
		return err
	}
	if s.mu.stop {
		return ErrClosed
	}
	return nil
}

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write is the one goroutine that changes the store. It ends after Close, or at
// the first failure.
func (s *Store) write() {
	defer close(s.idle)
	lastSync := time.Time{}
	var space group
	for {
		requests, outcomes, last := s.collect(lastSync, &space)
		synced, err := s.take(requests, outcomes, last)
		if err != nil {
			s.fail(err)
			return
		}
		if synced {
			lastSync = time.Now()
		}
		if last {
			return
		}
		if outcomes.len() > 0 {
			space = outcomes
		}
	}
}

// collect waits for work: requests at once, outcomes when they have waited long
// enough, are many enough, or somebody wants a sync anyway. last is set with
// what remains after Close.
func (s *Store) collect(lastSync time.Time, space *group) (requests []*request, outcomes group, last bool) {
	for {
		s.mu.Lock()
		due := s.mu.stop || s.mu.group.len() >= groupMax || slices.ContainsFunc(s.mu.queue, func(r *request) bool { return r.sync })
		wait := s.opts.Interval - time.Since(lastSync)
		if s.mu.group.len() > 0 && (due || wait <= 0) {
			outcomes = s.mu.group.swap(space)
			s.mu.room.Broadcast()
		}
		requests, s.mu.queue = s.mu.queue, nil
		pending, last := s.mu.group.len() > 0, s.mu.stop
		s.mu.Unlock()
		if len(requests) > 0 || outcomes.len() > 0 || last {
			return requests, outcomes, last
		}
		s.sleep(pending, wait)
	}
}

// sleep waits for a signal, and where outcomes wait, not past their interval.
func (s *Store) sleep(pending bool, wait time.Duration) {
	if !pending {
		<-s.wake
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-s.wake:
	case <-t.C:
	}
}

func (s *Store) newTurn(sync bool) *turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &turn{Batch: s.db.NewBatch(), counts: s.counts.Load().clone(), sync: sync,
		plan: s.mu.plan, complete: s.mu.complete, dispatched: s.last().marked}
}

// take makes one batch of everything it got, applies it, and answers.
func (s *Store) take(requests []*request, outcomes group, last bool) (synced bool, err error) {
	t := s.newTurn(outcomes.len() > 0 || last)
	for _, r := range requests {
		if err := t.fill(r); err != nil {
			return false, err
		}
	}
	t.fillPlan()
	if err := s.addOutcomes(t, outcomes); err != nil {
		return false, err
	}
	if t.sync && s.asked.fold(t.counts) {
		t.state = true
	}
	if last {
		s.lowerMark(t)
	}
	s.finish(t)
	changes := t.Reader() // of a large batch Pebble leaves nothing
	if err := s.apply(t.Batch, t.sync); err != nil {
		return false, err
	}
	if t.sync {
		if err := s.floor.raise(s.floor.turn + 1); err != nil {
			return false, err
		}
	}
	s.publish(t, requests)
	if s.ship != nil {
		s.ship.add(changes, len(t.far) > 0, s.keptFar(t))
	}
	_ = t.Batch.Close()
	return t.sync, nil
}

func (t *turn) fill(r *request) error {
	t.sync = t.sync || r.sync
	if r.fill == nil {
		return nil
	}
	err := r.fill(t)
	if no, ok := err.(refused); ok {
		r.answer = no.err
		return nil
	}
	return err
}

// finish adds what every batch carries: the state, and the words it is the first
// to use. The words come last, since everything before may bring new ones.
func (s *Store) finish(t *turn) {
	if t.state {
		e := encoder{d: s.dict}
		s.mu.Lock()
		handed, lanes, holes := s.last().handed, s.laneStates(), make([]uint64, 0, len(s.mu.holes))
		for h := range s.mu.holes {
			holes = append(holes, h)
		}
		s.mu.Unlock()
		slices.Sort(holes)
		e.state(t.counts, handed, lanes, holes)
		_ = t.Set([]byte(keyState), e.b, nil)
	}
	for _, id := range s.dict.take() {
		w, _ := s.dict.word(id)
		_ = t.Set(seqKey(dictPrefix, id), []byte(w), nil)
	}
	if t.sync { // also where it carries nothing else than the sync of earlier ones
		var e encoder
		e.byte(valueVersion)
		e.uint(s.floor.turn + 1)
		_ = t.Set([]byte(keyTurn), e.b, nil)
	}
}

// apply commits a batch. Where the disk fails it does not return (see gate).
func (s *Store) apply(b *pebble.Batch, sync bool) error {
	began := time.Now()
	if err := b.Commit(&pebble.WriteOptions{Sync: sync}); err != nil {
		return err
	}
	if sync && s.opts.Committed != nil {
		s.opts.Committed(time.Since(began))
	}
	return s.failure()
}

func (s *Store) publish(t *turn, requests []*request) {
	s.counts.Store(t.counts)
	s.mu.Lock()
	t.open = s.last()
	s.mu.plan, s.mu.complete, t.open.marked = t.plan, t.complete, t.dispatched
	if s.ship == nil {
		s.mayGiveOut(t.marks())
	}
	s.mu.Unlock()
	if t.planned {
		select {
		case s.grown <- struct{}{}:
		default:
		}
	}
	for _, r := range requests {
		if s.ship != nil && r.far && r.answer == nil {
			t.far = append(t.far, r)
			continue
		}
		r.done <- r.answer
	}
}

// keptFar is what follows when the turn is safe away from this machine; nil where
// nothing does.
func (s *Store) keptFar(t *turn) func() {
	if len(t.far) == 0 {
		return nil
	}
	s.mu.Lock()
	marks, far := t.marks(), t.far
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.mayGiveOut(marks)
		s.mu.Unlock()
		for _, r := range far {
			r.done <- nil
		}
	}
}

// lowerMark takes the dispatched mark back to what was really given out: after a
// clean stop nothing of this process is in doubt above it. What was in doubt when it
// began, and was not given out again, stays so.
func (s *Store) lowerMark(t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.mu.lanes {
		given := max(l.handed, l.doubt)
		switch {
		case l.end != openEnd && given < l.marked:
			l.marked, t.state = given, true
		case l.end == openEnd && given < t.dispatched:
			t.mark(given)
			t.state = true
		}
	}
}

// mark sets the dispatched mark.
func (t *turn) mark(n uint64) {
	t.dispatched = n
	var e encoder
	e.byte(valueVersion)
	e.uint(n)
	_ = t.Set([]byte(keyDispatched), e.b, nil)
}

// laneMark is how far a lane may be given out.
type laneMark struct {
	lane *lane
	to   uint64
}

// marks are those that a turn has made durable. REQUIRES: the store's mu.
func (t *turn) marks() (all []laneMark) {
	for _, l := range t.raised {
		all = append(all, laneMark{l, l.marked})
	}
	return append(all, laneMark{t.open, t.dispatched})
}

// mayGiveOut takes marks for safe. A lane may have been cut since. REQUIRES: mu.
func (s *Store) mayGiveOut(marks []laneMark) {
	for _, m := range marks {
		m.lane.dispatched = max(m.lane.dispatched, min(m.to, m.lane.end))
	}
}
