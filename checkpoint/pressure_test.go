package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/resealhq/reseal/engine/object"
)

// stuckDisk lets no sync return while it is stuck.
type stuckDisk struct {
	mu    sync.Mutex
	stuck chan struct{}
	begun chan struct{} // gets one for every sync that has to wait
}

func (d *stuckDisk) MaybeError(op errorfs.Op) error {
	if op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData {
		return nil
	}
	d.mu.Lock()
	stuck := d.stuck
	d.mu.Unlock()
	if stuck != nil {
		d.begun <- struct{}{}
		<-stuck
	}
	return nil
}

func (d *stuckDisk) String() string { return "stuck disk" }

func (d *stuckDisk) stick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stuck = make(chan struct{})
}

func (d *stuckDisk) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.stuck)
	d.stuck = nil
}

// TestRecordWaitsForNobodyUntilTheBacklogIsFull: while a sync hangs, workers go
// on; at the bound they wait, and go on once the disk does.
func TestRecordWaitsForNobodyUntilTheBacklogIsFull(t *testing.T) {
	disk := &stuckDisk{begun: make(chan struct{}, 100)}
	opts := memOptions(errorfs.Wrap(vfs.NewMem(), disk))
	opts.Backlog = 100
	s, err := Open("job", opts)
	must(t, err)
	must(t, s.Append(tasks(0, 1000), nil))
	must(t, s.PlanComplete())
	drain(t, s, 1000)
	disk.stick()
	seq := uint64(0)
	for ; waiting(s) == 0; seq++ { // until the writer hangs in a sync
		must(t, s.Record(outcome(seq)))
		for n := 0; waiting(s) > 0 && n < 200; n++ {
			time.Sleep(time.Millisecond)
		}
	}
	for ; waiting(s) < opts.Backlog; seq++ {
		must(t, s.Record(outcome(seq))) // would hang the test if it waited
	}
	over := make(chan error)
	go func() { over <- s.Record(outcome(seq)) }()
	select {
	case err := <-over:
		t.Errorf("the outcome past the backlog did not wait: %v", err)
	case <-quiet(t, s):
	}
	disk.release()
	must(t, <-over)
	must(t, s.Flush())
	if n := s.Totals().States[object.Done].Objects; n != seq+1 {
		t.Errorf("%d outcomes, want %d", n, seq+1)
	}
	must(t, s.Close())
}

// waiting is how many outcomes the writer has not taken yet.
func waiting(s *Store) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.group.len()
}

// quiet is closed when a Record has begun to wait: it holds mu only until then.
func quiet(t *testing.T, s *Store) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			s.mu.Lock()
			n := s.mu.group.len()
			s.mu.Unlock()
			if n != s.opts.Backlog {
				t.Errorf("%d outcomes wait, the bound is %d", n, s.opts.Backlog)
				return
			}
		}
	}()
	return done
}

// TestRecordersAreReleasedByAFailure: whoever waits for the disk is answered
// when it fails.
func TestRecordersAreReleasedByAFailure(t *testing.T) {
	disk := &stuckDisk{begun: make(chan struct{}, 100)}
	var full sync.Map
	fs := errorfs.Wrap(errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if _, yes := full.Load("full"); yes && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	})), disk)
	opts := memOptions(fs)
	opts.Backlog = 10
	s, err := Open("job", opts)
	must(t, err)
	must(t, s.Append(tasks(0, 1000), nil))
	must(t, s.PlanComplete())
	drain(t, s, 1000)
	must(t, s.Flush()) // so that the sync which hangs is that of the first outcome, and of no other
	disk.stick()
	must(t, s.Record(outcome(0)))
	<-disk.begun
	errs := make(chan error)
	for i := range 50 {
		go func() { errs <- s.Record(outcome(uint64(i))) }()
	}
	go func() { errs <- s.Flush() }()
	go func() { errs <- s.Append(tasks(0, 1), nil) }()
	go func() { errs <- s.SaveUpload(object.Upload{Seq: 1}) }()
	full.Store("full", true)
	disk.release()
	failed := 0
	for range 53 {
		if err := <-errs; errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrPlanComplete) {
			failed++
		}
	}
	if failed < 53-10 {
		t.Errorf("%d of 53 calls tell the failure", failed)
	}
	if err := s.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Close: %v", err)
	}
}

func TestConcurrentAppendsAreDense(t *testing.T) {
	s := open(t, t.TempDir())
	var mu sync.Mutex
	seen := map[uint64]string{}
	var wg sync.WaitGroup
	for r := range 8 {
		wg.Go(func() {
			for p := range 20 {
				page := tasks(r*1000+p*10, r*1000+p*10+10)
				if err := s.Append(page, []object.Cursor{{Range: fmt.Sprint(r), Position: []byte{byte(p)}}}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, task := range page {
					if i > 0 && task.Seq != page[i-1].Seq+1 {
						t.Error("a page is torn apart")
					}
					seen[task.Seq] = task.Object.Key
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	must(t, s.PlanComplete())
	got := drain(t, s, 100)
	if len(got) != 1600 || len(seen) != 1600 {
		t.Fatalf("%d tasks, %d numbers", len(got), len(seen))
	}
	for _, task := range got {
		if seen[task.Seq] != task.Object.Key {
			t.Errorf("task %d is %s, and was appended as %s", task.Seq, task.Object.Key, seen[task.Seq])
		}
	}
	cursors, err := s.Cursors()
	if err != nil || len(cursors) != 8 || slices.ContainsFunc(cursors, func(c object.Cursor) bool { return c.Position[0] != 19 }) {
		t.Errorf("cursors %v, %v", cursors, err)
	}
}

// slowFile answers its writes when it is told to, and counts how often it is closed.
type slowFile struct {
	vfs.File
	writing, answer chan struct{}
	closed          atomic.Int64
}

func (f *slowFile) WriteAt(p []byte, _ int64) (int, error) {
	f.writing <- struct{}{}
	<-f.answer
	if f.closed.Load() > 0 {
		return 0, errors.New("written after it was closed")
	}
	return len(p), nil
}

func (f *slowFile) Close() error {
	f.closed.Add(1)
	return nil
}

// TestTheSealIsAbandonedBehindItsWriter: a store that fails while its writer notes
// a turn does not wait for the disk, and closes nothing under the writer's hands.
func TestTheSealIsAbandonedBehindItsWriter(t *testing.T) {
	file := &slowFile{writing: make(chan struct{}), answer: make(chan struct{})}
	f := &floor{file: file}
	raised := make(chan error)
	go func() { raised <- f.raise(1) }()
	<-file.writing
	must(t, f.abandon())
	if file.closed.Load() != 0 {
		t.Error("the file was closed while it was written")
	}
	close(file.answer)
	must(t, <-raised)
	must(t, f.close())
	if n := file.closed.Load(); n != 1 {
		t.Errorf("the file was closed %d times", n)
	}
	if err := f.raise(2); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a turn after the end: %v", err)
	}
}
