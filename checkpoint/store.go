package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/resealhq/reseal/engine/object"
)

// storeDir is the store's folder in a job directory. It holds LOCK and dbDir,
// which is Pebble's. A new database is made as newDir and renamed when it is
// whole, so that no crash leaves half of one.
const (
	storeDir = "checkpoint"
	dbDir    = "db"
	newDir   = "new"
)

// Options of Open. The zero value of each is useful.
type Options struct {
	// Job is the digest of the job's frozen specification. A store of another
	// digest is refused. Readers that name none take any.
	Job [32]byte
	// Logger gets run-level events; nil for none.
	Logger *slog.Logger
	// Interval is how long an outcome may wait for others to share its sync.
	// Default 20 ms.
	Interval time.Duration
	// Backlog is how many outcomes may wait for the disk before Record blocks.
	// Default 16384.
	Backlog int
	// Committed, where set, is told how long each synced commit took; one goroutine
	// calls it, and it must not block.
	Committed func(time.Duration)
	// Disk, where set, holds the store instead of this machine's disk.
	Disk *Disk
	// Away, where set, is given all changes, for whoever has to go on without this
	// disk: see Restore. What must not be unknown to him is not answered before it is
	// safe there as well: README.md says what that is.
	Away Away
	// AwayEvery is how long a change may wait for others to share its segment. Default
	// 5 s.
	AwayEvery time.Duration

	fs       vfs.FS                                          // tests
	lock     func(dir string, write bool) (io.Closer, error) // tests
	memTable uint64                                          // tests; bytes
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Interval == 0 {
		o.Interval = 20 * time.Millisecond
	}
	if o.Backlog == 0 {
		o.Backlog = 16384
	}
	if o.AwayEvery == 0 {
		o.AwayEvery = awayEvery
	}
	if o.memTable == 0 {
		o.memTable = 4 << 20
	}
	if o.Disk != nil {
		o.fs, o.lock = o.Disk.fs, o.Disk.lock
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if o.lock == nil {
		o.lock = lockDir
	}
}

// groupMax is how many outcomes end the wait for a full Interval.
const groupMax = 2048

// Store is the checkpoint of one job. All methods are safe for concurrent use,
// except Next, which one goroutine calls.
type Store struct {
	dir     string // of the job
	opts    Options
	db      *pebble.DB
	gate    *gate
	lock    io.Closer
	seal    *seal    // as it was found
	sealed  bool     // whether one was
	floor   *floor   // the writer's
	ship    *shipper // nil where nothing is kept away
	dict    *dict
	pages   sync.Pool // of *encodedPage
	existed bool
	earlier uint64 // tasks below it were planned by an earlier process
	ro      bool
	beside  bool // it is a view of what another process has open

	failed   chan struct{} // closed by fail
	failOnce sync.Once
	failErr  error // written before failed is closed
	closed   atomic.Bool

	wake   chan struct{} // to the writer; of capacity 1
	idle   chan struct{} // closed when the writer has ended
	grown  chan struct{} // to Next; of capacity 1
	counts atomic.Pointer[counters]
	asked  askedCounts
	reader reader

	mu struct {
		sync.Mutex
		room     *sync.Cond // the backlog has shrunk, or the store failed
		queue    []*request
		group    group
		stop     bool
		plan     object.Tally // appended and visible
		complete bool
		lanes    []*lane             // in order; never empty
		lastLane uint64              // the highest number of one
		holes    map[uint64]struct{} // given out, no outcome in the store, not in r/
	}
}

// Open opens the job in dir for its one writer, and makes what is not there yet.
// It answers *LockedError where another process has it, *JobMismatchError where
// it is another job's, *FormatError where this version cannot read it, and
// *DirError where the directory cannot hold a job, and *DiskError where the disk
// refuses or what it holds is damaged.
func Open(dir string, opts Options) (*Store, error) {
	s := newStore(dir, opts)
	path := filepath.Join(dir, storeDir)
	if err := makeDir(s.opts.fs, path); err != nil {
		return nil, s.dirError(noSync(dir, err))
	}
	if err := s.checkDir(path); err != nil {
		return nil, s.dirError(err)
	}
	var err error
	if s.lock, err = s.takeLock(path); err != nil {
		return nil, s.dirError(err)
	}
	if l, ok := s.lock.(interface{ held() error }); ok {
		s.gate.held = l.held
	}
	if err := s.unseal(path); err != nil {
		return nil, errors.Join(s.dirError(err), s.abandon())
	}
	if err := s.openDB(filepath.Join(path, dbDir), false); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	if err := s.load(); err != nil {
		// Pebble is healthy, and is closed like it; the error is about what it holds,
		// so that the seal stays broken. Where there was none, there is none again: the
		// next process is to be told the same.
		err = s.unloaded(err)
		if !s.sealed && s.existed {
			err = errors.Join(err, s.opts.fs.Remove(s.opts.fs.PathJoin(path, sealName)))
		}
		return nil, errors.Join(err, s.abandon())
	}
	s.sweepSnapshots(path)
	if opts.Away != nil {
		s.ship = newShipper(opts.Away, s.opts.AwayEvery, s.fail)
		go s.ship.run()
	}
	go s.write()
	return s, nil
}

// checkDir looks at the directory and at what is in it, on the disk of this
// machine.
func (s *Store) checkDir(path string) error {
	if s.opts.fs != vfs.Default {
		return nil
	}
	if err := CheckDir(s.dir); err != nil {
		return err
	}
	return checkStore(path)
}

// readSeal reads the seal, and compares a closed one with the database.
func (s *Store) readSeal(path string) (err error) {
	if s.seal, s.sealed, err = readSeal(s.opts.fs, path); err != nil || !s.sealed {
		return err
	}
	db := filepath.Join(path, dbDir)
	if _, err := s.opts.fs.Stat(db); err != nil {
		return &corruptError{"its database is missing"}
	}
	return s.seal.check(s.opts.fs, db)
}

// unseal makes the database where there is none, and breaks its seal. A crash
// after it leaves an open seal beside a database that is as it was.
func (s *Store) unseal(path string) error {
	if err := s.readSeal(path); err != nil {
		return err
	}
	if err := s.makeDB(path); err != nil {
		return err
	}
	var err error
	s.floor, err = openSeal(s.opts.fs, path, s.seal.turn)
	return err
}

// makeDB makes a new store where there is none.
func (s *Store) makeDB(path string) error {
	if _, err := s.opts.fs.Stat(filepath.Join(path, dbDir)); err == nil {
		s.existed = true
		return nil
	}
	made := newStore(s.dir, s.opts)
	fresh := filepath.Join(path, newDir)
	if err := s.opts.fs.RemoveAll(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &DiskError{s.dir, err}
	}
	if err := makeDir(s.opts.fs, fresh); err != nil {
		return &DiskError{s.dir, err}
	}
	if err := made.openDB(fresh, true); err != nil {
		made.gate.close()
		return err
	}
	if err := errors.Join(made.begin(), made.closeDB()); err != nil {
		made.gate.close()
		return err
	}
	if err := s.opts.fs.Rename(fresh, filepath.Join(path, dbDir)); err != nil {
		return &DiskError{s.dir, err}
	}
	if err := syncDir(s.opts.fs, path); err != nil {
		return &DiskError{s.dir, err}
	}
	return nil
}

// makeDir makes a folder, 0700, and those above it, and syncs each into the one
// that holds it: a store that is synced in a folder that is not would be gone
// after a power cut.
func makeDir(disk vfs.FS, path string) error {
	if _, err := disk.Stat(path); err == nil {
		return nil
	}
	parent := disk.PathDir(path)
	if parent != path {
		if err := makeDir(disk, parent); err != nil {
			return err
		}
	}
	if err := disk.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return syncDir(disk, parent)
}

func syncDir(disk vfs.FS, path string) error {
	d, err := disk.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// takeLock takes the writer's lock. It tries for a moment, since somebody who only asks
// whether the job is locked, or takes a view of it, holds it as briefly; and for longer
// where there are only such, since others may come while one goes.
func (s *Store) takeLock(path string) (lock io.Closer, err error) {
	for try := 1; ; try++ {
		lock, err = s.opts.lock(path, true)
		locked, is := errors.AsType[*LockedError](err)
		if !is {
			return lock, err
		}
		if try >= writerTries && (locked.PID != 0 || try >= readerTries) {
			return nil, err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// writerTries and readerTries bound how often the lock is tried for while a writer has it,
// or only readers do.
const (
	writerTries = 10
	readerTries = 100
)

func (s *Store) dirError(err error) error {
	var (
		locked *LockedError
		unfit  *DirError
		disk   *DiskError
	)
	switch {
	case errors.As(err, &locked):
		return locked
	case errors.As(err, &unfit):
		return unfit
	case errors.As(err, &disk):
		return err
	}
	return &DiskError{s.dir, err}
}

// OpenReadOnly opens the job in dir for reading and lets no run begin until it is closed,
// as a prune needs it. Many may read at a time; while a run holds the job it answers
// *LockedError. Where there is nothing to read the error wraps ErrNoStore.
func OpenReadOnly(dir string, opts Options) (*Store, error) {
	s := newStore(dir, opts)
	s.ro, s.existed = true, true
	path := filepath.Join(dir, storeDir)
	if _, err := s.opts.fs.Stat(path); err != nil {
		return nil, fmt.Errorf("job directory %s: %w", dir, ErrNoStore)
	}
	err := s.checkDir(path)
	if err == nil {
		s.lock, err = s.opts.lock(path, false)
	}
	if err != nil {
		return nil, s.dirError(err)
	}
	if err := s.readSeal(path); err != nil {
		return nil, errors.Join(s.dirError(err), s.abandon())
	}
	if _, err := s.opts.fs.Stat(filepath.Join(path, dbDir)); err != nil && !s.sealed { // it is made whole, and sealed after that
		return nil, errors.Join(fmt.Errorf("job directory %s: %w", dir, ErrNoStore), s.abandon())
	}
	if err := s.openDB(filepath.Join(path, dbDir), false); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	close(s.idle)
	return s, nil
}

func newStore(dir string, opts Options) *Store {
	opts.setDefaults()
	s := &Store{dir: dir, opts: opts, dict: newDict(),
		failed: make(chan struct{}), wake: make(chan struct{}, 1), idle: make(chan struct{}), grown: make(chan struct{}, 1)}
	s.mu.room = sync.NewCond(&s.mu)
	s.mu.holes = map[uint64]struct{}{}
	s.loadLanes(nil, 0, 0)
	s.counts.Store(new(counters))
	s.gate = &gate{FS: opts.fs, fail: s.fail}
	return s
}

func (s *Store) openDB(path string, create bool) error {
	opened := make(chan error, 1)
	go func() {
		// Pebble panics where a directory cannot be synced.
		defer func() {
			if p := recover(); p != nil {
				opened <- panicError(p)
			}
		}()
		db, err := pebble.Open(path, s.pebbleOptions(create, s.ro))
		s.db = db
		opened <- err
	}()
	err := s.wait(opened)
	if err == nil {
		err = s.failure() // where Pebble meant to end the process
	}
	var disk *DiskError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pebble.ErrDBDoesNotExist) && s.sealed: // a seal is made after its database
		err = &DiskError{s.dir, &corruptError{"the file of its database is missing that names the manifest"}}
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		err = fmt.Errorf("job directory %s: %w", s.dir, ErrNoStore)
	case !errors.As(err, &disk):
		err = &DiskError{s.dir, err}
	}
	return err
}

// Existed says whether an earlier process had made this store.
func (s *Store) Existed() bool { return s.existed }
