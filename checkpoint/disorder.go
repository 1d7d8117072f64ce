package checkpoint

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// againCounted bounds how many r/ records are counted when a store is opened: of more it is
// known only that there are so many.
const againCounted = 1 << 17

// checkPlaces insists that each task that has no outcome is in one place: in a lane, among
// the holes, or in r/. One that is in two would be given out twice, and one that is in none
// never; the sums of checkNumbers are right as well where the one makes up for the other.
// It costs two reads for each hole and each lane. Whether a task in r/ has an outcome is
// seen when it is taken.
func (s *Store) checkPlaces() error {
	handed := s.last().handed
	last, err := s.end(retryPrefix)
	if err != nil {
		return err
	}
	if last > handed {
		return s.damaged("r/", &corruptError{fmt.Sprintf("task %d is to be taken again and was never given out", last-1)})
	}
	for _, prefix := range []string{outcomePrefix, retryPrefix} {
		for _, l := range s.laneStates() {
			if err := s.none(prefix, l.handed, l.end, "a task that was never given out"); err != nil {
				return err
			}
		}
		for h := range s.mu.holes {
			if err := s.none(prefix, h, h+1, fmt.Sprintf("task %d, which was given out and has none", h)); err != nil {
				return err
			}
		}
	}
	return nil
}

// none fails where a record of the prefix is there, from one number on and before another.
func (s *Store) none(prefix string, from, end uint64, of string) error {
	switch n, err := s.count(prefix, from, end, 1); {
	case err != nil:
		return err
	case n > 0:
		return s.damaged(prefix, &corruptError{"there is one of " + of})
	}
	return nil
}

// count counts the records of a prefix between two numbers, up to most.
func (s *Store) count(prefix string, from, end uint64, most int) (n int, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: seqKey(prefix, from), UpperBound: seqKey(prefix, end)})
	if err != nil {
		return 0, &DiskError{s.dir, err}
	}
	for it.First(); it.Valid() && n < most; it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		return 0, &DiskError{s.dir, err}
	}
	return n, nil
}

// unsettled fails where a task in r/ has an outcome. Who records one takes the task out of
// r/ in the same step, so that a task whose outcome came just now is not there any more.
func (s *Store) unsettled(seq uint64) error {
	_, settled, err := s.get(seqKey(outcomePrefix, seq))
	if err != nil || !settled {
		return err
	}
	switch _, again, err := s.get(seqKey(retryPrefix, seq)); {
	case err != nil:
		return err
	case again:
		return s.damaged("r/", &corruptError{fmt.Sprintf("task %d is to be taken again and has an outcome", seq)})
	}
	return nil
}
