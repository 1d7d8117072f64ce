package checkpoint

import (
	"context"
	"io"
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

// reader is where Next stands. Only Next uses it.
type reader struct {
	redo      []uint64 // holes that an earlier process left, ascending
	retry     uint64   // r/ was read up to here
	retryDone bool
	next      uint64        // the first task above that was not read yet
	doubt     uint64        // tasks below it may have been sent by an earlier process
	ahead     []object.Task // read, not given out; a part of space
	space     []object.Task
	asked     uint64    // the mark that was last asked for
	block     uint64    // how many tasks the next raise of it covers
	raised    time.Time // when it was last asked for
}

// Next gives up to len(buf) tasks without outcome, in order of Seq, and how
// many: first those that an earlier process may have sent, marked InDoubt, and
// those that Retry took back. It blocks while planning goes on and nothing is
// there, and ends with io.EOF after the last task of a complete plan. No task is
// given out before the mark that covers it is durable. One goroutine calls it.
func (s *Store) Next(ctx context.Context, buf []object.Task) (int, error) {
	if s.ro {
		return 0, ErrReadOnly
	}
	for len(buf) > 0 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := s.failure(); err != nil {
			return 0, err
		}
		if s.closed.Load() {
			return 0, ErrClosed
		}
		if len(s.reader.ahead) == 0 {
			s.reader.ahead = s.reader.space[:0]
			if err := s.readAhead(); err != nil {
				return 0, err
			}
			s.reader.space = s.reader.ahead
		}
		if len(s.reader.ahead) > 0 {
			return s.giveOut(buf)
		}
		if end, err := s.waitForPlan(ctx); end || err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// readAhead decodes the next tasks: holes and taken-back ones, then the plan.
func (s *Store) readAhead() error {
	r := &s.reader
	if len(r.redo) > 0 || !r.retryDone {
		return s.readAgain()
	}
	s.mu.Lock()
	planned := s.mu.plan.Objects
	s.mu.Unlock()
	if r.next >= planned {
		return nil
	}
	return s.readPlan(min(planned, r.next+readAhead))
}

func (s *Store) readPlan(end uint64) (err error) {
	r := &s.reader
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: seqKey(planPrefix, r.next), UpperBound: seqKey(planPrefix, end)})
	if err != nil {
		return &DiskError{s.dir, err}
	}
	defer func() {
		if cerr := it.Close(); cerr != nil && err == nil {
			err = &DiskError{s.dir, cerr}
		}
	}()
	for it.First(); it.Valid(); it.Next() {
		seq, _ := seqOf(it.Key())
		v, err := it.ValueAndErr()
		if err != nil {
			return &DiskError{s.dir, err}
		}
		if err := s.pushTask(seq, v, seq < r.doubt); err != nil {
			return err
		}
		if seq != r.next {
			return s.damaged("p/", &corruptError{"a planned task is missing"})
		}
		r.next++
	}
	if it.Error() == nil && r.next < end {
		return s.damaged("p/", &corruptError{"planned tasks are missing"})
	}
	return s.iterError(it)
}

func (s *Store) pushTask(seq uint64, value []byte, doubt bool) error {
	var t object.Task
	if err := decodeTask(s.dict, seq, value, &t); err != nil {
		return s.damaged("p/", err)
	}
	t.InDoubt, t.Earlier = doubt, seq < s.earlier
	s.reader.ahead = append(s.reader.ahead, t)
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
		}
		v, ok, err := s.get(seqKey(planPrefix, seq))
		if err != nil {
			return err
		}
		if !ok {
			return s.damaged("p/", &corruptError{"a task to take again is not in the plan"})
		}
		if err := s.pushTask(seq, v, doubt); err != nil {
			return err
		}
	}
	r.retryDone = len(retry) == 0 && !more
	return nil
}

// giveOut hands tasks to the caller. Those above the mark wait for it; the ones
// below it go at once, while the next block is being made durable.
func (s *Store) giveOut(buf []object.Task) (int, error) {
	r := &s.reader
	if err := s.raiseMark(r.ahead[0].Seq); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(buf) && n < len(r.ahead) && r.ahead[n].Seq < s.mu.dispatched {
		t := &r.ahead[n]
		buf[n] = *t
		if t.Seq >= s.mu.handed {
			s.mu.handed = t.Seq + 1
			s.mu.holes[t.Seq] = struct{}{}
		}
		n++
	}
	r.ahead = r.ahead[n:]
	return n, nil
}

// raiseMark makes the mark cover seq, and asks for the next block in good time.
func (s *Store) raiseMark(seq uint64) error {
	r := &s.reader
	s.mu.Lock()
	planned, dispatched := s.mu.plan.Objects, s.mu.dispatched
	s.mu.Unlock()
	r.asked = max(r.asked, dispatched)
	r.block = max(r.block, markBlock)
	want := min(planned, seq+2*r.block)
	switch {
	case seq >= dispatched:
		r.asked = max(r.asked, want)
		s.fitBlock()
		return s.submit(s.markRequest(r.asked))
	case r.asked < want && r.asked < seq+r.block:
		r.asked = want
		s.fitBlock()
		return s.enqueue(s.markRequest(want))
	}
	return nil
}

// fitBlock makes blocks larger where the mark is kept away from this machine and is
// raised often, and smaller again where it is not: a raise costs a request there, and
// a task below the mark an inspection after a crash.
func (s *Store) fitBlock() {
	r := &s.reader
	since := time.Since(r.raised)
	r.raised = time.Now()
	switch {
	case s.ship == nil:
	case since < 2*awayEvery:
		r.block = min(2*r.block, farBlock)
	case since > 12*awayEvery:
		r.block = max(r.block/2, markBlock)
	}
}

func (s *Store) markRequest(n uint64) *request {
	return &request{sync: true, far: true, fill: func(t *turn) error {
		if n > t.dispatched {
			t.mark(n)
		}
		return nil
	}}
}

// waitForPlan waits until there is more to read; end is set with io.EOF when
// there never will be.
func (s *Store) waitForPlan(ctx context.Context) (end bool, err error) {
	s.mu.Lock()
	more, complete := s.reader.next < s.mu.plan.Objects || !s.reader.retryDone, s.mu.complete
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
