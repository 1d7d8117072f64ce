package engine

import (
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestTellsWhatMayStandThere: where a process died between the copy to another place and its
// record, and others have written or deleted the source since, the row tells that the copy
// may be there. Nobody would know otherwise.
func TestTellsWhatMayStandThere(t *testing.T) {
	for _, doubt := range []bool{false, true} {
		s := newMemStore(4)
		j := planOf(s, true)
		cfg := memConfig(s, j, object.OpCopy)
		cfg.Dest = Dest{Bucket: "b", Prefix: "copies/"}
		for i := range j.mu.tasks {
			task := &j.mu.tasks[i]
			task.InDoubt = doubt
			s.put("copies/"+task.Object.Key, []byte("the copy of what it was"))
			if i%2 == 0 {
				s.mu.Lock()
				delete(s.mu.objects, task.Object.Key)
				s.mu.Unlock()
			} else {
				s.put(task.Object.Key, []byte("what others wrote since"))
			}
		}
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		for i, o := range j.mu.outcomes {
			want := []object.Reason{object.ReasonGone, object.ReasonForeign}[i%2]
			if o.Reason != want || strings.Contains(o.Message, "may have copied it to s3://b/copies/") != doubt {
				t.Errorf("in doubt %v: %s %s: %s", doubt, o.State, o.Reason, o.Message)
			}
		}
	}
}
