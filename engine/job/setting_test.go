package job

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestAClaimWhereFilesHaveNoIdentity: a file system that shows another file each time holds
// nobody up for ever.
func TestAClaimWhereFilesHaveNoIdentity(t *testing.T) {
	defer func() { sameFile = os.SameFile }()
	looked := 0
	sameFile = func(os.FileInfo, os.FileInfo) bool { looked++; return looked > 5000 }
	if c, err := tryClaim(filepath.Join(t.TempDir(), "claim")); err == nil || c != nil {
		t.Errorf("%v, %v after %d looks", c, err, looked)
	}
}

// TestAChangeThatOneCannotTake: of several processes that work on shards of one job all are
// asked for a change, or none.
func TestAChangeThatOneCannotTake(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 52)
	j := divided(t, b, 2)
	b.SetLatency(map[string]time.Duration{"CopyObject": time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	var running, begun sync.WaitGroup
	for i, workers := range []int{8, 2} {
		shard, err := j.Shard(i)
		if err != nil {
			t.Fatal(err)
		}
		begun.Add(1)
		running.Go(func() {
			_, _ = shard.Run(ctx, Options{Limits: Limits{Concurrency: workers}, Watch: func(*Running) (func(), error) {
				begun.Done()
				return func() {}, nil
			}})
		})
	}
	begun.Wait()
	defer running.Wait()
	defer cancel()
	five := 5
	_, err := j.Set(Change{Concurrency: &five})
	wantUnusable(t, err, "2 workers")
	for i, shard := range j.parts() {
		if s, err := shard.readSetting(); s != nil || err != nil {
			t.Errorf("shard %d is asked for %+v, %v", i, s, err)
		}
	}
}
