package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/resealhq/reseal/engine/object"
)

// world is what the test knows of a job, whatever the store remembers: what was
// asked of it, and what it has acknowledged.
type world struct {
	mu       sync.Mutex
	planned  map[uint64]string         // key by Seq, of every Append that returned
	recorded map[uint64]object.Outcome // every outcome given to Record, the last of each task
	earlier  map[uint64][]object.Outcome
	acked    map[uint64]object.Outcome // those that a Flush has covered
	handed   map[uint64]bool           // given out by any process
	uploads  map[uint64]string         // ID, acknowledged
	complete bool                      // PlanComplete returned
}

func newWorld() *world {
	return &world{planned: map[uint64]string{}, recorded: map[uint64]object.Outcome{}, earlier: map[uint64][]object.Outcome{},
		acked: map[uint64]object.Outcome{}, handed: map[uint64]bool{}, uploads: map[uint64]string{}}
}

// copy is the world at this instant.
func (w *world) copy() *world {
	w.mu.Lock()
	defer w.mu.Unlock()
	earlier := map[uint64][]object.Outcome{}
	for k, v := range w.earlier {
		earlier[k] = slices.Clone(v)
	}
	return &world{planned: maps.Clone(w.planned), recorded: maps.Clone(w.recorded), earlier: earlier, acked: maps.Clone(w.acked),
		handed: maps.Clone(w.handed), uploads: maps.Clone(w.uploads), complete: w.complete}
}

const (
	pages    = 12
	pageSize = 25
)

func memOptions(fs vfs.FS) Options {
	return Options{fs: fs, Interval: time.Millisecond, memTable: 16 << 10, lock: func(string, bool) (io.Closer, error) { return io.NopCloser(nil), nil }}
}

// process is one process of the job: it plans from its cursor on, takes tasks,
// records outcomes, keeps uploads. It ends with the job or with the disk.
func (w *world) process(t *testing.T, fs vfs.FS, seed uint64) error {
	s, err := Open("job", memOptions(fs))
	if err != nil {
		return err
	}
	errs := make(chan error, 2)
	go func() { errs <- w.plan(s) }()
	go func() { errs <- w.work(t, s, rand.New(rand.NewPCG(seed, 7))) }()
	err = errors.Join(<-errs, <-errs)
	return errors.Join(err, s.Close())
}

// plan appends pages in order. The cursor is the number of pages read.
func (w *world) plan(s *Store) error {
	cursors, err := s.Cursors()
	if err != nil || s.PlanIsComplete() {
		return err
	}
	from := byte(0)
	if len(cursors) > 0 {
		from = cursors[0].Position[0]
	}
	for p := int(from); p < pages; p++ {
		page := tasks(p*pageSize, (p+1)*pageSize)
		if err := s.Append(page, []object.Cursor{{Range: "r", Position: []byte{byte(p + 1)}, Finished: p+1 == pages}}); err != nil {
			return err
		}
		w.mu.Lock()
		for _, task := range page {
			w.planned[task.Seq] = task.Object.Key
		}
		w.mu.Unlock()
	}
	if err := s.PlanComplete(); err != nil {
		return err
	}
	w.mu.Lock()
	w.complete = true
	w.mu.Unlock()
	return nil
}

func (w *world) work(t *testing.T, s *Store, r *rand.Rand) error {
	buf := make([]object.Task, 10)
	for {
		n, err := s.Next(t.Context(), buf[:1+r.IntN(len(buf))])
		if err == io.EOF {
			return w.flush(s)
		}
		if err != nil {
			return err
		}
		for i := range n {
			if err := w.one(s, &buf[i], r); err != nil {
				return err
			}
		}
		if r.IntN(4) == 0 {
			if err := w.flush(s); err != nil {
				return err
			}
		}
	}
}

func (w *world) one(s *Store, task *object.Task, r *rand.Rand) error {
	w.mu.Lock()
	w.handed[task.Seq] = true
	w.mu.Unlock()
	if task.Seq%17 == 0 {
		id := fmt.Sprintf("up-%d", r.Uint64())
		if err := s.SaveUpload(object.Upload{Seq: task.Seq, ID: id}); err != nil {
			return err
		}
		w.mu.Lock()
		w.uploads[task.Seq] = id
		w.mu.Unlock()
	}
	if task.Seq%29 == 5 {
		return nil // dies with its worker: no outcome in this process
	}
	o := outcome(task.Seq)
	o.RequestID = fmt.Sprintf("%016X", r.Uint64())
	w.mu.Lock()
	w.recorded[task.Seq] = *o
	w.earlier[task.Seq] = append(w.earlier[task.Seq], *o)
	w.mu.Unlock()
	return s.Record(o)
}

