package checkpoint

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/resealhq/reseal/engine/object"
)

// Rows calls f for every planned task in order of Seq, with its outcome or nil
// where it remains. It sees one state of the job, in constant memory, also while
// the job goes on. f must not keep what it is given; its error ends the walk.
func (s *Store) Rows(f func(*object.Task, *object.Outcome) error) (err error) {
	snap := s.db.NewSnapshot()
	defer func() {
		if cerr := snap.Close(); cerr != nil && err == nil {
			err = &DiskError{s.dir, cerr}
		}
	}()
	plan, err := snap.NewIter(&pebble.IterOptions{LowerBound: []byte(planPrefix), UpperBound: prefixEnd(planPrefix)})
	if err != nil {
		return &DiskError{s.dir, err}
	}
	defer plan.Close()
	done, err := snap.NewIter(&pebble.IterOptions{LowerBound: []byte(outcomePrefix), UpperBound: prefixEnd(outcomePrefix)})
	if err != nil {
		return &DiskError{s.dir, err}
	}
	defer done.Close()
	var t object.Task
	var o object.Outcome
	done.First()
	for plan.First(); plan.Valid(); plan.Next() {
		seq, _ := seqOf(plan.Key())
		v, err := plan.ValueAndErr()
		if err != nil {
			return &DiskError{s.dir, err}
		}
		if err := decodeTask(s.dict, seq, v, &t); err != nil {
			return s.damaged("p/", err)
		}
		out := (*object.Outcome)(nil)
		if done.Valid() && bytes.Equal(done.Key()[2:], plan.Key()[2:]) {
			if v, err = done.ValueAndErr(); err != nil {
				return &DiskError{s.dir, err}
			}
			if err := decodeOutcome(s.dict, seq, v, &o); err != nil {
				return s.damaged("o/", err)
			}
			out = &o
			done.Next()
		}
		if err := f(&t, out); err != nil {
			return err
		}
	}
	return s.iterError(plan, done)
}

func (s *Store) iterError(its ...*pebble.Iterator) error {
	for _, it := range its {
		if err := it.Error(); err != nil {
			return &DiskError{s.dir, err}
		}
	}
	return nil
}

// Row is one planned task and its outcome, nil where it remains.
func (s *Store) Row(seq uint64) (t object.Task, o *object.Outcome, err error) {
	v, ok, err := s.get(seqKey(planPrefix, seq))
	if err != nil {
		return t, nil, err
	}
	if !ok {
		return t, nil, fmt.Errorf("no task %d in the plan", seq)
	}
	if err := decodeTask(s.dict, seq, v, &t); err != nil {
		return t, nil, s.damaged("p/", err)
	}
	if v, ok, err = s.get(seqKey(outcomePrefix, seq)); err != nil || !ok {
		return t, nil, err
	}
	o = new(object.Outcome)
	if err := decodeOutcome(s.dict, seq, v, o); err != nil {
		return t, nil, s.damaged("o/", err)
	}
	return t, o, nil
}
