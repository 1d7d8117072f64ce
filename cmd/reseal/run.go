package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

func newRun(a *app) *cobra.Command {
	var f jobFlags
	var shard shardFlag
	cmd := &cobra.Command{
		Use:   "run [SOURCE…] --sse TYPE --job DIR",
		Short: "Plan and do it; the same command again, or `reseal run --job DIR`, resumes",
		Long: `run finds the objects of SOURCE, brings each under the target by the cheapest safe
operation, proves it, and remembers it in the job directory. Killed at any instant, the
same command takes up exactly the rest. What the job was begun with is frozen; how fast
and how long it works is said anew at each run. SOURCE may be a local folder, which is
uploaded to --dest; and --dest may be one, which SOURCE is downloaded to.`,
		Example: `  reseal run s3://bucket/prefix --sse aws:kms --sse-kms-key-id KEY --job ~/jobs/bucket
  reseal run ./photos --dest s3://bucket/photos --sse aws:kms --sse-kms-key-id KEY --job ~/jobs/photos
  reseal run --job ~/jobs/bucket --window 22:00-06:00 --max-requests-per-second 500`,
		RunE: func(cmd *cobra.Command, args []string) error {
			j, limits, err := f.Validate(cmd, args)
			if err != nil {
				return err
			}
			whole := j
			if j, err = shard.of(whole); err != nil {
				return errors.Join(err, whole.Close())
			}
			a.reached = f.reached
			return a.run(cmd.Context(), &f, j, limits, &shard)
		},
	}
	f.AddFlags(cmd.Flags())
	f.how.AddRunFlags(cmd.Flags())
	shard.addRun(cmd.Flags())
	return cmd
}

// run does a job, or goes on with it, and tells those who asked how it ended.
func (a *app) run(ctx context.Context, f *jobFlags, j *job.Job, limits job.Limits, shard *shardFlag) (err error) {
	defer func() { err = errors.Join(err, j.Close()) }()
	events, err := a.openEvents(f.how.events, j.Dir)
	if err != nil {
		return err
	}
	sum, err := a.work(ctx, f, j, limits, events, shard)
	code := exitCode(err)
	events.end(sum, err, code, a.stderr)
	a.onExit(f.how.onExit, j.Dir, sum, code)
	return err
}

// work does what run is asked for, and says what came of it.
func (a *app) work(ctx context.Context, f *jobFlags, j *job.Job, limits job.Limits, events *eventLog, shard *shardFlag) (*report.Summary, error) {
	opt, end := a.options(j.Dir, &f.out, limits)
	defer end()
	events.follow(&opt)
	opt.Free, opt.Await = shard.text == shardAny, shard.text == shardAuto
	endPage, err := a.serveFrom(f.how.ui, j)
	if err != nil {
		return nil, err
	}
	defer endPage()
	sum, cause := j.Run(ctx, opt)
	end() // the bar goes before the result comes
	if sum == nil {
		return nil, cause
	}
	inOurWords(sum.Cause)
	if err := a.printSummary(f, sum, j); err != nil {
		cause = cmp.Or(cause, err)
	}
	switch {
	case errors.Is(cause, engine.ErrMaxFailures), errors.Is(cause, job.ErrStopAfter):
		return sum, &onPurposeError{what: cause.Error(), fix: fmt.Sprintf("`reseal run %s` goes on", a.again(j.Dir))}
	case cause != nil:
		return sum, cause
	case sum.Left+sum.Failed > 0:
		return sum, &someError{left: sum.Left, failed: sum.Failed, fix: fmt.Sprintf("`reseal report %s` names them", a.again(j.Dir))}
	}
	return sum, unreadOf(j)
}

// options are what this process brings to a job: its console, its signals, its
// standard input. end is called when the work is over.
func (a *app) options(dir string, out *outputFlags, limits job.Limits) (o job.Options, end func()) {
	console := &console{w: a.stderr}
	var ends []func()
	endBeginning := console.beginning(dir, out)
	m := &metricsBox{}
	o = job.Options{Limits: limits, Log: out.log(console), LogFile: out.logFile, Observers: []engine.Observer{m}, Committed: m.committed,
		Stop: a.drain.takeOver(), Stdin: a.stdin, Version: readVersion().Version, Again: a.again}
	o.Watch = func(r *job.Running) (end func(), err error) {
		if endBeginning(); len(ends) > 0 {
			return func() {}, nil // another shard of the same job
		}
		endMetrics, err := m.serve(out.metricsAddr, r)
		if err != nil {
			return nil, err
		}
		endProgress := console.showProgress(r.Progress, out)
		endAnswer := a.drain.answer(console, out, r)
		end = func() { endAnswer(); endProgress(); endMetrics() }
		if !r.OfShards {
			return end, nil
		}
		ends = append(ends, sync.OnceFunc(end))
		return func() {}, nil
	}
	return o, func() {
		endBeginning()
		for _, end := range ends {
			end()
		}
	}
}

// printSummary is the result of run on standard output.
func (a *app) printSummary(f *jobFlags, sum *report.Summary, j *job.Job) error {
	switch {
	case f.how.events == "-":
		return nil // it is the last event
	case f.out.json:
		return a.printJSON(sum)
	}
	if err := sum.WriteText(a.stdout); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	if !sum.Complete || sum.Planned == 0 {
		return nil
	}
	return a.printNext(j, sum)
}

// printNext says what a person does after a run that came to its end.
func (a *app) printNext(j *job.Job, sum *report.Summary) error {
	w, again := table(a.stdout), a.again(j.Dir)
	fmt.Fprintf(w, "next:\treseal verify %s\tasks the store again, object by object\n", again)
	fmt.Fprintf(w, "\treseal report %s\tsays what happened to every object\n", again)
	if sum.OldVersions.Objects > 0 && !j.Spec.Target.ClientSide.Given() { // of envelopes prune proves nothing
		fmt.Fprintf(w, "\treseal prune %s\tsays which old versions may go, and deletes none without --yes\n", again)
	}
	if b := j.Spec.Source.Bucket; b != "" && !object.IsAccessPoint(b) && j.Spec.Target.DestBucket == "" && j.Spec.Target.DestFolder == "" {
		fmt.Fprintf(w, "\treseal bucket-encryption get s3://%s%s\tshows what new objects are put under\n", b, reachWords(j.Spec.Connection))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}
