package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// verifyFlags are what verify takes besides the job.
type verifyFlags struct {
	place      placeFlags
	output     string
	shard      shardFlag
	noVersions bool
	target     targetFlags // the places of customer keys only
	how        howFlags
	out        outputFlags
}

func newVerify(a *app) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify --job DIR",
		Short: "Ask the store again, object by object, and compare with the report",
		Long: `verify asks the store about every object of the job, by its own code, and compares the
answer with the report. Then it looks at every object and version that lies under the
source now, and says which of them still depend on another key than the job's: the
question to ask before an old key is disabled. A HEAD shows an object under a key that is
disabled, or about to be deleted, like any other: one is read, and a warning tells of it.

Exit code 0: every object of the job is as wanted, and as the report says, and everything
was looked at. Exit code 1 tells what was verified, and what could not be looked at.`,
		Example: "  reseal verify --job ~/jobs/bucket -o differences.csv",
		Args:    atMost(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.verify(cmd, &f) },
	}
	set := cmd.Flags()
	f.place.AddFlags(set)
	f.shard.addOne(set)
	set.StringVarP(&f.output, "output", "o", "", "write every difference, and every object and version under another key, to a CSV file")
	set.BoolVar(&f.noVersions, "no-dependents", false, "do not look for objects and versions under other keys")
	set.StringVar(&f.target.keyFile, "sse-c-key-file", "", "where the job's new customer key is now")
	f.target.addSourceKeyFlag(set)
	f.target.addClientSideKeyFlags(set)
	f.how.AddPaceFlags(set)
	f.out.AddFlags(set)
	return cmd
}

func (a *app) verify(cmd *cobra.Command, f *verifyFlags) error {
	j, err := a.shardOfJob(cmd.Context(), &f.place, &f.shard)
	if err != nil {
		return err
	}
	if err := j.KeyFiles(f.target.keyFile, f.target.sourceKeyFiles, f.target.cse.KeyFile, f.target.cse.SourceKeyFile); err != nil {
		return err
	}
	limits, err := f.how.Limits()
	if err != nil {
		return err
	}
	o := job.VerifyOptions{Options: job.Options{Limits: limits, Log: f.out.log(a.stderr), Version: readVersion().Version}, NoDependents: f.noVersions}
	var v *job.Verdict
	work := func(w io.Writer) (err error) {
		o.Findings = w
		v, err = j.Verify(cmd.Context(), o)
		return err
	}
	if f.output != "" {
		err = a.writeOutput(f.output, work)
	} else {
		err = work(nil)
	}
	if err != nil {
		return err
	}
	return a.conclude(f, v)
}

func (a *app) conclude(f *verifyFlags, d *job.Verdict) error {
	if f.out.json {
		if err := a.printJSON(d); err != nil {
			return err
		}
	} else if err := a.printVerdict(d, f.noVersions); err != nil {
		return err
	}
	switch {
	case d.OK:
		return nil
	case d.Different+d.Gone+d.NotDone == 0:
		return &unreadError{"the verification is not complete", d.Unread}
	}
	return &notVerifiedError{d, a.again(d.Job)}
}

// notVerifiedError ends a verification that found something: exit code 3.
type notVerifiedError struct {
	*job.Verdict
	again string // names the job on a further command line
}

func (e *notVerifiedError) Error() string {
	text := fmt.Sprintf("%d different, %d gone, %d never done; `reseal verify %s -o FILE` and `reseal report %s` name them",
		e.Different, e.Gone, e.NotDone, e.again, e.again)
	if e.Unread != "" {
		text += "; and there may be more: " + object.Printable(e.Unread)
	}
	return text
}

func (a *app) printVerdict(d *job.Verdict, noVersions bool) error {
	w := table(a.stdout)
	for _, row := range []struct {
		name, note string
		n          uint64
	}{{"verified", "the store shows what the report says", d.Verified}, {"changed since", "by somebody else, and as wanted", d.Changed},
		{"gone", "done once, not there any more", d.Gone}, {"different", "not as the report says", d.Different}, {"not done", "left, failed or remaining in the report", d.NotDone}} {
		if row.n > 0 || row.name == "verified" {
			fmt.Fprintf(w, "%s\t%s\t%s\n", row.name, humanize.Comma(int64(row.n)), row.note)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	for _, e := range d.Examples {
		fmt.Fprintf(a.stdout, "  %s: %s\n", object.Printable(e.Object), object.Printable(e.What))
	}
	for _, why := range d.KeyUnusable {
		fmt.Fprintf(a.stdout, "Warning: %s\n", object.Printable(why))
	}
	if d.Unread != "" {
		fmt.Fprintf(a.stdout, "Not everything could be looked at: %s\n", object.Printable(d.Unread))
	}
	if d.ClientSide > 0 {
		fmt.Fprintf(a.stdout, "%s may depend on other keys by client-side encryption, which is not looked at here: ask `reseal who-needs KEY` of each\n", report.Count(d.ClientSide, "version"))
	}
	switch {
	case noVersions, d.Unread != "" && len(d.Dependents) == 0:
	case d.Dependents == nil: // the job is about something else
		fmt.Fprintln(a.stdout, "What else lies under the source, and under which keys, was not looked at: `reseal who-needs KEY` tells what depends on one.")
	case len(d.Dependents) == 0 && d.ClientSide > 0:
		fmt.Fprintln(a.stdout, "Under the source nothing else depends on another key or encryption any more.")
	case len(d.Dependents) == 0:
		fmt.Fprintln(a.stdout, "Under the source nothing depends on another key or encryption any more.")
	default:
		fmt.Fprintln(a.stdout, "Still under another encryption or key; their keys have to stay usable:")
		w := table(a.stdout)
		for _, g := range d.Dependents {
			fmt.Fprintf(w, "  %s\t%s\t%s current\t%s noncurrent\t%s\n", g.Encryption, cmp.Or(object.Printable(g.KMSKeyID), "-"),
				humanize.Comma(int64(g.Current)), humanize.Comma(int64(g.Noncurrent)), humanize.IBytes(uint64(max(0, g.Bytes))))
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("writing to standard output: %w", err)
		}
	}
	return nil
}
