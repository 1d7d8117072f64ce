package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
)

// ClientConfig is the workload "client": the whole of each tool as a process
// against the null server, so that what is measured is the tool.
type ClientConfig struct {
	// Objects of the fast ones; slow ones get a share of them, so many that what a
	// process costs once does not show.
	Objects     int
	Concurrency int
	Rounds      int
	// TLS has everybody do it over TLS 1.3 as well, except those that take minutes.
	TLS bool
	// Only the participants whose names hold one of these; all if empty.
	Only list
	// Dir is where jobs are kept while they run; empty is the temporary folder.
	Dir string
}

func (c *ClientConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Objects, "objects", 200_000, "objects a round; slow ones get a share of them")
	f.IntVar(&c.Concurrency, "concurrency", 64, "requests in flight")
	f.IntVar(&c.Rounds, "rounds", 5, "rounds; the participants take turns")
	f.BoolVar(&c.TLS, "tls", false, "over TLS 1.3 as well")
	f.Var(&c.Only, "only", "take part only if the name holds this (repeatable)")
	f.StringVar(&c.Dir, "dir", "", "where jobs are kept while they run")
}

// RunClient measures CPU, requests, bytes and memory an object.
func RunClient(ctx context.Context, c ClientConfig, log io.Writer) (*Table, error) {
	return withNull(ctx, func(server *nullProcess, b *builder) (*Table, error) { return c.run(ctx, server, b, log) })
}

func (c *ClientConfig) run(ctx context.Context, server *nullProcess, b *builder, log io.Writer) (*Table, error) {
	flags := []string{"--concurrency", fmt.Sprint(c.Concurrency)}
	all := []*participant{
		reseal(b, "reseal", append(flags, "--inspect", "always", "--verify", "response")...),
		reseal(b, "reseal --inspect never", append(flags, "--inspect", "never", "--verify", "response")...),
		legacy(reseal(b, "reseal, ACL of each", append(flags, "--inspect", "always", "--verify", "response")...)),
		bare("wire", false), bare("wire", true), bare("nethttp", true), bare("sdk", false), bare("sdk", true),
		s5cmd(), rclone(), mc(), awsCLI(),
	}
	if c.TLS {
		all = overTLS(all[0], all[1], bare("wire", false), bare("wire", true), bare("nethttp", true), bare("sdk", true), s5cmd(), rclone())
	}
	t := &Table{Workload: "client",
		What: fmt.Sprintf("list, (HEAD,) COPY of 1 KiB objects under SSE-S3 against the null server, concurrency %d, the whole process", c.Concurrency),
		Columns: []Column{{"CPU µs/object", "%.1f", true}, {"requests/object", "%.2f", false}, {"bytes/object", "%.0f", false},
			{"objects/s", "%.0f", true}, {"peak RSS MB", "%.1f", false}, {"server CPU µs/object", "%.1f", false}, {"connections", "%.0f", false}}}
	ready, err := c.Only.present(ctx, all, t, log)
	if err != nil {
		return nil, err
	}
	for round := range c.Rounds {
		for _, p := range ready {
			f, n, err := c.one(ctx, p, server)
			if err != nil {
				return nil, err
			}
			t.add(p.name, p.version, n, f)
			fmt.Fprintf(log, "round %d: %-32s %7.1f µs CPU/object %9.0f objects/s\n", round+1, p.name, f["CPU µs/object"], f["objects/s"])
		}
	}
	return t, nil
}

// one lets a participant do the work once.
func (c *ClientConfig) one(ctx context.Context, p found, server *nullProcess) (Figures, int, error) {
	n := max(c.Objects/p.share, 1000)
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(dir)
	make := server.task
	if p.secure {
		make = server.secureTask
	}
	bucket := "n"
	if p.legacy {
		bucket = "l"
	}
	w := make(fmt.Sprintf("%s%d", bucket, n), dir)
	w.other, w.objects, w.concurrency, w.sse = "n0", n, c.Concurrency, "AES256"
	before, err := server.Stats()
	if err != nil {
		return nil, 0, err
	}
	cost, err := run(p.command(ctx, p.path, w), nil)
	if err != nil {
		return nil, 0, err
	}
	after, err := server.Stats()
	if err != nil {
		return nil, 0, err
	}
	did := after.minus(before)
	if did.Copy < int64(n) {
		return nil, 0, fmt.Errorf("%s copied %d objects of %d", p.name, did.Copy, n)
	}
	per := func(v float64) float64 { return v / float64(n) }
	return Figures{
		"CPU µs/object":        per(cost.CPUSeconds * 1e6),
		"requests/object":      per(float64(did.List + did.Head + did.Copy + did.Detail + did.Other)),
		"bytes/object":         per(float64(did.BytesIn + did.BytesOut)),
		"objects/s":            float64(n) / cost.Seconds,
		"peak RSS MB":          float64(cost.PeakRSS) / 1e6,
		"server CPU µs/object": per(float64(did.CPUMicroseconds)),
		"connections":          float64(did.Conns),
	}, n, nil
}

// legacy is the participant on a bucket whose objects have ACLs.
func legacy(p *participant) *participant { p.legacy = true; return p }

// overTLS is each participant without and with TLS, and the first of them without the
// key exchange that withstands quantum computers.
func overTLS(all ...*participant) (both []*participant) {
	for _, p := range all {
		secure := *p
		secure.name, secure.secure = p.name+", TLS", true
		both = append(both, p, &secure)
	}
	classic := *both[1]
	classic.name += " by X25519 alone"
	classic.env = func(*task) []string { return []string{"GODEBUG=tlsmlkem=0,tlssecpmlkem=0"} }
	return slices.Insert(both, 2, &classic)
}
