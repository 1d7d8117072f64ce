package checkpoint

import (
	"iter"

	"github.com/cockroachdb/pebble/v2"
)

// entrustBatch is how many tasks one step of Entrust takes.
const entrustBatch = 1 << 16

// The values of an r/ record. Older ones are inDoubt, and older versions take every one
// for that.
var (
	inDoubt   = []byte{valueVersion}
	neverSent = []byte{valueVersion, 1}
)

// Entrust makes durable that others than the takers of Next may do these tasks from now
// on: each is in doubt until it has an outcome, which Record takes also though Next did
// not give it out. Tasks that have an outcome stay as they are. Call it before Next.
//
// A crash in the middle leaves some of them in doubt, and calling it again the rest.
func (s *Store) Entrust(seqs iter.Seq[uint64]) error {
	if s.ro {
		return ErrReadOnly
	}
	if err := s.takeOver(); err != nil {
		return err
	}
	var batch []uint64
	for seq := range seqs {
		if batch = append(batch, seq); len(batch) == entrustBatch {
			if err := s.doubt(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	s.reader.retry, s.reader.retryDone = 0, false
	return s.doubt(batch)
}

// takeOver makes r/ records of all tasks that were never given out, so that any of them
// can have an outcome: those that an earlier process may have sent stay in doubt.
func (s *Store) takeOver() error {
	for {
		s.mu.Lock()
		l := s.mu.lanes[0]
		from, end, doubt := l.handed, min(l.end, s.mu.plan.Objects), l.doubt
		s.mu.Unlock()
		if from >= end {
			return nil
		}
		to := min(end, from+entrustBatch)
		err := s.submit(&request{sync: true, far: true, fill: func(t *turn) error {
			for seq := from; seq < to; seq++ {
				value := neverSent
				if seq < doubt {
					value = inDoubt
				}
				_ = t.Set(seqKey(retryPrefix, seq), value, nil)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			l.handed, l.marked, t.state = to, max(l.marked, to), true
			switch {
			case l.handed == l.end:
				s.mu.lanes = s.mu.lanes[1:]
			case l.end == openEnd && t.dispatched < to:
				t.mark(to)
			}
			return nil
		}})
		if err != nil {
			return err
		}
		l.next = to
	}
}

// doubt marks those of the tasks that are in r/. One that is not there has an outcome, or
// is a hole and in doubt anyway.
func (s *Store) doubt(seqs []uint64) error {
	if len(seqs) == 0 {
		return nil
	}
	return s.submit(&request{sync: true, far: true, fill: func(t *turn) error {
		for _, seq := range seqs {
			key := seqKey(retryPrefix, seq)
			_, there, err := s.get(key)
			if err != nil {
				return err
			}
			if there {
				_ = t.Set(key, inDoubt, nil)
			}
		}
		return nil
	}})
}

// sentBefore says whether a task in r/ may have been sent something.
func sentBefore(it *pebble.Iterator) bool {
	v, err := it.ValueAndErr()
	return err != nil || len(v) < 2 || v[1] == 0
}
