package checkpoint

import (
	"slices"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestEntrustedTasksAreInDoubt: of a plan some tasks have an outcome, some are given to
// others, and some nobody has seen. Only those in the middle are in doubt, after a clean
// stop as after a crash, and each is handed out once.
func TestEntrustedTasksAreInDoubt(t *testing.T) {
	for _, end := range []string{"close", "crash"} {
		t.Run(end, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			must(t, s.Append(tasks(0, 3000), nil))
			must(t, s.PlanComplete())
			buf := make([]object.Task, 10)
			_, err := s.Next(t.Context(), buf)
			must(t, err)
			for i := range 10 {
				must(t, s.Record(outcome(uint64(i))))
			}
			must(t, s.Close())

			s = open(t, dir)
			given := []uint64{3, 100, 101, 1500, 2999} // 3 has an outcome
			must(t, s.Entrust(slices.Values(given)))
			must(t, s.Record(outcome(1500)))
			must(t, s.Flush())
			if end == "crash" {
				must(t, s.abandon())
			} else {
				must(t, s.Close())
			}
			s = open(t, dir)
			must(t, s.Entrust(slices.Values([]uint64{200})))
			var got []uint64
			var doubts []uint64
			for _, task := range drain(t, s, 100) {
				got = append(got, task.Seq)
				if task.InDoubt {
					doubts = append(doubts, task.Seq)
				}
			}
			if len(got) != 2989 || !slices.IsSorted(got) || slices.Contains(got, 1500) || len(slices.Compact(got)) != 2989 {
				t.Errorf("%d tasks, want the 2989 without outcome in their order", len(got))
			}
			if want := []uint64{100, 101, 200, 2999}; !slices.Equal(doubts, want) {
				t.Errorf("in doubt are %v, want %v", doubts, want)
			}
			for _, seq := range got {
				must(t, s.Record(outcome(seq)))
			}
			must(t, s.Flush())
			rows := 0
			must(t, s.Rows(func(_ *object.Task, o *object.Outcome) error {
				if o != nil {
					rows++
				}
				return nil
			}))
			if n := s.Totals().States[object.Done].Objects; rows != 3000 || n != 3000 {
				t.Errorf("%d rows with an outcome, %d counted, want 3000", rows, n)
			}
			must(t, s.Close())
		})
	}
}

// TestEntrustKeepsOlderDoubts: what a process that died had in hand stays in doubt.
func TestEntrustKeepsOlderDoubts(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 50), nil))
	must(t, s.PlanComplete())
	buf := make([]object.Task, 5)
	_, err := s.Next(t.Context(), buf)
	must(t, err)
	must(t, s.Record(outcome(1)))
	must(t, s.Flush())
	must(t, s.abandon())
	s = open(t, dir)
	must(t, s.Entrust(slices.Values([]uint64{0, 40})))
	must(t, s.Close())
	s = open(t, dir)
	defer s.Close()
	for _, task := range drain(t, s, 50) {
		if task.Seq == 1 || !task.InDoubt { // all 50 lay below the dispatched mark
			t.Errorf("task %d, in doubt %v", task.Seq, task.InDoubt)
		}
	}
}

// TestNeverSentTasksAreInDoubtOnceGivenOut: what Entrust left aside is handed out as never
// sent, and whoever comes after a crash has to ask about it, since it may have been.
func TestNeverSentTasksAreInDoubtOnceGivenOut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 2000), nil))
	must(t, s.PlanComplete())
	must(t, s.Entrust(slices.Values([]uint64{5, 700})))
	must(t, s.Close())

	given := map[uint64]bool{}
	for life := range 3 {
		s = open(t, dir)
		buf := make([]object.Task, 300)
		n, err := s.Next(t.Context(), buf)
		must(t, err)
		for _, task := range buf[:n] {
			want := given[task.Seq] || task.Seq == 5 || task.Seq == 700
			if life == 0 && task.InDoubt != want || want && !task.InDoubt {
				t.Fatalf("life %d: task %d is given out, in doubt %v", life, task.Seq, task.InDoubt)
			}
			given[task.Seq] = true
		}
		must(t, s.Record(outcome(buf[0].Seq)))
		must(t, s.Flush())
		must(t, s.abandon()) // killed: all others of these may have been sent
	}
	s = open(t, dir)
	defer s.Close()
	left, doubts := 0, 0
	for _, task := range drain(t, s, 100) {
		left++
		if task.InDoubt {
			doubts++
		}
		if given[task.Seq] && !task.InDoubt {
			t.Errorf("task %d was given out before a crash and is not in doubt", task.Seq)
		}
	}
	if left != 1997 || doubts > 1100 {
		t.Errorf("%d tasks are left, %d of them in doubt", left, doubts)
	}
}
