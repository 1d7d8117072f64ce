package job

import (
	"errors"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestThrowawayObjectsThatStay: a store that deletes nothing stops the run by that reason, and not as one
// that somebody has interrupted. No object was touched.
func TestThrowawayObjectsThatStay(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.Profile{IgnoresDeletes: true}}, s3test.BucketConfig{Versioning: "Enabled"}, 3)
	j := b.create(t, Policy{})
	_, err := j.Run(t.Context(), Options{})
	if err == nil || errors.Is(err, ErrInterrupted) || causeClass(err) != CauseError || !strings.Contains(err.Error(), "throwaway objects of the probe could not be removed") {
		t.Errorf("%s: %v", causeClass(err), err)
	}
	n := 0
	for _, o := range b.Snapshot("b").Objects {
		if !strings.Contains(o.Key, "reseal-canary") {
			n++
		}
	}
	if n != 3 {
		t.Errorf("the job's objects have %d versions", n)
	}
}
