package sim

import (
	"errors"
	"strings"
	"sync/atomic"
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
	const fails = `(Error 503 ServiceUnavailable "later")`
	for name, does := range map[string]string{"hangs": "Stalled", "fails": fails, "hangs in a shard": "Stalled", "fails in a shard": fails} {
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			synctest.Test(t, func(t *testing.T) {
				const objects = 12
				b := newUndone(t, stateOfJob, objects, job.Target{SSE: object.SSES3})
				defer b.end()
				b.SetLatency(map[string]time.Duration{"CopyObject": 2 * time.Second})
				if strings.Contains(name, "shard") {
					if _, err := b.job.Divide(t.Context(), 2, b.opt); err != nil {
						t.Fatal(err)
					}
				}
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
				sum, err := b.job.Run(t.Context(), opt)
				if took := time.Since(told); told.IsZero() || took > 40*time.Second {
					t.Errorf("it ended %v after it was told to", took)
				}
				if sum == nil || sum.Planned == 0 {
					t.Errorf("%+v", sum)
				}
				if !errors.Is(err, job.ErrInterrupted) || !strings.Contains(err.Error(), "is not recorded there") || strings.Contains(err.Error(), "was finished") {
					t.Errorf("it ended with %v", err)
				}
				if err := b.SetRules(""); err != nil {
					t.Fatal(err)
				}
				if _, err := b.job.Run(t.Context(), b.opt); err == nil || !strings.Contains(err.Error(), "is not asked any more") {
					t.Errorf("another run of the same Job: %v", err)
				}
				time.Sleep(time.Minute) // of its lease
				b.goesOn(t, objects)
			})
		})
	}
}

// TestAStopWhileOneConnectionIsLost: the bucket of the state answers, and one request that is sent
// there gets no answer, as over a connection that something on the way has forgotten. That is sent
// again, and what is in flight is finished and recorded.
func TestAStopWhileOneConnectionIsLost(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	synctest.Test(t, func(t *testing.T) {
		const objects = 12
		b := newUndone(t, stateOfJob, objects, job.Target{SSE: object.SSES3})
		defer b.end()
		b.SetLatency(map[string]time.Duration{"CopyObject": 50 * time.Second})
		stop := make(chan struct{})
		var copies, lost atomic.Int32
		b.OnRequest(func(r s3test.Request) {
			switch {
			case r.Op == "CopyObject" && strings.HasPrefix(r.Key, "k"):
				if copies.Add(1) == 2 {
					time.AfterFunc(time.Second, func() { close(stop) })
					time.AfterFunc(15*time.Second, func() {
						if err := b.SetRules(`(If (And (Bucket "state") PutObject (OnIndex 0)) Stalled)`); err != nil {
							t.Error(err)
						}
					})
				}
			case r.Op == "PutObject" && r.Bucket == "state" && copies.Load() == 2:
				lost.Add(1)
			}
		})
		opt := b.opt
		opt.Stop, opt.RequestTimeout = stop, 5*time.Minute
		sum, err := b.job.Run(t.Context(), opt)
		if !errors.Is(err, job.ErrInterrupted) || !strings.Contains(err.Error(), "was finished") || sum.Done != 2 || lost.Load() == 0 {
			t.Errorf("it ended with %v, %+v", err, sum)
		}
		time.Sleep(time.Minute)
		b.goesOn(t, objects)
	})
}

// TestARunAfterAStopIsPatient: a program that runs a job by and by, each time until it is told to
// stop, waits for the bucket of the state as long as for any store.
func TestARunAfterAStopIsPatient(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newUndone(t, stateOfJob, 12, job.Target{SSE: object.SSES3})
		defer b.end()
		b.SetLatency(map[string]time.Duration{"CopyObject": 2 * time.Second})
		opt, copies := b.opt, 0
		opt.StopAfter = 5 * time.Second
		if _, err := b.job.Run(t.Context(), opt); !errors.Is(err, job.ErrStopAfter) {
			t.Fatal(err)
		}
		b.OnRequest(func(r s3test.Request) {
			if r.Op != "CopyObject" || !strings.HasPrefix(r.Key, "k") {
				return
			}
			if copies++; copies == 2 {
				if err := b.SetRules(`(If (Bucket "state") (Error 503 ServiceUnavailable "later"))`); err != nil {
					t.Error(err)
				}
				time.AfterFunc(10*time.Minute, func() { _ = b.SetRules("") })
			}
		})
		opt.StopAfter = 0
		if sum, err := b.job.Run(t.Context(), opt); err != nil || sum.Done != 12 || copies < 2 {
			t.Errorf("%v: %+v", err, sum)
		}
	})
}

// TestAStopOfABeginningWhileTheStateIsAway: that is told while the store is still asked what it does.
func TestAStopOfABeginningWhileTheStateIsAway(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newUndone(t, stateOfJob, 12, job.Target{SSE: object.SSES3})
		defer b.end()
		b.SetLatency(map[string]time.Duration{"CopyObject": 2 * time.Second})
		stop, told := make(chan struct{}), time.Time{}
		b.OnRequest(func(r s3test.Request) {
			if r.Op == "CopyObject" && told.IsZero() {
				told = time.Now()
				if err := b.SetRules(`(If (Bucket "state") Stalled)`); err != nil {
					t.Error(err)
				}
				close(stop)
			}
		})
		opt := b.opt
		opt.Stop = stop
		_, err := b.job.Run(t.Context(), opt)
		if took := time.Since(told); told.IsZero() || took > 40*time.Second || err == nil {
			t.Errorf("it ended %v after it was told to: %v", took, err)
		}
	})
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
