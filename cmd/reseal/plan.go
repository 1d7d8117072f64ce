package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/planner"
)

// planFlags are what plan takes besides the job.
type planFlags struct {
	jobFlags
	prices string
	pace   float64
	shards int
	shard  shardFlag
}

func newPlan(a *app) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan [SOURCE…] --sse TYPE --job DIR",
		Short: "Find the work, choose each object's operation, estimate; changes nothing",
		Long: `plan does the first half of run and stops: it finds the objects, asks about each one
where its row does not settle it, chooses its operation, and says what that amounts to.
Nothing of yours is changed. ` + "`reseal run --job DIR`" + ` then does exactly this plan, also when
objects have been added since.

With --shards N a new job is divided, and nothing is listed to its end; plan without it
then lists every shard, or the one of --shard.`,
		Example: "  reseal plan s3://bucket --sse aws:kms --sse-kms-key-id KEY --job ~/jobs/bucket\n  reseal run --job ~/jobs/bucket",
		RunE: func(cmd *cobra.Command, args []string) error {
			prices, err := f.readPrices()
			if err != nil {
				return err
			}
			if !(f.pace >= 0 && f.pace <= math.MaxFloat64) {
				return unusablef("it must be a number above 0, or 0 for none", "--at-requests-per-second %v", f.pace)
			}
			if cmd.Flags().Changed("shards") && f.shards < 1 {
				return unusablef("name how many shards the job is to have", "--shards %d", f.shards)
			}
			j, limits, err := f.Validate(cmd, args)
			if err != nil {
				return err
			}
			a.reached = f.reached
			shard, err := f.shard.of(j)
			if err != nil {
				return errors.Join(err, j.Close())
			}
			opt, end := a.options(j.Dir, &f.out, limits)
			defer end()
			if f.shards > 0 {
				return a.divide(cmd.Context(), &f, j, opt)
			}
			j = shard
			return a.plan(cmd.Context(), &f, j, job.PlanOptions{Options: opt, Prices: prices, AtRequestsPerSecond: f.pace})
		},
	}
	f.AddFlags(cmd.Flags())
	cmd.Flags().IntVar(&f.shards, "shards", 0, "divide the job into so many shards, for many processes or machines; see docs/shards.md")
	f.shard.addOne(cmd.Flags())
	cmd.Flags().StringVar(&f.prices, "prices", "", "a price list in the form of the built-in one, see the planner's prices.json")
	cmd.Flags().Float64Var(&f.pace, "at-requests-per-second", 0, "the pace to estimate the duration at; --max-requests-per-second, or 1000, by default")
	return cmd
}

// plannedJob is what `plan --json` prints.
type plannedJob struct {
	Job      string `json:"job"`
	Complete bool   `json:"complete"`
	// Unread are places that could not be taken when the job began.
	Unread []job.PlaceFound `json:"unread,omitempty"`
	*planner.Estimate
}

func (a *app) plan(ctx context.Context, f *planFlags, j *job.Job, o job.PlanOptions) (err error) {
	defer func() { err = errors.Join(err, j.Close()) }()
	est, cause := j.Plan(ctx, o)
	if est == nil {
		return cause
	}
	defer func() { err = cmp.Or(err, cause, unreadOf(j)) }()
	if f.out.json {
		return a.printJSON(plannedJob{Job: j.Dir, Complete: cause == nil, Unread: j.Unread(), Estimate: est})
	}
	if err := est.WriteText(a.stdout); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	again := a.again(j.Dir)
	_, err = fmt.Fprintf(a.stdout, "\nNothing was changed. `reseal run %s` does exactly this plan;\n`reseal report %s` lists it, a row for each object.\n", again, again)
	return err
}

func (f *planFlags) readPrices() (*planner.Prices, error) { return pricesOf(f.prices) }

// pricesOf reads a price list; the built-in one where none is named.
func pricesOf(path string) (*planner.Prices, error) {
	if path == "" {
		return planner.DefaultPrices(), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, unusableBecause(err, "--prices", "name a readable file")
	}
	p, err := planner.ParsePrices(data)
	if err != nil {
		return nil, unusableBecause(err, "--prices "+path, "write it as the built-in one")
	}
	return p, nil
}
