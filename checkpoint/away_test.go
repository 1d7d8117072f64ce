package checkpoint

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/resealhq/reseal/engine/object"
)

// place is where a test keeps segments. What the world knew before a segment was
// safe has to be found by whoever has only those before it.
type place struct {
	w        *world
	segments [][]byte
	before   []*world
	fail     int // the segment that cannot be kept; from 1
}

var errPlace = errors.New("the bucket is gone")

func (p *place) Keep(segment []byte) error {
	if p.w != nil {
		p.before = append(p.before, p.w.copy())
	}
	if len(p.segments)+1 == p.fail {
		return errPlace
	}
	p.segments = append(p.segments, slices.Clone(segment))
	return nil
}

func (p *place) first(n int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, s := range p.segments[:n] {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func awayOptions(p Away) Options {
	o := memOptions(vfs.NewMem())
	o.Away, o.AwayEvery = p, time.Millisecond
	return o
}

// TestTheMachineIsGoneAtEverySegment: whoever has only the segments that were safe at
// some instant finds every task that was given out by then in doubt or with its
// outcome, and every upload that was acknowledged.
func TestTheMachineIsGoneAtEverySegment(t *testing.T) {
	for seed := range seeds(4) {
		w := newWorld()
		p := &place{w: w}
		must(t, w.processWith(t, awayOptions(p), seed))
		if len(p.segments) < 20 {
			t.Fatalf("only %d segments", len(p.segments))
		}
		for n := range len(p.segments) + 1 {
			known := w
			if n < len(p.segments) {
				known = p.before[n]
			}
			known.acked, known.complete = nil, false // of this disk alone; segments follow
			known.earlier = w.earlier
			o := memOptions(vfs.NewMem())
			must(t, Restore("job", o, p.first(n)))
			known.check(t, o.fs)
			if t.Failed() {
				t.Fatalf("seed %d, after %d of %d segments", seed, n, len(p.segments))
			}
		}
	}
}

// TestARestoredStoreIsTheStore: with all segments nothing differs, and another
// process that goes on from it adds to the same.
func TestARestoredStoreIsTheStore(t *testing.T) {
	w := newWorld()
	p := &place{}
	o := awayOptions(p)
	must(t, w.processWith(t, o, 1))
	for range 2 {
		again := awayOptions(p)
		must(t, Restore("job", again, p.first(len(p.segments))))
		if a, b := dumped(t, o), dumped(t, again); a != b {
			t.Fatalf("they differ:\n%s\n%s", a, b)
		}
		must(t, w.processWith(t, again, 2)) // takes what the first has left without an outcome
		o = again
	}
}

func dumped(t *testing.T, o Options) string {
	t.Helper()
	s, err := OpenReadOnly("job", o)
	must(t, err)
	defer s.Close()
	var b bytes.Buffer
	must(t, s.Dump(&b))
	return b.String()
}

// TestWhatCannotBeKeptEndsTheStore: whatever waits for it gets the error, and nothing
// is given out that is not known elsewhere.
func TestWhatCannotBeKeptEndsTheStore(t *testing.T) {
	for fail := 1; fail < 12; fail++ {
		w := newWorld()
		p := &place{w: w, fail: fail}
		err := w.processWith(t, awayOptions(p), 1)
		if _, away := errors.AsType[*AwayError](err); !away || !errors.Is(err, errPlace) {
			t.Fatalf("segment %d: %v", fail, err)
		}
		o := memOptions(vfs.NewMem())
		must(t, Restore("job", o, p.first(len(p.segments))))
		w.acked, w.complete = nil, false
		w.check(t, o.fs)
	}
}

// TestWhatCannotBeKeptLeavesNothingRunning: the process may live on, and a bubble ends
// only when all of its goroutines have.
func TestWhatCannotBeKeptLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open("job", awayOptions(keeper(func([]byte) error { return errPlace })))
		must(t, err)
		must(t, s.Append(tasks(0, 50), nil))
		must(t, s.PlanComplete())
		if err := s.Close(); !errors.Is(err, errPlace) {
			t.Errorf("closed, with %v", err)
		}
	})
}

// TestNothingIsGivenOutBeforeItsMarkIsSafe: while a segment is on its way, tasks above
// the mark wait for it, and an upload is not acknowledged.
func TestNothingIsGivenOutBeforeItsMarkIsSafe(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 100)
	var slow atomic.Bool
	p := keeper(func([]byte) error {
		if slow.Load() {
			held <- struct{}{}
			<-hold
		}
		return nil
	})
	s, err := Open("job", awayOptions(p))
	must(t, err)
	must(t, s.Append(tasks(0, 50), nil))
	must(t, s.PlanComplete())
	slow.Store(true)
	got := make(chan int, 1)
	go func() {
		n, err := s.Next(t.Context(), make([]object.Task, 10))
		if err != nil {
			n = -1
		}
		got <- n
	}()
	<-held
	select {
	case n := <-got:
		t.Fatalf("%d tasks were given out", n)
	case <-time.After(50 * time.Millisecond):
	}
	slow.Store(false)
	close(hold)
	if n := <-got; n != 10 {
		t.Fatalf("%d tasks", n)
	}
	must(t, s.Close())
}

type keeper func([]byte) error

func (k keeper) Keep(b []byte) error { return k(b) }

// TestForeignSegments: only changes that a store makes are taken.
func TestForeignSegments(t *testing.T) {
	change := func(kind byte, fields ...string) []byte {
		e := encoder{}
		e.byte(kind)
		for _, f := range fields {
			e.str(f)
		}
		return e.b
	}
	good := change(changeSet, "p/00000000", "\x01")
	for name, segment := range map[string][]byte{
		"format":         change(changeSet, keyFormat, "\x01\x09"),
		"job":            change(changeSet, keyJob, strings.Repeat("\x00", 33)),
		"another key":    change(changeSet, "z", ""),
		"no key":         change(changeDrop, ""),
		"range over all": change(changeDropRange, "o/", "u/1"),
		"kind":           change(9, "p/00000000", ""),
		"cut":            good[:len(good)-1],
		"cut key":        good[:5],
		"length":         {changeSet, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"no value":       change(changeSet, "p/00000000"),
	} {
		p := &place{segments: [][]byte{good, segment}}
		var damaged *corruptError
		o := memOptions(vfs.NewMem())
		if err := Restore("job", o, p.first(2)); !errors.As(err, &damaged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := OpenReadOnly("job", o); !errors.Is(err, ErrNoStore) {
			t.Errorf("%s: there is a store: %v", name, err)
		}
	}
}

func FuzzEachChange(f *testing.F) {
	p := &place{}
	s, err := Open("job", awayOptions(p))
	if err == nil {
		err = errors.Join(s.Append(tasks(0, 9), []object.Cursor{{Range: "r"}}), s.SaveUpload(object.Upload{Seq: 3, ID: "u"}), s.Close())
	}
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range p.segments {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, segment []byte) {
		none := func(_, _ []byte, _ *pebble.WriteOptions) error { return nil }
		_ = eachChange(segment, none, func([]byte, *pebble.WriteOptions) error { return nil }, none)
	})
}
