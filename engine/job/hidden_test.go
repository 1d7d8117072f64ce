package job

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// TestKeepsAChecksumThatWasHidden: MinIO shows an object without its checksum where the key
// cannot be used for a moment, as when its KMS is away, with 200 all the same. A copy by that
// look would lose the checksum.
func TestKeepsAChecksumThatWasHidden(t *testing.T) {
	small, large := s3test.Synthetic(1, 700<<10), s3test.Synthetic(2, 6<<20)
	for name, c := range map[string]struct {
		body   *s3test.Content
		as     s3test.PutOption
		policy Policy
		rule   string
	}{
		"in one part":           {small, s3test.Summed(small, "CRC32"), Policy{}, ""},
		"in parts":              {large, s3test.Summed(large, "SHA256"), Policy{PartSize: 5 << 20}, ""},
		"composite, at once":    {large, s3test.Uploaded(large, "CRC32", "COMPOSITE", 5<<20, 1<<20), Policy{Accept: []Acceptance{AcceptConcurrentWrites}}, `(If (And CopyObject (Key "big") (OnIndex 0)) Failed)`},
		"composite, then parts": {large, s3test.Uploaded(large, "CRC32", "COMPOSITE", 5<<20, 1<<20), Policy{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 0)
			b.KMS.CreateNamedKey("old")
			b.KMS.CreateNamedKey("new")
			b.spec.Target = Target{SSE: object.SSEKMS, KMSKeyID: "new"}
			o := s3test.Object{Key: "big", Body: c.body}
			o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: "old"}
			b.Put("b", o, c.as)
			had := b.Snapshot("b").Find("big")[0].Checksum
			if had.Value == "" {
				t.Fatal("it has no checksum")
			}
			j := b.create(t, c.policy)
			if _, err := j.Plan(t.Context(), PlanOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := b.SetRules(c.rule); err != nil {
				t.Fatal(err)
			}
			hidden := 0
			b.OnRequest(func(r s3test.Request) {
				switch {
				case r.Key != "big":
				case r.Op == "HeadObject" && hidden == 0:
					hidden++
					b.KMS.SetKeyState("old", kms.Disabled)
				case r.Op != "HeadObject" && r.Op != "GetObjectAttributes":
					b.KMS.SetKeyState("old", kms.Enabled)
				}
			})
			sum, err := j.Run(t.Context(), Options{})
			if err != nil || sum.Done != 1 {
				t.Errorf("%+v: %v", sum, err)
			}
			if hidden == 0 {
				t.Error("nothing was hidden")
			}
			is := b.Snapshot("b").Find("big")
			if is[0].Checksum != had {
				t.Errorf("it had %+v, and has %+v", had, is[0].Checksum)
			}
			if len(is) != 2 {
				t.Errorf("%d versions", len(is))
			}
		})
	}
}
