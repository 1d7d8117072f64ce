package job

import (
	"errors"
	"fmt"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// Status is where a job stands: its summary, whether a process is at work, and,
// while one is, what that tells of itself.
type Status struct {
	*report.Summary
	Running bool  `json:"running"`
	Live    *Live `json:"live,omitempty"`
	// Shards of a divided job.
	Shards []ShardStatus `json:"shards,omitempty"`
	// Unread are places of the job that could not be taken when it began.
	Unread []PlaceFound `json:"unread,omitempty"`
	// Submitted are the jobs of S3 Batch Operations that work on it, or have worked.
	Submitted []*Submission `json:"submitted,omitempty"`

	Totals object.Totals `json:"-"`
}

// openReader opens the checkpoint beside a run that may go on; running says
// whether one does.
func (j *Job) openReader() (points *checkpoint.Store, running bool, err error) {
	elsewhere := false
	if j.home != nil {
		if elsewhere, err = j.home.fetched(j); err != nil {
			return nil, false, err
		}
	}
	if points, err = checkpoint.OpenSnapshot(j.local, checkpoint.Options{Job: j.digest, Disk: j.ground.Disk}); err != nil {
		return nil, false, err
	}
	return points, points.Beside() || elsewhere, nil
}

// Status tells where the job stands. It may be asked while the job runs, in this
// process or another.
func (j *Job) Status() (*Status, error) {
	if j.Division != nil {
		return j.statusOfShards()
	}
	points, running, err := j.openReader()
	if errors.Is(err, checkpoint.ErrNoStore) {
		s := &Status{Summary: report.Summarize(j.Dir, &object.Totals{}, nil)}
		s.Standing = j.standing(&s.Totals)
		if j.Part != nil {
			s.State = StateUntaken
		}
		return s, nil
	}
	if err != nil {
		return nil, jobUnusable(err)
	}
	defer points.Close()
	s := &Status{Totals: points.Totals(), Running: running}
	if s.Summary, err = j.summaryOf(points); err != nil {
		return nil, err
	}
	s.Standing, s.Live, err = j.now(&s.Totals, running)
	if s.Resumed = j.resumed(); err == nil {
		err = s.submitted(j)
	}
	return s, err
}

// submitted adds what was given to others. While they may be at work, the job waits.
func (s *Status) submitted(j *Job) (err error) {
	if s.Submitted, err = j.Submissions(); err != nil {
		return err
	}
	open := 0
	for _, sub := range s.Submitted {
		if sub.Open() {
			open++
		}
	}
	if open > 0 {
		s.State = report.StateWaiting
		s.Cause = &report.StopCause{Class: CauseSubmitted, Message: report.Count(uint64(open), "job") + " of S3 Batch Operations may be at work on it"}
	}
	return nil
}

// now is where the job is in time, and what the process tells that holds it.
func (j *Job) now(t *object.Totals, running bool) (report.Standing, *Live, error) {
	if !running {
		return j.standing(t), nil, nil
	}
	l, err := readLive(j, time.Now())
	return j.atWork(l, time.Now()), l, err
}

// atWork is where a job is in time while a process holds it.
func (j *Job) atWork(l *Live, now time.Time) report.Standing {
	s := report.Standing{State: report.StateRunning}
	if r := j.readRun(); r != nil && r.Ended.IsZero() {
		s = r.Standing
		s.State = report.StateRunning
	}
	if l == nil {
		return s
	}
	p := l.Progress
	if s.Began.IsZero() {
		s.Began, s.PID = l.Started, l.PID
	}
	s.ElapsedSeconds = max(0, now.Sub(s.Began).Round(time.Millisecond).Seconds())
	s.ObjectsPerSecond, s.BytesPerSecond, s.ETASeconds = p.ObjectsPerSecond, p.BytesPerSecond, p.ETASeconds
	switch l.Stage {
	case "waiting":
		s.State, s.Cause = report.StateWaiting, &report.StopCause{Class: p.WaitingFor, Message: p.Why}
	case "paused":
		s.State, s.Cause = report.StateWaiting, &report.StopCause{Class: CausePaused, Message: p.Why}
	case "window":
		s.State, s.Cause = report.StateWaiting, &report.StopCause{Class: CauseWindow, Message: p.Why}
	}
	return s
}

// standing is where a job is in time that no process holds.
func (j *Job) standing(t *object.Totals) report.Standing {
	complete := t.PlanComplete && t.States[object.Remaining].Objects == 0
	r := j.readRun()
	switch {
	case r != nil && !r.Ended.IsZero():
		return r.standing(complete)
	case r != nil:
		return j.killed(r, complete)
	case complete:
		return report.Standing{State: report.StateFinished}
	case t.PlanComplete && t.States[object.Remaining].Objects == t.Planned.Objects:
		return report.Standing{State: report.StatePlanned}
	}
	return report.Standing{State: report.StateStopped}
}

// killed is what can be said of a process that could not say it itself.
func (j *Job) killed(r *lastRun, complete bool) report.Standing {
	s := r.standing(complete)
	seen := ""
	if l := j.lastLive(); l != nil && l.PID == r.PID && !l.Progress.At.Before(r.Began) {
		s.ElapsedSeconds = l.Progress.At.Sub(r.Began).Round(time.Millisecond).Seconds()
		s.ObjectsPerSecond, s.BytesPerSecond = l.Progress.ObjectsPerSecond, l.Progress.BytesPerSecond
		seen = ", last seen at " + l.Progress.At.UTC().Format(time.RFC3339)
	}
	if !complete {
		s.State = report.StateStopped
		s.Cause = &report.StopCause{Class: CauseKilled, Message: fmt.Sprintf("process %d ended without a word%s: killed (SIGKILL, out of memory), crashed, or the machine went down; "+
			"what was in flight is in doubt, and the next run asks about it first", r.PID, seen)}
	}
	return s
}
