package checkpoint

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/resealhq/reseal/engine/object"
)

// retryBatch is how many outcomes are taken back in one step.
const retryBatch = 4096

// Retry takes back the outcomes that again picks: their objects are remaining
// again, and Next gives them out in doubt, unless nothing was ever sent of one. Call it
// before Next. It returns how many. A crash in the middle leaves every object with its outcome or remaining,
// with counters that agree; calling it again takes the rest.
func (s *Store) Retry(again func(*object.Outcome) bool) (taken uint64, err error) {
	if s.ro {
		return 0, ErrReadOnly
	}
	if err := s.Flush(); err != nil {
		return 0, err
	}
	var batch []object.Outcome
	take := func() error {
		err := s.takeBack(batch)
		if err == nil {
			taken += uint64(len(batch))
			batch = batch[:0]
		}
		return err
	}
	err = s.scan(outcomePrefix, func(key, value []byte) error {
		seq, ok := seqOf(key)
		if !ok {
			return s.damaged("o/", &corruptError{"it ends early"})
		}
		var o object.Outcome
		if err := decodeOutcome(s.dict, seq, value, &o); err != nil {
			return s.damaged("o/", err)
		}
		if !again(&o) {
			return nil
		}
		if batch = append(batch, o); len(batch) < retryBatch {
			return nil
		}
		return take()
	})
	if err == nil && len(batch) > 0 {
		err = take()
	}
	s.reader.retryDone = false
	return taken, err
}

func (s *Store) takeBack(outcomes []object.Outcome) error {
	return s.submit(&request{sync: true, far: true, fill: func(t *turn) error {
		t.state = true
		for i := range outcomes {
			o := &outcomes[i]
			_ = t.Delete(seqKey(outcomePrefix, o.Seq), nil)
			_ = t.Set(seqKey(retryPrefix, o.Seq), doubtOf(o), nil)
			f := factOf(o)
			t.counts.count(&f, o.Seq, -1)
		}
		return nil
	}})
}

// doubtOf says whether the task of an outcome that is taken back may have been sent: who
// finds it as wanted then takes it for this job's work, and asks for what a copy left to be
// done after it. One that was in doubt when it was left stays so.
func doubtOf(o *object.Outcome) []byte {
	if o.State == object.Left && o.NeverSent {
		return neverSent
	}
	return inDoubt
}

// retry is a task in r/.
type retry struct {
	seq   uint64
	doubt bool
}

// retries are up to n tasks that were taken back or entrusted to others, from seq on.
func (s *Store) retries(seq uint64, n int) (found []retry, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: seqKey(retryPrefix, seq), UpperBound: prefixEnd(retryPrefix)})
	if err != nil {
		return nil, &DiskError{s.dir, err}
	}
	for it.First(); it.Valid() && len(found) < n; it.Next() {
		if q, ok := seqOf(it.Key()); ok {
			found = append(found, retry{q, sentBefore(it)})
		}
	}
	if err := it.Close(); err != nil {
		return nil, &DiskError{s.dir, err}
	}
	return found, nil
}
