package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// snapshotPrefix begins the folder in which older reseals copied a store for a reader;
// one whose reader was killed may still be there.
const snapshotPrefix = "snapshot-"

// snapshotTries bounds the starts over. Each loses to a flush or a compaction
// that removed a file meanwhile, which takes milliseconds and comes every few
// seconds.
const snapshotTries = 20

// errMoved says that the store has moved on while it was copied.
var errMoved = errors.New("the checkpoint kept changing while it was copied; try again")

// OpenSnapshot opens the job in dir for reading, also while a process runs it, and keeps
// none from beginning: it reads a view, of the state that a crash at this moment would
// leave. The view holds the logs in memory and the tables open; nothing is written, and
// no lock is held, since a run that is refused because somebody reads a report would be
// taken for one whose job is not usable.
func OpenSnapshot(dir string, opts Options) (*Store, error) {
	asked := newStore(dir, opts)
	if asked.opts.fs != vfs.Default { // one process has it, and nobody else comes
		return OpenReadOnly(dir, opts)
	}
	path := filepath.Join(dir, storeDir)
	var last error
	for range snapshotTries {
		beside, err := asked.beingRun(path)
		if err != nil {
			return nil, err
		}
		s, err := trySnapshot(dir, path, opts, !beside)
		switch {
		case err == nil:
			s.beside = beside
			return s, nil
		case errors.Is(err, ErrNoStore), errors.As(err, new(*JobMismatchError)):
			return nil, err
		case !beside && errors.Is(err, syscall.EMFILE): // more tables than can be held open: then a lock holds them
			return OpenReadOnly(dir, opts)
		case !beside && !errors.Is(err, errMoved):
			// Nobody changes anything, so that it is what is there; unless he has just come.
			if now, nerr := asked.beingRun(path); nerr == nil && !now {
				return nil, err
			}
		case !lostRace(err):
			return nil, &DiskError{dir, err}
		}
		last = err
	}
	return nil, &DiskError{dir, errors.Join(errMoved, last)}
}

// beingRun says whether a process runs the job. It holds the lock for this moment only.
func (s *Store) beingRun(path string) (bool, error) {
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("job directory %s: %w", s.dir, ErrNoStore)
	case err != nil:
		return false, s.dirError(err)
	}
	if err := s.checkDir(path); err != nil {
		return false, s.dirError(err)
	}
	lock, err := s.opts.lock(path, false)
	if _, locked := errors.AsType[*LockedError](err); locked {
		return true, nil
	}
	if err == nil {
		err = lock.Close()
	}
	if err != nil {
		return false, s.dirError(err)
	}
	return false, nil
}

// lostRace says whether another try may do: the store moved on, what was copied was not
// whole.
func lostRace(err error) bool {
	var disk *DiskError
	return errors.Is(err, errMoved) || errors.Is(err, fs.ErrNotExist) || errors.As(err, &disk)
}

// beingMade says whether the process that holds the store is still making its database,
// which is renamed when it is whole, and sealed after that.
func beingMade(path string) bool {
	_, db := os.Lstat(filepath.Join(path, dbDir))
	_, seal := os.Lstat(filepath.Join(path, sealName))
	return errors.Is(db, fs.ErrNotExist) && errors.Is(seal, fs.ErrNotExist)
}

// trySnapshot takes a view and opens it. Where it is quiet, since nobody runs the job, the
// database has to be what its seal says, before the view is taken and after it.
func trySnapshot(dir, path string, opts Options, quiet bool) (*Store, error) {
	if beingMade(path) {
		return nil, fmt.Errorf("job directory %s: %w", dir, ErrNoStore)
	}
	// Read before the copy, so that it promises no more than what is copied.
	promised, sealed, err := readSeal(vfs.Default, path)
	db := filepath.Join(path, dbDir)
	if err == nil && sealed && quiet {
		if _, err = os.Stat(db); err != nil {
			err = &corruptError{"its database is missing"}
		} else {
			err = promised.check(vfs.Default, db)
		}
	}
	var s *Store
	if err == nil {
		s, err = takeView(dir, db, promised, sealed, opts)
	} else if quiet {
		err = newStore(dir, opts).dirError(err)
	}
	if !quiet {
		return s, err
	}
	if after, _, serr := readSeal(vfs.Default, path); serr == nil && !promised.equal(after) {
		if err == nil {
			err = s.Close()
		}
		return nil, errors.Join(errMoved, err)
	}
	return s, err
}

