package job

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/report"
)

// metaLockRules is where the checkpoint keeps the rules that were seen to lock what the job writes.
const metaLockRules = "lock-rules"

// lockRules are those that came while the job, or shard, was at work.
func lockRules(points *checkpoint.Store) (rules []report.LockRule, err error) {
	data, found, err := points.Meta(metaLockRules)
	if err != nil || !found {
		return nil, err
	}
	if err := json.Unmarshal(data, &rules); err != nil {
		return nil, fmt.Errorf("what the job saw of rules that lock objects cannot be read: %w", err)
	}
	return rules, nil
}

// keepLockRule keeps one more for the report.
func keepLockRule(points *checkpoint.Store, rule report.LockRule) error {
	rules, err := lockRules(points)
	if err != nil {
		return err
	}
	rule.After, rule.Seen = rule.After.UTC().Round(time.Second), rule.Seen.UTC().Round(time.Second)
	data, err := json.Marshal(append(rules, rule))
	if err != nil {
		return err
	}
	return points.SetMeta(metaLockRules, data)
}

// summaryOf is what the checkpoint says in numbers.
func (j *Job) summaryOf(points *checkpoint.Store) (*report.Summary, error) {
	t := points.Totals()
	s := report.Summarize(j.Dir, &t, points.Row)
	var err error
	s.Rules, err = lockRules(points)
	return s, err
}

// summary is the same of all shards.
func (r *records) summary() *report.Summary {
	t := r.Totals()
	s := report.Summarize(r.job.Dir, &t, r.Row)
	for i := range r.shards {
		s.Rules = append(s.Rules, r.shards[i].rules...)
	}
	return s
}
