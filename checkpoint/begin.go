package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// begin makes a new store this job's.
func (s *Store) begin() error {
	b := s.db.NewBatch()
	_ = b.Set([]byte(keyFormat), []byte{valueVersion, formatVersion}, nil)
	_ = b.Set([]byte(keyJob), append([]byte{valueVersion}, s.opts.Job[:]...), nil)
	applied := make(chan error, 1)
	go func() { applied <- errors.Join(s.apply(b, true), b.Close()) }()
	return s.wait(applied)
}

// load reads everything that is kept in memory: a few small records, however
// large the job is.
func (s *Store) load() error {
	format, ok, err := s.get([]byte(keyFormat))
	if err != nil {
		return err
	}
	if !ok {
		return &FormatError{Dir: s.dir} // somebody else's
	}
	r := decoder{b: format}
	r.version()
	if v := r.uint(); r.err != nil || v != formatVersion {
		return &FormatError{Dir: s.dir, Version: v}
	}
	if err := s.loadJob(); err != nil {
		return err
	}
	if err := s.loadDict(); err != nil {
		return err
	}
	if err := s.loadPlan(); err != nil {
		return err
	}
	if err := s.loadState(); err != nil {
		return err
	}
	if err := s.checkTurn(); err != nil {
		return err
	}
	return s.checkNumbers()
}

// checkTurn compares what is there with what the seal says was durable: Pebble
// believes a log, and a manifest, that was cut off.
func (s *Store) checkTurn() error {
	v, ok, err := s.get([]byte(keyTurn))
	if err != nil {
		return err
	}
	turn := uint64(0)
	if ok {
		r := decoder{b: v}
		r.version()
		if turn = r.uint(); r.err != nil {
			return s.damaged(keyTurn, r.err)
		}
	}
	switch {
	case ok && !s.sealed:
		return s.damaged(keyTurn, &corruptError{"the file " + sealName + " is missing"})
	case turn < s.seal.turn:
		return s.damaged(keyTurn, &corruptError{fmt.Sprintf("what was durable is not there any more: turn %d is the last, and turn %d was synced", turn, s.seal.turn)})
	}
	if s.floor != nil {
		s.floor.turn = turn
	}
	return nil
}

// checkNumbers holds the numbers against each other and against the ends of the
// tables, at the price of a few reads.
func (s *Store) checkNumbers() error {
	planned, settled := s.mu.plan.Objects, s.counts.Load().settled().Objects
	last, err := s.end(planPrefix)
	if err != nil {
		return err
	}
	lastOutcome, err := s.end(outcomePrefix)
	if err != nil {
		return err
	}
	handed, dispatched, waiting := s.last().handed, s.last().dispatched, uint64(0)
	for _, l := range s.laneStates() {
		waiting += l.end - l.handed
	}
	again, err := s.count(retryPrefix, 0, math.MaxUint64, againCounted)
	if err != nil {
		return err
	}
	known := settled + uint64(len(s.mu.holes)) + waiting // beside those in r/
	bad := ""
	switch {
	case last != planned:
		bad = fmt.Sprintf("the plan counts %d tasks, and the last of them has number %d", planned, int64(last)-1)
	case dispatched > planned:
		bad = fmt.Sprintf("%d tasks may have been given out, of %d", dispatched, planned)
	case handed > dispatched:
		bad = fmt.Sprintf("%d tasks were given out, and %d could have been", handed, dispatched)
	case lastOutcome > handed:
		bad = fmt.Sprintf("task %d has an outcome and was never given out", lastOutcome-1)
	case known > handed, handed-known < uint64(again), handed-known > uint64(again) && again < againCounted:
		bad = fmt.Sprintf("%d outcomes, %d tasks without one, %d that others were taken before and %d to be taken again, of %d", settled, len(s.mu.holes), waiting, again, handed)
	}
	if bad != "" {
		return s.damaged("m/", &corruptError{bad})
	}
	return s.checkPlaces()
}

