package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
)

// shardFlag says which shard of a divided job is meant.
type shardFlag struct{ text string }

// Shards that are no number.
const (
	shardAuto = "auto"
	shardAny  = "any"
)

func (s *shardFlag) addOne(set *pflag.FlagSet) {
	set.StringVar(&s.text, "shard", "", "only this shard of a divided job, from 0 on")
}

func (s *shardFlag) addRun(set *pflag.FlagSet) {
	set.StringVar(&s.text, "shard", "", "work on one shard of a divided job: its number; auto, from the index of a Kubernetes, AWS Batch or Slurm task; any, one free shard after another")
}

// indexVariables are where schedulers say which task of an array this is.
var indexVariables = []string{"JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "SLURM_ARRAY_TASK_ID"}

// of is the job, or the shard of it that is meant.
func (s *shardFlag) of(j *job.Job) (*job.Job, error) {
	switch s.text {
	case "":
		return j, nil
	case shardAny:
		if j.Division == nil {
			return nil, unusablef("leave it out, or divide a new job with `reseal plan --shards N`", "--shard any: the job in %s has no shards", j.Dir)
		}
		return j, nil
	case shardAuto:
		for _, name := range indexVariables {
			if text := os.Getenv(name); text != "" {
				return numbered(j, name, text)
			}
		}
		return nil, unusable("--shard auto: none of JOB_COMPLETION_INDEX, AWS_BATCH_JOB_ARRAY_INDEX and SLURM_ARRAY_TASK_ID is set",
			"run it as a task of an array, or name the shard, or use --shard any")
	}
	return numbered(j, "--shard", s.text)
}

// numbered is the shard that a number names.
func numbered(j *job.Job, from, text string) (*job.Job, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, unusablef("give a number from 0 on", "%s %q is no number of a shard", from, text)
	}
	return j.Shard(n)
}

// shardOfJob is the shard of an existing job that a verb reads.
func (a *app) shardOfJob(ctx context.Context, place *placeFlags, s *shardFlag) (*job.Job, error) {
	j, err := a.existingJob(ctx, place)
	if err != nil {
		return nil, err
	}
	if s.text == shardAny || s.text == shardAuto {
		return nil, unusablef("give its number, or leave it out for all of them", "--shard %s is for run", s.text)
	}
	return s.of(j)
}

// dividedJob is what `plan --shards --json` prints.
type dividedJob struct {
	Job      string     `json:"job"`
	Complete bool       `json:"complete"`
	Kind     string     `json:"kind"`
	Shards   []job.Part `json:"shards"`
}

// divide begins a job as shards.
func (a *app) divide(ctx context.Context, f *planFlags, j *job.Job, o job.Options) (err error) {
	defer func() { err = errors.Join(err, j.Close()) }()
	d, err := j.Divide(ctx, f.shards, o)
	if err != nil {
		return err
	}
	if f.out.json {
		return a.printJSON(dividedJob{Job: j.Dir, Kind: d.Kind, Shards: d.Shards})
	}
	w := table(a.stdout)
	fmt.Fprintln(w, "SHARD\tABOUT\tOBJECTS")
	for i := range d.Shards {
		p := &d.Shards[i]
		about := objects(p.Estimate)
		if p.Files != nil {
			about = fmt.Sprintf("%d files", len(p.Files))
		}
		fmt.Fprintf(w, "%d\t%s\t%s\n", p.Index, about, object.Printable(p.Range()))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	again := a.again(j.Dir)
	_, err = fmt.Fprintf(a.stdout, "\nNothing was changed, and nothing is listed to its end yet. `reseal run %s` works on all shards in turn, "+
		"--shard N on one, --shard any on those that are free; `reseal plan %s` lists them and estimates.\n", again, again)
	return err
}
