package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/s3store"
)

// verifyFlags are what verify takes besides the job.
type verifyFlags struct {
	dir, output string
	noVersions  bool
	target      targetFlags // the places of customer keys only
	how         howFlags
	out         outputFlags
}

func newVerify(a *app) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify --job DIR",
		Short: "Ask the store again, object by object, and compare with the report",
		Long: `verify asks the store about every object of the job, by its own code, and compares the
answer with the report. Then it looks at every object and version that lies under the
source now, and says which of them still depend on another key than the job's: the
question to ask before an old key is disabled.

Exit code 0: every object of the job is as wanted, and as the report says.`,
		Example: "  reseal verify --job ~/jobs/bucket -o differences.csv",
		Args:    atMost(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.verify(cmd, &f) },
	}
	set := cmd.Flags()
	addJobDir(set, &f.dir)
	set.StringVarP(&f.output, "output", "o", "", "write every difference, and every object and version under another key, to a CSV file")
	set.BoolVar(&f.noVersions, "no-dependents", false, "do not look for objects and versions under other keys")
	set.StringVar(&f.target.keyFile, "sse-c-key-file", "", "where the job's new customer key is now")
	f.target.addSourceKeyFlag(set)
	f.how.AddPaceFlags(set)
	f.out.AddFlags(set)
	return cmd
}

// verdict is what `verify --json` prints.
type verdict struct {
	Job string `json:"job"`
	// Checked rows of done and already objects, and what became of them: Verified as
	// the report says; Changed by somebody since, and as wanted all the same; Gone;
	// Different: not as the report says, and not as wanted, or unreadable.
	Checked   uint64 `json:"checked"`
	Verified  uint64 `json:"verified"`
	Changed   uint64 `json:"changed"`
	Gone      uint64 `json:"gone"`
	Different uint64 `json:"different"`
	// NotDone are the objects that the report itself calls left, failed or remaining.
	NotDone uint64 `json:"not_done"`
	// Dependents are the objects and versions under the source that the target does
	// not describe; absent where they were not looked for.
	Dependents []dependents `json:"dependents"`
	Examples   []difference `json:"examples,omitempty"`
	OK         bool         `json:"ok"`
}

func (a *app) verify(cmd *cobra.Command, f *verifyFlags) (err error) {
	j, err := existingJob(f.dir)
	if err != nil {
		return err
	}
	given := cmd.Flags().Changed
	spec := j.File.Spec
	f.target.fill(&spec.Target, given)
	if err := spec.Connection.Validate(); err != nil {
		return err
	}
	if spec.Target, err = f.target.Validate(&spec.Connection); err != nil {
		return err
	}
	if diff := j.File.Spec.differences(&spec); len(diff) > 0 {
		return unusablef("give the key file that the job was begun with", "the keys are others: %s", diff[0])
	}
	f.how.set = cmd.Flags()
	_, tempo, err := f.how.Validate(nil)
	if err != nil {
		return err
	}
	points, _, err := openReader(j)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, points.Close()) }()
	v, err := newVerifier(cmd.Context(), &spec, points, tempo.Limits())
	if err != nil {
		return err
	}
	defer v.store.Close()
	bucket, prefix := v.learnt.Bucket, spec.Source.Prefix
	if t := &spec.Target; t.DestBucket != "" {
		bucket, prefix = t.DestBucket, t.DestPrefix
	}
	if err := reach(cmd.Context(), v.store, bucket, prefix); err != nil {
		return err
	}
	if err := f.work(cmd.Context(), v); err != nil {
		return err
	}
	v.verdict.Job = j.Dir
	return a.conclude(f, v)
}

// work verifies the rows and looks for dependents, and writes the file of
// differences where one is asked for.
func (f *verifyFlags) work(ctx context.Context, v *verifier) error {
	do := func(w io.Writer) error {
		v.file(w)
		if err := v.rows(ctx); err != nil {
			return err
		}
		if !f.noVersions {
			if err := v.dependents(ctx); err != nil {
				return err
			}
		}
		return v.endFile()
	}
	if f.output == "" {
		return do(io.Discard)
	}
	return writeAtomically(f.output, do)
}

