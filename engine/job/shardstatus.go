package job

import (
	"fmt"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// StateUntaken is the state of a shard that no process has taken yet.
const StateUntaken = "untaken"

// ShardStatus is where one shard of a job stands.
type ShardStatus struct {
	Index int `json:"index"`
	// State is one of a job's, or untaken.
	State     string `json:"state"`
	Planned   uint64 `json:"planned"`
	Done      uint64 `json:"done"`
	Already   uint64 `json:"already"`
	Left      uint64 `json:"left"`
	Failed    uint64 `json:"failed"`
	Remaining uint64 `json:"remaining"`
	// PlanComplete: its share was listed or read to its end.
	PlanComplete bool `json:"plan_complete"`
	// Range is its share in words.
	Range string `json:"range"`
	// Cause is why it stopped or waits.
	Cause *report.StopCause `json:"cause,omitempty"`
	PID   int               `json:"pid,omitempty"`
	Host  string            `json:"host,omitempty"`
}

// status is where the shard stands, and in time.
func (s *shardRecord) status() (ShardStatus, report.Standing, error) {
	t := &s.totals
	out := ShardStatus{Index: s.job.Part.Index, State: StateUntaken, Planned: t.Planned.Objects, Done: t.States[object.Done].Objects,
		Already: t.States[object.Already].Objects, Left: t.States[object.Left].Objects, Failed: t.States[object.Failed].Objects,
		Remaining: t.States[object.Remaining].Objects, PlanComplete: t.PlanComplete, Range: s.job.Part.Range()}
	if !s.taken {
		return out, report.Standing{State: StateUntaken}, nil
	}
	now, _, err := s.job.now(t, s.running)
	out.State, out.Cause = now.State, now.Cause
	if s.running {
		out.PID, out.Host = now.PID, now.Host
	}
	return out, now, err
}

// statuses are those of all shards, and what they come to.
func (r *records) statuses() (shards []ShardStatus, all report.Standing, err error) {
	states := map[string]int{}
	var last time.Time // that anything was heard of any of them
	for i := range r.shards {
		s, now, err := r.shards[i].status()
		if err != nil {
			return nil, all, err
		}
		shards = append(shards, s)
		states[s.State]++
		together(&all, &now, i)
		if heard := now.Began.Add(time.Duration(now.ElapsedSeconds * float64(time.Second))); heard.After(last) {
			last = heard
		}
	}
	n := len(shards)
	switch {
	case states[report.StateFinished] == n:
		all.State, all.Cause = report.StateFinished, nil
	case states[report.StateRunning] > 0:
		all.State, all.Cause = report.StateRunning, nil
	case states[report.StateWaiting] > 0:
		all.State = report.StateWaiting
	case states[report.StatePlanned]+states[StateUntaken] == n:
		all.State = report.StatePlanned
		all.Cause = &report.StopCause{Class: CausePlanned, Message: fmt.Sprintf("the job is divided into %s, and nothing of them was begun", report.Count(uint64(n), "shard"))}
	default:
		all.State = report.StateStopped
		if left := states[StateUntaken]; left > 0 && all.Cause == nil {
			all.Cause = &report.StopCause{Class: CausePlanned, Message: fmt.Sprintf("%s of %d were taken by nobody yet", report.Count(uint64(left), "shard"), n)}
		}
	}
	if r.running() {
		all.Ended = time.Time{}
		t := r.Totals()
		if rest := t.States[object.Remaining].Objects; t.PlanComplete && all.ObjectsPerSecond > 0 {
			eta := float64(rest) / all.ObjectsPerSecond
			all.ETASeconds = &eta
		}
		all.ElapsedSeconds = max(0, time.Since(all.Began).Round(time.Millisecond).Seconds())
	} else {
		all.ObjectsPerSecond, all.BytesPerSecond = 0, 0
		all.ElapsedSeconds = last.Sub(all.Began).Seconds()
	}
	return shards, all, nil
}

// together takes a shard's standing into that of all: the first beginning, the last end,
// the rates of those at work, and the first reason why one stopped.
func together(all, s *report.Standing, index int) {
	if s.State == StateUntaken {
		return
	}
	if !s.Began.IsZero() && (all.Began.IsZero() || s.Began.Before(all.Began)) {
		all.Began = s.Began
	}
	if s.Ended.After(all.Ended) {
		all.Ended, all.PID, all.Host, all.User, all.Version = s.Ended, s.PID, s.Host, s.User, s.Version
	}
	if s.State == report.StateRunning || s.State == report.StateWaiting {
		all.ObjectsPerSecond += s.ObjectsPerSecond
		all.BytesPerSecond += s.BytesPerSecond
	}
	if s.Cause != nil && s.Cause.Class != CausePlanned && all.Cause == nil {
		all.Cause = &report.StopCause{Class: s.Cause.Class, Message: fmt.Sprintf("shard %d: %s", index, s.Cause.Message)}
	}
}

// standing is where the job is in time.
func (r *records) standing() (report.Standing, error) {
	if r.job.Division == nil {
		s, _, err := r.job.now(&r.shards[0].totals, r.shards[0].running)
		return s, err
	}
	_, all, err := r.statuses()
	return all, err
}

// statusOfShards is Status of a divided job.
func (j *Job) statusOfShards() (*Status, error) {
	r, err := j.openRecords()
	if err != nil {
		return nil, jobUnusable(err)
	}
	defer r.Close()
	s := &Status{Totals: r.Totals(), Running: r.running(), Unread: j.Unread()}
	s.Summary = r.summary()
	s.Shards, s.Standing, err = r.statuses()
	for i, shard := range j.parts() {
		s.Resumed = s.Resumed || r.shards[i].taken && shard.resumed()
	}
	return s, err
}
