package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine"
)

// GrowthConfig is the workload "growth": what of a run is shared by all of its
// workers, and so bounds it on more CPUs than this machine has. The store answers at
// once, so that objects go by faster than any network brings them.
type GrowthConfig struct {
	Objects, Rounds int
	// Rate is that at which the shares of a core are told.
	Rate float64
	Dir  string
}

func (c *GrowthConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Objects, "objects", 500_000, "objects of the job")
	f.IntVar(&c.Rounds, "rounds", 5, "rounds; the numbers of CPUs take turns")
	f.Float64Var(&c.Rate, "rate", 30_000, "objects a second for the shares of a core")
	f.StringVar(&c.Dir, "dir", "", "where the job is kept while it runs")
}

// shared is what only one CPU does at a time, or under one lock: the function in which
// a profile shows it, callees included. Enter and Leave of the pace do more than their
// lock covers, so that theirs are upper bounds.
var shared = []struct{ name, function string }{
	{"writer µs", "checkpoint.(*Store).write"},
	{"dispatch µs", "engine.(*run).dispatch"},
	{"pace µs", "pace.(*Pacer).Enter"},
	{"pace µs", "pace.(*Pacer).Leave"},
	{"record µs", "engine.(*run).record"},
}

const (
	lockWait  = "wait for locks µs"
	mostOfAny = "most of a core %"
)

// RunGrowth profiles a run on one CPU, two, and so on to as many as there are.
func RunGrowth(ctx context.Context, c GrowthConfig, log io.Writer) (*Table, error) {
	t := &Table{Workload: "growth",
		What: fmt.Sprintf("a job on a store that answers at once; µs of CPU an object, of which shared by all workers, and the most that anything shared takes of a core at %.0f objects a second", c.Rate),
		Columns: []Column{{"objects/s", "%.0f", false}, {"CPU µs/object", "%.2f", false}, {"writer µs", "%.2f", false}, {"dispatch µs", "%.2f", false},
			{"pace µs", "%.2f", false}, {"record µs", "%.2f", false}, {lockWait, "%.3f", false}, {mostOfAny, "%.1f", false}}}
	was := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(was)
	for round := range c.Rounds {
		for procs := 1; procs <= was; procs++ {
			runtime.GOMAXPROCS(procs)
			err := inDir(c.Dir, func(dir string) error {
				f, err := c.profiled(ctx, dir)
				if err != nil {
					return err
				}
				t.add(fmt.Sprintf("GOMAXPROCS %d", procs), runtime.Version(), c.Objects, f)
				fmt.Fprintf(log, "round %d: %d CPUs, %.0f objects/s, %.1f %% of a core\n", round+1, procs, f["objects/s"], f[mostOfAny])
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// profiled does one job under the profiles of CPU and of locks.
func (c *GrowthConfig) profiled(ctx context.Context, dir string) (_ Figures, err error) {
	points, err := checkpoint.Open(filepath.Join(dir, "job"), checkpoint.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, points.Close()) }()
	if err := planNull(points, c.Objects, true); err != nil {
		return nil, err
	}
	cpu, locks := filepath.Join(dir, "cpu"), filepath.Join(dir, "locks")
	file, err := os.Create(cpu)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	waitedBefore, err := lockSeconds(ctx, locks)
	if err != nil {
		return nil, err
	}
	runtime.SetMutexProfileFraction(1)
	defer runtime.SetMutexProfileFraction(0)
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	spent, began := ownCPU(), time.Now()
	err = engine.Run(ctx, atOnceConfig(points))
	spent, took := ownCPU()-spent, time.Since(began)
	pprof.StopCPUProfile()
	if err != nil {
		return nil, err
	}
	waited, err := lockSeconds(ctx, locks)
	if err != nil {
		return nil, err
	}
	n := float64(c.Objects)
	f := Figures{"objects/s": n / took.Seconds(), "CPU µs/object": spent.Seconds() * 1e6 / n, lockWait: (waited - waitedBefore) * 1e6 / n}
	seconds, err := secondsIn(ctx, cpu)
	if err != nil {
		return nil, err
	}
	for _, s := range shared {
		f[s.name] += seconds[s.function] * 1e6 / n
		f[mostOfAny] = max(f[mostOfAny], f[s.name]*c.Rate/1e6*100)
	}
	if seconds["checkpoint.(*Store).write"] == 0 {
		return nil, errors.New("the profile does not show the checkpoint's writer; was it renamed?")
	}
	return f, nil
}

// lockSeconds is how long all goroutines together have waited for locks so far.
func lockSeconds(ctx context.Context, path string) (float64, error) {
	var b bytes.Buffer
	if err := pprof.Lookup("mutex").WriteTo(&b, 0); err != nil {
		return 0, err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return 0, err
	}
	seconds, err := secondsIn(ctx, path)
	most := 0.0
	for name, s := range seconds { // the outermost functions hold all
		if strings.HasPrefix(name, "sync.(*") {
			most += s
		}
	}
	return most, err
}

// secondsIn reads a profile: the seconds within each function, callees included, by
// the name without the path of its package.
func secondsIn(ctx context.Context, profile string) (map[string]float64, error) {
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=100000", "-nodefraction=0", "-unit=us", profile).Output()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof: %w", err)
	}
	seconds := map[string]float64{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) < 6 || !strings.HasSuffix(words[1], "%") {
			continue
		}
		us, err := strconv.ParseFloat(strings.TrimSuffix(words[3], "us"), 64)
		if err != nil {
			continue
		}
		name := words[5]
		seconds[name[strings.LastIndexByte(name, '/')+1:]] += us / 1e6
	}
	return seconds, nil
}
