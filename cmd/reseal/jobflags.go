package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/job"
)

// jobFlags are what plan and run take: the whole of a job.
type jobFlags struct {
	dir       string
	reached   job.Connection // how the bucket is reached that the job lies in
	source    sourceFlags
	target    targetFlags
	selection selectionFlags
	conn      connection
	dest      destConnection
	how       howFlags
	out       outputFlags
}

func (f *jobFlags) AddFlags(set *pflag.FlagSet) {
	addJobDir(set, &f.dir)
	f.source.AddFlags(set)
	f.source.addAllBuckets(set)
	f.source.addPair(set)
	f.target.AddFlags(set)
	f.selection.AddFlags(set)
	f.conn.AddFlags(set)
	f.dest.AddFlags(set)
	f.how.AddPlanFlags(set)
	f.how.AddPaceFlags(set)
	f.out.AddFlags(set)
}

func addJobDir(set *pflag.FlagSet, dir *string) {
	set.StringVar(dir, "job", "", "the job's directory, or its place in a bucket: s3://BUCKET/PREFIX")
}

// Validate understands the command line against the job directory, and takes up
// the job that is there or prepares a new one. It writes nothing but a probe of the
// directory.
func (f *jobFlags) Validate(cmd *cobra.Command, args []string) (*job.Job, job.Limits, error) {
	if f.dir == "" {
		return nil, job.Limits{}, f.missing(cmd, args)
	}
	f.reached = f.conn.Connection
	existing, err := job.OpenContext(cmd.Context(), f.dir, f.conn.Connection)
	if err != nil && !errors.Is(err, job.ErrNone) {
		return nil, job.Limits{}, err
	}
	var recorded *job.Policy
	if existing != nil {
		defer existing.Close() // Create takes it up
		args = f.fill(&existing.Spec, args, cmd.Flags().Changed)
		recorded = &existing.Policy
	}
	var spec job.Spec
	if spec.Source, err = f.source.Source(args); err != nil {
		return nil, job.Limits{}, err
	}
	if !spec.Source.Given() {
		return nil, job.Limits{}, unusablef("name SOURCE and --sse to begin one", "%s: there is no job in %s", cmd.Name(), f.dir)
	}
	if spec.Target, err = f.target.Target(); err != nil {
		return nil, job.Limits{}, err
	}
	f.selection.warn(cmd, &f.out)
	spec.Selection, spec.Connection, spec.DestConnection = f.selection.Selection(), f.conn.Connection, f.dest.Spec()
	limits, err := f.how.Limits()
	if err != nil {
		return nil, limits, err
	}
	j, err := job.CreateContext(cmd.Context(), f.dir, spec, f.how.Policy(recorded))
	return j, limits, asTyped(err, f.reached)
}

// missing tells all that a new job lacks at once.
func (f *jobFlags) missing(cmd *cobra.Command, args []string) error {
	given := cmd.Flags().Changed
	source := len(args) > 0 || given("manifest") || given("all-buckets")
	target := given("sse") || destFolder(f.target.dest) || given("cse-kms-key-id") || given("cse-key-file") || given("client-side")
	switch {
	case source && target:
		return unusable(cmd.Name()+": --job is missing", "name a directory for the job with --job DIR; it will be created")
	case source:
		return unusable(cmd.Name()+": --job and --sse are missing", "name a directory for the job with --job DIR (it will be created), and what to encrypt with by --sse")
	case target:
		return unusable(cmd.Name()+": --job and SOURCE are missing", "name a directory for the job with --job DIR (it will be created), and what to work on as s3://BUCKET[/PREFIX] or with --manifest")
	}
	return unusable(cmd.Name()+": --job, SOURCE and --sse are missing",
		"begin a job with s3://BUCKET[/PREFIX] --sse TYPE --job DIR (the directory will be created), or go on with one by --job DIR alone")
}

// asTyped makes another job's refusal speak of the command line.
func asTyped(err error, reached job.Connection) error {
	var other *job.DifferentError
	if !errors.As(err, &other) {
		return err
	}
	var diff []string
	for _, d := range other.Differences {
		diff = append(diff, fmt.Sprintf("%s: the job has %s, the command line %s", flagOf(d.Field), orNothing(d.Have), orNothing(d.Want)))
	}
	return unusablef(fmt.Sprintf("resume it with `reseal run %s`, or name another directory for a new job. They differ in\n  %s", jobWords(other.Dir, reached), strings.Join(diff, "\n  ")),
		"the job in %s is another one than the command line asks for", other.Dir)
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return fmt.Sprintf("%q", s)
}

// fill takes from an existing job what the command line did not say. A command
// line that names both SOURCE and what to bring it under is whole: what it leaves out of the
// selection and the target is meant to be left out.
func (f *jobFlags) fill(spec *job.Spec, args []string, given func(string) bool) []string {
	whole := (len(args) > 0 || given("manifest") || given("all-buckets")) && (given("sse") || given("cse-kms-key-id") || given("cse-key-file") || given("client-side") || destFolder(f.target.dest))
	f.conn.fill(&spec.Connection, given, whole)
	f.dest.fill(spec.DestConnection, given)
	if whole {
		return args
	}
	f.target.fill(&spec.Target, given)
	f.selection.fill(&spec.Selection, given)
	return f.source.fill(&spec.Source, args, given)
}
