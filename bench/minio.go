package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// MinIOConfig is the workload "minio": each tool on the same buckets of a real
// MinIO that keeps its data in memory, and MinIO's own key rotation.
type MinIOConfig struct {
	Rounds int
	// Concurrency of the peers and the loops; reseal finds its own.
	Concurrency int
	// Sets of objects, as COUNTxSIZE; Moves from one encryption to another.
	Sets, Moves list
	Only        list
	Dir         string
	// Data is where MinIO keeps its data; empty is in memory.
	Data string
	// Versioned: the bucket keeps versions.
	Versioned bool
	// loops take part instead of the tools.
	loops []*participant
}

func (c *MinIOConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Rounds, "rounds", 3, "rounds; the participants take turns")
	f.IntVar(&c.Concurrency, "concurrency", 64, "requests in flight of the peers and the loops; reseal finds its own")
	f.Var(&c.Sets, "set", "objects, as COUNTxBYTES (repeatable; default 5000x1024, 50000x1024, 200x8388608, 1x2147483648)")
	f.Var(&c.Moves, "move", "none-s3, s3-kms or kms-kms (repeatable; default all)")
	f.Var(&c.Only, "only", "take part only if the name holds this (repeatable)")
	f.StringVar(&c.Dir, "dir", "", "where jobs are kept while they run")
	f.BoolVar(&c.Versioned, "versioned", false, "in a bucket that keeps versions")
	f.StringVar(&c.Data, "data", "", "an empty folder on a disk for MinIO's data; in memory by default, which wants twice the size of a set")
}

// move is one change of encryption.
type move struct {
	name     string
	from, to encryption
	kes      bool
	// both ways are the same work, so rounds go to and fro.
	reversible bool
}

// encryption is what the objects are under: the header's value and the KMS key.
type encryption struct{ sse, key string }

var moves = []move{
	{name: "none-s3", to: encryption{sse: "AES256"}},
	{name: "s3-kms", from: encryption{sse: "AES256"}, to: encryption{"aws:kms", "key-a"}},
	{name: "kms-kms", from: encryption{"aws:kms", "key-a"}, to: encryption{"aws:kms", "key-b"}, kes: true, reversible: true},
}

// set is so many objects of one size.
type set struct {
	count int
	size  int64
}

func (s set) String() string { return fmt.Sprintf("%d × %s", s.count, byteSize(s.size)) }

