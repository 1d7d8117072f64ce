package checkpoint

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/resealhq/reseal/engine/object"
)

// Rows calls f for every planned task in order of Seq, with its outcome or nil
// where it remains. It sees one state of the job, in constant memory, also while
// the job goes on. f must not keep what it is given; its error ends the walk.
// A task is said to remain only where the state says so too, and a walk that ends
// without an error has met exactly what the counters count.
func (s *Store) Rows(f func(*object.Task, *object.Outcome) error) (err error) {
	snap := s.db.NewSnapshot()
	defer func() {
		if cerr := snap.Close(); cerr != nil && err == nil {
			err = &DiskError{s.dir, cerr}
		}
	}()
	w, err := s.newWalk(snap)
	if err != nil {
		return err
	}
	defer w.close()
	for {
		o, err := w.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(&w.task, o); err != nil {
			return err
		}
	}
}

// walk goes through plan, outcomes and taken-back tasks side by side.
type walk struct {
	s                 *Store
	plan, done, again *pebble.Iterator
	planned, handed   uint64
	lanes             []laneState
	holes             []uint64
	want, met         counters
	seq               uint64
	task              object.Task
	outcome           object.Outcome
}

func (s *Store) newWalk(snap *pebble.Snapshot) (w *walk, err error) {
	w = &walk{s: s}
	if err := w.readState(snap); err != nil {
		return nil, err
	}
	for prefix, it := range map[string]**pebble.Iterator{planPrefix: &w.plan, outcomePrefix: &w.done, retryPrefix: &w.again} {
		if *it, err = snap.NewIter(&pebble.IterOptions{LowerBound: []byte(prefix), UpperBound: prefixEnd(prefix)}); err != nil {
			w.close()
			return nil, &DiskError{s.dir, err}
		}
		(*it).First()
	}
	return w, nil
}

func (w *walk) readState(snap *pebble.Snapshot) error {
	v, ok, err := w.s.getFrom(snap, []byte(keyPlan))
	if err != nil {
		return err
	}
	if ok {
		r := decoder{b: v}
		r.version()
		if w.planned = r.tally().Objects; r.err != nil {
			return w.s.damaged(keyPlan, r.err)
		}
	}
	if v, ok, err = w.s.getFrom(snap, []byte(keyState)); err != nil || !ok {
		return err
	}
	st, err := decodeState(w.s.dict, v)
	if err != nil {
		return w.s.damaged(keyState, err)
	}
	w.want, w.handed, w.lanes, w.holes = *st.counts, st.handed, st.lanes, st.holes
	return nil
}

func (w *walk) close() {
	for _, it := range []*pebble.Iterator{w.plan, w.done, w.again} {
		if it != nil {
			_ = it.Close() // its error was looked at before its rows were believed
		}
	}
}

// at is the number of the record that an iterator of the walk stands on, and
// whether it stands on one. An iterator that failed stands on none, and says so
// only when it is asked.
func (w *walk) at(it *pebble.Iterator) (seq uint64, ok bool, err error) {
	if !it.Valid() {
		return 0, false, w.s.iterError(it)
	}
	if seq, ok = seqOf(it.Key()); !ok {
		return 0, false, w.damaged("a key is cut off")
	}
	return seq, true, nil
}

func (w *walk) damaged(format string, args ...any) error {
	return w.s.damaged("p/, o/", &corruptError{fmt.Sprintf(format, args...)})
}

// next is the next task, in w.task, and its outcome.
func (w *walk) next() (*object.Outcome, error) {
	seq, ok, err := w.at(w.plan)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, w.end()
	case seq != w.seq || seq >= w.planned:
		return nil, w.damaged("task %d comes where task %d of %d is planned", seq, w.seq, w.planned)
	}
	v, err := w.plan.ValueAndErr()
	if err != nil {
		return nil, &DiskError{w.s.dir, err}
	}
	if err := decodeTask(w.s.dict, seq, v, &w.task); err != nil {
		return nil, w.s.damaged("p/", err)
	}
	o, err := w.settled(seq)
	w.seq++
	w.plan.Next()
	return o, err
}

// settled is the outcome of a task. Where there is none the state must agree.
func (w *walk) settled(seq uint64) (*object.Outcome, error) {
	hole := len(w.holes) > 0 && w.holes[0] == seq
	if hole {
		w.holes = w.holes[1:]
	}
	waits := w.waits(seq)
	at, ok, err := w.at(w.done)
	switch {
	case err != nil:
		return nil, err
	case ok && at < seq:
		return nil, w.damaged("task %d has an outcome and is not planned", at)
	case ok && at == seq:
		if hole || waits {
			return nil, w.damaged("task %d has an outcome, and the state says that it remains", seq)
		}
		return w.read(seq)
	}
	again, ok, err := w.at(w.again)
	if err != nil {
		return nil, err
	}
	switch {
	case ok && again == seq:
		w.again.Next()
	case !waits && !hole:
		return nil, w.damaged("the outcome of task %d is missing", seq)
	}
	return nil, nil
}

// waits says whether a task was never given out.
func (w *walk) waits(seq uint64) bool {
	for len(w.lanes) > 0 && w.lanes[0].end <= seq {
		w.lanes = w.lanes[1:]
	}
	return seq >= w.handed || len(w.lanes) > 0 && w.lanes[0].handed <= seq
}

func (w *walk) read(seq uint64) (*object.Outcome, error) {
	v, err := w.done.ValueAndErr()
	if err != nil {
		return nil, &DiskError{w.s.dir, err}
	}
	if err := decodeOutcome(w.s.dict, seq, v, &w.outcome); err != nil {
		return nil, w.s.damaged("o/", err)
	}
	w.met.states[w.outcome.State].Objects++
	w.done.Next()
	return &w.outcome, nil
}

// end compares what was met with what is counted; io.EOF where it agrees.
func (w *walk) end() error {
	at, more, err := w.at(w.done)
	switch {
	case err != nil:
		return err
	case more:
		return w.damaged("task %d has an outcome and is not planned", at)
	case w.seq != w.planned:
		return w.damaged("the plan ends after %d tasks of %d", w.seq, w.planned)
	}
	for state := object.Done; state < object.NumStates; state++ {
		if met, want := w.met.states[state].Objects, w.want.states[state].Objects; met != want {
			return w.damaged("%d outcomes are %s, and %d are counted", met, state, want)
		}
	}
	return io.EOF
}

func (s *Store) iterError(its ...*pebble.Iterator) error {
	for _, it := range its {
		if err := it.Error(); err != nil {
			return &DiskError{s.dir, err}
		}
	}
	return nil
}

// Row is one planned task and its outcome, nil where it remains.
func (s *Store) Row(seq uint64) (t object.Task, o *object.Outcome, err error) {
	v, ok, err := s.get(seqKey(planPrefix, seq))
	if err != nil {
		return t, nil, err
	}
	if !ok {
		return t, nil, fmt.Errorf("no task %d in the plan", seq)
	}
	if err := decodeTask(s.dict, seq, v, &t); err != nil {
		return t, nil, s.damaged("p/", err)
	}
	if v, ok, err = s.get(seqKey(outcomePrefix, seq)); err != nil || !ok {
		return t, nil, err
	}
	o = new(object.Outcome)
	if err := decodeOutcome(s.dict, seq, v, o); err != nil {
		return t, nil, s.damaged("o/", err)
	}
	return t, o, nil
}
