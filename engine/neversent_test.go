package engine

import (
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// leavesOthers chooses as always does, and leaves what is not of the size that was planned,
// or everything.
type leavesOthers struct {
	always
	size int64
}

func (c leavesOthers) Choose(o *object.Object, a *object.Attributes) object.Choice {
	if o.Size != c.size {
		return object.Choice{Operation: object.OpNone, Reason: object.ReasonArchived}
	}
	return c.always.Choose(o, a)
}

// TestLeftTellsWhetherAnythingWasSent: only what nobody has sent anything of is taken again
// without doubt. A process that died may have, and so may this one, before others wrote the
// object and it was decided on anew.
func TestLeftTellsWhetherAnythingWasSent(t *testing.T) {
	for _, test := range []struct {
		name           string
		doubt, written bool
		neverSent      bool
	}{{"planned", false, false, true}, {"in doubt", true, false, false}, {"copied, and then written by others", false, true, false}} {
		s := newMemStore(8)
		s.shows = false
		j := planOf(s, true)
		cfg := memConfig(s, j, object.OpCopy)
		cfg.Bulk = s
		c := leavesOthers{cfg.Chooser.(always), -1}
		if test.written {
			c.size = j.mu.tasks[0].Object.Size
		}
		cfg.Chooser = c
		for i := range j.mu.tasks {
			j.mu.tasks[i].InDoubt = test.doubt
		}
		var others sync.Once
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			if test.written && (k == object.ReqList || k == object.ReqHead) { // the proof of a copy
				others.Do(func() {
					for _, task := range j.mu.tasks {
						s.put(task.Object.Key, []byte("what others wrote is longer than what was there"))
					}
				})
			}
			return nil, true
		}
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		for _, o := range j.mu.outcomes {
			if o.State != object.Left || o.NeverSent != test.neverSent {
				t.Errorf("%s: %s, never sent %v: %s", test.name, o.State, o.NeverSent, o.Message)
			}
		}
	}
}
