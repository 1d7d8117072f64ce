package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ListConfig is the workload "list": reading a bucket's keys, each tool as a
// process against the null server. reseal's row plans a job as well: every key
// is durable at its end.
type ListConfig struct {
	Objects, Rounds int
	Only            list
	Dir             string
}

func (c *ListConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Objects, "objects", 1_000_000, "objects in the bucket; slow ones get a share of them")
	f.IntVar(&c.Rounds, "rounds", 3, "rounds; the participants take turns")
	f.Var(&c.Only, "only", "take part only if the name holds this (repeatable)")
	f.StringVar(&c.Dir, "dir", "", "where jobs are kept while they run")
}

// listers list recursively and print what they find.
func listers(b *builder) []*participant {
	s5, rc, m, aws := s5cmd(), rclone(), mc(), awsCLI()
	s5.args = func(t *task) []string { return []string{"--endpoint-url", t.endpoint, "ls", t.url() + "*"} }
	rc.args = func(t *task) []string {
		return []string{"lsf", "--config", "/dev/null", "--files-only", "--recursive", "--fast-list", "--s3-provider", "Other", "--s3-env-auth",
			"--s3-endpoint", t.endpoint, ":s3:" + t.bucket + "/" + t.prefix}
	}
	m.args = func(t *task) []string {
		return []string{"--config-dir", filepath.Join(t.dir, "mc"), "ls", "--recursive", "b/" + t.bucket + "/" + t.prefix}
	}
	aws.args = func(t *task) []string {
		return []string{"--endpoint-url", t.endpoint, "s3", "ls", "--recursive", t.url()}
	}
	return []*participant{planning(b, "reseal plan", func(t *task) []string { return []string{t.url()} }), s5, rc, m, aws}
}

// planning is reseal writing a plan.
func planning(b *builder, name string, source func(*task) []string) *participant {
	return &participant{name: name, share: 1, find: b.find, args: func(t *task) []string {
		return append(append([]string{"plan"}, source(t)...), "--sse", "AES256", "--inspect", "never", "--verify", "response",
			"--job", filepath.Join(t.dir, "job"), "--json", "--no-progress")
	}}
}

// RunList measures keys a second, CPU and memory.
func RunList(ctx context.Context, c ListConfig, log io.Writer) (*Table, error) {
	return withNull(ctx, func(server *nullProcess, b *builder) (*Table, error) { return c.run(ctx, server, b, log) })
}

func (c *ListConfig) run(ctx context.Context, server *nullProcess, b *builder, log io.Writer) (*Table, error) {
	t := &Table{Workload: "list", What: "reading the keys of a bucket from the null server; reseal makes a durable plan of them, the others print them",
		Columns: []Column{{"keys/s", "%.0f", true}, {"CPU µs/key", "%.2f", true}, {"peak RSS MB", "%.1f", false}}}
	ready, err := c.Only.present(ctx, listers(b), t, log)
	if err != nil {
		return nil, err
	}
	for round := range c.Rounds {
		for _, p := range ready {
			n := max(c.Objects/p.share, 1000)
			err := inDir(c.Dir, func(dir string) error {
				w := server.task(fmt.Sprintf("n%d", n), dir)
				cost, err := run(p.command(ctx, p.path, w), io.Discard)
				if err != nil {
					return err
				}
				t.add(p.name, p.version, n, readingFigures("keys/s", "CPU µs/key", n, cost))
				fmt.Fprintf(log, "round %d: %-12s %9.0f keys/s\n", round+1, p.name, float64(n)/cost.Seconds)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func readingFigures(rate, cpu string, n int, c Cost) Figures {
	return Figures{rate: float64(n) / c.Seconds, cpu: c.CPUSeconds * 1e6 / float64(n), "peak RSS MB": float64(c.PeakRSS) / 1e6}
}

// inDir gives f a folder of its own and removes it afterwards.
func inDir(parent string, f func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(parent, "reseal-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return f(dir)
}
