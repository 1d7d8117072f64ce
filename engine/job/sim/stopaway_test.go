package sim

import (
	"errors"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestAStopWhileTheStateIsAway: the bucket of the state answers nobody, or with errors alone. A
// process that is told to stop then ends within half a minute or so, and says what is not recorded;
// the next one does the rest, and nothing twice.
func TestAStopWhileTheStateIsAway(t *testing.T) {
	for name, does := range map[string]string{"hangs": "Stalled", "fails": `(Error 503 ServiceUnavailable "later")`} {
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			synctest.Test(t, func(t *testing.T) {
				const objects = 12
				b := newUndone(t, stateOfJob, objects, job.Target{SSE: object.SSES3})
				defer b.end()
				b.SetLatency(map[string]time.Duration{"CopyObject": 2 * time.Second})
				stop, copies, told := make(chan struct{}), 0, time.Time{}
				b.OnRequest(func(r s3test.Request) {
					if r.Op != "CopyObject" || !strings.HasPrefix(r.Key, "k") {
						return
					}
					if copies++; copies == 4 {
						if err := b.SetRules(`(If (Bucket "state") ` + does + `)`); err != nil {
							t.Error(err)
						}
						time.AfterFunc(time.Minute, func() { told = time.Now(); close(stop) })
					}
				})
				opt := b.opt
				opt.Stop = stop
				_, err := b.job.Run(t.Context(), opt)
				if took := time.Since(told); told.IsZero() || took > 40*time.Second {
					t.Errorf("it ended %v after it was told to", took)
				}
				if !errors.Is(err, job.ErrInterrupted) || !strings.Contains(err.Error(), "is not recorded there") || strings.Contains(err.Error(), "was finished") {
					t.Errorf("it ended with %v", err)
				}
				if err := b.SetRules(""); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // of its lease
				b.goesOn(t, objects)
			})
		})
	}
}

// goesOn does the rest in another process: each object has been written once then.
func (b *prunable) goesOn(t *testing.T, objects int) {
	t.Helper()
	spec, policy := b.job.Spec, b.job.Policy
	if err := b.job.Close(); err != nil {
		t.Error(err)
	}
	j, err := job.CreateContext(job.On(t.Context(), b.ground), stateOfJob, spec, policy)
	if err != nil {
		t.Fatal(err)
	}
	b.job = j
	sum, err := j.Run(t.Context(), b.opt)
	if err != nil || sum.Done+sum.Already != uint64(objects) {
		t.Errorf("%v: %+v", err, sum)
	}
	if n := len(b.Snapshot(bucketName).Objects); n != 2*objects {
		t.Errorf("there are %d versions of %d objects", n, objects)
	}
}
