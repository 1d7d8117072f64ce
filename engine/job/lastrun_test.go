package job

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestARunIsThereAgain: where the file is damaged, or taken away, by which others find the
// process at work, that process writes it again.
func TestARunIsThereAgain(t *testing.T) {
	for name, harm := range map[string]func(*bench, *Job) error{
		"damaged":          func(_ *bench, j *Job) error { return os.WriteFile(j.path(runName), []byte("{}"), 0o600) },
		"longer":           func(_ *bench, j *Job) error { return os.WriteFile(j.path(runName), make([]byte, 2*runSize), 0o600) },
		"taken away":       func(_ *bench, j *Job) error { return os.Remove(j.path(runName)) },
		"open to others":   func(_ *bench, j *Job) error { return os.Chmod(j.path(runName), 0o666) },
		"gone in a bucket": nil,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 26)
			b.SetLatency(map[string]time.Duration{"CopyObject": 700 * time.Millisecond})
			if harm == nil {
				b.CreateBucket("state", s3test.BucketConfig{})
				b.dir = "s3://state/jobs/one"
				b.SetLatency(map[string]time.Duration{"CopyObject": 2 * time.Second}) // it is looked at every 15 s
				harm = func(b *bench, _ *Job) error { b.Remove("state", "jobs/one/run.json", ""); return nil }
			}
			j, stop := b.create(t, Policy{}), make(chan struct{})
			var looking sync.WaitGroup
			watch := func(*Running) (func(), error) {
				looking.Go(func() {
					defer close(stop)
					other, err := Open(b.dir)
					if err != nil {
						t.Error(err)
						return
					}
					defer other.Close()
					there := func() bool { return other.readRun() != nil }
					if !comesTrue(20*time.Second, there) {
						t.Error("it was never there")
					} else if err := harm(b, j); err != nil {
						t.Error(err)
					} else if !comesTrue(40*time.Second, there) {
						t.Error("it is not there again")
					}
				})
				return func() {}, nil
			}
			if _, err := j.Run(t.Context(), Options{Watch: watch, Stop: stop, Limits: Limits{Concurrency: 1}}); !errors.Is(err, ErrInterrupted) {
				t.Error(err)
			}
			looking.Wait()
		})
	}
}

// comesTrue waits until something is so, and says whether it came to be.
func comesTrue(most time.Duration, so func() bool) bool {
	for began := time.Now(); time.Since(began) < most; time.Sleep(50 * time.Millisecond) {
		if so() {
			return true
		}
	}
	return false
}

// TestStatusTellsAResumedJob: from the second process on, of a job in one part or in shards.
func TestStatusTellsAResumedJob(t *testing.T) {
	for _, shards := range []int{0, 2} {
		b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 3)
		j := b.create(t, Policy{})
		if shards > 0 {
			if _, err := j.Divide(t.Context(), shards, Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := j.Plan(t.Context(), PlanOptions{}); err != nil {
			t.Fatal(err)
		}
		if s, err := j.Status(); err != nil || s.Resumed {
			t.Errorf("planned, %d shards: %+v, %v", shards, s, err)
		}
		if _, err := j.Run(t.Context(), Options{}); err != nil {
			t.Fatal(err)
		}
		if s, err := j.Status(); err != nil || !s.Resumed {
			t.Errorf("run, %d shards: %+v, %v", shards, s, err)
		}
	}
}