func (w *world) flush(s *Store) error {
	before := w.copy().recorded
	if err := s.Flush(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(w.acked, before)
	return nil
}

// check opens what a crash has left and compares it with the world as it was
// before the crash. Everything that README.md promises is asserted here.
func (w *world) check(t *testing.T, fs vfs.FS) {
	t.Helper()
	s, err := Open("job", memOptions(fs))
	must(t, err)
	defer s.Close()
	outcomes, inStore := w.checkRows(t, s)
	w.checkTotals(t, s, outcomes, inStore)
	for seq, id := range w.uploads {
		if u, _, found, err := s.Upload(seq); err != nil || !found || u.ID != id && !strings.HasPrefix(u.ID, "up-") {
			t.Errorf("upload %s of task %d: %v %v %v", id, seq, u.ID, found, err)
		}
	}
	w.checkRest(t, s, outcomes, inStore)
}

// checkRows: tasks agree with the cursor, outcomes with what was recorded.
func (w *world) checkRows(t *testing.T, s *Store) (outcomes map[uint64]object.Outcome, inStore int) {
	t.Helper()
	outcomes = map[uint64]object.Outcome{}
	must(t, s.Rows(func(task *object.Task, o *object.Outcome) error {
		if task.Seq != uint64(inStore) || task.Object.Key != fmt.Sprintf("dir/key-%06d", task.Seq) {
			t.Errorf("row %d is task %d, %s", inStore, task.Seq, task.Object.Key)
		}
		inStore++
		if o != nil {
			outcomes[task.Seq] = *o
		}
		return nil
	}))
	cursors, err := s.Cursors()
	must(t, err)
	read := 0
	if len(cursors) > 0 {
		read = int(cursors[0].Position[0])
	}
	if inStore != read*pageSize {
		t.Errorf("%d tasks, and a cursor after %d pages of %d", inStore, read, pageSize)
	}
	if w.complete && (!s.PlanIsComplete() || inStore != pages*pageSize) {
		t.Errorf("the plan was complete, and is %d tasks", inStore)
	}
	for seq, o := range outcomes {
		if !slices.ContainsFunc(w.earlier[seq], func(e object.Outcome) bool { return reflect.DeepEqual(e, o) }) {
			t.Errorf("task %d has an outcome that nobody recorded: %+v", seq, o)
		}
		if !w.handed[seq] {
			t.Errorf("task %d has an outcome and was never given out", seq)
		}
	}
	for seq := range w.acked {
		if _, ok := outcomes[seq]; !ok {
			t.Errorf("the acknowledged outcome of task %d is lost", seq)
		}
	}
	return outcomes, inStore
}

func (w *world) checkTotals(t *testing.T, s *Store, outcomes map[uint64]object.Outcome, inStore int) {
	t.Helper()
	got := s.Totals()
	if got.Planned.Objects != uint64(inStore) || got.States[object.Done].Objects != uint64(len(outcomes)) ||
		got.States[object.Remaining].Objects != uint64(inStore-len(outcomes)) || got.States[object.Done].Bytes != int64(10*len(outcomes)) {
		t.Errorf("counters %+v of %d tasks with %d outcomes", got, inStore, len(outcomes))
	}
}

// checkRest: what remains is given out once each, in order, and is in doubt if
// any process may have sent something.
func (w *world) checkRest(t *testing.T, s *Store, outcomes map[uint64]object.Outcome, inStore int) {
	t.Helper()
	rest := inStore - len(outcomes)
	buf := make([]object.Task, 7)
	last, given := -1, 0
	for given < rest {
		n, err := s.Next(t.Context(), buf)
		must(t, err)
		for _, task := range buf[:n] {
			if _, ok := outcomes[task.Seq]; ok || int(task.Seq) <= last {
				t.Errorf("task %d comes after %d; has an outcome: %t", task.Seq, last, ok)
			}
			if w.handed[task.Seq] && !task.InDoubt {
				t.Errorf("task %d was given out before and is not in doubt", task.Seq)
			}
			last = int(task.Seq)
			given++
		}
	}
	if given != rest {
		t.Errorf("%d tasks are given out, %d remain", given, rest)
	}
}

// TestPowerCutAtEverySync cuts the power before each sync of a job's life, with
// nothing, some and all of the unsynced writes surviving, and checks what is
// left.
func TestPowerCutAtEverySync(t *testing.T) {
	mem := vfs.NewCrashableMem()
	w := newWorld()
	type cut struct {
		fs *vfs.MemFS
		w  *world
	}
	var mu sync.Mutex
	var cuts []cut
	rng := rand.New(rand.NewPCG(5, 6))
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpRename:
			mu.Lock()
			defer mu.Unlock()
			known := w.copy() // before the clone: what is known here must be in it
			for _, percent := range []int{0, 50, 100} {
				cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}
				clone := mem.CrashClone(cfg)
				after := w.copy() // what was asked meanwhile may be in it too
				after.acked, after.uploads, after.complete = known.acked, known.uploads, known.complete
				cuts = append(cuts, cut{clone, after})
			}
		}
		return nil
	}))
	must(t, w.process(t, fs, 1))
	for i, c := range cuts {
		if t.Failed() {
			t.Fatalf("at cut %d of %d", i, len(cuts))
		}
		// Before the first sync of the directory there may be no store at all.
		c.w.check(t, c.fs)
	}
	t.Logf("%d power cuts", len(cuts))
	if len(cuts) < 100 {
		t.Errorf("only %d power cuts", len(cuts))
	}
	w.check(t, mem)
}

