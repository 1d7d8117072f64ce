package sim

import (
	"log/slog"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// another takes the lease of the job, as a process does for which the holder is gone.
func (b *prunable) another() {
	b.Put("state", s3test.Object{Key: "jobs/night/lease", Body: s3test.Bytes(`{"epoch":99,"owner":"another","host":"there","pid":7,"ttl_seconds":60,"beat":1}`)})
}

// TestAPruneThatLosesItsLease sends no deletion once another process has the job: also none
// that waits for the store, and is sent again. It ends, and tells of no version that its
// deletion failed.
func TestAPruneThatLosesItsLease(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	synctest.Test(t, func(t *testing.T) {
		const objects, third = 6, 3
		b := newPrunable(t, stateOfJob, objects, job.Target{SSE: object.SSES3})
		defer b.end()
		deletions := 0
		b.OnRequest(func(r s3test.Request) {
			if r.Op != "DeleteObject" || r.Bucket != bucketName {
				return
			}
			if deletions++; deletions != third {
				return
			}
			b.another()
			if err := b.SetRules(`(If DeleteObject (Error 503 SlowDown "later"))`); err != nil {
				t.Error(err)
			}
			time.AfterFunc(25*time.Second, func() { // its own count of the lease has run out
				if err := b.SetRules(""); err != nil {
					t.Error(err)
				}
			})
		})
		p, err := b.job.Prune(t.Context(), job.PruneOptions{Options: b.opt, Delete: true})
		if err == nil || !strings.Contains(err.Error(), "another process has taken the job over") {
			t.Errorf("it ended with %v", err)
		}
		if p == nil || p.Deleted != third-1 || p.Failed != 0 {
			t.Errorf("%+v", p)
		}
		if n := len(b.Snapshot(bucketName).Objects); n != 2*objects-(third-1) {
			t.Errorf("%d versions are left", n)
		}
	})
}

// TestALeaseThatIsNotTakenBack: a run that came to its end has done so, though its lease
// cannot be given back.
func TestALeaseThatIsNotTakenBack(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newPrunable(t, stateOfJob, 1, job.Target{SSE: object.SSES3})
		defer b.end()
		var log said
		opt := b.opt
		opt.Log = slog.New(slog.NewTextHandler(&log, nil))
		opt.Watch = func(*job.Running) (func(), error) {
			return func() {}, b.SetRules(`(If (And PutObject (Key "jobs/night/lease")) (Error 403 AccessDenied "no"))`)
		}
		if _, err := b.job.Run(t.Context(), opt); err != nil || log.count("could not be given back") != 1 {
			t.Errorf("%v; the log:\n%s", err, log.text.String())
		}
	})
}

// TestVersionsSuspendedWhereDestLeads: what copies elsewhere are written over may be a null
// version that a delete marker hides. The bucket that is read keeps no versions at all.
func TestVersionsSuspendedWhereDestLeads(t *testing.T) {
	onBed(t, s3test.Profile{}, s3test.BucketConfig{}, 30, 10*time.Second, func(t *testing.T, b *bed) {
		b.server.CreateBucket("there", s3test.BucketConfig{Versioning: "Enabled"})
		b.spec.Target.DestBucket = "there"
		b.atWrite(6, func() {
			b.server.ConfigureBucket("there", func(c *s3test.BucketConfig) { c.Versioning = "Suspended" })
		})
		if err := b.run(job.Limits{}); err == nil || !strings.Contains(err.Error(), "versioning of s3://there was enabled and is suspended now") || b.writes > 15 {
			t.Errorf("%d objects were copied, and the run ended with %v", b.writes, err)
		}
	})
}
