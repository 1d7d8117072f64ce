package job

import (
	"fmt"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestOneBrokenReplyIsNoLoss breaks each reply of the first canary in turn. What the canary
// of a later process does not ask, because of what the first one missed, is not lost: such a
// job would never end, since what was recorded stays recorded.
func TestOneBrokenReplyIsNoLoss(t *testing.T) {
	sent := lossAfter(t, s3test.AWS(), "")
	if sent < 50 {
		t.Fatalf("a canary sent %d requests", sent)
	}
	for _, effect := range []string{"ErrorIn200", `(Error 501 NotImplemented "no")`} {
		for i := range sent {
			lossAfter(t, s3test.AWS(), fmt.Sprintf("(If (And Any (OnIndex %d)) %s)", i, effect))
		}
	}
	// Whether locks can be written is only asked where copies do not keep them.
	lossAfter(t, s3test.Profile{Name: "copies drop locks", CopyDropsLock: true, UploadDropsLock: true}, `(If PutObjectRetention (Error 501 NotImplemented "no"))`)
	// A store that ignores a condition of uploads that are sent, and forms their checksums.
	lossAfter(t, s3test.Profile{Name: "no condition", IgnoresCompleteIfMatch: true}, "")
}

// lossAfter asks a store twice, the second time without faults, and answers with how many
// requests the first canary sent.
func lossAfter(t *testing.T, p s3test.Profile, rule string) int {
	t.Helper()
	b := newBench(t, s3test.Config{Profile: p, Rules: rule}, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"}, 0)
	defer b.Close()
	b.KMS.CreateNamedKey("a-key")
	s, err := s3store.Open(t.Context(), s3store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSEKMS, KMSKeyID: "a-key"}, Sends: true, Always: true,
		Facts: object.BucketFacts{Versioning: object.VersioningEnabled, ObjectLock: object.Yes, ACLsDisabled: object.No}}
	was, err := s.Probe(t.Context(), at)
	sent := len(b.Requests())
	if err != nil {
		return sent // no job begins
	}
	if err := b.SetRules(""); err != nil {
		t.Fatal(err)
	}
	known := was
	at.Known = &known
	now, err := s.Probe(t.Context(), at)
	if err != nil {
		t.Fatalf("%s, %s: %v", p.Name, rule, err)
	}
	if lost := takeUp(&was, &now); len(lost) > 0 {
		t.Errorf("%s, %s: %q", p.Name, rule, lost)
	}
	return sent
}
