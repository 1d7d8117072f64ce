package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// snapshotPrefix begins the folder of a snapshot, beside the database, so that
// tables can be linked rather than copied.
const snapshotPrefix = "snapshot-"

// snapshotTries bounds the starts over. Each loses to a flush or a compaction
// that removed a file meanwhile, which takes milliseconds and comes every few
// seconds.
const snapshotTries = 20

// errMoved says that the store has moved on while it was copied.
var errMoved = errors.New("the checkpoint kept changing while it was copied; try again")

// OpenSnapshot opens the job in dir for reading, also while a process runs it:
// then it reads a copy, of the state that a crash at this moment would leave. The
// copy takes the logs and links the tables; Close removes it.
func OpenSnapshot(dir string, opts Options) (*Store, error) {
	s, err := OpenReadOnly(dir, opts)
	var locked *LockedError
	if !errors.As(err, &locked) {
		return s, err
	}
	path := filepath.Join(dir, storeDir)
	for range snapshotTries {
		if beingMade(path) {
			return nil, fmt.Errorf("job directory %s: %w", dir, ErrNoStore)
		}
		if s, err = trySnapshot(dir, path, opts); err == nil {
			return s, nil
		}
		if !lostRace(err) {
			return nil, &DiskError{dir, err}
		}
	}
	return nil, &DiskError{dir, errors.Join(errMoved, err)}
}

// lostRace says whether another try may do: the store moved on, what was copied was not
// whole, or a process that begins took the copy for one that was left behind.
func lostRace(err error) bool {
	var (
		disk   *DiskError
		locked *LockedError
	)
	return errors.Is(err, errMoved) || errors.Is(err, fs.ErrNotExist) || errors.As(err, &disk) || errors.As(err, &locked)
}

// beingMade says whether the process that holds the store is still making its database,
// which is renamed when it is whole, and sealed after that.
func beingMade(path string) bool {
	_, db := os.Lstat(filepath.Join(path, dbDir))
	_, seal := os.Lstat(filepath.Join(path, sealName))
	return errors.Is(db, fs.ErrNotExist) && errors.Is(seal, fs.ErrNotExist)
}

func trySnapshot(dir, path string, opts Options) (*Store, error) {
	// Read before the copy, so that it promises no more than what is copied.
	promised, sealed, err := readSeal(vfs.Default, path)
	if err != nil {
		return nil, err
	}
	copied, err := copyStore(path)
	if err != nil {
		return nil, err
	}
	return openCopy(dir, copied, promised, sealed, opts)
}

// openCopy opens a snapshot's folder. Where that fails the copy was not whole:
// Pebble compares the manifest with the tables that are there.
func openCopy(dir, copied string, promised *seal, sealed bool, opts Options) (*Store, error) {
	s := newStore(dir, opts)
	s.ro, s.existed, s.copied, s.seal, s.sealed = true, true, copied, promised, sealed
	var err error
	if s.lock, err = s.opts.lock(copied, false); err != nil {
		return nil, errors.Join(err, os.RemoveAll(copied))
	}
	err = s.openDB(copied, false)
	if err == nil {
		if err = s.load(); err == nil {
			close(s.idle)
			return s, nil
		}
		err = errors.Join(err, s.closeDB())
	}
	return nil, errors.Join(err, s.abandon(), os.RemoveAll(copied))
}

// copyStore copies the database below path and tells where to. The order matters: the manifest
// first, for the tables that it names and the logs that it needs exist then, and
// every log that is followed by another one is whole. What was removed meanwhile
// is seen at the end.
func copyStore(path string) (string, error) {
	to, err := os.MkdirTemp(path, snapshotPrefix)
	if err != nil {
		return "", err
	}
	if err := copyDB(filepath.Join(path, dbDir), to); err != nil {
		return "", errors.Join(err, os.RemoveAll(to))
	}
	return to, nil
}

func copyDB(db, to string) error {
	if err := os.WriteFile(filepath.Join(to, "LOCK"), nil, 0o600); err != nil {
		return err
	}
	before, err := list(db)
	if err != nil {
		return err
	}
	for _, pick := range []func(string) bool{isHead, isRest} {
		names, err := list(db)
		if err != nil {
			return err
		}
		for name := range names {
			if !pick(name) {
				continue
			}
			if err := copyFile(db, to, name); err != nil {
				return err
			}
		}
	}
	after, err := list(db)
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

// copyFile links a table, which never changes, and copies everything else.
func copyFile(from, to, name string) error {
	if strings.HasSuffix(name, ".sst") {
		err := os.Link(filepath.Join(from, name), filepath.Join(to, name))
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return nil // compacted away; if the manifest still names it, opening fails
		}
	}
	in, err := os.Open(filepath.Join(from, name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (%s)", errMoved, name)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(to, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// sweepSnapshots removes what readers that were killed have left. One that is
// still being read is locked by its reader.
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
