package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
)

// ResumeConfig is the workload "resume": how long a job that is nearly done
// takes from the start of the process to its first request for an object.
type ResumeConfig struct {
	Objects, Done int
	Rounds        int
	Dir           string
}

func (c *ResumeConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Objects, "objects", 10_000_000, "objects of the job")
	f.IntVar(&c.Done, "done", 9_900_000, "of these, the ones that are done")
	f.IntVar(&c.Rounds, "rounds", 5, "starts; every process but the last is killed at its first request")
	f.StringVar(&c.Dir, "dir", "", "where the job is kept while it runs")
}

// RunResume plans a job against the null server, records the outcomes of most of
// it, and resumes it again and again.
func RunResume(ctx context.Context, c ResumeConfig, log io.Writer) (*Table, error) {
	return withNull(ctx, func(server *nullProcess, b *builder) (*Table, error) { return c.run(ctx, server, b, log) })
}

func (c *ResumeConfig) run(ctx context.Context, server *nullProcess, b *builder, log io.Writer) (*Table, error) {
	path, _, err := b.find(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &resume{ResumeConfig: *c, path: path, server: server, job: filepath.Join(dir, "job"),
		task: server.task("", dir)}
	if err := r.plan(ctx, log); err != nil {
		return nil, err
	}
	if err := r.record(ctx, log); err != nil {
		return nil, err
	}
	t := &Table{Workload: "resume",
		What: fmt.Sprintf("a job of %d objects with %d done, from the start of the process to the first request for an object", c.Objects, c.Done),
		Columns: []Column{{"seconds to the first request", "%.3f", false}, {"seconds to the end", "%.2f", false},
			{"peak RSS MB", "%.1f", false}, {"disk bytes/object", "%.1f", false}}}
	disk, err := diskUse(r.job)
	if err != nil {
		return nil, err
	}
	for round := range c.Rounds {
		f, err := r.start(ctx, round == c.Rounds-1)
		if err != nil {
			return nil, err
		}
		f["disk bytes/object"] = float64(disk) / float64(c.Objects)
		t.add("reseal run --job", "", c.Objects, f)
		fmt.Fprintf(log, "round %d: first request after %.3f s\n", round+1, f["seconds to the first request"])
	}
	return t, nil
}

type resume struct {
	ResumeConfig
	path   string
	server *nullProcess
	job    string
	task   *task
}

func (r *resume) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.path, args...)
	cmd.Env = r.task.env()
	return cmd
}

// plan makes the job.
func (r *resume) plan(ctx context.Context, log io.Writer) error {
	cost, err := run(r.command(ctx, "plan", fmt.Sprintf("s3://n%d/%s", r.Objects, nullPrefix), "--sse", "AES256", "--inspect", "never", "--verify", "response",
		"--job", r.job, "--json", "--no-progress"), nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "planned %d objects in %.1f s, %.2f µs of CPU each, peak RSS %.1f MB\n",
		r.Objects, cost.Seconds, cost.CPUSeconds*1e6/float64(r.Objects), float64(cost.PeakRSS)/1e6)
	return nil
}

// record takes tasks as a run would and gives them outcomes.
func (r *resume) record(ctx context.Context, log io.Writer) (err error) {
	data, err := os.ReadFile(filepath.Join(r.job, "job.json"))
	if err != nil {
		return err
	}
	var file struct{ Digest string }
	if err := json.Unmarshal(data, &file); err != nil {
		return err
	}
	var opt checkpoint.Options
	if _, err := hex.Decode(opt.Job[:], []byte(file.Digest)); err != nil {
		return err
	}
	s, err := checkpoint.Open(r.job, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	began, done := time.Now(), 0
	buf := make([]object.Task, 256)
	for done < r.Done {
		n, err := s.Next(ctx, buf[:min(len(buf), r.Done-done)])
		if err != nil {
			return err
		}
		for i := range buf[:n] {
			o := &buf[i].Object
			err := s.Record(&object.Outcome{Seq: buf[i].Seq, State: object.Done, Operation: object.OpCopy, Size: o.Size, Attempts: 1,
				ETagBefore: o.ETag, ETagAfter: o.ETag, Before: object.Encryption{Type: object.SSENone}, After: object.Encryption{Type: object.SSES3},
				RequestID: "17D6B4A1C2E3F405", FinishedAt: time.Now()})
			if err != nil {
				return err
			}
		}
		done += n
	}
	fmt.Fprintf(log, "recorded %d outcomes in %.1f s\n", done, time.Since(began).Seconds())
	return nil
}

// start resumes the job once. It lets the process go on to the end, or kills it
// at its first request for an object, as a power cut would.
func (r *resume) start(ctx context.Context, toEnd bool) (Figures, error) {
	if _, err := get(r.server.URL + "/-mark"); err != nil {
		return nil, err
	}
	cmd := r.command(ctx, "run", "--job", r.job, "--json", "--no-progress")
	out, err := os.CreateTemp(r.task.dir, "out-")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	peak := watchRSS(cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	first, err := r.firstRequest(ctx, ended)
	f := Figures{"seconds to the first request": first.Sub(began).Seconds()}
	if err != nil || !toEnd {
		cmd.Process.Kill()
		<-ended
		f["peak RSS MB"] = float64(peak()) / 1e6
		return f, err
	}
	if err := <-ended; err != nil {
		return nil, fmt.Errorf("reseal run --job: %w", err)
	}
	f["seconds to the end"], f["peak RSS MB"] = time.Since(began).Seconds(), float64(peak())/1e6
	return f, r.check(out.Name())
}

// firstRequest waits until the null server has seen a request for an object.
func (r *resume) firstRequest(ctx context.Context, ended chan error) (time.Time, error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s, err := r.server.Stats()
		if err != nil {
			return time.Time{}, err
		}
		if s.FirstAfterMark != 0 {
			return time.Unix(0, s.FirstAfterMark), nil
		}
		select {
		case err := <-ended:
			ended <- err
			return time.Time{}, fmt.Errorf("reseal run --job ended before it sent a request (%v)", err)
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// check reads what the last run said about the whole job.
func (r *resume) check(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s struct {
		Planned, Done, Remaining int
		Complete, Resumed        bool
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	if s.Planned != r.Objects || s.Done != r.Objects || s.Remaining != 0 || !s.Complete || !s.Resumed {
		return fmt.Errorf("the resumed job says %s", data)
	}
	return nil
}

func diskUse(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}
