package checkpoint

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

func TestTasksNeverGivenOutAreNotInDoubtAfterAClose(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 5000), nil))
	must(t, s.PlanComplete())
	buf := make([]object.Task, 10)
	_, err := s.Next(t.Context(), buf)
	must(t, err)
	must(t, s.Record(outcome(4)))
	must(t, s.Close())
	s = open(t, dir)
	doubts := 0
	got := drain(t, s, 100)
	for _, task := range got {
		if task.InDoubt {
			doubts++
		}
	}
	if len(got) != 4999 || doubts != 9 {
		t.Errorf("%d tasks, %d in doubt; want 4999 and 9", len(got), doubts)
	}
}

// TestACleanStopSettlesNoDoubt: a process that gave nothing out, and stopped cleanly,
// knows nothing of what the one before it had sent when it died.
func TestACleanStopSettlesNoDoubt(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 30), nil))
	must(t, s.PlanComplete())
	drain(t, s, 10)
	must(t, s.abandon())
	for _, given := range []int{0, 3, 0} {
		s = open(t, dir)
		if given > 0 {
			drain(t, s, given)
		}
		must(t, s.Close())
	}
	s = open(t, dir)
	defer s.Close()
	for i, task := range drain(t, s, 30) {
		if i < 10 && !task.InDoubt {
			t.Errorf("task %d, which was given out before the crash, is not in doubt", task.Seq)
		}
	}
}