// takeView opens what is there now.
func takeView(dir, db string, promised *seal, sealed bool, opts Options) (*Store, error) {
	v, err := newView(db)
	if err != nil {
		return nil, err
	}
	if err := v.copyDB(); err != nil {
		return nil, errors.Join(&DiskError{dir, err}, v.Close())
	}
	return openView(dir, v, promised, sealed, opts)
}

// openView opens what was taken. Where that fails it was not whole: Pebble compares the
// manifest with the tables that are there.
func openView(dir string, v *view, promised *seal, sealed bool, opts Options) (*Store, error) {
	s := newStore(dir, opts)
	s.ro, s.existed, s.seal, s.sealed, s.lock, s.gate.FS = true, true, promised, sealed, v, v
	err := s.openDB(v.dir, false)
	if err == nil {
		if err = s.load(); err == nil {
			close(s.idle)
			return s, nil
		}
		err = s.unloaded(err)
	}
	return nil, errors.Join(err, s.abandon())
}

// copyDB takes the database into the view. The order matters: the manifest
// first, for the tables that it names and the logs that it needs exist then, and
// every log that is followed by another one is whole. What was removed meanwhile
// is seen at the end.
func (v *view) copyDB() error {
	before, err := list(v.db)
	if err != nil {
		return err
	}
	for _, pick := range []func(string) bool{isHead, isRest} {
		names, err := list(v.db)
		if err != nil {
			return err
		}
		for name := range names {
			if !pick(name) {
				continue
			}
			switch err := v.take(name); {
			case errors.Is(err, fs.ErrNotExist) && isTable(name): // compacted away; if the manifest still names it, opening fails
			case errors.Is(err, fs.ErrNotExist):
				return fmt.Errorf("%w (%s)", errMoved, name)
			case err != nil:
				return err
			}
		}
	}
	after, err := list(v.db)
	if err != nil {
		return err
	}
	for name := range before {
		if !after[name] && (isHead(name) || isLog(name)) {
			return errMoved
		}
	}
	return nil
}

func isHead(name string) bool {
	return strings.HasPrefix(name, "MANIFEST-") || strings.HasPrefix(name, "marker.")
}

func isTable(name string) bool { return strings.HasSuffix(name, ".sst") }

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

func isRest(name string) bool { return !isHead(name) && name != "LOCK" }

func list(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		names[e.Name()] = true
	}
	return names, nil
}

// sweepSnapshots removes what readers of older reseals have left that were killed. One
// that is still being read is locked by its reader.
func (s *Store) sweepSnapshots(path string) {
	names, err := list(path)
	if err != nil {
		return
	}
	for name := range names {
		if !strings.HasPrefix(name, snapshotPrefix) {
			continue
		}
		left := filepath.Join(path, name)
		lock, err := s.opts.lock(left, true)
		if err != nil {
			continue
		}
		if err := errors.Join(os.RemoveAll(left), lock.Close()); err != nil {
			s.opts.Logger.Warn("snapshot not removed", "path", left, "error", err)
		}
	}
}

// unloaded closes the database of a store that cannot be loaded, for this reason. Where
// Pebble has met damage, that is the reason.
func (s *Store) unloaded(err error) error {
	cerr := s.closeDB()
	if failed := s.failure(); failed != nil {
		return failed
	}
	return errors.Join(err, cerr)
}

// Beside says whether another process had the job open when this view of it was taken.
func (s *Store) Beside() bool { return s.beside }
