package checkpoint

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/resealhq/reseal/engine/object"
)

const (
	// markBlock is how many tasks one raise of the dispatched mark covers. Each
	// costs an inspection after a crash, so it is not larger than it has to be.
	markBlock = 1024
	// readAhead is how many tasks are decoded at a time.
	readAhead = 512
)

// reader is where Next stands with what is taken again. Only Next uses it.
type reader struct {
	redo      []uint64 // holes that an earlier process left, ascending
	retry     uint64   // r/ was read up to here
	retryDone bool
	ahead     []object.Task // read, not given out; a part of space
	space     []object.Task
}

// more says whether something may be left to take again.
func (r *reader) more() bool { return len(r.ahead) > 0 || len(r.redo) > 0 || !r.retryDone }

// Next gives up to len(buf) tasks without outcome, in order of Seq, and how
// many: first those that an earlier process may have sent, marked InDoubt, and
// those that Retry took back. It blocks while planning goes on and nothing is
// there, and ends with io.EOF after the last task of a complete plan. No task is
// given out before the mark that covers it is durable. One goroutine calls it.
func (s *Store) Next(ctx context.Context, buf []object.Task) (int, error) {
	for len(buf) > 0 {
		if err := s.mayTake(ctx); err != nil {
			return 0, err
		}
		if n, err := s.takeAgain(buf); n > 0 || err != nil {
			return n, err
		}
		l := s.firstLane()
		if n, err := s.takeFrom(l, buf); n > 0 || err != nil {
			return n, err
		}
		if end, err := s.waitForPlan(ctx, l); end || err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// mayTake is why no task can be given out.
func (s *Store) mayTake(ctx context.Context) error {
	if s.ro {
		return ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.failure(); err != nil {
		return err
	}
	if s.closed.Load() {
		return ErrClosed
	}
	return nil
}

// takeAgain gives out holes and taken-back tasks, as long as there are any.
func (s *Store) takeAgain(buf []object.Task) (int, error) {
	r := &s.reader
	for len(r.ahead) == 0 {
		if !r.more() {
			return 0, nil
		}
		r.ahead = r.space[:0]
		if err := s.readAgain(); err != nil {
			return 0, err
		}
		r.space = r.ahead
	}
	return s.giveOut(s.lastLane(), &r.ahead, buf)
}

// takeFrom gives out what comes next in a lane; none where nothing is planned yet.
func (s *Store) takeFrom(l *lane, buf []object.Task) (int, error) {
	if len(l.ahead) == 0 {
		l.ahead = l.space[:0]
		if err := s.readPlan(l); err != nil {
			return 0, err
		}
		l.space = l.ahead
	}
	if len(l.ahead) == 0 {
		return 0, nil
	}
	return s.giveOut(l, &l.ahead, buf)
}

// readPlan decodes the next tasks of a lane.
func (s *Store) readPlan(l *lane) error {
	s.mu.Lock()
	end := min(s.mu.plan.Objects, l.end, l.next+readAhead)
	if len(s.mu.lanes) > 1 {
		end = min(end, l.next+laneAhead)
	}
	s.mu.Unlock()
	if l.next >= end {
		return nil
	}
	err := s.scanWithin(&pebble.IterOptions{LowerBound: seqKey(planPrefix, l.next), UpperBound: seqKey(planPrefix, end)}, func(key, value []byte) error {
		seq, _ := seqOf(key)
		if err := s.pushTask(&l.ahead, seq, value, seq < l.doubt); err != nil {
			return err
		}
		if seq != l.next {
			return s.damaged("p/", &corruptError{"a planned task is missing"})
		}
		l.next++
		return nil
	})
	if err == nil && l.next < end {
		return s.damaged("p/", &corruptError{"planned tasks are missing"})
	}
	return err
}

func (s *Store) pushTask(to *[]object.Task, seq uint64, value []byte, doubt bool) error {
	var t object.Task
	if err := decodeTask(s.dict, seq, value, &t); err != nil {
		return s.damaged("p/", err)
	}
	t.InDoubt, t.Earlier = doubt, seq < s.earlier
	*to = append(*to, t)
	return nil
}

// readAgain reads holes and the tasks in r/. Those that were never sent may be from now
// on, so that they are in doubt for every later process before this one gives them out.
func (s *Store) readAgain() error {
	if err := s.mergeAgain(); err != nil {
		return err
	}
	var fresh []uint64
	for i := range s.reader.ahead {
		if t := &s.reader.ahead[i]; !t.InDoubt {
			fresh = append(fresh, t.Seq)
		}
	}
	return s.doubt(fresh)
}

// mergeAgain merges the holes of an earlier process with the tasks that were
// taken back or entrusted to others, both ascending.
func (s *Store) mergeAgain() error {
	r := &s.reader
	retry, err := s.retries(r.retry, readAhead)
	if err != nil {
		return err
	}
	more := len(retry) == readAhead
	for len(r.ahead) < readAhead && len(r.redo)+len(retry) > 0 {
		seq, doubt := uint64(0), true
		switch {
		case len(retry) == 0 && more:
			return nil // the next retry may come before the next hole
		case len(retry) == 0 || len(r.redo) > 0 && r.redo[0] < retry[0].seq:
			seq, r.redo = r.redo[0], r.redo[1:]
		default:
			seq, doubt, retry = retry[0].seq, retry[0].doubt, retry[1:]
			r.retry = seq + 1
			if err := s.unsettled(seq); err != nil {
				return err
			}
		}
		v, ok, err := s.get(seqKey(planPrefix, seq))
		if err != nil {
			return err
		}
		if !ok {
			return s.damaged("p/", &corruptError{"a task to take again is not in the plan"})
		}
		if err := s.pushTask(&r.ahead, seq, v, doubt); err != nil {
			return err
		}
	}
	r.retryDone = len(retry) == 0 && !more
	return nil
}

// giveOut hands tasks of a lane, or tasks that are taken again, to the caller. Those above
// the mark wait for it; the ones below it go at once, while the next block is being made
// durable.
func (s *Store) giveOut(l *lane, ahead *[]object.Task, buf []object.Task) (int, error) {
	if err := s.raiseMark(l, (*ahead)[0].Seq); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(buf) && n < len(*ahead) && (*ahead)[n].Seq < l.dispatched {
		t := &(*ahead)[n]
		buf[n] = *t
		if t.Seq >= l.handed {
			l.handed = t.Seq + 1
			s.mu.holes[t.Seq] = struct{}{}
		}
		n++
	}
	*ahead = (*ahead)[n:]
	if l.handed == l.end {
		s.mu.lanes = slices.DeleteFunc(s.mu.lanes, func(o *lane) bool { return o == l })
	}
	return n, nil
}

// raiseMark makes the mark of a lane cover seq, and asks for the next block in good time.
func (s *Store) raiseMark(l *lane, seq uint64) error {
	s.mu.Lock()
	end, dispatched, block := min(s.mu.plan.Objects, l.end), l.dispatched, uint64(markBlock)
	if len(s.mu.lanes) > 1 {
		block = laneBlock
	}
	s.mu.Unlock()
	if s.ship == nil {
		l.block = block
	}
	l.block = max(l.block, block)
	l.asked = max(l.asked, dispatched)
	want := min(end, seq+2*l.block)
	switch {
	case seq >= dispatched:
		l.asked = max(l.asked, want)
		s.fitBlock(l)
		return s.submit(s.markRequest(l, l.asked))
	case l.asked < want && l.asked < seq+l.block:
		l.asked = want
		s.fitBlock(l)
		return s.enqueue(s.markRequest(l, want))
	}
	return nil
}

// fitBlock makes blocks larger where the mark is kept away from this machine and is
// raised often, and smaller again where it is not: a raise costs a request there, and
// a task below the mark an inspection after a crash.
func (s *Store) fitBlock(l *lane) {
	since := time.Since(l.raised)
	l.raised = time.Now()
	switch {
	case s.ship == nil:
	case since < 2*awayEvery:
		l.block = min(2*l.block, farBlock)
	case since > 12*awayEvery:
		l.block = max(l.block/2, markBlock)
	}
}

func (s *Store) markRequest(l *lane, n uint64) *request {
	return &request{sync: true, far: true, fill: func(t *turn) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case l.end == openEnd && n > t.dispatched:
			t.mark(n)
		case l.end == openEnd:
		case min(n, l.end) > l.dispatched:
			l.marked = max(l.marked, min(n, l.end))
			t.state, t.raised = true, append(t.raised, l)
		}
		return nil
	}}
}

// waitForPlan waits until there is more to read in the last lane; end is set with io.EOF
// when there never will be.
func (s *Store) waitForPlan(ctx context.Context, l *lane) (end bool, err error) {
	s.mu.Lock()
	more, complete := l.next < s.mu.plan.Objects || s.reader.more(), s.mu.complete
	s.mu.Unlock()
	switch {
	case more:
		return false, nil
	case complete:
		return true, io.EOF
	}
	select {
	case <-s.grown:
	case <-s.failed:
	case <-s.idle:
	case <-ctx.Done():
	}
	return false, nil
}
