package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestWhatOthersSetWhileARequestWaits: a request that replaces an object carries what that had
// when it was looked at. Tags and holds change no ETag, and one that waits for a store which
// throttles for ten minutes would take away what others set meanwhile.
func TestWhatOthersSetWhileARequestWaits(t *testing.T) {
	const small, large = 10, 6 << 20
	inParts := job.Policy{Operation: job.CopyOnly, MultipartThreshold: 1 << 20}
	for name, c := range map[string]struct {
		profile s3test.Profile
		waits   string
		policy  job.Policy
		size    int
	}{
		"a rewrite":            {s3test.MinIO(), "PutObject", job.Policy{}, small},
		"a copy":               {s3test.Profile{}, "CopyObject", job.Policy{Operation: job.CopyOnly}, small},
		"an upload's begin":    {s3test.Profile{}, "CreateMultipartUpload", inParts, large},
		"an upload's complete": {s3test.Profile{}, "CompleteMultipartUpload", inParts, large},
	} {
		t.Run(name, func(t *testing.T) {
			onBed(t, c.profile, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, 1, time.Second, func(t *testing.T, b *bed) {
				tag := func(value string) []object.Tag { return []object.Tag{{Key: "a", Value: value}} }
				b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(strings.Repeat("x", c.size)), Attrs: s3test.Attrs{Tags: tag("old")}})
				rules := func(text string) {
					if err := b.server.SetRules(text); err != nil {
						t.Error(err)
					}
				}
				waited := false
				b.server.OnRequest(func(r s3test.Request) {
					if r.Op != c.waits || r.Key != "k00" || waited {
						return
					}
					waited = true
					rules(`(If (And ` + c.waits + ` (Key "k00")) (Error 503 SlowDown "later"))`)
					time.AfterFunc(10*time.Minute, func() {
						b.server.Modify(bucketName, "k00", "", func(a *s3test.Attrs) { a.Tags, a.LegalHold = tag("new"), true })
					})
					time.AfterFunc(13*time.Minute, func() { rules("") })
				})
				b.policy = c.policy
				err := b.run(job.Limits{})
				if o, _ := b.server.Get(bucketName, "k00", ""); err != nil || !waited || !o.Encryption.Type.KMS() || !o.LegalHold || len(o.Tags) != 1 || o.Tags[0].Value != "new" {
					t.Errorf("%v; it has %v, held %t, under %v", err, o.Tags, o.LegalHold, o.Encryption)
				}
			})
		})
	}
}
