package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
)

// CheckpointConfig is the workload "checkpoint": what remembering costs, without
// any store.
type CheckpointConfig struct {
	Objects, Rounds int
	Dir             string
}

func (c *CheckpointConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Objects, "objects", 2_000_000, "objects of the job")
	f.IntVar(&c.Rounds, "rounds", 3, "rounds")
	f.StringVar(&c.Dir, "dir", "", "where the job is kept; a folder in memory would spare the fsyncs")
}

// RunCheckpoint plans and settles a job of realistic rows: keys of 50 bytes,
// random ETags and request IDs, two key ARNs.
func RunCheckpoint(ctx context.Context, c CheckpointConfig, log io.Writer) (*Table, error) {
	t := &Table{Workload: "checkpoint", What: "planning and settling a job, each durable, with fsync; CPU is of the whole process, without that of making the rows",
		Columns: []Column{{"plan CPU µs/object", "%.2f", false}, {"outcome CPU µs/object", "%.2f", false}, {"plan µs/object", "%.2f", false},
			{"outcome µs/object", "%.2f", false}, {"disk bytes/object", "%.1f", false}, {"reopen ms", "%.1f", false}, {"first task ms", "%.1f", false}}}
	for round := range c.Rounds {
		err := inDir(c.Dir, func(dir string) error {
			f, err := c.round(ctx, dir)
			if err != nil {
				return err
			}
			t.add("checkpoint", "", c.Objects, f)
			fmt.Fprintf(log, "round %d: %.2f + %.2f µs of CPU an object\n", round+1, f["plan CPU µs/object"], f["outcome CPU µs/object"])
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (c *CheckpointConfig) round(ctx context.Context, dir string) (_ Figures, err error) {
	s, err := checkpoint.Open(dir, checkpoint.Options{})
	if err != nil {
		return nil, err
	}
	f := Figures{}
	r := rand.New(rand.NewPCG(1, 2))
	left := c.Objects - c.Objects/100
	err = errors.Join(c.plan(s, r, f), c.settle(ctx, s, r, left, f), s.Close())
	if err != nil {
		return nil, err
	}
	disk, err := diskUse(dir)
	if err != nil {
		return nil, err
	}
	f["disk bytes/object"] = float64(disk) / float64(c.Objects)
	began := time.Now()
	if s, err = checkpoint.Open(dir, checkpoint.Options{}); err != nil {
		return nil, err
	}
	f["reopen ms"] = time.Since(began).Seconds() * 1e3
	_, err = s.Next(ctx, make([]object.Task, 64))
	f["first task ms"] = time.Since(began).Seconds() * 1e3
	return f, errors.Join(err, s.Close())
}

// spent measures wall time and CPU of what f does.
func spent(f func() error) (wall, cpu time.Duration, err error) {
	began, before := time.Now(), ownCPU()
	err = f()
	return time.Since(began), ownCPU() - before, err
}

func (c *CheckpointConfig) plan(s *checkpoint.Store, r *rand.Rand, f Figures) error {
	page := make([]object.Task, 0, 1000)
	var wall, cpu time.Duration
	for i := 0; i < c.Objects; {
		page = page[:0]
		for ; len(page) < cap(page) && i < c.Objects; i++ {
			page = append(page, object.Task{Object: object.Object{
				Ref:  object.Ref{Bucket: "customer-archive-eu", Key: fmt.Sprintf("tenants/%04d/2024/%02d/invoice-%010d.pdf", i/5000, i/400%12, i)},
				Size: r.Int64N(1 << 20), ETag: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()), LastModified: time.Unix(1700000000+int64(i/3), 0).UTC()}})
		}
		w, u, err := spent(func() error {
			return s.Append(page, []object.Cursor{{Range: "r", Position: []byte(page[len(page)-1].Object.Key)}})
		})
		if err != nil {
			return err
		}
		wall, cpu = wall+w, cpu+u
	}
	w, u, err := spent(s.PlanComplete)
	f["plan µs/object"] = micros(wall+w, c.Objects)
	f["plan CPU µs/object"] = micros(cpu+u, c.Objects)
	return err
}

func (c *CheckpointConfig) settle(ctx context.Context, s *checkpoint.Store, r *rand.Rand, n int, f Figures) error {
	keys := [2]string{"arn:aws:kms:eu-central-1:111122223333:key/0f3c1a52-7f0e-4f0a-9d9c-0b1f5f6f7a01", "arn:aws:kms:eu-central-1:111122223333:key/5d2b9c1e-1111-4c3b-8a7d-3f2e1d0c9b8a"}
	buf := make([]object.Task, 256)
	outs := make([]object.Outcome, len(buf))
	var wall, cpu time.Duration
	for done := 0; done < n; {
		k := 0
		w, u, err := spent(func() (err error) { k, err = s.Next(ctx, buf[:min(len(buf), n-done)]); return err })
		if err != nil {
			return err
		}
		wall, cpu = wall+w, cpu+u
		for i := range k {
			outs[i] = object.Outcome{Seq: buf[i].Seq, State: object.Done, Operation: object.OpCopy, Size: buf[i].Object.Size, Attempts: 1,
				ETagBefore: buf[i].Object.ETag, ETagAfter: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()),
				Before: object.Encryption{Type: object.SSEKMS, KMSKeyID: keys[0]}, After: object.Encryption{Type: object.SSEKMS, KMSKeyID: keys[1]},
				RequestID: fmt.Sprintf("%016X", r.Uint64()), FinishedAt: time.Now()}
		}
		w, u, err = spent(func() error {
			for i := range k {
				if err := s.Record(&outs[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		wall, cpu, done = wall+w, cpu+u, done+k
	}
	w, u, err := spent(s.Flush)
	f["outcome µs/object"] = micros(wall+w, n)
	f["outcome CPU µs/object"] = micros(cpu+u, n)
	return err
}

func micros(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(n) }