// end is the number behind the last record of a prefix; 0 where there is none.
func (s *Store) end(prefix string) (uint64, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte(prefix), UpperBound: prefixEnd(prefix)})
	if err != nil {
		return 0, &DiskError{s.dir, err}
	}
	end := uint64(0)
	if it.Last() {
		seq, _ := seqOf(it.Key())
		end = seq + 1
	}
	if err := it.Close(); err != nil {
		return 0, &DiskError{s.dir, err}
	}
	return end, nil
}

func (s *Store) loadJob() error {
	v, _, err := s.get([]byte(keyJob))
	if err != nil {
		return err
	}
	if len(v) != 33 {
		return s.damaged(keyJob, &corruptError{"the job's digest is cut off"})
	}
	if (!s.ro || s.opts.Job != [32]byte{}) && !bytes.Equal(v[1:], s.opts.Job[:]) {
		return &JobMismatchError{Dir: s.dir, Have: [32]byte(v[1:]), Want: s.opts.Job}
	}
	s.opts.Job = [32]byte(v[1:])
	return nil
}

func (s *Store) loadDict() error {
	return s.scan(dictPrefix, func(key, value []byte) error {
		if len(key) != len(dictPrefix)+8 {
			return s.damaged("m/d", &corruptError{"a key is cut off"})
		}
		id := binary.BigEndian.Uint64(key[len(dictPrefix):])
		if id != uint64(len(s.dict.snap.Load().words)) {
			return s.damaged("m/d", &corruptError{"the dictionary has a gap"})
		}
		s.dict.store(s.dict.snap.Load(), id, string(value))
		return nil
	})
}

func (s *Store) loadPlan() error {
	v, ok, err := s.get([]byte(keyPlan))
	if err != nil {
		return err
	}
	if ok {
		r := decoder{b: v}
		r.version()
		s.mu.plan = r.tally()
		if r.err != nil {
			return s.damaged(keyPlan, r.err)
		}
	}
	s.earlier = s.mu.plan.Objects
	_, s.mu.complete, err = s.get([]byte(keyComplete))
	return err
}

func (s *Store) loadState() error {
	v, ok, err := s.get([]byte(keyState))
	if err != nil {
		return err
	}
	st := state{counts: new(counters).clone()}
	if ok {
		if st, err = decodeState(s.dict, v); err != nil {
			return s.damaged(keyState, err)
		}
	}
	dispatched := uint64(0)
	mark, ok, err := s.get([]byte(keyDispatched))
	if err != nil {
		return err
	}
	if ok {
		r := decoder{b: mark}
		r.version()
		dispatched = r.uint()
		if r.err != nil {
			return s.damaged(keyDispatched, r.err)
		}
	}
	s.counts.Store(st.counts)
	for _, h := range st.holes {
		s.mu.holes[h] = struct{}{}
	}
	s.loadLanes(st.lanes, st.handed, dispatched)
	s.reader = reader{redo: slices.Clone(st.holes)}
	return nil
}

func (s *Store) damaged(key string, err error) error {
	return &DiskError{s.dir, fmt.Errorf("record %s: %w", key, err)}
}

// get reads one small record.
func (s *Store) get(key []byte) (value []byte, ok bool, err error) { return s.getFrom(s.db, key) }

func (s *Store) getFrom(db pebble.Reader, key []byte) (value []byte, ok bool, err error) {
	v, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, &DiskError{s.dir, err}
	}
	defer closer.Close()
	return bytes.Clone(v), true, nil
}

// scan calls f for every record whose key begins with prefix, in order. f must
// not keep key or value.
func (s *Store) scan(prefix string, f func(key, value []byte) error) error {
	bounds := new(pebble.IterOptions)
	if prefix != "" {
		bounds.LowerBound, bounds.UpperBound = []byte(prefix), prefixEnd(prefix)
	}
	return s.scanWithin(bounds, f)
}

func (s *Store) scanWithin(bounds *pebble.IterOptions, f func(key, value []byte) error) (err error) {
	it, err := s.db.NewIter(bounds)
	if err != nil {
		return &DiskError{s.dir, err}
	}
	defer func() {
		if cerr := it.Close(); cerr != nil && err == nil {
			err = &DiskError{s.dir, cerr}
		}
	}()
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return &DiskError{s.dir, err}
		}
		if err := f(it.Key(), value); err != nil {
			return err
		}
	}
	return s.iterError(it)
}
