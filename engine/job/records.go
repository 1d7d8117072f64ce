package job

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// records is what is on record of a job, for the verbs that only read: its checkpoint,
// or those of its shards in their order. Of shards one checkpoint is open at a time, so
// that a job may have thousands; while processes are at work on them, rows may be
// younger than totals that were asked for before them.
type records struct {
	job    *Job
	shards []shardRecord
	// one is open: of a job without shards always.
	one   *checkpoint.Store
	index int // of one
	// only, where set, leaves out the shards that cannot hold this object.
	only *object.Ref
}

// shardRecord is one shard on record.
type shardRecord struct {
	job     *Job
	taken   bool // there is a checkpoint
	running bool
	totals  object.Totals
	rules   []report.LockRule
}

// shardShift gives the rows of all shards numbers of their own: those of a shard begin
// at its index, shifted.
const shardShift = 40

// openRecords opens what is on record. Where a job without shards has nothing, the error
// wraps checkpoint.ErrNoStore; a divided job has its division at least.
func (j *Job) openRecords() (*records, error) {
	r := &records{job: j, index: -1}
	if j.Division == nil {
		points, running, err := j.openReader()
		if err != nil {
			return nil, err
		}
		r = recordsOf(j, points, running)
		if r.shards[0].rules, err = lockRules(points); err != nil {
			return nil, errors.Join(err, points.Close())
		}
		return r, nil
	}
	if j.home != nil {
		// What verify and plan found of the whole lies beside the shards.
		if err := errors.Join(j.home.pullFiles(j.home.ctx, j), j.home.fetchAhead(j.parts())); err != nil {
			return nil, err
		}
		defer j.home.forgetAhead()
	}
	for i, part := range j.parts() {
		s := shardRecord{job: part}
		points, running, err := part.openReader()
		switch {
		case errors.Is(err, checkpoint.ErrNoStore):
		case err != nil:
			return nil, fmt.Errorf("shard %d: %w", i, err)
		default:
			s.taken, s.running, s.totals = true, running, points.Totals()
			if s.rules, err = lockRules(points); err != nil {
				return nil, errors.Join(err, points.Close())
			}
			if err := points.Close(); err != nil {
				return nil, err
			}
		}
		r.shards = append(r.shards, s)
	}
	return r, nil
}

// recordsOf is what one open checkpoint holds.
func recordsOf(j *Job, points *checkpoint.Store, running bool) *records {
	return &records{job: j, one: points, shards: []shardRecord{{job: j, taken: true, running: running, totals: points.Totals()}}}
}

// Close gives up what is open.
func (r *records) Close() error {
	if r.one == nil {
		return nil
	}
	err := r.one.Close()
	r.one, r.index = nil, -1
	return err
}

// store opens the checkpoint of one shard, in place of the one that is open.
func (r *records) store(i int) (*checkpoint.Store, error) {
	if r.index == i {
		return r.one, nil
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	points, _, err := r.shards[i].job.openReader()
	if err != nil {
		return nil, err
	}
	r.one, r.index = points, i
	return points, nil
}

// Totals adds up all of it. After Rows they are those of the rows.
func (r *records) Totals() object.Totals {
	sum := object.Totals{PlanComplete: true}
	for i := range r.shards {
		t := r.shards[i].totals
		causes := make([]object.Cause, len(t.Causes))
		for n, c := range t.Causes {
			c.Example |= uint64(i) << shardShift
			causes[n] = c
		}
		t.Causes = causes
		sum.Add(&t)
	}
	return sum
}

// running says whether any process is at work.
func (r *records) running() bool {
	for i := range r.shards {
		if r.shards[i].running {
			return true
		}
	}
	return false
}

// Rows walks all rows, shard after shard.
func (r *records) Rows(f func(*object.Task, *object.Outcome) error) error {
	return r.rowsOf(nil, f)
}

// rowsOf walks those of one place; nil is all.
func (r *records) rowsOf(place *Place, f func(*object.Task, *object.Outcome) error) error {
	for i := range r.shards {
		if place != nil && r.shards[i].job.Part.place() != *place {
			continue
		}
		if s := &r.shards[i]; !s.taken || r.only != nil && !s.job.Part.holds(*r.only) {
			continue
		}
		points, err := r.store(i)
		if err != nil {
			return err
		}
		r.shards[i].totals = points.Totals()
		if err := points.Rows(f); err != nil {
			return err
		}
	}
	return nil
}

// Row finds one by the number that Totals gives its examples.
func (r *records) Row(seq uint64) (object.Task, *object.Outcome, error) {
	i := int(seq >> shardShift)
	if i >= len(r.shards) || !r.shards[i].taken {
		return object.Task{}, nil, fmt.Errorf("there is no row %d", seq)
	}
	points, err := r.store(i)
	if err != nil {
		return object.Task{}, nil, err
	}
	return points.Row(seq & (1<<shardShift - 1))
}

// learnt is what the job knows of store, buckets and key; found is false where it has
// not asked yet.
func (r *records) learnt() (l learnt, found bool, err error) {
	if d := r.job.Division; d != nil {
		return d.learnt, true, nil
	}
	data, found, err := r.one.Meta(metaLearnt)
	if err != nil || !found {
		if r.job.whole != nil && err == nil {
			return *r.job.whole.Division.learntOf(r.job.Part), true, nil
		}
		return l, false, err
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return l, false, fmt.Errorf("what the job learnt cannot be read: %w", err)
	}
	return l, true, nil
}

// missing says what was not read to the end of the source, or of a shard's share of it,
// so that no row tells of some objects; empty where all was.
func (r *records) missing() string {
	var none []int
	for i := range r.shards {
		if !r.shards[i].totals.PlanComplete {
			none = append(none, i)
		}
	}
	if found := r.job.Unread(); len(none) == 0 && len(found) > 0 {
		return fmt.Sprintf("%d places were not taken when the job began (the first is %s: %s)", len(found), found[0].Place, found[0].Unread)
	}
	switch {
	case len(none) == 0:
		return ""
	case r.job.Division == nil:
		return "the source was not read to its end, and what else it holds is not known; run the job to its end first"
	}
	return fmt.Sprintf("%d of %d shards are not planned to their end (the first is shard %d): what they hold is not known; run them first", len(none), len(r.shards), none[0])
}