func newVerifier(ctx context.Context, spec *jobSpec, points *checkpoint.Store, limits pace.Limits) (*verifier, error) {
	if err := limits.Validate(); err != nil {
		return nil, unusableBecause(err, "the ceilings", "correct them")
	}
	data, found, err := points.Meta(metaLearnt)
	if err != nil || !found {
		return nil, errors.Join(err, unusable("the job has planned nothing yet", "begin it with `reseal run`"))
	}
	v := &verifier{spec: spec, points: points}
	if err := json.Unmarshal(data, &v.learnt); err != nil {
		return nil, fmt.Errorf("what the job learnt cannot be read: %w", err)
	}
	v.target = targetOf(spec, &v.learnt)
	v.dest = spec.Dest()
	if v.store, err = openStore(ctx, &spec.Connection, limits.Concurrency, 0); err != nil {
		return nil, err
	}
	v.workers = min(limits.Workers(), 64)
	v.reads = readsOf(v.store, pace.New(limits), nil)
	return v, nil
}

// readsOf sends single requests outside of a run: paced, and repeated as their
// class allows.
func readsOf(store *s3store.Store, p *pace.Pacer, o engine.Observer) *engine.Reads {
	s := engine.Store{Hot: store, Uploads: store, Details: store, Reader: store}
	return engine.NewReads(engine.Config{Store: s, Pace: p, Observer: o, Renew: func(ctx context.Context) error {
		store.Invalidate()
		_, _, _, _, err := store.Credentials(ctx)
		return err
	}})
}

func (a *app) conclude(f *verifyFlags, v *verifier) error {
	d := &v.verdict
	d.OK = d.Different == 0 && d.Gone == 0 && d.NotDone == 0
	if f.out.json {
		if err := a.printJSON(d); err != nil {
			return err
		}
	} else if err := a.printVerdict(d, f.noVersions); err != nil {
		return err
	}
	if d.OK {
		return nil
	}
	return &notVerifiedError{d}
}

// notVerifiedError ends a verification that found something: exit code 3.
type notVerifiedError struct{ *verdict }

func (e *notVerifiedError) Error() string {
	return fmt.Sprintf("%d different, %d gone, %d never done; `reseal verify --job %s -o FILE` and `reseal report --job %s` name them",
		e.Different, e.Gone, e.NotDone, e.Job, e.Job)
}

func (a *app) printVerdict(d *verdict, noVersions bool) error {
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
		fmt.Fprintf(a.stdout, "  %s: %s\n", e.Object, e.What)
	}
	switch {
	case noVersions:
	case len(d.Dependents) == 0:
		fmt.Fprintln(a.stdout, "Under the source nothing depends on another key or encryption any more.")
	default:
		fmt.Fprintln(a.stdout, "Still under another encryption or key; their keys have to stay usable:")
		w := table(a.stdout)
		for _, g := range d.Dependents {
			fmt.Fprintf(w, "  %s\t%s\t%s current\t%s noncurrent\t%s\n", g.Encryption, firstNonEmpty(g.KMSKeyID, "-"),
				humanize.Comma(int64(g.Current)), humanize.Comma(int64(g.Noncurrent)), humanize.IBytes(uint64(max(0, g.Bytes))))
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("writing to standard output: %w", err)
		}
	}
	return nil
}

// targetOf is what the objects of a job are to be like.
func targetOf(spec *jobSpec, l *learnt) object.Target {
	t := spec.Target.Target(l.Caps.Source == "aws")
	if l.KMSKeyID != "" {
		t.KMSKeyID = l.KMSKeyID
	}
	t.ShownKeyID = l.ShownKeyID
	return *t
}
