package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// RefusalsConfig is the workload "refusals": the whole of reseal against a store that
// refuses copies, at random at any rate, beyond a limit, or both.
type RefusalsConfig struct {
	Seconds int
	Servers int
	Delay   time.Duration
	Limit   float64
	Rounds  int
	Only    list
	Dir     string
}

func (c *RefusalsConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Seconds, "seconds", 40, "how long the work is at most, by what the store lets through")
	f.IntVar(&c.Servers, "servers", 20, "requests that the store without a limit works on at once")
	f.DurationVar(&c.Delay, "delay", 20*time.Millisecond, "how long it takes for each")
	f.Float64Var(&c.Limit, "limit", 300, "copies a second that the store with a limit takes")
	f.IntVar(&c.Rounds, "rounds", 1, "rounds; the stores take turns")
	f.Var(&c.Only, "only", "only the stores whose names hold this (repeatable)")
	f.StringVar(&c.Dir, "dir", "", "where jobs are kept while they run")
}

// refusing is one store: its own way to refuse, and what it leaves.
type refusing struct {
	name string
	kms  bool
	far  Far
}

// capacity is how many objects a second the store without a limit can do, by HEAD and COPY.
func (c *RefusalsConfig) capacity() float64 {
	return float64(c.Servers) / c.Delay.Seconds() / 2
}

func (c *RefusalsConfig) stores() (all []*refusing) {
	plain := Far{Delay: c.Delay, Servers: c.Servers}
	for _, kms := range []bool{false, true} {
		who := map[bool]string{false: "S3", true: "KMS"}[kms]
		for _, share := range []float64{0, 0.01, 0.03, 0.10, 0.30} {
			f := plain
			f.Stray, f.StrayKMS = share, kms
			all = append(all, &refusing{fmt.Sprintf("%s refuses %.0f %%", who, share*100), kms, f})
		}
	}
	part := time.Duration(c.Seconds) * time.Second / 2
	for _, limit := range []*refusing{
		{"a limit of S3", false, Far{Mutations: c.Limit}},
		{"a limit of S3, halved, doubled", false, Far{Mutations: c.Limit, Halve: part, Double: 2 * part}},
		{"a limit of S3 and 10 % refused by S3", false, Far{Mutations: c.Limit, Stray: 0.10}},
		{"a limit of KMS", true, Far{KMS: c.Limit}},
		{"a limit of KMS, halved, doubled", true, Far{KMS: c.Limit, Halve: part, Double: 2 * part}},
		{"a limit of S3 and 10 % refused by KMS", true, Far{Mutations: c.Limit, Stray: 0.10, StrayKMS: true}},
	} {
		limit.far.Delay = c.Delay
		all = append(all, limit)
	}
	return all
}

// objects are as many as the store lets through in the time; where the limit is halved
// and doubled, in one and a half times it.
func (c *RefusalsConfig) objects(s *refusing) int {
	rate := c.capacity()
	if limit := max(s.far.Mutations, s.far.KMS); limit > 0 {
		rate = limit
	}
	n := rate * (1 - s.far.Stray) * float64(c.Seconds)
	if s.far.Halve > 0 {
		n = n / 2 * (1 + 0.5 + 1.5)
	}
	return int(n)
}

// RunRefusals measures what of the copies is left to be done is done.
func RunRefusals(ctx context.Context, c RefusalsConfig, log io.Writer) (*Table, error) {
	return withNull(ctx, func(server *nullProcess, b *builder) (*Table, error) { return c.run(ctx, server, b, log) })
}

func (c *RefusalsConfig) run(ctx context.Context, server *nullProcess, b *builder, log io.Writer) (*Table, error) {
	t := &Table{Workload: "refusals",
		What: fmt.Sprintf("HEAD and COPY; %d servers of %v, or a limit of %.0f copies a second", c.Servers, c.Delay, c.Limit),
		Columns: []Column{{"copies/s", "%.0f", false}, {"of what is left", "%.3f", false}, {"of the limit", "%.3f", false}, {"of its half", "%.3f", false},
			{"of it again", "%.3f", false}, {"refused beyond it %", "%.2f", false}, {"refused at any rate %", "%.2f", false}, {"whole run s", "%.1f", false}}}
	path, _, err := b.find(ctx)
	if err != nil {
		return nil, err
	}
	for round := range c.Rounds {
		undisturbed := map[bool]float64{}
		for _, s := range c.stores() {
			if !c.Only.holds(s.name) && !c.compared(s) {
				continue
			}
			f, err := c.one(ctx, path, server, s, undisturbed, log)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			t.add(s.name, "", c.objects(s), f)
			fmt.Fprintf(log, "round %d: %-34s %v\n", round+1, s.name, f)
		}
	}
	return t, nil
}

