package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/planner"
)

// auditFlags are what audit takes: a source, which objects of it, and how.
type auditFlags struct {
	source    sourceFlags
	target    targetFlags // the customer key of the objects only
	selection selectionFlags
	conn      connection
	how       howFlags
	out       outputFlags
	format    oneOf
	output    string
	sample    int
}

func newAudit(a *app) *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit SOURCE…",
		Short: "What is encrypted how, today; changes nothing",
		Long: `audit counts the objects of a bucket by encryption, KMS key, bucket key, storage class
and client-side envelope. It lists, and asks about each object unless the listing or the
manifest tells. --sample asks about so many only, and says how far off that can be. What
could not be asked about is counted as unknown, and the exit code is 1.`,
		Example: "  reseal audit s3://bucket\n  reseal audit s3://huge-bucket --sample 10000\n  reseal audit --manifest s3://inventory/bucket/config/ --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := f.Spec(cmd, args)
			if err != nil {
				return err
			}
			return a.audit(cmd.Context(), &f, spec)
		},
	}
	set := cmd.Flags()
	f.source.AddFlags(set)
	f.source.addAllBuckets(set)
	f.selection.AddFlags(set)
	f.conn.AddFlags(set)
	f.target.addSourceKeyFlag(set)
	f.how.AddPaceFlags(set)
	f.out.AddFlags(set)
	f.format = oneOf{value: "text", allowed: []string{"text", "json", "csv"}}
	set.Var(&f.format, "format", "the form of the result")
	set.StringVarP(&f.output, "output", "o", "", "write the result to a file")
	set.IntVar(&f.sample, "sample", 0, "ask about so many objects only, drawn at random; 0 for all")
	return cmd
}

// Spec is what is counted.
func (f *auditFlags) Spec(cmd *cobra.Command, args []string) (spec job.Spec, err error) {
	if spec.Source, err = f.source.Source(args); err != nil {
		return spec, err
	}
	if !spec.Source.Given() {
		return spec, errNoSource(cmd)
	}
	if err := refuseFolder(cmd.Name(), &spec.Source); err != nil {
		return spec, err
	}
	if f.out.json {
		f.format.value = "json"
	}
	f.selection.warn(cmd, &f.out)
	spec.Selection, spec.Connection = f.selection.Selection(), f.conn.Connection
	return spec, nil
}

func (a *app) audit(ctx context.Context, f *auditFlags, spec job.Spec) error {
	limits, err := f.how.Limits()
	if err != nil {
		return err
	}
	count := &counting{what: "objects counted"}
	o := job.AuditOptions{Options: job.Options{Limits: limits, Log: f.out.log(a.stderr), Stdin: a.stdin, Version: readVersion().Version},
		SourceKeyFiles: f.target.sourceKeyFiles, Sample: f.sample, Passed: func(rows int) { count.n.Add(int64(rows)) }}
	end := (&console{w: a.stderr}).showCount(count, &f.out)
	result, err := job.Audit(ctx, spec, o)
	end()
	if err != nil {
		return err
	}
	return a.printAudit(f, result)
}

func (a *app) printAudit(f *auditFlags, result *planner.Audit) error {
	write := func(w io.Writer) error {
		switch f.format.value {
		case "json":
			return writeJSON(w, result)
		case "csv":
			return result.WriteCSV(w)
		}
		return result.WriteText(w)
	}
	if f.output != "" {
		if err := a.writeOutput(f.output, write); err != nil {
			return err
		}
	} else if err := write(a.stdout); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	if why := cmp.Or(result.Unread, result.Unanswer); why != "" {
		a.printed = f.output == "" && f.format.value == "json"
		return &unreadError{"the audit is not complete", why}
	}
	return nil
}

// counting is progress of which only one number is known.
type counting struct {
	what string
	n    atomic.Int64
}
