package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
)

// restoreBatch is how many bytes of changes are applied at a time.
const restoreBatch = 1 << 20

// Restore makes the store in dir from the segments that another process kept away
// from its machine (Options.Away), in their order. What stands in dir is as that
// process had left it when it kept the last of them: whatever it did since is in
// doubt. A store that is there already is an error, and so is a segment that holds
// anything else than changes of a store.
func Restore(dir string, opts Options, segments iter.Seq2[[]byte, error]) (err error) {
	s := newStore(dir, opts)
	path := filepath.Join(dir, storeDir)
	if err := makeDir(s.opts.fs, path); err != nil {
		return s.dirError(noSync(dir, err))
	}
	if s.lock, err = s.takeLock(path); err != nil {
		return s.dirError(err)
	}
	defer func() {
		s.gate.close()
		err = errors.Join(err, s.lock.Close())
	}()
	db := filepath.Join(path, dbDir)
	if _, err := s.opts.fs.Stat(db); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s holds a checkpoint already", dir), err)
	}
	fresh := filepath.Join(path, newDir)
	if err := s.opts.fs.RemoveAll(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &DiskError{s.dir, err}
	}
	if err := makeDir(s.opts.fs, fresh); err != nil {
		return &DiskError{s.dir, err}
	}
	if err := s.openDB(fresh, true); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return errors.Join(err, s.closeDB())
	}
	replayed := make(chan error, 1)
	go func() { replayed <- s.replay(segments) }() // a disk that fails lets nobody return
	if err := s.wait(replayed); err != nil {
		return errors.Join(err, s.closeDB())
	}
	turn, err := s.lastTurn()
	if err = errors.Join(err, s.closeDB()); err != nil {
		return err
	}
	err = s.opts.fs.Rename(fresh, db)
	if err == nil {
		err = syncDir(s.opts.fs, path)
	}
	if err == nil {
		err = closeSeal(s.opts.fs, path, turn)
	}
	if err != nil {
		return &DiskError{s.dir, err}
	}
	return nil
}

// replay applies all changes, none of them durable before closeDB.
func (s *Store) replay(segments iter.Seq2[[]byte, error]) error {
	b := s.db.NewBatch()
	n := 0
	for segment, err := range segments {
		if err != nil {
			return err // which names it
		}
		if err := eachChange(segment, b.Set, b.Delete, b.DeleteRange); err != nil {
			return fmt.Errorf("segment %d of the job's state: %w", n, err)
		}
		if n++; b.Len() < restoreBatch {
			continue
		}
		if err := errors.Join(s.apply(b, false), b.Close()); err != nil {
			return err
		}
		b = s.db.NewBatch()
	}
	return errors.Join(s.apply(b, false), b.Close())
}

func (s *Store) lastTurn() (uint64, error) {
	v, ok, err := s.get([]byte(keyTurn))
	if err != nil || !ok {
		return 0, err
	}
	r := decoder{b: v}
	r.version()
	turn := r.uint()
	if r.err != nil {
		return 0, s.damaged(keyTurn, r.err)
	}
	return turn, nil
}

// The kinds of changes in a segment. Each is a byte, and its key and value with their
// lengths before them; what is dropped has no value, and the value of a range is the
// key that ends it.
const (
	changeSet = 1 + iota
	changeDrop
	changeDropRange
)

// appendChanges writes the changes of a batch that this store made.
func appendChanges(segment []byte, batch batchrepr.Reader) []byte {
	e := encoder{b: segment}
	for {
		kind, key, value, ok, err := batch.Next()
		if !ok || err != nil {
			return e.b
		}
		switch kind {
		case pebble.InternalKeyKindSet:
			e.byte(changeSet)
		case pebble.InternalKeyKindRangeDelete:
			e.byte(changeDropRange)
		default:
			e.byte(changeDrop)
		}
		e.bytes(key)
		if kind != pebble.InternalKeyKindDelete {
			e.bytes(value)
		}
	}
}

type (
	setChange  = func(key, value []byte, o *pebble.WriteOptions) error
	dropChange = func(key []byte, o *pebble.WriteOptions) error
)

// eachChange tells the changes of a segment one by one, and lets none through that
// no store makes: whoever may write to the place where segments are kept could
// otherwise make this one another job's.
func eachChange(segment []byte, set setChange, drop dropChange, dropRange setChange) error {
	for r := (decoder{b: segment}); len(r.b) > 0; {
		kind, key := r.byte(), r.take(r.uint())
		var value []byte
		if kind != changeDrop {
			value = r.take(r.uint())
		}
		var err error
		switch {
		case r.err != nil:
			return r.err
		case !ours(key):
			return &corruptError{fmt.Sprintf("a change of %q", key)}
		case kind == changeSet:
			err = set(key, value, nil)
		case kind == changeDrop:
			err = drop(key, nil)
		case kind == changeDropRange && ours(value) && string(key[:2]) == string(value[:2]):
			err = dropRange(key, value, nil)
		default:
			return &corruptError{fmt.Sprintf("a change of kind %d", kind)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ours says whether a key is one of those that change in the life of a store.
func ours(key []byte) bool {
	k := string(key)
	switch k {
	case keyPlan, keyComplete, keyDispatched, keyState, keyTurn:
		return true
	}
	for _, p := range []string{dictPrefix, metaPrefix, cursorPrefix, planPrefix, outcomePrefix, retryPrefix, uploadPrefix} {
		if strings.HasPrefix(k, p) {
			return true
		}
	}
	return false
}