func byteSize(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func parseSet(s string) (set, error) {
	count, size, ok := strings.Cut(s, "x")
	n, err1 := strconv.Atoi(count)
	b, err2 := strconv.ParseInt(size, 10, 64)
	if !ok || err1 != nil || err2 != nil || n <= 0 || b < 0 {
		return set{}, fmt.Errorf("-set %q is not COUNTxBYTES", s)
	}
	return set{n, b}, nil
}

// RunMinIO measures seconds and CPU on both sides, one table for each move and
// set.
func RunMinIO(ctx context.Context, c MinIOConfig, log io.Writer) (_ []*Table, err error) {
	if len(c.Sets) == 0 {
		c.Sets = list{"5000x1024", "50000x1024", "200x8388608", "1x2147483648"}
	}
	b := &builder{}
	defer func() { err = errors.Join(err, b.Close()) }()
	var tables []*Table
	for _, m := range moves {
		if !c.Moves.holds(m.name) {
			continue
		}
		got, err := c.move(ctx, b, m, log)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		tables = append(tables, got...)
	}
	return tables, nil
}

// move starts a server and measures one move on it.
func (c *MinIOConfig) move(ctx context.Context, b *builder, m move, log io.Writer) (_ []*Table, err error) {
	srv, err := realserver.Start(ctx, realserver.Options{KES: m.kes, DataDir: c.Data, Env: []string{"MINIO_SCANNER_SPEED=slowest"}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	var tables []*Table
	for _, text := range c.Sets {
		s, err := parseSet(text)
		if err != nil {
			return nil, err
		}
		t, err := c.set(ctx, b, srv, m, s, log)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

func (c *MinIOConfig) where() string {
	if c.Data != "" {
		return "on a disk"
	}
	return "in memory"
}

func (c *MinIOConfig) participants(b *builder, m move) []*participant {
	if c.loops != nil {
		return c.loops
	}
	all := []*participant{
		reseal(b, "reseal"),
		// Without the guard objects are copied. MinIO drops Expires from a copy, and only a
		// HEAD tells who has one.
		reseal(b, "reseal --accept concurrent-writes,expires", "--accept", "concurrent-writes,expires"),
		reseal(b, "reseal --accept concurrent-writes,expires --inspect never --verify response", "--accept", "concurrent-writes,expires", "--inspect", "never", "--verify", "response"),
		bare("wire", false), bare("wire", true), s5cmd(), rclone(), mc(), awsCLI(),
	}
	if m.kes {
		all = append(all, keyRotate())
	}
	return all
}

func (c *MinIOConfig) set(ctx context.Context, b *builder, srv *realserver.Server, m move, s set, log io.Writer) (*Table, error) {
	t := &Table{Workload: "minio " + m.name,
		What: fmt.Sprintf("%s from %s to %s, real MinIO %s on the same %s", s, m.from, m.to, c.where(), plural(thisMachine().CPUs, "CPU")),
		Columns: []Column{{"seconds", "%.2f", true}, {"objects/s", "%.0f", false}, {"MB/s", "%.0f", false}, {"client CPU ms/object", "%.3f", false},
			{"server CPU ms/object", "%.3f", false}, {"peak RSS MB", "%.1f", false}}}
	ready, err := c.Only.present(ctx, c.participants(b, m), t, log)
	if err != nil {
		return nil, err
	}
	bucket := &benchBucket{srv: srv, name: fmt.Sprintf("%s-%dx%d", m.name, s.count, s.size), set: s, versioned: c.Versioned}
	if err := bucket.create(ctx); err != nil {
		return nil, err
	}
	defer bucket.remove()
	now := encryption{sse: "?"}
	for round := range c.Rounds {
		for _, p := range ready {
			from, to := m.from, m.to
			if m.reversible && now == to {
				from, to = to, from
			}
			if now != from {
				if err := bucket.reset(ctx, from); err != nil {
					return nil, fmt.Errorf("bringing the objects under %s: %w", from, err)
				}
			}
			f, err := c.one(ctx, p, srv, bucket, to)
			if err != nil {
				return nil, err
			}
			now = to
			if p.elsewhere {
				now = from
			}
			t.add(p.name, p.version, s.count, f)
			fmt.Fprintf(log, "%s %s round %d: %-44s %8.2f s\n", m.name, s, round+1, p.name, f["seconds"])
		}
	}
	return t, nil
}

func (e encryption) String() string {
	switch {
	case e.sse == "":
		return "none"
	case e.key != "":
		return e.sse + " " + e.key
	}
	return e.sse
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// one lets a participant do the work once, and looks whether it is done.
func (c *MinIOConfig) one(ctx context.Context, p found, srv *realserver.Server, bucket *benchBucket, to encryption) (Figures, error) {
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w := &task{endpoint: srv.Endpoint, caFile: srv.CAFile, accessKey: realserver.AccessKey, secretKey: realserver.SecretKey,
		bucket: bucket.name, other: bucket.name + "-other", prefix: nullPrefix, objects: bucket.set.count, concurrency: c.Concurrency,
		sse: to.sse, kmsKey: to.key, dir: dir}
	where := w.bucket
	if p.elsewhere {
		where = w.other
		other := &benchBucket{srv: srv, name: w.other}
		if err := other.create(ctx); err != nil {
			return nil, err
		}
		defer other.remove()
	}
	before, err := processCPU(srv.PID())
	if err != nil {
		return nil, err
	}
	var cost Cost
	if p.own != nil {
		cost, err = p.own(ctx, p.path, w)
	} else {
		cost, err = run(p.command(ctx, p.path, w), nil)
	}
	if err != nil {
		return nil, err
	}
	after, err := processCPU(srv.PID())
	if err != nil {
		return nil, err
	}
	if err := (&benchBucket{srv: srv, name: where, set: bucket.set}).check(ctx, to); err != nil {
		return nil, fmt.Errorf("after %s: %w", p.name, err)
	}
	n := float64(bucket.set.count)
	return Figures{"seconds": cost.Seconds, "objects/s": n / cost.Seconds, "MB/s": n * float64(bucket.set.size) / 1e6 / cost.Seconds,
		"client CPU ms/object": cost.CPUSeconds * 1e3 / n, "server CPU ms/object": (after - before).Seconds() * 1e3 / n,
		"peak RSS MB": float64(cost.PeakRSS) / 1e6}, nil
}

// shows says whether an object is under e.
func (e encryption) shows(o object.Encryption) bool {
	want, err := object.ParseSSE(e.sse)
	if e.sse == "" {
		want, err = object.SSENone, nil
	}
	return err == nil && o.Type == want && (e.key == "" || o.KMSKeyID == realserver.ShownKey(e.key))
}

// processCPU is what a process has spent so far, by /proc.
func processCPU(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(data), ") ") // the name may hold spaces
	f := strings.Fields(rest)
	if !ok || len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat cannot be read", pid)
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}
