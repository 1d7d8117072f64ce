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

// TestAPruneUnderACeilingDeletesSoonAfterItLooked: versions that are looked at side by side do
// not wait for one another's requests between the look and the deletion.
func TestAPruneUnderACeilingDeletesSoonAfterItLooked(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	dir := filepath.Join(scratch(t), "job")
	synctest.Test(t, func(t *testing.T) {
		b := newPrunable(t, dir, 120, job.Target{SSE: object.SSES3})
		defer b.end()
		opt := b.opt
		opt.Concurrency, opt.RequestsPerSecond = 64, 20
		p, err := b.job.Prune(t.Context(), job.PruneOptions{Options: opt, Delete: true})
		if err != nil || p.Deleted != 120 {
			t.Fatalf("%+v, %v", p, err)
		}
		looked, longest := map[string]time.Time{}, time.Duration(0)
		for _, r := range b.Requests("HeadObject", "DeleteObject") {
			switch {
			case object.IsThrowaway(r.Key):
			case r.Op == "DeleteObject":
				longest = max(longest, r.Time.Sub(looked[r.Key]))
			case r.VersionID() == "":
				looked[r.Key] = r.Time
			}
		}
		if longest > 2*time.Second {
			t.Errorf("a version was deleted %s after the current one was looked at", longest)
		}
	})
}

// TestAPruneThatHadToWaitAsksForTheKeyAgain: the key of the current versions may have been
// disabled meanwhile, and then the old ones are all that anybody can read.
func TestAPruneThatHadToWaitAsksForTheKeyAgain(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	dir := filepath.Join(scratch(t), "job")
	synctest.Test(t, func(t *testing.T) {
		const objects, third = 4, 3
		b := newPrunable(t, dir, objects, job.Target{SSE: object.SSEKMS, KMSKeyID: newKey})
		defer b.end()
		deletions := 0
		b.OnRequest(func(r s3test.Request) {
			if r.Op != "DeleteObject" || object.IsThrowaway(r.Key) {
				return
			}
			if deletions++; deletions != third {
				return
			}
			if err := b.SetRules(`(If DeleteObject (Error 503 SlowDown "later"))`); err != nil {
				t.Error(err)
			}
			time.AfterFunc(10*time.Minute, func() { b.KMS.SetKeyState(newKey, kms.Disabled) })
			time.AfterFunc(15*time.Minute, func() {
				if err := b.SetRules(""); err != nil {
					t.Error(err)
				}
			})
		})
		p, err := b.job.Prune(t.Context(), job.PruneOptions{Options: b.opt, Delete: true})
		if err != nil || p.Deleted != third-1 || p.Reasons[job.KeptUnreadable] != objects-(third-1) {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestAPruneWhoseAnswerIsLostTellsWhatWasDeleted: a version whose deletion was applied and not
// answered is not told as kept because somebody has written the object since.
func TestAPruneWhoseAnswerIsLostTellsWhatWasDeleted(t *testing.T) {
	for rule, deleted := range map[string]uint64{"ReplyLost": 4, "(Unapplied ReplyLost)": 3} {
		t.Run(rule, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			dir := filepath.Join(scratch(t), "job")
			synctest.Test(t, func(t *testing.T) {
				const wanted = "k2"
				b := newPrunable(t, dir, 4, job.Target{SSE: object.SSES3})
				defer b.end()
				if err := b.SetRules(`(If (And DeleteObject (Key "` + wanted + `") (OnIndex 0)) ` + rule + `)`); err != nil {
					t.Fatal(err)
				}
				b.OnReply(func(r s3test.Request) {
					if r.Op == "DeleteObject" && r.Key == wanted {
						b.Put(bucketName, s3test.Object{Key: wanted, Body: s3test.Bytes("newer")})
					}
				})
				p, err := b.job.Prune(t.Context(), job.PruneOptions{Options: b.opt, Delete: true})
				if err != nil || p.Deleted != deleted || p.Kept != 4-deleted {
					t.Errorf("%+v, %v", p, err)
				}
			})
		})
	}
}

// prunable is a bucket whose objects a job has copied.
type prunable struct {
	*s3test.Server
	job    *job.Job
	opt    job.Options
	ground job.Ground
	end    func()
}

func newPrunable(t *testing.T, dir string, objects int, to job.Target) *prunable {
	b := newUndone(t, dir, objects, to)
	if _, err := b.job.Run(t.Context(), b.opt); err != nil {
		t.Fatal(err)
	}
	return b
}

// newUndone is newPrunable before the run.
func newUndone(t *testing.T, dir string, objects int, to job.Target) *prunable {
	x := newExchange()
	server := s3test.New(s3test.Config{Listener: x, Seed: 1})
	server.KMS.CreateKeyWith(kms.KeyOptions{ID: oldKey})
	server.KMS.CreateKeyWith(kms.KeyOptions{ID: newKey})
	server.CreateBucket(bucketName, s3test.BucketConfig{Versioning: "Enabled"})
	server.CreateBucket("state", s3test.BucketConfig{})
	for i := range objects {
		server.Put(bucketName, s3test.Object{Key: fmt.Sprint("k", i), Body: s3test.Bytes("body"),
			Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: oldKey}}})
	}
	l := &lines{x: x}
	spec := job.Spec{Source: job.Source{Bucket: bucketName}, Target: to,
		Connection: job.Connection{EndpointURL: "http://store.sim", Region: "us-east-1", PathStyle: "on"}}
	j, err := job.CreateContext(job.On(t.Context(), job.Ground{Dial: l.dial}), dir, spec, job.Policy{Operation: job.CopyOnly})
	if err != nil {
		t.Fatal(err)
	}
	opt := job.Options{Limits: job.Limits{Concurrency: 1, Lease: 20 * time.Second}, Log: slog.New(slog.DiscardHandler)}
	b := &prunable{Server: server, job: j, opt: opt, ground: job.Ground{Dial: l.dial}}
	b.end = func() { _ = b.job.Close(); l.cut(); server.Close(); time.Sleep(time.Minute) }
	return b
}

func pruneWaits(t *testing.T, dir, rule string) {
	const objects, wanted = 4, "k2"
	b := newPrunable(t, dir, objects, job.Target{SSE: object.SSES3})
	defer b.end()
	server, j, opt := b.Server, b.job, b.opt
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
	if left := server.Snapshot(bucketName).Find(wanted); len(left) != 1 || !left[0].Encryption.Type.KMS() {
		t.Errorf("of the object that was wanted back %d versions are left", len(left))
	}
}
