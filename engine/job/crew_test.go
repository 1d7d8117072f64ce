package job

import "testing"

// TestCrewSpendsFailures: what the shards before have used up of the failures that are
// allowed is not allowed again, also to the last one of them.
func TestCrewSpendsFailures(t *testing.T) {
	for failed, want := range []int64{2, 1, 0, 0} {
		c := &crew{opt: &Options{Limits: Limits{MaxFailures: MaxFailures{Count: 2}}}}
		c.mu.failed = int64(failed)
		o := c.options()
		if o.MaxFailures.Count != want || o.MaxFailures.none() != (want == 0) {
			t.Errorf("after %d failures: %+v", failed, o.MaxFailures)
		}
	}
}
