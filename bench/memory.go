package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// MemoryConfig is the workload "memory": whole jobs of growing size against the
// null server, whose objects are as wanted already, so that every object is
// listed, planned, asked about and recorded, and nothing else is in the way.
type MemoryConfig struct {
	// Objects of each job.
	Objects     []int
	Concurrency int
	// Limit is a GOMEMLIMIT, such as 64MiB; empty for none.
	Limit string
	Dir   string
}

func (c *MemoryConfig) flags(f *flag.FlagSet) {
	c.Objects = []int{100_000, 1_000_000, 10_000_000}
	f.Func("objects", "sizes of the jobs (default 100000,1000000,10000000)", func(s string) error {
		c.Objects = nil
		for _, part := range strings.Split(s, ",") {
			n, err := strconv.Atoi(part)
			if err != nil || n <= 0 || n > 999_999_999 {
				return fmt.Errorf("%q is no number of objects", part)
			}
			c.Objects = append(c.Objects, n)
		}
		return nil
	})
	f.IntVar(&c.Concurrency, "concurrency", 64, "requests in flight")
	f.StringVar(&c.Limit, "gomemlimit", "", "GOMEMLIMIT of the process")
	f.StringVar(&c.Dir, "dir", "", "where jobs are kept while they run")
}

// RunMemory measures one job of each size.
func RunMemory(ctx context.Context, c MemoryConfig, log io.Writer) (*Table, error) {
	return withNull(ctx, func(server *nullProcess, b *builder) (*Table, error) { return c.run(ctx, server, b, log) })
}

func (c *MemoryConfig) run(ctx context.Context, server *nullProcess, b *builder, log io.Writer) (*Table, error) {
	path, version, err := b.find(ctx)
	if err != nil {
		return nil, err
	}
	t := &Table{Workload: "memory",
		What: fmt.Sprintf("reseal run on objects that are as wanted already, a HEAD each, against the null server; concurrency %d; GOMEMLIMIT %q", c.Concurrency, c.Limit),
		Columns: []Column{{"peak RSS MB", "%.1f", true}, {"RSS bytes/object", "%.2f", false}, {"disk bytes/object", "%.1f", false},
			{"seconds", "%.1f", false}, {"CPU µs/object", "%.1f", false}}}
	for _, n := range c.Objects {
		f, err := c.one(ctx, path, server, n)
		if err != nil {
			return nil, err
		}
		t.add(fmt.Sprintf("%d objects", n), version, n, f)
		fmt.Fprintf(log, "%d objects: peak RSS %.1f MB\n", n, f["peak RSS MB"])
	}
	return t, nil
}

func (c *MemoryConfig) one(ctx context.Context, path string, server *nullProcess, n int) (Figures, error) {
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	job := filepath.Join(dir, "job")
	cmd := exec.CommandContext(ctx, path, "run", fmt.Sprintf("s3://w%d/%s", n, nullPrefix), "--sse", "AES256", "--inspect", "always",
		"--job", job, "--concurrency", fmt.Sprint(c.Concurrency), "--json", "--no-progress")
	cmd.Env = server.task("", dir).env()
	if c.Limit != "" {
		cmd.Env = append(cmd.Env, "GOMEMLIMIT="+c.Limit)
	}
	var said strings.Builder
	cost, err := run(cmd, &said)
	if err != nil {
		return nil, err
	}
	if want := fmt.Sprintf(`"already":%d,`, n); !strings.Contains(said.String(), want) {
		return nil, fmt.Errorf("the run ended without %s: %s", want, said.String())
	}
	disk, err := diskUse(job)
	if err != nil {
		return nil, err
	}
	per := func(v float64) float64 { return v / float64(n) }
	return Figures{"peak RSS MB": float64(cost.PeakRSS) / 1e6, "RSS bytes/object": per(float64(cost.PeakRSS)), "disk bytes/object": per(float64(disk)),
		"seconds": cost.Seconds, "CPU µs/object": per(cost.CPUSeconds * 1e6)}, nil
}
