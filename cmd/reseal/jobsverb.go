package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// jobLine is what `jobs` says of one job.
type jobLine struct {
	Job    string      `json:"job"`
	Error  string      `json:"error,omitempty"`
	Status *job.Status `json:"status,omitempty"`
}

func newJobs(a *app) *cobra.Command {
	var place placeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "jobs DIR | s3://BUCKET[/PREFIX]",
		Short:   "The jobs below a place, a line each",
		Example: "  reseal jobs ~/jobs\n  reseal jobs s3://state/jobs",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return unusable("jobs: a directory is missing", "name the directory that the jobs lie below, or s3://BUCKET[/PREFIX]")
			}
			place.dir = args[0]
			below := jobsBelow
			if strings.HasPrefix(args[0], "s3://") {
				below = jobsInBucket
			}
			lines, err := below(cmd.Context(), &place)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"jobs": lines})
			}
			return a.printJobs(lines)
		},
	}
	place.addReached(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

// jobsBelow finds the jobs in dir and in its folders. One that cannot be read is
// told of, and hides none of the others.
func jobsBelow(_ context.Context, below *placeFlags) ([]jobLine, error) {
	if _, err := below.connection(); err != nil {
		return nil, err
	}
	dir := below.dir
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unusableBecause(err, "the directory "+dir, "name the directory that the jobs lie below")
	}
	places := []string{dir}
	for _, e := range entries {
		place := filepath.Join(dir, e.Name())
		if info, err := os.Stat(place); err == nil && info.IsDir() { // or a link to one
			places = append(places, place)
		}
	}
	lines := []jobLine{}
	for _, place := range places {
		line := jobLine{Job: place}
		switch _, err := os.Lstat(filepath.Join(place, "job.json")); {
		case errors.Is(err, fs.ErrNotExist):
			if _, err := os.Lstat(filepath.Join(place, "checkpoint")); err == nil {
				line.Error = "it has a checkpoint, and its job.json is missing; restore that file"
				lines = append(lines, line)
			}
			continue
		case err != nil: // it may be a job
			line.Error = err.Error()
			lines = append(lines, line)
			continue
		}
		j, err := job.Open(place)
		if err == nil {
			line.Status, err = j.Status()
		}
		if err != nil && (line.Status == nil || !errors.Is(err, job.ErrNone)) {
			line.Error = err.Error()
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// jobsInBucket is jobsBelow of a place in a bucket.
func jobsInBucket(ctx context.Context, below *placeFlags) ([]jobLine, error) {
	places, err := job.Below(ctx, below.dir, below.reached)
	if err != nil {
		return nil, err
	}
	lines := []jobLine{}
	for _, place := range places {
		line := jobLine{Job: place}
		j, err := job.OpenContext(ctx, place, below.reached)
		if err == nil {
			line.Status, err = j.Status()
			err = errors.Join(err, j.Close())
		}
		if err != nil {
			line.Error = err.Error()
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func (a *app) printJobs(lines []jobLine) error {
	w := table(a.stdout)
	fmt.Fprintln(w, "JOB\tSTATE\tPLANNED\tDONE\tALREADY\tLEFT\tFAILED\tREMAINING")
	for _, l := range lines {
		name := object.Printable(l.Job)
		if l.Error != "" {
			fmt.Fprintf(w, "%s\tcannot be read: %s\n", name, object.Printable(l.Error))
			continue
		}
		s := l.Status
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", name, oneWord(s), s.Planned, s.Done, s.Already, s.Left, s.Failed, s.Remaining)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}

// oneWord is where a job stands. What somebody has paused goes on only when somebody says
// so, which is not like waiting for a store.
func oneWord(s *job.Status) string {
	if s.State == report.StateWaiting && s.Cause != nil && s.Cause.Class == job.CausePaused {
		return "paused"
	}
	return s.State
}
