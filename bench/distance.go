package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// DistanceConfig is the workload "distance": a store behind TLS, far away, that limits
// requests as S3 does for one prefix.
type DistanceConfig struct {
	Delay            time.Duration
	Mutations, Reads float64
	Seconds          int
	Concurrency      int
	Rounds           int
	Only             list
	Dir              string
}

func (c *DistanceConfig) flags(f *flag.FlagSet) {
	f.DurationVar(&c.Delay, "delay", 30*time.Millisecond, "how long the store takes for each reply")
	f.Float64Var(&c.Mutations, "mutations", 3500, "copies a second that the store takes")
	f.Float64Var(&c.Reads, "reads", 5500, "reads a second that the store takes")
	f.IntVar(&c.Seconds, "seconds", 60, "as many objects as the limit lets through in so many seconds")
	f.IntVar(&c.Concurrency, "concurrency", 256, "requests in flight of those that have to be told; reseal finds its own number")
	f.IntVar(&c.Rounds, "rounds", 1, "rounds; the participants take turns")
	f.Var(&c.Only, "only", "take part only if the name holds this (repeatable)")
	f.StringVar(&c.Dir, "dir", "", "where jobs are kept while they run")
}

// RunDistance lets everybody copy what the limit lets through in some time, and those
// that are slow a share of it.
func RunDistance(ctx context.Context, c DistanceConfig, log io.Writer) (*Table, error) {
	return withNull(ctx, func(server *nullProcess, b *builder) (*Table, error) { return c.run(ctx, server, b, log) })
}

func (c *DistanceConfig) run(ctx context.Context, server *nullProcess, b *builder, log io.Writer) (*Table, error) {
	t := &Table{Workload: "distance",
		What: fmt.Sprintf("copies over TLS, %v a reply, %.0f changes and %.0f reads a second", c.Delay, c.Mutations, c.Reads),
		Columns: []Column{{"copies/s", "%.0f", true}, {"s to 95 % of the limit", "%.0f", false}, {"of the limit from then on", "%.3f", false},
			{"throttled %", "%.2f", false}, {"CPU µs/object", "%.1f", true}}}
	ready, err := c.Only.present(ctx, []*participant{reseal(b, "reseal", "--inspect", "always", "--verify", "response"), s5cmd(), rclone(), awsCLI()}, t, log)
	if err != nil {
		return nil, err
	}
	for range c.Rounds {
		for _, p := range ready {
			if err := c.one(ctx, p, server, t, log); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func (c *DistanceConfig) one(ctx context.Context, p found, server *nullProcess, t *Table, log io.Writer) error {
	n := max(int(c.Mutations*float64(c.Seconds))/p.share, 1000)
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w := server.secureTask(fmt.Sprintf("n%d", n), dir)
	w.other, w.objects, w.concurrency, w.sse = "n0", n, c.Concurrency, "AES256"
	if err := server.becomes(Far{Delay: c.Delay, Mutations: c.Mutations, Reads: c.Reads}); err != nil {
		return err
	}
	cost, err := run(p.command(ctx, p.path, w), nil)
	seen, gone := server.seen()
	if err := cmp.Or(err, gone); err != nil {
		return err
	}
	seconds := seen.Seconds
	f := c.figures(seconds)
	f["copies/s"], f["CPU µs/object"] = float64(n)/cost.Seconds, cost.CPUSeconds*1e6/float64(n)
	t.add(p.name, p.version, n, f)
	fmt.Fprintf(log, "%-8s %6.0f copies/s, CPU %.1f µs an object\n", p.name, f["copies/s"], f["CPU µs/object"])
	var drawn []second
	for _, s := range seconds {
		drawn = append(drawn, second{s.Taken, s.Refused})
	}
	draw(log, p.name, drawn, c.Mutations*1.2)
	return nil
}

// figures leave out the last second, in which the work ends.
func (c *DistanceConfig) figures(seconds []FarSecond) Figures {
	f := Figures{}
	taken, refused, at := 0, 0, -1
	for i, s := range seconds {
		taken += s.Taken + s.Read
		refused += s.Refused + s.ReadRefused
		if at < 0 && float64(s.Taken) >= 0.95*c.Mutations {
			at = i
		}
	}
	f["throttled %"] = 100 * float64(refused) / float64(max(1, taken+refused))
	if at < 0 || at >= len(seconds)-2 {
		return f
	}
	f["s to 95 % of the limit"] = float64(at)
	sum := 0
	for _, s := range seconds[at : len(seconds)-2] {
		sum += s.Taken
	}
	f["of the limit from then on"] = float64(sum) / c.Mutations / float64(len(seconds)-2-at)
	return f
}
