package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// ScaleConfig is the workload "scale": processes on hosts of their own share a job,
// whose state lies in a bucket, on a store that limits every prefix.
type ScaleConfig struct {
	Processes []int
	Prefixes  int
	Rate      float64
	Objects   int
	Delay     time.Duration
	Settle    time.Duration
	Measure   time.Duration
	Dir       string
}

func (c *ScaleConfig) flags(f *flag.FlagSet) {
	c.Processes = []int{1, 2, 4, 8}
	f.Func("processes", "how many processes share the job (default 1,2,4,8)", func(s string) error {
		c.Processes = nil
		for part := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 1 || n > 64 {
				return fmt.Errorf("%q is no number of processes", part)
			}
			c.Processes = append(c.Processes, n)
		}
		return nil
	})
	f.IntVar(&c.Prefixes, "prefixes", 16, "prefixes of the bucket, one shard each")
	f.Float64Var(&c.Rate, "rate", 500, "requests a second that the store takes for each prefix")
	f.IntVar(&c.Objects, "objects", 30_000, "objects of each prefix")
	f.DurationVar(&c.Delay, "delay", 10*time.Millisecond, "how long the store takes for each reply")
	f.DurationVar(&c.Settle, "settle", 15*time.Second, "how long the processes run before anything is counted")
	f.DurationVar(&c.Measure, "measure", 30*time.Second, "how long is counted")
	f.StringVar(&c.Dir, "dir", "", "where the processes keep their files")
}

// RunScale lets more and more processes share the job.
func RunScale(ctx context.Context, c ScaleConfig, log io.Writer) (*Table, error) {
	b := &builder{}
	defer b.Close()
	path, _, err := b.find(ctx)
	if err != nil {
		return nil, err
	}
	t := &Table{Workload: "scale",
		What: fmt.Sprintf("processes in network namespaces, each on one shard after another; a store that takes %.0f requests a second of each prefix, %v a reply", c.Rate, c.Delay),
		Columns: []Column{{"taken a second", "%.0f", true}, {"of the sum of their limits", "%.3f", false}, {"least prefix, of its limit", "%.3f", false},
			{"throttled %", "%.2f", false}}}
	for _, n := range c.Processes {
		f, err := c.share(ctx, path, n)
		if err != nil {
			return t, err
		}
		t.add(fmt.Sprintf("%d processes", n), "", c.Prefixes*c.Objects, f)
		fmt.Fprintf(log, "%d processes: %.0f a second, %.3f of the sum, %.2f %% throttled\n", n, f["taken a second"], f["of the sum of their limits"], f["throttled %"])
	}
	return t, nil
}

// share runs n processes for a while.
func (c *ScaleConfig) share(ctx context.Context, path string, n int) (_ Figures, err error) {
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	hosts, err := newHosts(ctx, n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hosts.close()) }()
	store, err := c.startStore(ctx, hosts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.stop()) }()
	id := s3test.DefaultCredentials
	command := func(host int, args ...string) (*exec.Cmd, error) {
		own := filepath.Join(dir, fmt.Sprint(host))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return nil, err
		}
		t := &task{endpoint: "http://" + hosts.storeAddr(), accessKey: id.AccessKeyID, secretKey: id.SecretAccessKey, dir: own}
		cmd := hosts.command(ctx, hosts.name(host), path, append(args, "--no-progress", "--job", "s3://state/job")...)
		cmd.Env = append(t.env(), "TMPDIR="+own)
		return cmd, nil
	}
	plan, err := command(1, "plan", "s3://many", "--sse", "AES256", "--inspect", "never", "--verify", "response", "--shards", fmt.Sprint(c.Prefixes))
	if err != nil {
		return nil, err
	}
	if _, err := run(plan, io.Discard); err != nil {
		return nil, err
	}
	var all []*exec.Cmd
	defer func() {
		for _, cmd := range all {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		}
	}()
	for i := range n {
		cmd, err := command(i+1, "run", "--shard", "any")
		if err != nil {
			return nil, err
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		all = append(all, cmd)
	}
	return c.watch(ctx, store, n)
}

