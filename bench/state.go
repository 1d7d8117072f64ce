package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// StateConfig is the workload "state": what it costs that a job's state lies in a bucket,
// and how long it takes to go on from there on an empty disk.
type StateConfig struct {
	Rounds        int
	Objects       int
	ResumeObjects int
	Dir           string
}

func (c *StateConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Rounds, "rounds", 5, "rounds; the participants take turns")
	f.IntVar(&c.Objects, "objects", 20_000, "objects of the job that is run")
	f.IntVar(&c.ResumeObjects, "resume", 1_000_000, "objects of the job that is gone on with")
	f.StringVar(&c.Dir, "dir", "", "where jobs are kept while they run")
}

// RunState measures both against a real MinIO in memory.
func RunState(ctx context.Context, c StateConfig, log io.Writer) (_ []*Table, err error) {
	b := &builder{}
	defer func() { err = errors.Join(err, b.Close()) }()
	runs := MinIOConfig{Rounds: c.Rounds, Concurrency: 64, Sets: list{fmt.Sprintf("%dx1024", c.Objects)}, Moves: list{"none-s3"}, Dir: c.Dir}
	runs.loops = []*participant{reseal(b, "reseal --job DIR"), resealInBucket(b)}
	tables, err := RunMinIO(ctx, runs, log)
	if err != nil {
		return nil, err
	}
	resumed, err := c.resume(ctx, log)
	return append(tables, resumed), err
}

// resealInBucket is reseal with its state in a bucket of the same server.
func resealInBucket(b *builder) *participant {
	p := reseal(b, "reseal --job s3://…")
	plain := p.args
	p.args = func(t *task) []string {
		args := plain(t)
		for i := range args {
			if args[i] == "--job" {
				var random [8]byte
				_, _ = rand.Read(random[:]) // never fails
				args[i+1] = "s3://" + t.other + "/jobs/" + hex.EncodeToString(random[:])
			}
		}
		return args
	}
	p.own = func(ctx context.Context, path string, t *task) (Cost, error) {
		srv, err := stateStore(ctx, t.endpoint)
		if err != nil {
			return Cost{}, err
		}
		defer srv.Close()
		if err := srv.CreateBucket(ctx, t.other); err != nil {
			return Cost{}, err
		}
		return run(p.command(ctx, path, t), nil)
	}
	return p
}

// resume writes the state of a job of which 99 % are done, as its process would, and
// makes a checkpoint of it on an empty disk.
func (c *StateConfig) resume(ctx context.Context, log io.Writer) (_ *Table, err error) {
	srv, err := realserver.Start(ctx, realserver.Options{Env: []string{"MINIO_SCANNER_SPEED=slowest"}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	bucket := "state"
	if _, err := srv.Client().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		return nil, err
	}
	store, err := stateStore(ctx, srv.Endpoint)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	place := &ledger.Place{Store: store, Bucket: bucket, Prefix: "jobs/bench/",
		Backoff: func(n int, asked time.Duration) time.Duration { return pace.Backoff(n, asked, nil) }}
	if err := c.write(ctx, place, log); err != nil {
		return nil, err
	}
	t := &Table{Workload: "state resume", What: fmt.Sprintf("the state of %d objects, 99 %% of them done, from a real MinIO in memory into a checkpoint on an empty disk", c.ResumeObjects),
		Columns: []Column{{"seconds", "%.2f", false}, {"CPU µs/object", "%.2f", false}, {"segments", "%.0f", false}, {"bytes/object", "%.1f", false}}}
	for range c.Rounds {
		f, err := c.restore(ctx, place)
		if err != nil {
			return nil, err
		}
		t.add("Log.Segments, checkpoint.Restore and Open", "", c.ResumeObjects, f)
	}
	return t, nil
}

func stateStore(ctx context.Context, endpoint string) (*stateClient, error) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": realserver.AccessKey, "AWS_SECRET_ACCESS_KEY": realserver.SecretKey, "AWS_REGION": "us-east-1"} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	s, err := s3store.Open(ctx, s3store.Options{EndpointURL: endpoint, Region: "us-east-1"})
	return &stateClient{s}, err
}

// stateClient is the product's own client.
type stateClient struct{ *s3store.Store }

// CreateBucket makes a bucket, if it is not there yet.
func (s *stateClient) CreateBucket(ctx context.Context, name string) error {
	client := s3.New(s3.Options{BaseEndpoint: aws.String(s.Endpoint()), Region: "us-east-1", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(realserver.AccessKey, realserver.SecretKey, "")})
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name})
	if _, ours := errors.AsType[*types.BucketAlreadyOwnedByYou](err); ours {
		return nil
	}
	return err
}

// write plans and settles a job whose changes go to the bucket.
func (c *StateConfig) write(ctx context.Context, place *ledger.Place, log io.Writer) error {
	return inDir(c.Dir, func(dir string) error {
		l, err := ledger.Acquire(ctx, place, "lease", ledger.Terms{})
		if err != nil {
			return err
		}
		segments := ledger.NewLog(place, "log", "bench")
		for _, err := range segments.Segments(ctx, l) {
			if err != nil {
				return err
			}
		}
		s, err := checkpoint.Open(dir, checkpoint.Options{Away: segments})
		if err != nil {
			return err
		}
		r, f, began := mathrand.New(mathrand.NewPCG(1, 2)), Figures{}, time.Now()
		job := CheckpointConfig{Objects: c.ResumeObjects}
		err = errors.Join(job.plan(s, r, f), job.settle(ctx, s, r, c.ResumeObjects-c.ResumeObjects/100, f), s.Close(), l.Release(ctx))
		fmt.Fprintf(log, "written in %.1f s, %.2f + %.2f µs of CPU an object\n", time.Since(began).Seconds(), f["plan CPU µs/object"], f["outcome CPU µs/object"])
		return err
	})
}

func (c *StateConfig) restore(ctx context.Context, place *ledger.Place) (f Figures, err error) {
	err = inDir(c.Dir, func(dir string) error {
		began, cpu := time.Now(), ownCPU()
		segments := ledger.NewLog(place, "log", "bench")
		if err := checkpoint.Restore(dir, checkpoint.Options{}, segments.Segments(ctx, nil)); err != nil {
			return err
		}
		s, err := checkpoint.Open(dir, checkpoint.Options{})
		if err != nil {
			return err
		}
		took, spent := time.Since(began), ownCPU()-cpu
		if t := s.Totals(); t.Planned.Objects != uint64(c.ResumeObjects) {
			err = fmt.Errorf("%d objects of %d", t.Planned.Objects, c.ResumeObjects)
		}
		n, size := segments.Size()
		f = Figures{"seconds": took.Seconds(), "CPU µs/object": spent.Seconds() * 1e6 / float64(c.ResumeObjects), "segments": float64(n), "bytes/object": float64(size) / float64(c.ResumeObjects)}
		return errors.Join(err, s.Close())
	})
	return f, err
}
