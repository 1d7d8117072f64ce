package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

func newStatus(a *app) *cobra.Command {
	var place placeFlags
	var shard shardFlag
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status --job DIR",
		Short: "Where a job stands; safe while it runs",
		Args:  atMost(0),
		Long: `status tells where a job stands: what is done, since when and how fast, and why it
stopped or waits. It writes nothing, and may be asked while the job runs. With
--watch it renews itself every two seconds until the job is at rest.`,
		Example: "  reseal status --job ~/jobs/bucket --watch",
		RunE: func(cmd *cobra.Command, _ []string) error {
			j, err := a.shardOfJob(cmd.Context(), &place, &shard)
			if err != nil {
				return err
			}
			show := func(w io.Writer) (*job.Status, error) { return a.showStatus(cmd.Context(), w, j, asJSON) }
			if watch {
				return a.watch(cmd.Context(), show)
			}
			_, err = show(a.stdout)
			return err
		},
	}
	place.AddFlags(cmd.Flags())
	shard.addOne(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	cmd.Flags().BoolVar(&watch, "watch", false, "renew it every two seconds until the job is at rest")
	return cmd
}

// status is a job and where it stands.
type status struct {
	*job.Status
	of *job.Job
	// unasked is why the jobs of S3 Batch Operations are shown as they were.
	unasked error
	// again names the job on a further command line.
	again string
}

// existingJob is the job of a verb that only reads. It is closed when the verb ends.
func (a *app) existingJob(ctx context.Context, place *placeFlags) (*job.Job, error) {
	if place.dir == "" {
		return nil, unusable("--job is missing", "name the job's directory")
	}
	c, err := place.connection()
	if err != nil {
		return nil, err
	}
	a.reached = c
	j, err := job.OpenContext(ctx, place.dir, c)
	if err == nil {
		a.opened = append(a.opened, j)
		j.OnReading(a.reading(j.Dir, readingTold))
	}
	return j, err
}

// readingTold is how often it is said how far the reading of a large job is.
const readingTold = 5 * time.Second

// reading says how far the reading of the state of all shards is, where it takes its time,
// and how it can be had sooner.
func (a *app) reading(dir string, every time.Duration) func(read, of int) {
	var mu sync.Mutex
	told := time.Now()
	return func(read, of int) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(told) >= every && read < of {
			told = time.Now()
			fmt.Fprintf(a.stderr, "reseal: reading the state of all shards of %s, %d of %d so far; --shard N reads one\n", object.Printable(dir), read, of)
		}
	}
}

// showStatus writes where the job stands now, in the words of the command line.
func (a *app) showStatus(ctx context.Context, w io.Writer, j *job.Job, asJSON bool) (*job.Status, error) {
	s, err := j.Status()
	if err != nil {
		return nil, err
	}
	unasked := askSubmitted(ctx, j, s)
	inOurWords(s.Cause)
	if asJSON {
		a.printed = true
		return s, writeJSON(w, s)
	}
	return s, (&status{s, j, unasked, a.again(s.Job)}).print(w)
}

// askWithin is how long S3 Batch Operations may take to tell where its jobs stand. What is
// on record is shown where it takes longer.
const askWithin = 5 * time.Second

// askSubmitted brings the jobs of S3 Batch Operations up to date, or says why not.
func askSubmitted(ctx context.Context, j *job.Job, s *job.Status) error {
	if len(s.Submitted) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return j.AskSubmitted(ctx, s, readVersion().Version)
}

// inOurWords tells a cause in the words of the command line.
func inOurWords(c *report.StopCause) {
	if c != nil {
		c.Message = inFlags(c.Message)
	}
}

// renewed is how often a watched status is.
const renewed = 2 * time.Second

