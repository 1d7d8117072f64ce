package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
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
	return s.loadState()
}

func (s *Store) loadJob() error {
	v, _, err := s.get([]byte(keyJob))
	if err != nil {
		return err
	}
	if len(v) != 33 {
		return s.damaged(keyJob, &corruptError{"the job's digest is cut off"})
	}
	if !s.ro && !bytes.Equal(v[1:], s.opts.Job[:]) {
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
	_, s.mu.complete, err = s.get([]byte(keyComplete))
	return err
}

func (s *Store) loadState() error {
	v, ok, err := s.get([]byte(keyState))
	if err != nil {
		return err
	}
	c, handed, holes := new(counters).clone(), uint64(0), []uint64(nil)
	if ok {
		if c, handed, holes, err = decodeState(s.dict, v); err != nil {
			return s.damaged(keyState, err)
		}
	}
	mark, ok, err := s.get([]byte(keyDispatched))
	if err != nil {
		return err
	}
	if ok {
		r := decoder{b: mark}
		r.version()
		s.mu.dispatched = r.uint()
		if r.err != nil {
			return s.damaged(keyDispatched, r.err)
		}
	}
	s.counts.Store(c)
	s.mu.handed = handed
	for _, h := range holes {
		s.mu.holes[h] = struct{}{}
	}
	s.reader = reader{redo: slices.Clone(holes), next: handed, doubt: s.mu.dispatched}
	return nil
}

func (s *Store) damaged(key string, err error) error {
	return &DiskError{s.dir, errors.Join(errors.New("record "+key), err)}
}

// get reads one small record.
func (s *Store) get(key []byte) (value []byte, ok bool, err error) {
	v, closer, err := s.db.Get(key)
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
func (s *Store) scan(prefix string, f func(key, value []byte) error) (err error) {
	bounds := new(pebble.IterOptions)
	if prefix != "" {
		bounds.LowerBound, bounds.UpperBound = []byte(prefix), prefixEnd(prefix)
	}
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
