package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestSnapshotOfARunningJob reads a job again and again while it is planned and
// worked on, with so little memory that tables and logs come and go. Each copy
// must be a consistent state, and not older than what was durable before.
func TestSnapshotOfARunningJob(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{memTable: 64 << 10})
	must(t, err)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]object.Task, 50)
		for p := 0; ; p++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Append(tasks(p*50, p*50+50), nil); err != nil {
				t.Error(err)
				return
			}
			n, err := s.Next(t.Context(), buf)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range n {
				if err := s.Record(outcome(buf[i].Seq)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 25 {
		before := s.Totals()
		must(t, s.Flush())
		snap, err := OpenSnapshot(dir, Options{})
		must(t, err)
		planned, done := uint64(0), uint64(0)
		must(t, snap.Rows(func(task *object.Task, o *object.Outcome) error {
			if task.Seq != planned {
				t.Errorf("row %d is task %d", planned, task.Seq)
			}
			planned++
			if o != nil {
				done++
			}
			return nil
		}))
		got := snap.Totals()
		if got.Planned.Objects != planned || got.States[object.Done].Objects != done {
			t.Errorf("%d rows and %d outcomes, and counters %+v", planned, done, got)
		}
		if planned < before.Planned.Objects || done < before.States[object.Done].Objects {
			t.Errorf("%d planned and %d done, older than the %d and %d that were durable", planned, done, before.Planned.Objects, before.States[object.Done].Objects)
		}
		must(t, snap.Close())
	}
	close(stop)
	wg.Wait()
	must(t, s.Close())
	if names, _ := list(filepath.Join(dir, storeDir)); len(names) != 3 || !names[dbDir] || !names[lockName] || !names[sealName] {
		t.Errorf("the snapshots leave %v", names)
	}
}

// TestSnapshotCreatesNothing: a reader beside the process at work leaves the job's folder
// as it is, at every moment, and reads on when the tables are gone from it.
func TestSnapshotCreatesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{memTable: 64 << 10})
	must(t, err)
	must(t, s.Append(tasks(0, 20_000), nil))
	must(t, s.Flush())
	must(t, s.db.Flush())
	db := filepath.Join(dir, storeDir, dbDir)
	before := fmt.Sprint(list(filepath.Join(dir, storeDir)))
	old, err := list(db)
	must(t, err)
	snap, err := OpenSnapshot(dir, Options{})
	must(t, err)
	if now := fmt.Sprint(list(filepath.Join(dir, storeDir))); now != before {
		t.Errorf("there was %s, and is %s", before, now)
	}
	held := 0
	for name := range old {
		if isTable(name) {
			held++
		}
	}
	if held == 0 {
		t.Fatal("there is no table to read")
	}
	must(t, s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
	must(t, s.Close())
	gone := 0
	now, err := list(db)
	must(t, err)
	for name := range old {
		if isTable(name) && !now[name] {
			gone++
		}
	}
	if gone == 0 {
		t.Error("no table went, so nothing was shown")
	}
	rows := 0
	must(t, snap.Rows(func(*object.Task, *object.Outcome) error { rows++; return nil }))
	if rows != 20_000 {
		t.Errorf("%d rows", rows)
	}
	must(t, snap.Close())
}

// TestSnapshotsOfDeadReadersAreSwept: older reseals made folders for readers.
func TestSnapshotsOfDeadReadersAreSwept(t *testing.T) {
	dir := t.TempDir()
	must(t, open(t, dir).Close())
	left := filepath.Join(dir, storeDir, snapshotPrefix+"1")
	must(t, os.Mkdir(left, 0o700))
	must(t, os.WriteFile(filepath.Join(left, "LOCK"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(left, "000001.log"), nil, 0o600))
	read := filepath.Join(dir, storeDir, snapshotPrefix+"2")
	must(t, os.Mkdir(read, 0o700))
	reader, err := lockDir(read, false)
	must(t, err)
	must(t, open(t, dir).Close())
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the copy of a dead reader is still there: %v", err)
	}
	if _, err := os.Stat(read); err != nil {
		t.Errorf("the copy of a reader was removed under it: %v", err)
	}
	must(t, reader.Close())
}

// TestSnapshotOfAJobThatBegins: a process that holds the store and has not made its
// database yet has nothing to read; that is no damage.
func TestSnapshotOfAJobThatBegins(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeDir)
	must(t, os.Mkdir(path, 0o700))
	if _, err := OpenReadOnly(dir, Options{}); !errors.Is(err, ErrNoStore) {
		t.Errorf("before it has the lock: %v", err)
	}
	lock, err := lockDir(path, true)
	must(t, err)
	defer lock.Close()
	if _, err := OpenSnapshot(dir, Options{}); !errors.Is(err, ErrNoStore) {
		t.Errorf("%v", err)
	}
}

// TestSnapshotOfAMovedStore: what the process at work removed while it was taken is tried
// again.
func TestSnapshotOfAMovedStore(t *testing.T) {
	for _, err := range []error{errMoved, fs.ErrNotExist, &DiskError{Err: fs.ErrNotExist}} {
		if !lostRace(fmt.Errorf("copying: %w", err)) {
			t.Errorf("%v is not tried again", err)
		}
	}
	if lostRace(fs.ErrPermission) {
		t.Error("what may not be read is tried again")
	}
}

// TestReadersKeepNobodyFromWriting: a report may take an hour, and whoever watches a job
// asks for its status again and again. Neither keeps a run from beginning, and a reader
// that was there first reads on what it has begun to read.
func TestReadersKeepNobodyFromWriting(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 20_000), nil))
	must(t, s.Close())
	slow, err := OpenSnapshot(dir, Options{})
	must(t, err)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := OpenSnapshot(dir, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if n := r.Totals().Planned.Objects; n != 20_000 {
					t.Errorf("%d planned", n)
				}
				must(t, r.Close())
			}
		})
	}
	for range 20 {
		w, err := Open(dir, Options{Job: [32]byte{1}, memTable: 64 << 10})
		if err != nil {
			t.Error(err)
			break
		}
		beside, err := OpenSnapshot(dir, Options{})
		must(t, err)
		if slow.Beside() || !beside.Beside() {
			t.Errorf("a process is at work: %v when there was none, %v when there was one", slow.Beside(), beside.Beside())
		}
		must(t, beside.Close())
		must(t, w.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
		must(t, w.Close())
	}
	close(stop)
	wg.Wait()
	rows := 0
	must(t, slow.Rows(func(*object.Task, *object.Outcome) error { rows++; return nil }))
	if rows != 20_000 {
		t.Errorf("%d rows", rows)
	}
	must(t, slow.Close())
}
