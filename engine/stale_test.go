package engine

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// A job directory that is older than what the job has done since, or a copy of it:
// its rows are settled, nothing says that they are in doubt, and under SSE-S3 no
// condition on an ETag notices that the object was copied already.
func TestM13AnOldPlanCopiesNothingTwice(t *testing.T) {
	s := newMemStore(20)
	s.keepsETag = true
	old := planOf(s, true)
	for i := range old.mu.tasks {
		old.mu.tasks[i].Earlier = true
	}
	config := func(j *memJournal) Config {
		cfg := memConfig(s, j, object.OpCopy)
		cfg.Target = object.Target{SSE: object.SSES3}
		cfg.Chooser = always{cfg.Target, object.OpCopy}
		return cfg
	}
	j := planOf(s, true)
	if err := Run(t.Context(), config(j)); err != nil {
		t.Fatal(err)
	}
	if n := s.count(object.ReqHead); n != 0 {
		t.Errorf("a plan of this process cost %d HEADs", n)
	}
	if err := Run(t.Context(), config(old)); err != nil {
		t.Fatal(err)
	}
	if copies, heads := s.count(object.ReqCopy), s.count(object.ReqHead); copies != 20 || heads != 20 {
		t.Errorf("%d copies and %d HEADs of 20 objects that two directories plan", copies, heads)
	}
	if n := old.states(); n[object.Already] != 20 {
		t.Errorf("the old directory tells %v", n)
	}
}
