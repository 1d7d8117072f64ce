package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
)

// submitFlags are what submit takes besides the job. Their names are those of the AWS CLI,
// where it has one.
type submitFlags struct {
	dir                    string
	to                     oneOf
	role, account          string
	manifestTo, reportTo   string
	priority               int
	yes, follow, cancelled bool
	prices                 string
	how                    howFlags
	out                    outputFlags
}

func newSubmit(a *app) *cobra.Command {
	f := submitFlags{to: oneOf{value: "batch-operations", allowed: []string{"batch-operations"}}}
	cmd := &cobra.Command{
		Use:   "submit --job DIR --role-arn ARN --manifest-to s3://BUCKET/PREFIX",
		Short: "Give the planned work to S3 Batch Operations, and follow it",
		Long: `submit gives to S3 Batch Operations what it can do of a planned job without a loss:
UpdateObjectEncryption, and copies of up to 5 GB. It says before what that costs and what is
left for ` + "`reseal run`" + `, writes the manifests, makes the jobs, and lets them begin once you confirm.

The same command with --job alone goes on where it was and follows the jobs to their end: it reads
their reports, asks the store about each object, and records what was done. Killed at any
instant, it makes no job twice. While jobs are under way ` + "`reseal run`" + ` is refused; afterwards it
does what they did not.`,
		Example: `  reseal plan s3://bucket --sse aws:kms --sse-kms-key-id ARN --job ~/jobs/bucket
  reseal submit --job ~/jobs/bucket --role-arn arn:aws:iam::111122223333:role/batch --manifest-to s3://control/reseal
  reseal status --job ~/jobs/bucket --watch
  reseal submit --job ~/jobs/bucket            # follows, and reads the reports
  reseal run --job ~/jobs/bucket               # the rest`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.submit(cmd.Context(), &f) },
	}
	set := cmd.Flags()
	addJobDir(set, &f.dir)
	set.Var(&f.to, "to", "who does the work")
	set.StringVar(&f.role, "role-arn", "", "the role that S3 Batch Operations assumes (iam-policy --for batch-operations prints what it needs)")
	set.StringVar(&f.manifestTo, "manifest-to", "", "s3://BUCKET/PREFIX for the manifests; under SSE-S3, since no job reads others")
	set.StringVar(&f.reportTo, "report-to", "", "s3://BUCKET/PREFIX for the completion reports; where the manifests are by default")
	set.IntVar(&f.priority, "priority", 0, "of the jobs, among those of the account; 10 by default. Given again, it changes that of jobs under way")
	set.StringVar(&f.account, "account-id", "", "the account whose jobs they are; that of the credentials by default")
	set.BoolVar(&f.yes, "yes", false, "let the jobs begin without being asked")
	set.BoolVar(&f.follow, "follow", false, "follow the jobs to their end; implied where they are under way")
	set.BoolVar(&f.cancelled, "cancel", false, "cancel the jobs that are under way, and read what they have done")
	set.StringVar(&f.prices, "prices", "", "a price list in the form of the built-in one, see the planner's prices.json")
	f.how.AddPaceFlags(set)
	f.out.AddFlags(set)
	return cmd
}

// restError ends a submit whose jobs have ended and have not done all: exit code 3.
type restError struct {
	rest uint64
	dir  string
}

func (e *restError) Error() string {
	return fmt.Sprintf("%s not done by S3 Batch Operations; `reseal run %s` does the rest", objects(e.rest), jobWords(e.dir, job.Connection{}))
}

func (a *app) submit(ctx context.Context, f *submitFlags) error {
	j, err := a.existingJob(ctx, &placeFlags{dir: f.dir})
	if err != nil {
		return err
	}
	o, err := a.submitOptions(f)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-o.Stop:
			fmt.Fprintln(a.stderr, "reseal: stopping; jobs that were made go on by themselves. The same command follows them again")
		case <-ended:
		}
	}()
	done, cause := j.Submit(ctx, o)
	if done == nil {
		return cause
	}
	if f.out.json {
		err = a.printJSON(done)
	} else {
		err = printSubmissions(a.stdout, done.Jobs)
	}
	if err != nil && cause == nil {
		return err
	}
	return submitEnd(done, cause)
}

