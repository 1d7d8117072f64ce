// Command bench measures reseal beside its peers, on the same work in the same
// run, and prints each figure with its ratio. README.md says what is measured
// and what came out.
//
//	go run ./bench [-json FILE] [WORKLOAD [FLAGS]]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start takes one of the roles that this program plays as its own child, or the
// command line.
func start(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "-null-server":
			return runNullServer(args[1:], os.Stdin, os.Stdout)
		case "-limited-store":
			return runLimitedStore(args[1:], os.Stdin, os.Stdout)
		case "-loop":
			return runLoop(ctx, args[1:])
		}
	}
	return command(ctx, args, os.Stdout, os.Stderr)
}

// workload is one thing that bench can measure: it takes its own flags.
type workload struct {
	what string
	// run parses the flags and measures.
	run func(ctx context.Context, f *flag.FlagSet, args []string, log io.Writer) ([]*Table, error)
}

// workloads by name.
func workloads() map[string]workload {
	return map[string]workload{
		"client":     one("CPU, requests and memory of the whole tool against the null server", (*ClientConfig).flags, RunClient),
		"list":       one("reading a bucket's keys, against the null server", (*ListConfig).flags, RunList),
		"inventory":  one("planning from an inventory or a list", (*InventoryConfig).flags, RunInventory),
		"checkpoint": one("what remembering a job costs", (*CheckpointConfig).flags, RunCheckpoint),
		"resume":     one("time from start to the first request of a job that is nearly done", (*ResumeConfig).flags, RunResume),
		"growth":     one("what all workers of a run share, and how much of a core it takes", (*GrowthConfig).flags, RunGrowth),
		"memory":     one("peak memory of jobs of 100,000 to 10,000,000 objects", (*MemoryConfig).flags, RunMemory),
		"pace":       one("the rate found against a store that limits it, with its curve", (*PaceConfig).flags, RunPace),
		"distance":   one("the rate against a store behind TLS that is far away and limited", (*DistanceConfig).flags, RunDistance),
		"refusals":   one("the rate against stores that refuse copies, at random, beyond a limit, or both", (*RefusalsConfig).flags, RunRefusals),
		"scale":      one("processes in network namespaces that share a job, on a store that limits each prefix (root)", (*ScaleConfig).flags, RunScale),
		"start":      one("time from the start of the process to the first object, on stores that are far away", (*StartConfig).flags, RunStart),
		"rewrite":    {"CPU of the ways to guard a copy, by size, against a real MinIO in memory", runFlags((*RewriteConfig).flags, RunRewrite)},
		"state":      {"what it costs that a job's state lies in a bucket, and going on from there", runFlags((*StateConfig).flags, RunState)},
		"folders":    {"seconds, CPU and memory of files up to a real MinIO in memory, and down", runFlags((*FoldersConfig).flags, RunFolders)},
		"minio":      {"seconds and CPU on both sides against a real MinIO in memory", runFlags((*MinIOConfig).flags, RunMinIO)},
	}
}

// one is a workload that makes one table.
func one[C any](what string, flags func(*C, *flag.FlagSet), run func(context.Context, C, io.Writer) (*Table, error)) workload {
	return workload{what, runFlags(flags, func(ctx context.Context, c C, log io.Writer) ([]*Table, error) {
		t, err := run(ctx, c, log)
		return []*Table{t}, err
	})}
}

// runFlags parses a Config's flags and runs it.
func runFlags[C any](flags func(*C, *flag.FlagSet), run func(context.Context, C, io.Writer) ([]*Table, error)) func(context.Context, *flag.FlagSet, []string, io.Writer) ([]*Table, error) {
	return func(ctx context.Context, f *flag.FlagSet, args []string, log io.Writer) ([]*Table, error) {
		var c C
		flags(&c, f)
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		return run(ctx, c, log)
	}
}

// The default set is what takes minutes, not hours.
var defaultSet = []string{"client", "list", "inventory", "checkpoint", "minio"}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	all := workloads()
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	to := f.String("json", "", "write the report, with every round, to this file")
	f.Usage = func() {
		fmt.Fprintf(stderr, "go run ./bench [-json FILE] [WORKLOAD [FLAGS]]; without a workload: %s\n\n", strings.Join(defaultSet, ", "))
		names := make([]string, 0, len(all))
		for name := range all {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Fprintf(stderr, "  %-12s %s\n", name, all[name].what)
		}
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	names, rest := defaultSet, []string(nil)
	if f.NArg() > 0 {
		names, rest = f.Args()[:1], f.Args()[1:]
	}
	report := Report{At: time.Now().UTC(), Machine: thisMachine()}
	for _, name := range names {
		w, ok := all[name]
		if !ok {
			f.Usage()
			return fmt.Errorf("no workload is named %q", name)
		}
		tables, err := w.run(ctx, flag.NewFlagSet(name, flag.ContinueOnError), rest, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, t := range tables {
			if err := t.writeText(stdout); err != nil {
				return err
			}
		}
		report.Tables = append(report.Tables, tables...)
	}
	if *to != "" {
		return report.writeJSON(*to)
	}
	return nil
}