// compared says whether a store that refuses nothing is needed by one that takes part.
func (c *RefusalsConfig) compared(undisturbed *refusing) bool {
	return undisturbed.far.Servers > 0 && undisturbed.far.Stray == 0 && slices.ContainsFunc(c.stores(), func(s *refusing) bool {
		return s.far.Servers > 0 && s.kms == undisturbed.kms && c.Only.holds(s.name)
	})
}

// one lets reseal do the work once. undisturbed are the copies a second of the store that
// refuses nothing, without and with KMS.
func (c *RefusalsConfig) one(ctx context.Context, path string, server *nullProcess, s *refusing, undisturbed map[bool]float64, log io.Writer) (Figures, error) {
	n := c.objects(s)
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w := server.task(fmt.Sprintf("n%d", n), dir)
	if w.sse = "AES256"; s.kms {
		w.sse, w.kmsKey = "aws:kms", nullKMSKey
	}
	p := reseal(nil, s.name, "--inspect", "always", "--verify", "response")
	if err := server.becomes(s.far); err != nil {
		return nil, err
	}
	cost, err := run(p.command(ctx, path, w), nil)
	seen, gone := server.seen()
	if err := cmp.Or(err, gone); err != nil {
		return nil, err
	}
	taken, refused, stray := total(seen.Seconds)
	if taken < n {
		return nil, fmt.Errorf("%d copies of %d", taken, n)
	}
	all := float64(taken + refused + stray)
	f := Figures{"copies/s": float64(taken) / seen.Took.Seconds(), "refused at any rate %": 100 * float64(stray) / all, "whole run s": cost.Seconds}
	if s.far.Servers > 0 {
		if s.far.Stray == 0 {
			undisturbed[s.kms] = f["copies/s"]
		}
		f["of what is left"] = f["copies/s"] / undisturbed[s.kms] / (1 - s.far.Stray)
	} else {
		s.found(f, seen.Seconds)
	}
	top := max(s.far.Mutations, s.far.KMS, c.capacity()) * 1.3
	drawn := make([]second, len(seen.Seconds))
	for i, s := range seen.Seconds {
		drawn[i] = second{s.Taken, s.Refused + s.Stray}
	}
	draw(log, s.name, drawn, top)
	return f, nil
}

func total(seconds []FarSecond) (taken, refused, stray int) {
	for _, s := range seconds {
		taken, refused, stray = taken+s.Taken, refused+s.Refused, stray+s.Stray
	}
	return taken, refused, stray
}

// found is what was reached of a limit, from five seconds after the first copy on, from
// five after it was halved, and from twenty after it came back; without the last two
// seconds, in which the work ends.
func (s *refusing) found(f Figures, seconds []FarSecond) {
	limit, from := max(s.far.Mutations, s.far.KMS)*(1-s.far.Stray), 0
	for from < len(seconds) && seconds[from].Taken == 0 {
		from++
	}
	from += 5
	end := len(seconds) - 2
	all, beyond := 0, 0
	share := func(from, to int, of float64) float64 {
		taken, refused, stray := total(seconds[min(from, to):to])
		all, beyond = all+taken+refused+stray, beyond+refused
		f["refused beyond it %"] = 100 * float64(beyond) / float64(max(1, all))
		return float64(taken) / of / float64(max(1, to-from))
	}
	if s.far.Halve == 0 {
		f["of the limit"] = share(from, end, limit)
		return
	}
	halve, double := int(s.far.Halve/time.Second), int(s.far.Double/time.Second)
	f["of the limit"] = share(from, halve, limit)
	f["of its half"] = share(halve+5, double, limit/2)
	f["of it again"] = share(double+20, end, limit)
}
