package job

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// TestTheOtherKeyIsGone: that the key cannot be used any more under which a canary makes objects to
// copy them to another one is no other store. A job whose old key was disabled would never end.
func TestTheOtherKeyIsGone(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 0)
	target, old := b.KMS.CreateNamedKey("a-key"), b.KMS.CreateNamedKey("old-key")
	for name, c := range map[string]struct {
		target object.Target
		other  string
	}{
		"the store's":      {object.Target{SSE: object.SSEKMS, KMSKeyID: target}, ""},
		"a named one":      {object.Target{SSE: object.SSEKMS, KMSKeyID: target}, old},
		"away from KMS":    {object.Target{SSE: object.SSES3}, ""},
		"from a named one": {object.Target{SSE: object.SSES3}, old},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := s3store.Open(t.Context(), s3store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			at := s3store.ProbeOptions{Bucket: "b", Target: c.target, OtherKey: c.other, Facts: object.BucketFacts{ACLsDisabled: object.Yes}}
			was, err := s.Probe(t.Context(), at)
			if err != nil || was.OtherKey != object.Yes && c.target.SSE.KMS() {
				t.Fatalf("%v: %+v", err, was)
			}
			gone := c.other
			if gone == "" {
				gone = b.KMS.DefaultKeyARN()
			}
			for _, state := range []kms.State{kms.Disabled, kms.PendingDeletion} {
				b.KMS.SetKeyState(gone, state)
				known := was
				at.Known = &known
				now, err := s.Probe(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				if lost := takeUp(&known, &now); len(lost) > 0 {
					t.Errorf("%s: %q", state, lost)
				}
				if known.OtherKey != was.OtherKey || known.OtherKeyRoute != was.OtherKeyRoute || known.EncryptedRoute != was.EncryptedRoute {
					t.Errorf("%s: %+v", state, known)
				}
			}
			b.KMS.SetKeyState(gone, kms.Enabled)
		})
	}
}
