package job

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestWhatWasNotReadIsMissing: a job whose every row is done, and whose source was not
// read to its end, is not wholly verified.
func TestWhatWasNotReadIsMissing(t *testing.T) {
	read, cut := shardRecord{totals: object.Totals{PlanComplete: true}}, shardRecord{}
	for name, c := range map[string]struct {
		r    records
		none bool
	}{
		"a job":           {records{job: &Job{}, shards: []shardRecord{read}}, true},
		"a job cut short": {records{job: &Job{}, shards: []shardRecord{cut}}, false},
		"shards":          {records{job: &Job{Division: &Division{}}, shards: []shardRecord{read, read}}, true},
		"one cut short":   {records{job: &Job{Division: &Division{}}, shards: []shardRecord{read, cut}}, false},
	} {
		if why := c.r.missing(); (why == "") != c.none {
			t.Errorf("%s: %q", name, why)
		}
	}
}