// submitEnd is how a submit ends, and the command that comes next.
func submitEnd(d *job.Submitted, cause error) error {
	again := jobWords(d.Job, job.Connection{})
	run := fmt.Sprintf("`reseal run %s` does the rest", again)
	switch {
	case errors.Is(cause, job.ErrUnconfirmed):
		return &onPurposeError{what: "the jobs wait to be confirmed, and nothing is changed until then",
			fix: fmt.Sprintf("`reseal submit %s --yes` lets them begin, --cancel ends them", again)}
	case errors.Is(cause, job.ErrBatchCanceled):
		return &onPurposeError{what: fmt.Sprintf("%v, and %s remain", cause, objects(d.Remaining)), fix: run}
	case errors.Is(cause, job.ErrBatchFailed):
		why := ""
		for _, s := range d.Jobs {
			for _, r := range s.Reasons {
				why = " (" + r + ")"
			}
		}
		return fmt.Errorf("%w%s, and %s remain: see to the cause; %s, and the same submit command gives it to other jobs", cause, why, objects(d.Remaining), run)
	case errors.Is(cause, job.ErrNothingToGive) && d.Remaining == 0:
		return nil
	case errors.Is(cause, job.ErrNothingToGive):
		return unusable(cause.Error(), run)
	case cause != nil:
		return cause
	case d.Open == 0 && d.Remaining > 0:
		return &restError{d.Remaining, d.Job}
	}
	return nil
}

func (a *app) submitOptions(f *submitFlags) (o job.SubmitOptions, err error) {
	if o.ManifestTo, err = placeOf("--manifest-to", f.manifestTo); err != nil {
		return o, err
	}
	if o.ReportTo, err = placeOf("--report-to", f.reportTo); err != nil {
		return o, err
	}
	limits, err := f.how.Limits()
	if err != nil {
		return o, err
	}
	if o.Prices, err = pricesOf(f.prices); err != nil {
		return o, err
	}
	if f.priority < 0 {
		return o, unusable("--priority is not a number from 1 on", "leave it out, or give a higher one to a job that shall go first")
	}
	console := &console{w: a.stderr}
	o.Options = job.Options{Limits: limits, Log: f.out.log(console), LogFile: f.out.logFile, Stop: a.drain.takeOver(), Version: readVersion().Version}
	o.RoleARN, o.Priority, o.AccountID, o.Follow, o.Cancel = f.role, f.priority, f.account, f.follow, f.cancelled
	say := func(format string, args ...any) {
		if !f.out.quiet {
			fmt.Fprintf(console, format+"\n", args...)
		}
	}
	say("reseal: reading the job in %s", object.Printable(f.dir))
	o.Tell = func(order *job.SubmitOrder) { tellOrder(say, order) }
	o.Progress = tellProgress(say)
	o.Confirm = func(order *job.SubmitOrder) (bool, error) {
		if f.yes {
			return true, nil
		}
		return a.askPerson(fmt.Sprintf("let %s of S3 Batch Operations begin, on %s, for about %.2f %s?", plural(uint64(order.Jobs), "job"), objects(order.Objects), order.Cost(), order.Currency), o.Stop)
	}
	return o, nil
}

// placeOf reads s3://BUCKET[/PREFIX]; empty is no place.
func placeOf(flag, uri string) (p job.Place, err error) {
	if uri == "" {
		return p, nil
	}
	rest, ok := strings.CutPrefix(uri, "s3://")
	if p.Bucket, p.Prefix, _ = strings.Cut(rest, "/"); !ok || p.Bucket == "" {
		return p, unusable(flag+" "+uri+" is no place in S3", "give it as s3://BUCKET/PREFIX")
	}
	return p, nil
}

