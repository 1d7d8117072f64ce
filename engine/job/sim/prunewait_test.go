package sim

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// TestAPruneThatHadToWaitLooksAgain: a deletion that waited, for the store or for the lease of
// the job, finds an owner who wanted the old version back and has deleted the job's meanwhile.
// What it leads to by its ID is the only version then.
func TestAPruneThatHadToWaitLooksAgain(t *testing.T) {
	for name, c := range map[string]struct{ dir, rule string }{
		"for the store": {"", `(If DeleteObject (Error 503 SlowDown "later"))`},
		"for the lease": {stateOfJob, `(If (And PutObject (Key "jobs/night/lease")) (Error 503 ServiceUnavailable "later"))`},
	} {
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			dir := c.dir
			if dir == "" {
				dir = filepath.Join(scratch(t), "job")
			}
			synctest.Test(t, func(t *testing.T) { pruneWaits(t, dir, c.rule) })
		})
	}
}

func pruneWaits(t *testing.T, dir, rule string) {
	const objects, wanted = 4, "k2"
	x := newExchange()
	server := s3test.New(s3test.Config{Listener: x, Seed: 1})
	defer time.Sleep(time.Minute)
	defer server.Close()
	server.KMS.CreateKeyWith(kms.KeyOptions{ID: newKey})
	server.CreateBucket(bucketName, s3test.BucketConfig{Versioning: "Enabled"})
	server.CreateBucket("state", s3test.BucketConfig{})
	for i := range objects {
		server.Put(bucketName, s3test.Object{Key: fmt.Sprint("k", i), Body: s3test.Bytes("body")})
	}
	l := &lines{x: x}
	defer l.cut()
	spec := job.Spec{Source: job.Source{Bucket: bucketName}, Target: job.Target{SSE: object.SSEKMS, KMSKeyID: newKey},
		Connection: job.Connection{EndpointURL: "http://store.sim", Region: "us-east-1", PathStyle: "on"}}
	j, err := job.CreateContext(job.On(t.Context(), job.Ground{Dial: l.dial}), dir, spec, job.Policy{Operation: job.CopyOnly})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	opt := job.Options{Limits: job.Limits{Concurrency: 1, Lease: 20 * time.Second}, Log: slog.New(slog.DiscardHandler)}
	if _, err := j.Run(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	heads := 0
	server.OnRequest(func(r s3test.Request) {
		if r.Op != "HeadObject" || r.Key != wanted {
			return
		}
		if heads++; heads != 3 { // of the current version, for the second time
			return
		}
		if err := server.SetRules(rule); err != nil {
			t.Error(err)
		}
		time.AfterFunc(10*time.Minute, func() {
			server.Remove(bucketName, wanted, server.Snapshot(bucketName).Find(wanted)[0].VersionID)
		})
		time.AfterFunc(13*time.Minute, func() {
			if err := server.SetRules(""); err != nil {
				t.Error(err)
			}
		})
	})
	server.SetLatency(map[string]time.Duration{"HeadObject": 12 * time.Second}) // the lease runs out between the look and the deletion
	p, err := j.Prune(t.Context(), job.PruneOptions{Options: opt, Delete: true})
	if err != nil || p.Deleted != objects-1 || p.Kept != 1 || p.Reasons[job.KeptNewer] != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if left := server.Snapshot(bucketName).Find(wanted); len(left) != 1 || left[0].Encryption.Type.KMS() {
		t.Errorf("of the object that was wanted back %d versions are left", len(left))
	}
}
