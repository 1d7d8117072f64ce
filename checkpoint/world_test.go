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
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

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
	return w.processWith(t, memOptions(fs), seed)
}

func (w *world) processWith(t *testing.T, opts Options, seed uint64) error {
	s, err := Open("job", opts)
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

// work takes tasks from all lanes in turn, and now and then begins some more.
func (w *world) work(t *testing.T, s *Store, r *rand.Rand) error {
	buf := make([]object.Task, 10)
	for {
		n, err := w.take(t, s, r, buf[:1+r.IntN(len(buf))])
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

func (w *world) take(t *testing.T, s *Store, r *rand.Rand, buf []object.Task) (int, error) {
	if r.IntN(16) == 0 && len(s.Lanes()) < 5 {
		places, err := s.Glance(1 + r.IntN(3))
		if err != nil {
			return 0, err
		}
		var at []uint64
		for _, p := range places {
			at = append(at, p.Seq)
		}
		if err := s.Fork(at); err != nil {
			return 0, err
		}
	}
	lanes := s.Lanes()
	if n, err := s.NextIn(t.Context(), lanes[r.IntN(len(lanes))], buf); n > 0 || err != nil && err != io.EOF {
		return n, err
	}
	return s.Next(t.Context(), buf)
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

// checkRest: what remains is given out once each, in order but for what is taken again,
// which comes first, and is in doubt if any process may have sent something.
func (w *world) checkRest(t *testing.T, s *Store, outcomes map[uint64]object.Outcome, inStore int) {
	t.Helper()
	rest := inStore - len(outcomes)
	buf := make([]object.Task, 7)
	last, given, again := -1, 0, s.reader.more()
	seen := map[uint64]bool{}
	for given < rest {
		n, err := s.Next(t.Context(), buf)
		must(t, err)
		for _, task := range buf[:n] {
			if int(task.Seq) < last && again {
				last, again = -1, false
			}
			if _, ok := outcomes[task.Seq]; ok || int(task.Seq) <= last || seen[task.Seq] {
				t.Errorf("task %d comes after %d, twice: %t; has an outcome: %t", task.Seq, last, seen[task.Seq], ok)
			}
			seen[task.Seq] = true
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
