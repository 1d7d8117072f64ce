package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/report"
)

// setFlags are what `set` changes of a running job.
type setFlags struct {
	place         placeFlags
	pause, resume bool
	asJSON        bool
	concurrency   concurrency
	requests, kms float64
	bandwidth     byteSize
}

func newSet(a *app) *cobra.Command {
	var f setFlags
	cmd := &cobra.Command{
		Use:   "set --job DIR [--pause|--resume] [--max-requests-per-second N …]",
		Short: "Change the pace of a running job",
		Long: `set changes how fast a run works while it does, from another terminal: it pauses and
resumes it, and sets its ceilings; what is not named stays as it is. The run takes it up
within about a second and records it with its time. The next run says its limits anew.`,
		Example: `  reseal set --job ~/jobs/bucket --max-requests-per-second 200
  reseal set --job ~/jobs/bucket --pause
  reseal set --job ~/jobs/bucket --resume --max-requests-per-second 0`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			change, err := f.change(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			j, err := a.existingJob(cmd.Context(), &f.place)
			if err != nil {
				return err
			}
			return a.set(cmd.Context(), j, change, f.asJSON)
		},
	}
	set := cmd.Flags()
	f.place.AddFlags(set)
	set.BoolVar(&f.pause, "pause", false, "begin nothing more until --resume")
	set.BoolVar(&f.resume, "resume", false, "go on")
	set.Var(&f.concurrency, "concurrency", "requests in flight; no more than the run began with")
	set.Float64Var(&f.requests, "max-requests-per-second", 0, "ceiling for requests; 0 for none")
	set.Float64Var(&f.kms, "max-kms-requests-per-second", 0, "ceiling for requests that use KMS; 0 for none")
	set.Var(&f.bandwidth, "max-bandwidth", "ceiling for bytes a second that the store moves, for example 200MiB")
	set.BoolVar(&f.asJSON, "json", false, "one JSON object")
	return cmd
}

func (f *setFlags) change(given func(string) bool) (c job.Change, err error) {
	if f.pause && f.resume {
		return c, unusable("set: --pause and --resume were both given", "give one of them")
	}
	if f.pause || f.resume {
		c.Paused = &f.pause
	}
	if given("concurrency") {
		c.Concurrency = &f.concurrency.n
	}
	if given("max-requests-per-second") {
		c.RequestsPerSecond = &f.requests
	}
	if given("max-kms-requests-per-second") {
		c.KMSRequestsPerSecond = &f.kms
	}
	if given("max-bandwidth") {
		c.BytesPerSecond = &f.bandwidth.bytes
	}
	if c == (job.Change{}) {
		return c, unusable("set: nothing is to be changed", "say what, for example --pause, --resume or --max-requests-per-second 200")
	}
	return c, nil
}

// takeUpWithin is how long `set` waits for the run to take a setting up, which of a job in a
// bucket it looks for every five seconds, and tells of in the next five.
func takeUpWithin(j *job.Job) time.Duration {
	if j.InBucket() {
		return 15 * time.Second
	}
	return 5 * time.Second
}

func (a *app) set(ctx context.Context, j *job.Job, c job.Change, asJSON bool) error {
	s, err := j.Set(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, takeUpWithin(j))
	defer cancel()
	taken := j.TakenUp(ctx, s)
	if asJSON {
		return a.printJSON(struct {
			*job.Setting
			TakenUp bool `json:"taken_up"`
		}{s, taken})
	}
	_, err = fmt.Fprintln(a.stdout, setAnswer(s, taken))
	return err
}

// setAnswer says what was asked for, and whether the run follows.
func setAnswer(s *job.Setting, taken bool) string {
	if taken {
		return paceInWords(s) + ": the run has taken it up"
	}
	return paceInWords(s) + ": the run has not taken it up yet, which it does within seconds when it works"
}

// paceInWords is what a setting asks for.
func paceInWords(s *job.Setting) string {
	var parts []string
	if s.Paused {
		parts = append(parts, "paused")
	}
	if s.Concurrency > 0 {
		parts = append(parts, report.Count(uint64(s.Concurrency), "request")+" in flight")
	}
	for _, c := range []struct {
		n    float64
		what string
	}{{s.RequestsPerSecond, " requests/s"}, {s.KMSRequestsPerSecond, " KMS requests/s"}} {
		if c.n > 0 {
			parts = append(parts, "at most "+humanize.Ftoa(c.n)+c.what)
		}
	}
	if s.BytesPerSecond > 0 {
		parts = append(parts, "at most "+humanize.IBytes(uint64(s.BytesPerSecond))+"/s")
	}
	if len(parts) == 0 {
		return "no ceilings"
	}
	return strings.Join(parts, ", ")
}