// watch shows the status again and again while a process is at work: in place on a
// terminal, below each other elsewhere.
func (a *app) watch(ctx context.Context, show func(io.Writer) (*job.Status, error)) error {
	inPlace := terminalWidth(a.stdout) > 0 && os.Getenv("TERM") != "dumb"
	ticks := time.NewTicker(renewed)
	defer ticks.Stop()
	for {
		var page strings.Builder
		s, err := show(&page)
		if err != nil {
			return err
		}
		text := page.String()
		if inPlace { // from the corner, each line to its end, and nothing below
			text = "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
		}
		if _, err := io.WriteString(a.stdout, text); err != nil {
			return fmt.Errorf("writing to standard output: %w", err)
		}
		if !s.Running && s.State != report.StateWaiting {
			return nil
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *status) print(out io.Writer) error {
	w := table(out)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, object.Printable(fmt.Sprintf(format, args...)))
	}
	line("job", "%s", s.Job)
	line("source", "%s", &s.of.Spec.Source)
	line("target", "%s", &s.of.Spec.Target)
	line("state", "%s", s.state())
	planned := ""
	if !s.Totals.PlanComplete {
		planned = " so far"
	}
	line("planned", "%s%s", objectsAndBytes(s.Totals.Planned), planned)
	s.times(line)
	if s.Live != nil {
		describe(s.Live, line)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	if err := errors.Join(printShards(out, s.Shards), printSubmissions(out, s.Submitted)); err != nil {
		return err
	}
	if s.unasked != nil {
		if _, err := fmt.Fprintf(out, "S3 Batch Operations was not asked: %s\n", object.Printable(inFlags(s.unasked.Error()))); err != nil {
			return fmt.Errorf("writing to standard output: %w", err)
		}
	}
	for _, p := range s.Unread {
		if _, err := fmt.Fprintf(out, "not taken: %s: %s\n", object.Printable(p.Place.String()), object.Printable(inFlags(p.Unread))); err != nil {
			return fmt.Errorf("writing to standard output: %w", err)
		}
	}
	return s.WriteCounts(out)
}

// times adds since when, how fast, and why it stopped or waits.
func (s *status) times(line func(name, format string, args ...any)) {
	if why := s.Why(); why != "" {
		line("cause", "%s", why)
	}
	if when := s.When(); when != "" {
		line("last run", "%s", when)
		if rate := s.Rate(); rate != "" {
			line("last minute", "%s", rate)
		}
	}
	if s.ETASeconds != nil {
		line("ETA", "%s", s.ETA())
	}
}

func (s *status) state() string {
	switch {
	case s.Running && s.Live != nil:
		return fmt.Sprintf("running (process %d, %s)", s.Live.PID, s.Live.Stage)
	case s.Running:
		return "running"
	case s.Cause != nil && s.Cause.Class == job.CauseSubmitted:
		return fmt.Sprintf("submitted; `reseal submit %s` follows it", s.again)
	case s.State == report.StatePlanned:
		return fmt.Sprintf("planned; `reseal run %s` does it", s.again)
	case s.State == job.StateUntaken:
		return fmt.Sprintf("nobody has taken it yet; `reseal run %s` does", s.again)
	case s.Complete && s.Left+s.Failed == 0:
		return "complete: every object is as wanted"
	case s.Complete:
		return "complete: " + objects(s.Left) + " left, " + objects(s.Failed) + " failed"
	case s.Planned == 0 && !s.Totals.PlanComplete:
		return "begun, nothing planned yet"
	}
	return fmt.Sprintf("stopped; `reseal run %s` goes on", s.again)
}

// describe adds what a running process tells.
func describe(l *job.Live, line func(name, format string, args ...any)) {
	line("progress", "%s", l.Progress.Line())
	rate := fmt.Sprintf("%.0f requests/s", l.PaceState.Rate)
	if l.PaceState.Allowed > 0 {
		rate += fmt.Sprintf(" of %.0f allowed", l.PaceState.Allowed)
	}
	if l.PaceState.Detail != "" && l.Stage != "window" && l.Stage != "paused" {
		rate += "; " + l.PaceState.Detail
	}
	line("pace", "%s", rate)
	line("in flight", "%d of %s", l.PaceState.InFlight, report.Count(uint64(l.PaceState.Concurrency), "request"))
	if l.Window != "" {
		word := "closes"
		if l.Outside || l.Stage == "window" {
			word = "opens"
		}
		line("window", "%s, %s %s", l.Window, word, l.NextWindow.Format(time.RFC3339))
	}
}

func objectsAndBytes(t object.Tally) string {
	return objects(t.Objects) + ", " + humanize.IBytes(uint64(max(0, t.Bytes)))
}

// printShards is a line a shard.
func printShards(out io.Writer, shards []job.ShardStatus) error {
	if len(shards) == 0 {
		return nil
	}
	w := table(out)
	fmt.Fprintln(w, "SHARD\tSTATE\tPLANNED\tDONE\tALREADY\tLEFT\tFAILED\tREMAINING\tOBJECTS")
	for i := range shards {
		s := &shards[i]
		more := ""
		if !s.PlanComplete && s.State != job.StateUntaken {
			more = "+"
		}
		fmt.Fprintf(w, "%d\t%s\t%d%s\t%d\t%d\t%d\t%d\t%d\t%s\n", s.Index, s.State, s.Planned, more, s.Done, s.Already, s.Left, s.Failed, s.Remaining, object.Printable(s.Range))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}
