package checkpoint

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/resealhq/reseal/engine/object"
)

// SaveUpload keeps an upload; it is durable on return. Parts that were kept for
// an earlier upload of the same task go, those of this one stay.
func (s *Store) SaveUpload(u object.Upload) error {
	e := encoder{d: s.dict}
	e.upload(&u)
	return s.submit(&request{sync: true, far: true, fill: func(t *turn) error {
		if err := s.dropParts(t, u.Seq, u.ID); err != nil {
			return err
		}
		return t.Set(seqKey(uploadPrefix, u.Seq), e.b, nil)
	}})
}

func (s *Store) dropParts(t *turn, seq uint64, id string) error {
	v, found, err := s.get(seqKey(uploadPrefix, seq))
	if err != nil || !found {
		return err
	}
	old, err := decodeUpload(s.dict, seq, v)
	if err != nil {
		return s.damaged("u/", err)
	}
	if old.ID == id {
		return nil
	}
	return t.DeleteRange(seqKey(uploadPrefix, seq), seqKey(uploadPrefix, seq+1), nil)
}

// SavePart keeps a finished part of the task's upload; it is durable on return.
// Many at a time share a sync.
func (s *Store) SavePart(seq uint64, p object.Part) error {
	var e encoder
	e.part(&p)
	return s.submit(&request{sync: true, fill: func(t *turn) error {
		return t.Set(partKey(seq, p.Number), e.b, nil)
	}})
}

// Upload is what was kept for a task, parts in order of their number.
func (s *Store) Upload(seq uint64) (u object.Upload, parts []object.Part, found bool, err error) {
	err = s.uploads(seqKey(uploadPrefix, seq), seqKey(uploadPrefix, seq+1), func(v object.Upload, p []object.Part) error {
		u, parts, found = v, p, true
		return nil
	})
	return u, parts, found, err
}

// DropUpload forgets a task's upload and its parts, durably.
func (s *Store) DropUpload(seq uint64) error {
	return s.submit(&request{sync: true, fill: func(t *turn) error {
		return t.DeleteRange(seqKey(uploadPrefix, seq), seqKey(uploadPrefix, seq+1), nil)
	}})
}

// Uploads calls f for every upload that is kept, in order of Seq: what a job
// that is given up has to abort.
func (s *Store) Uploads(f func(object.Upload, []object.Part) error) error {
	return s.uploads([]byte(uploadPrefix), prefixEnd(uploadPrefix), f)
}

// Leftovers are the uploads whose task has an outcome, so that no worker takes
// them up again: what an earlier process could not abort when it gave an object
// up.
func (s *Store) Leftovers() ([]object.Upload, error) {
	var left []object.Upload
	err := s.Uploads(func(u object.Upload, _ []object.Part) error {
		_, o, err := s.Row(u.Seq)
		if err == nil && o != nil {
			left = append(left, u)
		}
		return err
	})
	return left, err
}

func (s *Store) uploads(lower, upper []byte, f func(object.Upload, []object.Part) error) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return &DiskError{s.dir, err}
	}
	defer func() {
		if cerr := it.Close(); cerr != nil && err == nil {
			err = &DiskError{s.dir, cerr}
		}
	}()
	var u object.Upload
	var parts []object.Part
	have := false
	flush := func() error {
		if !have {
			return nil
		}
		return f(u, parts)
	}
	for it.First(); it.Valid(); it.Next() {
		key := it.Key()
		v, err := it.ValueAndErr()
		if err != nil {
			return &DiskError{s.dir, err}
		}
		if seq, ok := seqOf(key); ok {
			if err := flush(); err != nil {
				return err
			}
			if u, err = decodeUpload(s.dict, seq, v); err != nil {
				return s.damaged("u/", err)
			}
			parts, have = nil, true
			continue
		}
		if !have || len(key) != 15 || binary.BigEndian.Uint64(key[2:]) != u.Seq {
			continue // a part that outlived its upload: nothing to do with it
		}
		p, err := decodePart(int(binary.BigEndian.Uint32(key[11:])), v)
		if err != nil {
			return s.damaged("u/", err)
		}
		parts = append(parts, p)
	}
	if err := s.iterError(it); err != nil {
		return err
	}
	return flush()
}