// watch counts what the store takes and refuses.
func (c *ScaleConfig) watch(ctx context.Context, store *limitedStore, n int) (Figures, error) {
	if err := sleep(ctx, c.Settle); err != nil {
		return nil, err
	}
	before, err := store.counts()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := sleep(ctx, c.Measure); err != nil {
		return nil, err
	}
	after, err := store.counts()
	if err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds()
	var taken, refused int64
	least := -1.0
	for i := range after.Taken {
		of := after.Taken[i] - before.Taken[i]
		taken += of
		refused += after.Refused[i] - before.Refused[i]
		if share := float64(of) / took / c.Rate; of > 0 && (least < 0 || share < least) {
			least = share
		}
	}
	rate := float64(taken) / took
	return Figures{"taken a second": rate, "of the sum of their limits": rate / (c.Rate * float64(min(n, c.Prefixes))),
		"least prefix, of its limit": least, "throttled %": 100 * float64(refused) / float64(max(1, taken+refused))}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// limitedStore is the store's process.
type limitedStore struct {
	cmd   *exec.Cmd
	ask   io.WriteCloser
	reply *bufio.Reader
}

// limitedCounts are those of each prefix since the store began.
type limitedCounts struct{ Taken, Refused []int64 }

func (c *ScaleConfig) startStore(ctx context.Context, h *hosts) (*limitedStore, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := h.command(ctx, h.name(0), path, "-limited-store", "-addr", h.storeAddr(), "-prefixes", fmt.Sprint(c.Prefixes),
		"-objects", fmt.Sprint(c.Objects), "-rate", fmt.Sprint(c.Rate), "-delay", c.Delay.String())
	cmd.Stderr = os.Stderr
	s := &limitedStore{cmd: cmd}
	if s.ask, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.reply = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := s.counts(); err != nil { // it is up
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *limitedStore) counts() (n limitedCounts, err error) {
	if _, err := fmt.Fprintln(s.ask); err != nil {
		return n, err
	}
	line, err := s.reply.ReadBytes('\n')
	if err != nil {
		return n, fmt.Errorf("the store does not answer: %w", err)
	}
	return n, json.Unmarshal(line, &n)
}

func (s *limitedStore) stop() error {
	s.ask.Close()
	return s.cmd.Wait()
}

// runLimitedStore is the store's process: a line in, its counts out.
func runLimitedStore(args []string, stdin io.Reader, stdout io.Writer) error {
	var addr string
	var rate float64
	var prefixes, objects int
	var delay time.Duration
	f := flag.NewFlagSet("limited-store", flag.ContinueOnError)
	f.StringVar(&addr, "addr", "", "where to listen")
	f.Float64Var(&rate, "rate", 0, "requests a second of each prefix")
	f.IntVar(&prefixes, "prefixes", 0, "how many")
	f.IntVar(&objects, "objects", 0, "of each prefix")
	f.DurationVar(&delay, "delay", 0, "of each reply")
	if err := f.Parse(args); err != nil {
		return err
	}
	s, err := s3test.Start(s3test.Config{Addr: addr, NoLog: true, Latency: map[string]time.Duration{"": delay}})
	if err != nil {
		return err
	}
	defer s.Close()
	s.CreateBucket("state", s3test.BucketConfig{})
	s.CreateBucket("many", s3test.BucketConfig{})
	body := s3test.Bytes("one of many")
	for p := range prefixes {
		for i := range objects {
			s.Put("many", s3test.Object{Key: fmt.Sprintf("%02d/%09d", p, i), Body: body})
		}
	}
	s.SetLimits(s3test.Limits{Requests: rate, PerPrefix: true})
	taken, refused := make([]atomic.Int64, prefixes), make([]atomic.Int64, prefixes)
	s.OnReply(func(r s3test.Request) {
		prefix, _, _ := strings.Cut(r.Key, "/")
		p, err := strconv.Atoi(prefix)
		if r.Bucket != "many" || err != nil || p >= prefixes {
			return
		}
		if r.Status == 503 {
			refused[p].Add(1)
		} else {
			taken[p].Add(1)
		}
	})
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		n := limitedCounts{make([]int64, prefixes), make([]int64, prefixes)}
		for p := range prefixes {
			n.Taken[p], n.Refused[p] = taken[p].Load(), refused[p].Load()
		}
		if err := json.NewEncoder(stdout).Encode(n); err != nil {
			return err
		}
	}
	return lines.Err()
}
