package main

import (
	"cmp"
	"io"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

func newReport(a *app) *cobra.Command {
	var place placeFlags
	var output, keyPrefix string
	format := oneOf{allowed: []string{"csv", "json", "html", "table"}}
	states := words{allowed: []string{"done", "already", "left", "failed", "remaining"}}
	var reasons []string
	var evid evidenceFlags
	var shard shardFlag
	cmd := &cobra.Command{
		Use:   "report --job DIR",
		Short: "What happened to every object",
		Long: `report writes one row an object: what was done, how, what the store showed before and
after, and why an object was left or failed. It may be called while the job runs.

On a terminal it is a table; elsewhere CSV.`,
		Example: `  reseal report --job ~/jobs/bucket -o report.csv
  reseal report --job ~/jobs/bucket --state failed,left
  reseal report --job ~/jobs/bucket --format html -o report.html
  reseal report --job ~/jobs/bucket --evidence evidence/ --evidence-key-file officer.pem`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := evid.Validate(cmd.Flags().Changed); err != nil {
				return err
			}
			j, err := a.shardOfJob(cmd.Context(), &place, &shard)
			if err != nil {
				return err
			}
			if evid.dir != "" {
				return evid.write(cmd.Context(), a, j)
			}
			o := job.ReportOptions{Format: cmp.Or(format.value, "csv"), Name: flagOf, Filter: report.Filter{KeyPrefix: keyPrefix}}
			for _, w := range states.values {
				o.Filter.States = append(o.Filter.States, stateNamed(w))
			}
			for _, w := range reasons {
				o.Filter.Reasons = append(o.Filter.Reasons, object.Reason(w))
			}
			if width := terminalWidth(a.stdout); width > 0 && format.value == "" && output == "" {
				o.Format, o.Width = "table", width
			}
			if output == "" {
				return j.Report(cmd.Context(), a.stdout, o)
			}
			return a.writeOutput(output, func(w io.Writer) error { return j.Report(cmd.Context(), w, o) })
		},
	}
	place.AddFlags(cmd.Flags())
	shard.addOne(cmd.Flags())
	cmd.Flags().Var(&format, "format", "the form of the report (default csv; on a terminal table)")
	cmd.Flags().Var(&states, "state", "only objects in these states: done, already, left, failed, remaining")
	cmd.Flags().Var(&states, "only", "the same as --state")
	_ = cmd.Flags().MarkHidden("only") // how it was called before
	cmd.Flags().StringSliceVar(&reasons, "reason", nil, "only objects that were left or failed for these reasons")
	cmd.Flags().StringVar(&keyPrefix, "key", "", "only objects whose keys begin like this")
	evid.AddFlags(cmd)
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
