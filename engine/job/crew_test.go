package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestCrewSpendsFailures: what the shards before have used up of the failures that are
// allowed is not allowed again, also to the last one of them.
func TestCrewSpendsFailures(t *testing.T) {
	for failed, want := range []int64{2, 1, 0, 0} {
		c := &crew{opt: &Options{Limits: Limits{MaxFailures: MaxFailures{Count: 2}}}}
		c.mu.failed = int64(failed)
		o := c.options()
		if o.MaxFailures.Count != want || o.MaxFailures.none() != (want == 0) {
			t.Errorf("after %d failures: %+v", failed, o.MaxFailures)
		}
	}
}

// heard passes on what is logged.
type heard struct {
	slog.Handler
	text chan string
}

func (h heard) Handle(_ context.Context, r slog.Record) error {
	h.text <- r.Message
	return nil
}

// TestWaitingForReadersIsTold: who waits for a prune or a verification of a shard says so,
// and goes on when that is over.
func TestWaitingForReadersIsTold(t *testing.T) {
	for name, run := range map[string]func(j *Job, o Options) error{
		"one": func(j *Job, o Options) error {
			shard, err := j.Shard(1)
			if err == nil {
				o.Await = true
				_, err = shard.Run(t.Context(), o)
			}
			return err
		},
		"all": func(j *Job, o Options) error {
			_, err := j.Run(t.Context(), o)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 8)
			j := divided(t, b, 2)
			_, reader := readShard(t, j)
			h := heard{slog.Default().Handler(), make(chan string, 1000)}
			ended := make(chan error, 1)
			go func() { ended <- run(j, Options{Log: slog.New(h)}) }()
			for told := false; !told; {
				select {
				case text := <-h.text:
					told = text == waitsForReader
				case err := <-ended:
					t.Fatalf("it ended: %v", err)
				}
			}
			if err := reader.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWaitingForReadersEnds: a signal ends the wait for somebody who reads.
func TestWaitingForReadersEnds(t *testing.T) {
	for name, want := range map[string]error{"drain": ErrInterrupted, "at once": ErrGivenUp} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 8)
			shard, reader := readShard(t, divided(t, b, 2))
			defer reader.Close()
			ctx, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			stop := make(chan struct{})
			if want == ErrGivenUp {
				giveUp()
			} else {
				close(stop)
			}
			o := Options{Stop: stop}
			o.Await = true
			if _, err := shard.Run(ctx, o); !errors.Is(err, want) {
				t.Errorf("it ended by %v", err)
			}
		})
	}
}

// TestAPlaceThatIsRefused: once others were worked on, a place that is refused is no refusal
// of the job, of which nothing would have been touched.
func TestAPlaceThatIsRefused(t *testing.T) {
	for _, begun := range []bool{false, true} {
		c := &crew{begun: begun, failed: fmt.Errorf("shard 1: %w", unusable("the store cannot be trusted", "ask it"))}
		err := c.placeFailed()
		var refused *UnusableError
		if errors.As(err, &refused) == begun || err.Error() != c.failed.Error() {
			t.Errorf("begun %v: %v", begun, err)
		}
	}
}

// readShard plans the first shard and has somebody read it.
func readShard(t *testing.T, j *Job) (*Job, *checkpoint.Store) {
	t.Helper()
	shard, err := j.Shard(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shard.Plan(t.Context(), PlanOptions{}); err != nil {
		t.Fatal(err)
	}
	reader, err := checkpoint.OpenReadOnly(shard.Dir, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return shard, reader
}
