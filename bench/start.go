package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/awsface"
)

// StartConfig is the workload "start": how long it takes from the start of the
// process to the first request for an object, on a store that is far away.
type StartConfig struct {
	Delay  time.Duration
	Rounds int
	Trace  bool
	Dir    string
}

func (c *StartConfig) flags(f *flag.FlagSet) {
	f.DurationVar(&c.Delay, "delay", 50*time.Millisecond, "how long the store takes for each reply")
	f.IntVar(&c.Rounds, "rounds", 5, "rounds; the stores take turns")
	f.BoolVar(&c.Trace, "trace", false, "print every request of the first round")
	f.StringVar(&c.Dir, "dir", "", "where jobs are kept while they run")
}

// beginning is a store, and what a job begins with there.
type beginning struct {
	name string
	aws  bool
	cfg  s3test.Config
	kms  bool
}

// RunStart starts jobs on embedded stores that take their time.
func RunStart(ctx context.Context, c StartConfig, log io.Writer) (_ *Table, err error) {
	b := &builder{}
	defer b.Close()
	path, _, err := b.find(ctx)
	if err != nil {
		return nil, err
	}
	t := &Table{Workload: "start", What: fmt.Sprintf("from the start of the process to the first request for an object, %v a reply", c.Delay),
		Columns: []Column{{"seconds to the first look", "%.2f", false}, {"seconds to the first change", "%.2f", false}, {"requests before", "%.0f", false}}}
	for round := range c.Rounds {
		for _, at := range []beginning{
			{name: "AWS, SSE-S3", aws: true}, {name: "AWS, SSE-KMS", aws: true, kms: true},
			{name: "a store that can do all, SSE-S3"},
			{name: "as MinIO, SSE-S3", cfg: s3test.Config{Profile: s3test.MinIO()}},
			{name: "as MinIO, SSE-KMS", cfg: s3test.Config{Profile: s3test.MinIO()}, kms: true},
		} {
			var trace io.Writer
			if c.Trace && round == 0 {
				trace = log
			}
			f, err := c.start(ctx, path, &at, trace)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", at.name, err)
			}
			t.add(at.name, "", 100, f)
			fmt.Fprintf(log, "round %d: %-40s %.2f s, %.2f s\n", round+1, at.name, f["seconds to the first look"], f["seconds to the first change"])
		}
	}
	return t, nil
}

func (c *StartConfig) start(ctx context.Context, path string, at *beginning, trace io.Writer) (Figures, error) {
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cfg := at.cfg
	cfg.Latency = map[string]time.Duration{"": c.Delay}
	store, env, end, err := at.open(cfg, dir)
	if err != nil {
		return nil, err
	}
	defer end()
	args := []string{"run", "s3://far", "--job", filepath.Join(dir, "job"), "--json", "--no-progress", "--sse", "AES256"}
	if key := store.KMS.CreateKey(); at.kms {
		args[len(args)-1] = "aws:kms"
		args = append(args, "--sse-kms-key-id", key[strings.LastIndex(key, "/")+1:])
	}
	store.CreateBucket("far", s3test.BucketConfig{})
	for i := range 100 {
		store.Put("far", s3test.Object{Key: nullKey(i), Body: s3test.Bytes("near and far")})
	}
	w := &watchedStart{trace: trace}
	store.OnRequest(w.saw)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = env
	w.began = time.Now()
	if _, err := run(cmd, io.Discard); err != nil {
		return nil, err
	}
	if w.look == 0 || w.change == 0 {
		return nil, fmt.Errorf("no object was touched")
	}
	return Figures{"seconds to the first look": w.look.Seconds(), "seconds to the first change": w.change.Seconds(), "requests before": float64(w.before)}, nil
}

// open starts the store, and says how a child reaches it.
func (b *beginning) open(cfg s3test.Config, dir string) (_ *s3test.Server, env []string, end func(), err error) {
	if b.aws {
		face, err := awsface.Start(cfg, dir)
		if err != nil {
			return nil, nil, nil, err
		}
		return face.Store, append(face.Env(os.Environ()), "HOME="+dir), face.Close, nil
	}
	store, err := s3test.Start(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	id := s3test.DefaultCredentials
	t := &task{endpoint: store.URL(), accessKey: id.AccessKeyID, secretKey: id.SecretAccessKey, dir: dir}
	return store, t.env(), store.Close, nil
}

// watchedStart looks for the first requests for one of the job's objects.
type watchedStart struct {
	began time.Time
	trace io.Writer

	mu           sync.Mutex
	look, change time.Duration
	before       int
}

func (w *watchedStart) saw(r s3test.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := time.Since(w.began)
	if w.trace != nil && w.change == 0 {
		fmt.Fprintf(w.trace, "%6.3f %s %s %s\n", at.Seconds(), r.Op, r.Key, r.Sub)
	}
	own := strings.HasPrefix(r.Key, nullPrefix)
	if own && w.look == 0 {
		w.look = at
	}
	if own && w.change == 0 && (r.Method == "PUT" || r.Method == "POST") {
		w.change = at
	}
	if w.change == 0 {
		w.before++
	}
}
