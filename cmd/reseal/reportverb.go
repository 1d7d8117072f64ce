package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

func newReport(a *app) *cobra.Command {
	var dir, output string
	format := oneOf{value: "csv", allowed: []string{"csv", "json", "html"}}
	only := words{allowed: []string{"done", "already", "left", "failed", "remaining"}}
	cmd := &cobra.Command{
		Use:   "report --job DIR",
		Short: "What happened to every object",
		Long: `report writes one row an object: what was done, how, what the store showed before and
after, and why an object was left or failed. It may be called while the job runs.`,
		Example: `  reseal report --job ~/jobs/bucket -o report.csv
  reseal report --job ~/jobs/bucket --only failed,left
  reseal report --job ~/jobs/bucket --format html -o report.html`,
		Args: atMost(0),
		RunE: func(*cobra.Command, []string) error {
			j, err := existingJob(dir)
			if err != nil {
				return err
			}
			points, _, err := openReader(j)
			if err != nil {
				return err
			}
			defer points.Close()
			r := &reporter{job: j, points: points, format: format.value}
			for _, w := range only.values {
				r.only = append(r.only, stateNamed(w))
			}
			if output == "" || output == "-" {
				return r.write(a.stdout)
			}
			return writeAtomically(output, r.write)
		},
	}
	addJobDir(cmd.Flags(), &dir)
	cmd.Flags().Var(&format, "format", "the form of the report")
	cmd.Flags().Var(&only, "only", "only objects in these states: done, already, left, failed, remaining")
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to a file, which appears only when it is whole")
	return cmd
}

func stateNamed(word string) object.State {
	for s := object.Remaining; s < object.NumStates; s++ {
		if s.String() == word {
			return s
		}
	}
	return object.Remaining
}

// reporter writes one job in one form.
type reporter struct {
	job    *job
	points *checkpoint.Store
	format string
	only   []object.State
}

func (r *reporter) write(w io.Writer) error {
	rows := report.Rows(r.points.Rows).Only(r.only...)
	switch r.format {
	case "json":
		return report.WriteJSON(w, rows)
	case "html":
		t := r.points.Totals()
		return report.WriteHTML(w, r.page(&t), rows)
	}
	return report.WriteCSV(w, rows)
}

// writeAtomically lets a file appear only when it was written to its end; what
// stood there before stays until then.
func writeAtomically(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return unusableBecause(err, "the output "+path, "name a file in a directory that you can write to")
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	buffered := bufio.NewWriterSize(f, 64<<10)
	if err := write(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// page is the job's description above the rows.
func (r *reporter) page(t *object.Totals) *report.Page {
	spec := &r.job.File.Spec
	p := &report.Page{Title: "reseal: " + spec.Source.String(), Made: time.Now(), Summary: report.Summarize(r.job.Dir, t, r.points.Row)}
	add := func(name, value string) {
		if value != "" {
			p.Facts = append(p.Facts, report.Fact{Name: name, Value: value})
		}
	}
	add("Job", r.job.File.ID)
	add("Job directory", r.job.Dir)
	add("Begun", r.job.File.Created.Format(time.RFC3339))
	add("Source", spec.Source.String())
	add("Target", spec.Target.describe())
	for _, f := range spec.fields() {
		if f.flag != "SOURCE" && f.flag != "--sse" {
			add(f.flag, f.value)
		}
	}
	return p
}
