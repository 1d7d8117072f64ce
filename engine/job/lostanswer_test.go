package job

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestOneLostAnswerEndsNoRun: whatever a run asks, at its start, for an object or at its
// end, it asks again where the answer does not arrive, and changes every object once.
func TestOneLostAnswerEndsNoRun(t *testing.T) {
	for _, p := range []s3test.Profile{s3test.AWS(), s3test.MinIO()} {
		b := newBench(t, s3test.Config{Profile: p}, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"}, 2)
		b.KMS.CreateNamedKey("new")
		b.spec.Target = Target{SSE: object.SSEKMS, KMSKeyID: "new"}
		if p.Name == "AWS" {
			b.spec.Target.KMSKeyID = b.KMS.CreateKey()
		}
		runs := 0
		run := func(rule string) {
			t.Helper()
			if err := b.SetRules(rule); err != nil {
				t.Fatal(err)
			}
			runs++
			b.CreateBucket(fmt.Sprintf("b%d", runs), s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"})
			b.spec.Source.Bucket = fmt.Sprintf("b%d", runs)
			for _, key := range []string{"a", "c"} {
				b.Put(b.spec.Source.Bucket, s3test.Object{Key: key, Body: s3test.Bytes("body")})
			}
			b.dir = filepath.Join(t.TempDir(), "job")
			j := b.create(t, Policy{})
			sum, err := j.Run(t.Context(), Options{})
			if err != nil || sum.Done != 2 || sum.Failed != 0 {
				t.Errorf("%s, %q: %d done, %d failed: %v", p.Name, rule, sum.Done, sum.Failed, err)
			}
			for _, key := range []string{"a", "c"} {
				if vs := b.Snapshot(b.spec.Source.Bucket).Find(key); len(vs) != 2 {
					t.Errorf("%s, %q: %d versions of %s", p.Name, rule, len(vs), key)
				}
			}
			if rule != "" && len(b.FaultHits()) == 0 {
				t.Errorf("%s, %q: nothing was lost", p.Name, rule)
			}
		}
		b.ResetRequests()
		run("")
		for op, n := range b.Counts() {
			run(fmt.Sprintf("(If (And %s (OnIndex 0)) ReplyLost)", op))
			if p.Name == "AWS" && n > 1 { // those of the start come before those of the objects
				run(fmt.Sprintf("(If (And %s (OnIndex %d)) Truncated)", op, n-1))
			}
		}
	}
}
