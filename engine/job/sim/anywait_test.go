package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestOthersWhileAnyRequestWaits has each request about an object wait for ten minutes in turn, and
// others set tags and a hold then, or write the object. That stays, and nothing fails.
func TestOthersWhileAnyRequestWaits(t *testing.T) {
	drops := s3test.Profile{CopyDropsTags: true, UploadDropsTags: true, CopyDropsLock: true, UploadDropsLock: true}
	inParts := job.Policy{Operation: job.CopyOnly, MultipartThreshold: 1 << 20, PartSize: 5 << 20}
	for name, w := range map[string]waiting{
		"a copy":                    {policy: job.Policy{Operation: job.CopyOnly}, size: 10},
		"a copy that drops":         {policy: job.Policy{Operation: job.CopyOnly}, size: 10, profile: drops},
		"a copy in parts":           {policy: inParts, size: 6 << 20},
		"Ceph's":                    {profile: s3test.Ceph16(), size: 10},
		"a rewrite":                 {profile: s3test.MinIO(), size: 10},
		"a rewrap in a new version": {policy: job.Policy{Operation: job.RewrapOnly}, client: toNewKey},
	} {
		ops := w.requests(t)
		for n, op := range ops {
			if slices.Contains(ops[:n], op) { // it is every such request that waits
				continue
			}
			of := 0
			for _, o := range ops {
				if o == op {
					of++
				}
			}
			t.Run(name+" "+op+" tags", func(t *testing.T) { w.play(t, op, of, false) })
			t.Run(name+" "+op+" object", func(t *testing.T) { w.play(t, op, of, true) })
		}
	}
}

// waiting is an object with tags and a lock, and a job that it is to be done by.
type waiting struct {
	profile s3test.Profile
	policy  job.Policy
	size    int
	client  func(*testing.T, *bed)
}

func (w *waiting) on(t *testing.T, test func(t *testing.T, b *bed)) {
	onBed(t, w.profile, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, 1, time.Second, func(t *testing.T, b *bed) {
		b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(strings.Repeat("x", w.size))})
		if w.client != nil {
			w.client(t, b)
		}
		b.policy = w.policy
		b.set(func(a *s3test.Attrs) {
			a.Tags, a.LockMode, a.RetainUntil = []object.Tag{{Key: "a", Value: "old"}}, "GOVERNANCE", midnight.AddDate(0, 1, 0)
		})
		test(t, b)
	})
}

// requests are those about the object.
func (w *waiting) requests(t *testing.T) (ops []string) {
	w.on(t, func(t *testing.T, b *bed) {
		b.server.OnRequest(func(r s3test.Request) {
			if r.Key == "k00" {
				ops = append(ops, r.Op)
			}
		})
		if err := b.run(job.Limits{}); err != nil {
			t.Error(err)
		}
		b.allDone()
	})
	return ops
}

// play has the last of so many such requests of an undisturbed run wait.
func (w *waiting) play(t *testing.T, op string, of int, written bool) {
	w.on(t, func(t *testing.T, b *bed) {
		acted := false
		others := func() {
			if acted = true; written {
				b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes("theirs")})
				return
			}
			b.set(func(a *s3test.Attrs) { a.Tags, a.LegalHold = []object.Tag{{Key: "a", Value: "new"}}, true })
		}
		seen := 1
		b.server.OnRequest(func(r s3test.Request) {
			if r.Op != op || r.Key != "k00" {
				return
			}
			if seen++; seen == of {
				b.waits(op, "k00", false, others)
			}
		})
		if seen == of {
			b.waits(op, "k00", false, others)
		}
		err := b.run(job.Limits{})
		if err == nil && !acted {
			return // what is asked before the first object is not waited for
		}
		o, _ := b.server.Get(bucketName, "k00", "")
		bare := len(o.Tags) == 0 && !o.LegalHold && o.LockMode == ""
		theirs := len(o.Tags) == 1 && o.Tags[0].Value == "new" && o.LegalHold && o.LockMode != ""
		if err != nil || written && !bare || !written && !theirs {
			t.Errorf("%v; tags %v, held %t, lock %q", err, o.Tags, o.LegalHold, o.LockMode)
		}
		b.noneFailed()
	})
}
