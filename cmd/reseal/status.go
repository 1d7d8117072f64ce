package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

func newStatus(a *app) *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status --job DIR",
		Short: "Where a job stands; safe while it runs",
		Args:  atMost(0),
		RunE: func(*cobra.Command, []string) error {
			s, err := readStatus(dir)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(s)
			}
			return a.printStatus(s)
		},
	}
	addJobDir(cmd.Flags(), &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

// status is what `status --json` prints: the summary's keys, whether a process is
// at work, and, while one is, what it tells of itself.
type status struct {
	*report.Summary
	Running bool  `json:"running"`
	Live    *live `json:"live,omitempty"`
	spec    *jobSpec
	totals  object.Totals
}

// existingJob is the job of a verb that only reads.
func existingJob(dir string) (*job, error) {
	if dir == "" {
		return nil, unusable("--job is missing", "name the job's directory")
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, unusableBecause(err, "the job directory", "name the directory of a job that was begun by `reseal plan` or `reseal run`")
	}
	j, err := readJob(dir)
	if err != nil {
		return nil, err
	}
	if j == nil {
		return nil, unusablef("name the directory of a job that was begun by `reseal plan` or `reseal run`", "there is no job in %s", dir)
	}
	return j, nil
}

// openReader opens the checkpoint beside a run that may go on; running says
// whether one does.
func openReader(j *job) (points *checkpoint.Store, running bool, err error) {
	points, err = checkpoint.OpenReadOnly(j.Dir, checkpoint.Options{})
	var locked *checkpoint.LockedError
	if errors.As(err, &locked) {
		points, err = checkpoint.OpenSnapshot(j.Dir, checkpoint.Options{})
		running = true
	}
	if err != nil {
		return nil, running, jobUnusable(err)
	}
	return points, running, nil
}

func readStatus(dir string) (*status, error) {
	j, err := existingJob(dir)
	if err != nil {
		return nil, err
	}
	points, running, err := openReader(j)
	if errors.Is(err, checkpoint.ErrNoStore) {
		return &status{Summary: report.Summarize(j.Dir, &object.Totals{}, nil), spec: &j.File.Spec}, nil
	}
	if err != nil {
		return nil, err
	}
	defer points.Close()
	s := &status{totals: points.Totals(), Running: running, spec: &j.File.Spec}
	s.Summary = report.Summarize(j.Dir, &s.totals, points.Row)
	s.Resumed = true
	if running {
		if s.Live, err = readLive(j, time.Now()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (a *app) printStatus(s *status) error {
	w := table(a.stdout)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("job", "%s", s.Job)
	line("source", "%s", &s.spec.Source)
	line("target", "%s", s.spec.Target.describe())
	line("state", "%s", s.state())
	planned := ""
	if !s.totals.PlanComplete {
		planned = " so far"
	}
	line("planned", "%s%s", objectsAndBytes(s.totals.Planned), planned)
	if s.Live != nil {
		s.Live.describe(line)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return s.WriteText(a.stdout)
}

func (s *status) state() string {
	switch {
	case s.Running && s.Live != nil:
		return fmt.Sprintf("running (process %d, %s)", s.Live.PID, s.Live.Stage)
	case s.Running:
		return "running"
	case s.Complete && s.Left+s.Failed == 0:
		return "complete: every object is as wanted"
	case s.Complete:
		return "complete: " + objects(s.Left) + " left, " + objects(s.Failed) + " failed"
	case s.Planned == 0 && !s.totals.PlanComplete:
		return "begun, nothing planned yet"
	}
	return fmt.Sprintf("stopped; `reseal run --job %s` goes on", s.Job)
}

// describe adds what a running process tells.
func (l *live) describe(line func(name, format string, args ...any)) {
	line("progress", "%s", l.Progress.Line())
	rate := fmt.Sprintf("%.0f requests/s", l.PaceState.Rate)
	if l.PaceState.Allowed > 0 {
		rate += fmt.Sprintf(" of %.0f allowed", l.PaceState.Allowed)
	}
	if l.PaceState.Detail != "" && l.Stage != "window" {
		rate += "; " + l.PaceState.Detail
	}
	line("pace", "%s", rate)
	line("in flight", "%d of %s", l.PaceState.InFlight, report.Count(uint64(l.PaceState.Concurrency), "request"))
	if l.Window != "" {
		word := "closes"
		if l.Stage == "window" {
			word = "opens"
		}
		line("window", "%s, %s %s", l.Window, word, l.NextWindow.Format(time.RFC3339))
	}
}

func objectsAndBytes(t object.Tally) string {
	return objects(t.Objects) + ", " + humanize.IBytes(uint64(max(0, t.Bytes)))
}

// describe is the target in a few words.
func (t *targetSpec) describe() string {
	s := t.SSE.String()
	switch {
	case t.KMSKeyID != "":
		s += " under " + t.KMSKeyID
	case t.KMSDefaultKey:
		s += " under the store's default key"
	case t.CustomerKey != "":
		s += " under " + t.CustomerKey
	}
	if t.DestBucket != "" {
		s += ", to s3://" + t.DestBucket + "/" + t.DestPrefix
	}
	return s
}
