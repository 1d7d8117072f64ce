package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// DistanceConfig is the workload "distance": a store behind TLS, far away, that limits
// requests as S3 does for one prefix.
type DistanceConfig struct {
	Delay            time.Duration
	Mutations, Reads float64
	Wide, Halved     bool
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
	f.BoolVar(&c.Wide, "wide", false, "16 prefixes, each with the limit, in place of one")
	f.BoolVar(&c.Halved, "halved", false, "halve the limit after a third of the time, and double it after two")
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
	ready, err := c.Only.present(ctx, []*participant{reseal(b, "reseal", "--inspect", "always", "--verify", "response"), s5cmd(), tunedRclone(), tunedAWSCLI()}, t, log)
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
	far, bucket := c.far()
	n := max(int(c.limit()*float64(c.Seconds))/p.share, 1000)
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w := server.secureTask(fmt.Sprintf("%s%d", bucket, n), dir)
	w.other, w.objects, w.concurrency, w.sse = "n0", n, c.Concurrency, "AES256"
	if err := server.becomes(far); err != nil {
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
	draw(log, p.name, drawn, c.limit()*1.2)
	return nil
}

// tunedRclone asks the destination for nothing before it copies.
func tunedRclone() *participant {
	p := rclone()
	plain := p.args
	p.args = func(t *task) []string {
		return append(plain(t), "--no-check-dest", "--s3-no-check-bucket", "--fast-list", "--no-update-modtime", "--s3-no-head")
	}
	return p
}

// tunedAWSCLI has as many requests in flight as the others.
func tunedAWSCLI() *participant {
	p := awsCLI()
	p.env = func(t *task) []string {
		config := filepath.Join(t.dir, "config")
		text := fmt.Sprintf("[default]\ns3 =\n  max_concurrent_requests = %d\n  max_queue_size = 10000\n", t.concurrency)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return nil // it then runs as it comes
		}
		return []string{"AWS_CONFIG_FILE=" + config}
	}
	return p
}

// limit is what is let through of all prefixes together.
func (c *DistanceConfig) limit() float64 {
	if c.Wide {
		return c.Mutations * nullFolders
	}
	return c.Mutations
}

// far is the store, and what its bucket's name begins with.
func (c *DistanceConfig) far() (far Far, bucket string) {
	far = Far{Delay: c.Delay, Mutations: c.Mutations, Reads: c.Reads, Wide: c.Wide}
	if c.Halved {
		far.Halve = time.Duration(c.Seconds) * time.Second / 3
		far.Double = 2 * far.Halve
	}
	if bucket = "n"; c.Wide {
		bucket = "p"
	}
	return far, bucket
}

// allowed is what the limit lets through within a second; of the five in which it was
// halved and the twenty in which it came back nothing is asked, and they are left out.
func (c *DistanceConfig) allowed(second int) (float64, bool) {
	far, _ := c.far()
	halve, double := int(far.Halve/time.Second), int(far.Double/time.Second)
	switch {
	case halve == 0 || second < halve:
		return c.limit(), true
	case second < double:
		return c.limit() / 2, second >= halve+5
	}
	return c.limit(), second >= double+20
}

// figures leave out the last second, in which the work ends.
func (c *DistanceConfig) figures(seconds []FarSecond) Figures {
	f := Figures{}
	taken, refused, at := 0, 0, -1
	for i, s := range seconds {
		taken += s.Taken + s.Read
		refused += s.Refused + s.ReadRefused
		if at < 0 && float64(s.Taken) >= 0.95*c.limit() {
			at = i
		}
	}
	f["throttled %"] = 100 * float64(refused) / float64(max(1, taken+refused))
	if at < 0 || at >= len(seconds)-2 {
		return f
	}
	f["s to 95 % of the limit"] = float64(at)
	sum, limit := 0.0, 0.0
	for i := at; i < len(seconds)-2; i++ {
		if allowed, counts := c.allowed(i); counts {
			sum += float64(seconds[i].Taken)
			limit += allowed
		}
	}
	f["of the limit from then on"] = sum / limit
	return f
}
