package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestADetailIsNotFoundAfterTheCopy: a store that drops tags and locks answers, once they are to be
// written again, that it does not find them. That is no object of others: the row does not say that all
// is as wanted, and what was dropped comes back with the next run.
func TestADetailIsNotFoundAfterTheCopy(t *testing.T) {
	drops := s3test.Profile{CopyDropsTags: true, UploadDropsTags: true, CopyDropsLock: true, UploadDropsLock: true}
	bucket := s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}
	for _, op := range []string{"GetObjectRetention", "GetObjectLegalHold", "GetObjectTagging", "PutObjectRetention", "PutObjectTagging"} {
		for _, inParts := range []bool{false, true} {
			for _, code := range []string{"NoSuchThing", "NoSuchKey"} {
				t.Run(op+" "+code, func(t *testing.T) { notFoundAfterTheCopy(t, drops, bucket, inParts, op, code) })
				if strings.HasSuffix(op, "Tagging") {
					t.Run(op+" "+code+" without versions", func(t *testing.T) { notFoundAfterTheCopy(t, drops, s3test.BucketConfig{}, inParts, op, code) })
				}
			}
		}
	}
}

func notFoundAfterTheCopy(t *testing.T, drops s3test.Profile, bucket s3test.BucketConfig, inParts bool, op, code string) {
	onBed(t, drops, bucket, 1, time.Second, func(t *testing.T, b *bed) {
		if inParts {
			b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(strings.Repeat("x", 6<<20))})
			b.policy.MultipartThreshold = 1 << 20
		}
		b.set(func(a *s3test.Attrs) {
			if a.Tags = []object.Tag{{Key: "a", Value: "b"}}; bucket.ObjectLock {
				a.LockMode, a.RetainUntil = "GOVERNANCE", midnight.AddDate(0, 1, 0)
			}
		})
		b.server.OnReply(func(r s3test.Request) {
			if r.Key == "k00" && (r.Op == "CopyObject" || r.Op == "CompleteMultipartUpload") && r.Status == 200 {
				if err := b.server.SetRules(`(If (And ` + op + ` (Key "k00")) (Error 404 ` + code + ` ""))`); err != nil {
					t.Error(err)
				}
			}
		})
		_ = b.run(job.Limits{})
		b.told(func(t *object.Totals) bool { return t.States[object.Failed].Objects == 1 })
		b.server.OnReply(nil)
		if err := b.server.SetRules(""); err != nil {
			t.Fatal(err)
		}
		if err := b.run(job.Limits{RetryFailed: true}); err != nil {
			t.Error(err)
		}
		b.allDone()
		o, _ := b.server.Get(bucketName, "k00", "")
		if len(o.Tags) != 1 || (o.LockMode == "GOVERNANCE") != bucket.ObjectLock || !strings.HasSuffix(o.Encryption.KMSKeyID, newKey) {
			t.Errorf("tags %v, lock %q, under %v", o.Tags, o.LockMode, o.Encryption)
		}
	})
}