// askPerson asks the person at the terminal; where there is none, the answer is no. A
// signal ends the wait.
func (a *app) askPerson(question string, stop <-chan struct{}) (bool, error) {
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return false, nil
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // what ends it early is no yes
		answered <- line
	}()
	select {
	case line := <-answered:
		answer := strings.ToLower(strings.TrimSpace(line))
		return answer == "y" || answer == "yes", nil
	case <-stop:
		return false, job.ErrInterrupted
	}
}

// tellOrder says what is about to be made, and what it costs.
func tellOrder(say func(string, ...any), o *job.SubmitOrder) {
	say("to S3 Batch Operations: %s, %s, in %s: %s updates, %s copies", objects(o.Objects), humanize.IBytes(uint64(o.Bytes)), plural(uint64(o.Jobs), "job"),
		humanize.Comma(int64(o.Updates)), humanize.Comma(int64(o.Copies)))
	if n := o.LeftForRun(); n > 0 {
		say("left for reseal run: %s", objects(n))
		for _, why := range slices.Sorted(maps.Keys(o.ForRun)) {
			if why != string(job.ForRunDecided) {
				say("  %s %s", why, humanize.Comma(int64(o.ForRun[why])))
			}
		}
	}
	if o.Jobs == 0 {
		return
	}
	say("cost: about %.2f %s: %.2f for the jobs, %.2f for the objects in them, %.2f for requests (list prices; KMS, retrieval and storage are as `reseal plan` says)",
		o.Cost(), o.Currency, o.JobsCost, o.Tasks, o.Requests)
	say("proof: %s HEAD requests, when the jobs have ended", humanize.Comma(int64(o.Proofs)))
	if o.Copies > 0 {
		say("a copy has no condition on its destination: who writes an object in the very moment loses that write, or has it as an older version")
	}
}

// tellProgress says where a job stands, when that is new.
func tellProgress(say func(string, ...any)) func(*job.Submission) {
	last, at := map[int]string{}, map[int]time.Time{}
	return func(s *job.Submission) {
		if last[s.N] == s.Status && time.Since(at[s.N]) < 30*time.Second {
			return
		}
		last[s.N], at[s.N] = s.Status, time.Now()
		say("%s job %d (%s): %s, %s of %s done, %s failed", time.Now().Format(time.TimeOnly), s.N, s.ID, s.Status, humanize.Comma(s.Succeeded+s.Failed), objects(s.Objects), humanize.Comma(s.Failed))
	}
}

// printSubmissions is a line a job of S3 Batch Operations.
func printSubmissions(out io.Writer, jobs []*job.Submission) error {
	if len(jobs) == 0 {
		return nil
	}
	w := table(out)
	fmt.Fprintln(w, "JOB\tSTATE\tOPERATION\tOBJECTS\tSUCCEEDED\tFAILED\tDONE\tALREADY\tREMAINING\tID")
	for _, s := range jobs {
		state, read := s.Status, []string{"", "", ""}
		switch {
		case s.Withdrawn:
			state = "withdrawn"
		case s.ID == "":
			state = "not made yet"
		case state == "":
			state = "made"
		}
		if r := s.Read; r != nil {
			read = []string{fmt.Sprint(r.Done), fmt.Sprint(r.Already), fmt.Sprint(r.Remaining)}
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", s.N, state, s.Operation(), s.Objects, s.Succeeded, s.Failed, strings.Join(read, "\t"), s.ID)
	}
	for _, s := range jobs {
		fmt.Fprint(w, whyNot(s))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}

// whyNot is why a job failed, or its tasks: lines without columns.
func whyNot(s *job.Submission) (lines string) {
	for _, r := range s.Reasons {
		lines += fmt.Sprintf("job %d: %s\n", s.N, object.Printable(r))
	}
	if s.Read == nil {
		return lines
	}
	for _, code := range slices.Sorted(maps.Keys(s.Read.Codes)) {
		lines += fmt.Sprintf("job %d: %s failed with %s\n", s.N, objects(s.Read.Codes[code]), object.Printable(code))
	}
	if n := s.Read.Unproved; n > 0 {
		lines += fmt.Sprintf("job %d: %s succeeded by the report and not as wanted\n", s.N, objects(n))
	}
	return lines
}
