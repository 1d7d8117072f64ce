package job

import (
	"context"
	"fmt"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// Explained is one object of a job: its row, and what a person can do about it.
type Explained struct {
	report.Row
	// Planned is what the plan chose; empty where the worker decided.
	Planned string `json:"planned"`
	// OldVersionKept: a copy left the version before it behind.
	OldVersionKept bool   `json:"old_version_kept,omitempty"`
	Hint           string `json:"hint,omitempty"`
}

// Explain finds every row of one key: one a version. It walks the whole plan, and
// may be called while the job runs.
func (j *Job) Explain(ctx context.Context, bucket, key string) ([]Explained, error) {
	points, err := j.openRecords()
	if err != nil {
		return nil, jobUnusable(err)
	}
	defer points.Close()
	points.only = &object.Ref{Bucket: bucket, Key: key}
	var found []Explained
	err = report.Rows(points.Rows).While(ctx)(func(t *object.Task, o *object.Outcome) error {
		if t.Object.Key != key || t.Object.Bucket != bucket {
			return nil
		}
		e := Explained{Row: report.RowOf(t, o)}
		if t.Operation.Changes() {
			e.Planned = t.Operation.String()
		}
		if o != nil {
			e.OldVersionKept = o.OldVersionKept
			e.Hint = report.Hint(o.State, o.Reason)
		}
		found = append(found, e)
		return nil
	})
	if err == nil && len(found) == 0 {
		err = points.unknown(bucket, key)
	}
	return found, err
}

// unknown says that the job may have an object of which it has no row: what would have it was
// not read to its end yet.
func (r *records) unknown(bucket, key string) error {
	for i := range r.shards {
		s := &r.shards[i]
		if s.totals.PlanComplete || s.job.Part != nil && !s.job.Part.holds(object.Ref{Bucket: bucket, Key: key}) {
			continue
		}
		what := "source"
		if s.job.Part != nil {
			what = fmt.Sprintf("share of shard %d", s.job.Part.Index)
		}
		return unusablef("let it run on, and ask again", "the job in %s has not read the %s to its end, and has no object %s so far",
			r.job.Dir, what, object.Printable(object.Ref{Bucket: bucket, Key: key}.String()))
	}
	return nil
}
