package checkpoint

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// takeIn takes up to n tasks of a lane.
func takeIn(t *testing.T, s *Store, lane uint64, n int) (got []object.Task) {
	t.Helper()
	for len(got) < n {
		buf := make([]object.Task, n-len(got))
		k, err := s.NextIn(t.Context(), lane, buf)
		got = append(got, buf[:k]...)
		if err == io.EOF {
			return got
		}
		must(t, err)
	}
	return got
}

// forked is a store with a plan of 3000, cut at 1000 and 2000, of which the first 100 of
// each lane were given out and have an outcome but for the last.
func forked(t *testing.T, dir string) *Store {
	t.Helper()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 3000), nil))
	must(t, s.PlanComplete())
	first := takeIn(t, s, s.Lanes()[len(s.Lanes())-1], 10)
	must(t, s.Fork([]uint64{2000, 1000, 5, 1000, 9999}))
	lanes := s.Lanes()
	lanes = lanes[len(lanes)-3:]
	for i, lane := range lanes {
		got := takeIn(t, s, lane, 100-len(first))
		for _, task := range append(first, got...)[:99] {
			must(t, s.Record(outcome(task.Seq)))
		}
		if want := uint64(1000*i + 99); got[len(got)-1].Seq != want {
			t.Fatalf("lane %d has come to task %d, want %d", i, got[len(got)-1].Seq, want)
		}
		first = nil
	}
	must(t, s.Flush())
	return s
}

// TestLanesAreTakenUp: after a clean stop what was given out is in doubt and nothing else;
// after a crash so are the blocks that were marked. Each task comes once.
func TestLanesAreTakenUp(t *testing.T) {
	for _, end := range []string{"close", "crash"} {
		t.Run(end, func(t *testing.T) {
			dir := t.TempDir()
			s := forked(t, dir)
			if end == "crash" {
				must(t, s.abandon())
			} else {
				must(t, s.Close())
			}
			s = open(t, dir)
			got := drain(t, s, 64)
			slices.SortFunc(got, func(a, b object.Task) int { return int(a.Seq) - int(b.Seq) })
			doubts := 0
			for i, task := range got {
				if i > 0 && got[i-1].Seq == task.Seq || task.Seq%1000 < 99 {
					t.Fatalf("task %d came again", task.Seq)
				}
				if task.InDoubt {
					doubts++
				} else if task.Seq%1000 == 99 {
					t.Errorf("task %d was given out and is not in doubt", task.Seq)
				}
				must(t, s.Record(outcome(task.Seq)))
			}
			if len(got) != 3000-3*99 {
				t.Errorf("%d tasks, want %d", len(got), 3000-3*99)
			}
			if end == "close" && doubts != 3 || doubts > 3*2*markBlock {
				t.Errorf("%d are in doubt", doubts)
			}
			must(t, s.Flush())
			must(t, s.Rows(func(task *object.Task, o *object.Outcome) error {
				if o == nil {
					t.Errorf("task %d remains", task.Seq)
				}
				return nil
			}))
		})
	}
}

// TestOlderVersionsAreKeptFromLanes: m/state has a version that they refuse while there are
// lanes, and theirs again when there are none.
func TestOlderVersionsAreKeptFromLanes(t *testing.T) {
	s := forked(t, t.TempDir())
	version := func() byte {
		v, _, err := s.get([]byte(keyState))
		must(t, err)
		return v[0]
	}
	if version() != stateOfLanes {
		t.Errorf("version %d with lanes", version())
	}
	for _, task := range drain(t, s, 64) {
		must(t, s.Record(outcome(task.Seq)))
	}
	must(t, s.Flush())
	if version() != valueVersion || len(s.Lanes()) != 1 {
		t.Errorf("version %d, lanes %v", version(), s.Lanes())
	}
}

// TestLanesAreEntrusted: others may do what lies in lanes too.
func TestLanesAreEntrusted(t *testing.T) {
	dir := t.TempDir()
	must(t, forked(t, dir).Close())
	s := open(t, dir)
	must(t, s.Entrust(slices.Values([]uint64{500, 1500, 2500})))
	for _, seq := range []uint64{500, 1500, 2500} {
		must(t, s.Record(outcome(seq)))
	}
	must(t, s.Flush())
	if got := drain(t, s, 64); len(got) != 3000-3*99-3 {
		t.Errorf("%d tasks, want %d", len(got), 3000-3*99-3)
	}
}

// TestVersionsOfAKeyStayInOneLane: a lane begins at no version of a key but its first.
func TestVersionsOfAKeyStayInOneLane(t *testing.T) {
	s := open(t, t.TempDir())
	plan := tasks(0, 900)
	for i := range plan {
		plan[i].Object.Key = task(i / 3).Object.Key
	}
	must(t, s.Append(plan, nil))
	must(t, s.PlanComplete())
	places, err := s.Glance(100)
	must(t, err)
	var at []uint64
	for _, p := range places {
		at = append(at, p.Seq)
	}
	must(t, s.Fork(at))
	lanes := s.Lanes()
	if len(lanes) < 90 {
		t.Fatalf("%d lanes of %d places", len(lanes), len(places))
	}
	of := map[string]uint64{}
	for _, lane := range lanes {
		for _, task := range takeIn(t, s, lane, 900) {
			if other, ok := of[task.Object.Key]; ok && other != lane {
				t.Fatalf("versions of %s are in lanes %d and %d", task.Object.Key, other, lane)
			}
			of[task.Object.Key] = lane
		}
	}
	if len(of) != 300 {
		t.Errorf("%d keys, want 300", len(of))
	}
}

// TestAnOutcomeOfATaskInALane: what was not given out has none.
func TestAnOutcomeOfATaskInALane(t *testing.T) {
	s := forked(t, t.TempDir())
	if err := s.Record(outcome(500)); err == nil {
		t.Error("a task that was never given out got an outcome")
	}
	if _, err := s.NextIn(context.Background(), 77, make([]object.Task, 1)); err != io.EOF {
		t.Errorf("a lane that does not exist: %v", err)
	}
}
