package job

import (
	"context"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestWhatIsTakenUpOverAWriteThatNobodySaw: a process that finds a completed upload of one that died, or what
// a copy of it has still to get back, looks below that, too.
func TestWhatIsTakenUpOverAWriteThatNobodySaw(t *testing.T) {
	for op, c := range map[string]struct {
		profile s3test.Profile
		policy  Policy
	}{
		"CompleteMultipartUpload": {policy: Policy{Operation: CopyOnly, MultipartThreshold: 1 << 20}},
		"CopyObject":              {profile: s3test.Profile{CopyDropsTags: true}, policy: Policy{Operation: CopyOnly}},
	} {
		t.Run(op, func(t *testing.T) {
			b := newBench(t, s3test.Config{Profile: c.profile}, s3test.BucketConfig{Versioning: "Enabled"}, 0)
			b.Put("b", s3test.Object{Key: "a", Body: s3test.Bytes(strings.Repeat("body", 1<<19)), Attrs: s3test.Attrs{Tags: []object.Tag{{Key: "k", Value: "v"}}}})
			ctx, die := context.WithCancel(t.Context())
			other := ""
			b.OnEffect(func(r s3test.Request) {
				if r.Op == op && r.Key == "a" && other == "" {
					other = b.PutBelow("b", s3test.Object{Key: "a", Body: s3test.Bytes("newer")})
					die()
				}
			})
			j := b.create(t, c.policy)
			if _, err := j.Run(ctx, Options{Limits: Limits{Concurrency: 1}}); err == nil || other == "" {
				t.Fatal("nobody died")
			}
			if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Failed != 1 {
				t.Errorf("%+v, %v", sum, err)
			}
			vs := b.Snapshot("b").Find("a")
			if said := b.said(t, j)["a"]; len(vs) != 3 || vs[1].VersionID != other || len(vs[0].Tags) != 1 || !strings.Contains(said, other) {
				t.Errorf("it is said: %q", said)
			}
		})
	}
}
