package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
)

// pruneFlags are what prune takes besides the job.
type pruneFlags struct {
	place     placeFlags
	output    string
	yes       bool
	versions  oneOf
	markers   bool
	selection selectionFlags
	target    targetFlags // the places of customer keys only
	how       howFlags
	out       outputFlags
}

func newPrune(a *app) *cobra.Command {
	var f pruneFlags
	cmd := &cobra.Command{
		Use:   "prune --job DIR [--yes]",
		Short: "Delete the old versions that this job's copies left behind, once proved",
		Long: `prune deletes the versions that this job's own copies left behind under their old
encryption, each by its exact version ID. Without --yes it changes nothing, and says what
would be deleted and what not.

A version goes only where the store shows, twice, that the current version is the one that
this job wrote, encrypted as it was meant to be; that the version below it is the one that
was planned and copied; and that no retention and no hold locks it. Where another client has
written or deleted the object since, nothing of it is touched. Killed at any instant, the
same command goes on.

With --versions noncurrent it takes the noncurrent versions under the job's source that the
selection flags choose, whoever made them. One goes only where the store shows, twice, that
the object's current version is another one and under the job's target, and that nothing
locks the old one. What is under the target's own key is never taken.`,
		Example: `  reseal prune --job ~/jobs/bucket -o prune.csv          # says what would be deleted
  reseal prune --job ~/jobs/bucket --yes -o prune.csv    # deletes it
  reseal prune --job ~/jobs/bucket --versions noncurrent --only-encryption none   # old versions that nobody encrypted`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.prune(cmd, &f) },
	}
	set := cmd.Flags()
	f.place.AddFlags(set)
	set.BoolVar(&f.yes, "yes", false, "delete; without it nothing is changed")
	f.versions = oneOf{allowed: []string{"noncurrent"}}
	set.Var(&f.versions, "versions", "take the noncurrent versions that are selected, and not those that copies of the job left behind")
	set.BoolVar(&f.markers, "deleted-objects", false, "with --versions noncurrent: also the versions of objects that were deleted, of which nothing is left then")
	f.selection.addObjectFlags(set)
	set.StringVarP(&f.output, "output", "o", "", "write one row a version to a CSV file")
	set.StringVar(&f.target.keyFile, "sse-c-key-file", "", "where the job's new customer key is now")
	f.target.addSourceKeyFlag(set)
	f.how.AddPaceFlags(set)
	f.out.AddFlags(set)
	return cmd
}

func (a *app) prune(cmd *cobra.Command, f *pruneFlags) error {
	j, err := a.existingJob(cmd.Context(), &f.place)
	if err != nil {
		return err
	}
	if err := j.KeyFiles(f.target.keyFile, f.target.sourceKeyFiles, "", ""); err != nil {
		return err
	}
	limits, err := f.how.Limits()
	if err != nil {
		return err
	}
	o := job.PruneOptions{OverMarkers: f.markers, Options: job.Options{Limits: limits, Log: f.out.log(a.stderr), Version: readVersion().Version}, Delete: f.yes}
	if err := f.choose(cmd, &o); err != nil {
		return err
	}
	var done *job.Pruned
	var cause error // the rows of what was done until then are worth having
	work := func(w io.Writer) error {
		o.Rows = w
		if done, cause = j.Prune(cmd.Context(), o); done == nil {
			return cause // and a file of an earlier prune stays
		}
		return nil
	}
	if f.output == "" {
		err = work(nil)
	} else {
		err = a.writeOutput(f.output, work)
	}
	if err != nil {
		return err
	}
	if f.out.json {
		err = a.printJSON(done)
	} else {
		err = a.printPruned(done)
	}
	switch {
	case cause != nil:
		return cause
	case err != nil:
		return err
	case done.Kept+done.Failed > 0:
		return &keptError{done, a.again(done.Job)}
	}
	return nil
}

// choose sets what is to be looked at. Selecting among versions that copies of the job left
// behind has no meaning yet.
func (f *pruneFlags) choose(cmd *cobra.Command, o *job.PruneOptions) error {
	if f.versions.value == "noncurrent" {
		if what := f.selection.idle(cmd); what != "" { // others are warned; this one deletes
			return unusable(what, onlyThese+", or leave it out")
		}
		chosen := f.selection.Selection()
		o.Noncurrent = &chosen
		return nil
	}
	for _, name := range selectionNames {
		if cmd.Flags().Changed(name) {
			return unusable("--"+name+" was given without --versions noncurrent", "add that, or leave it out")
		}
	}
	if f.markers {
		return unusable("--deleted-objects was given without --versions noncurrent", "add that, or leave it out")
	}
	return nil
}

// keptError ends a prune that left versions where they are: exit code 3.
type keptError struct {
	*job.Pruned
	again string // names the job on a further command line
}

func (e *keptError) Error() string {
	return fmt.Sprintf("%s not touched, %d refused by the store; `reseal prune %s -o FILE` names them", plural(e.Kept, "old version"), e.Failed, e.again)
}

func (a *app) printPruned(d *job.Pruned) error {
	w := table(a.stdout)
	whose := "that copies of this job left behind"
	if d.Noncurrent {
		whose = "noncurrent, and selected"
	}
	size := humanize.IBytes(uint64(max(0, d.Bytes)))
	for _, row := range []struct {
		name string
		n    uint64
		note string
		show bool
	}{
		{"old versions", d.Versions, whose, true},
		{"would be deleted", d.WouldDelete, size, d.Dry},
		{"deleted", d.Deleted, deletedNote(d, size), d.Deleted > 0 || !d.Dry},
		{"gone", d.Gone, "deleted by somebody else", d.Gone > 0},
		{"not touched", d.Kept, "", d.Kept > 0},
		{"refused", d.Failed, "by the store", d.Failed > 0},
	} {
		if row.show {
			fmt.Fprintf(w, "%s\t%s\t%s\n", row.name, humanize.Comma(int64(row.n)), row.note)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(d.Reasons)) {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", object.Printable(reason), humanize.Comma(int64(d.Reasons[reason])), example(d, reason))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	if !d.Dry || d.WouldDelete == 0 || !d.Complete {
		return nil
	}
	how := fmt.Sprintf("`reseal prune %s --yes`", a.again(d.Job))
	if d.Noncurrent {
		how = "the same command with --yes"
	}
	_, err := fmt.Fprintf(a.stdout, "nothing was changed. %s deletes %s, for good\n", how, plural(d.WouldDelete, "version"))
	return err
}

func deletedNote(d *job.Pruned, size string) string {
	if d.Dry {
		return "by earlier prunes of this job"
	}
	if d.Earlier > 0 {
		size += ", " + humanize.Comma(int64(d.Earlier)) + " of them by earlier prunes"
	}
	return size
}

// example is one of a reason.
func example(d *job.Pruned, reason string) string {
	for _, e := range d.Examples {
		if len(e.What) > len(reason) && e.What[:len(reason)] == reason {
			return object.Printable(e.Object + e.What[len(reason):])
		}
	}
	return ""
}