// TestManyLives runs a job through many crashes, each in the state that the one
// before has left, until all is done.
func TestManyLives(t *testing.T) {
	crashes := 0
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 8))
		mem := vfs.NewCrashableMem()
		w := newWorld()
		lives := 0
		for ; ; lives++ {
			var syncs atomic.Int64
			deadline := int64(rng.IntN(40) + 3)
			var after atomic.Pointer[world]
			var clone *vfs.MemFS
			cloneRNG := rand.New(rand.NewPCG(seed, uint64(lives)))
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData {
					return nil
				}
				if syncs.Add(1) == deadline {
					known := w.copy()
					clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed*13) % 101, RNG: cloneRNG})
					then := w.copy()
					then.acked, then.uploads, then.complete = known.acked, known.uploads, known.complete
					after.Store(then)
				}
				if after.Load() != nil {
					return syscall.EIO // this process is dead
				}
				return nil
			}))
			err := w.process(t, fs, seed*1000+uint64(lives))
			if after.Load() == nil {
				must(t, err)
				break
			}
			mem, w = clone, after.Load()
			w.settleDoubts(t, mem)
			if t.Failed() {
				t.Fatalf("seed %d, life %d, which ended with: %v", seed, lives, err)
			}
			if lives > 200 {
				t.Fatal("it never ends")
			}
		}
		w.check(t, mem)
		crashes += lives
	}
	if crashes < 24 {
		t.Errorf("only %d crashes", crashes)
	}
}

// settleDoubts reads which of the outcomes that were never acknowledged made it:
// from now on they are the store's word. A copy is opened, so that the crash's
// state stays as it is for the next life.
func (w *world) settleDoubts(t *testing.T, mem *vfs.MemFS) {
	t.Helper()
	s, err := Open("job", memOptions(mem))
	must(t, err)
	outcomes, _ := w.checkRows(t, s)
	w.acked, w.recorded = outcomes, maps.Clone(outcomes)
	for seq := range w.uploads {
		if u, _, found, err := s.Upload(seq); found && err == nil {
			w.uploads[seq] = u.ID
		}
	}
	s.abandon() // the next life finds it as after one more crash
}

// TestDiskFull lets every write of a job fail in turn, as a full disk does, and
// every one after it. The job ends with the reason and without a hang; after
// room was made, nothing acknowledged is lost and it can be finished.
func TestDiskFull(t *testing.T) {
	for name, kinds := range map[string][]errorfs.OpKind{
		"write":  {errorfs.OpFileWrite, errorfs.OpFilePreallocate},
		"create": {errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpRename, errorfs.OpOpenDir},
		"sync":   {errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo},
	} {
		t.Run(name, func(t *testing.T) {
			failures := 0
			for k := int64(1); ; k = k*9/8 + 1 {
				mem := vfs.NewMem()
				w := newWorld()
				var ops atomic.Int64
				full := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if slices.Contains(kinds, op.Kind) && ops.Add(1) >= k {
						return syscall.ENOSPC
					}
					return nil
				}))
				err := w.process(t, full, uint64(k))
				if ops.Load() < k {
					must(t, err)
					break
				}
				failures++
				var disk *DiskError
				if !errors.As(err, &disk) || !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("write %d fails, and the job says %v", k, err)
				}
				if !strings.Contains(disk.Error(), "make room") {
					t.Errorf("the message does not help: %v", disk)
				}
				w.check(t, mem)
			}
			if failures < 5 {
				t.Errorf("only %d failures", failures)
			}
		})
	}
}

// TestDiskUnreadable lets every read of a table fail from some moment on, for
// Next and for compactions. The job ends with the reason, or without noticing,
// but never hangs or takes the process with it; what was written is there.
func TestDiskUnreadable(t *testing.T) {
	failures := 0
	for k := int64(1); ; k = k*9/8 + 1 {
		mem := vfs.NewMem()
		w := newWorld()
		var ops atomic.Int64
		bad := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileReadAt && strings.HasSuffix(op.Path, ".sst") && ops.Add(1) >= k {
				return syscall.EIO
			}
			return nil
		}))
		err := w.process(t, bad, uint64(k))
		if ops.Load() < k {
			must(t, err)
			break
		}
		if err != nil {
			failures++
			var disk *DiskError
			if !errors.As(err, &disk) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("read %d fails, and the job says %v", k, err)
			}
		}
		w.check(t, mem)
	}
	if failures < 3 {
		t.Errorf("only %d failures were noticed", failures)
	}
}
