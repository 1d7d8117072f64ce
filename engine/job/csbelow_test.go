package job

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestAClientSideCopyOverAWriteThatNobodySaw: what a process that died has encrypted as a client, or brought
// under another key, is looked below by what is in it.
func TestAClientSideCopyOverAWriteThatNobodySaw(t *testing.T) {
	for n := range 4 {
		rewraps, before := n&1 > 0, n&2 > 0 // or what it wrote is a copy of the other client's
		b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 1)
		keyFile := func(of byte) string {
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, bytes.Repeat([]byte{of, 7}, 16), 0o600); err != nil {
				t.Fatal(err)
			}
			return file
		}
		one := keyFile(1)
		b.spec.Target = Target{ClientSide: ClientSide{Format: "v3", KeyFile: one}}
		if rewraps {
			if sum, err := b.create(t, Policy{}).Run(t.Context(), Options{}); err != nil || sum.Done != 1 {
				t.Fatalf("%+v, %v", sum, err)
			}
			b.dir += "2"
			b.spec.Target = Target{ClientSide: ClientSide{KeyFile: keyFile(2), SourceKeyFile: one}}
		}
		ctx, die := context.WithCancel(t.Context())
		other := ""
		b.OnEffect(func(r s3test.Request) {
			if (r.Op == "PutObject" || r.Op == "CopyObject") && r.Key == "a" && ctx.Err() == nil {
				if !before {
					other = b.PutBelow("b", s3test.Object{Key: "a", Body: s3test.Bytes("newer")})
				}
				die()
			}
		})
		b.OnRequest(func(r s3test.Request) {
			if now := b.Snapshot("b").Find("a")[0]; before && other == "" && r.Op == "GetObject" && r.Key == "a" {
				o := s3test.Object{Key: "a", Body: now.Body, Attrs: now.Attrs}
				if !rewraps {
					o.Body = s3test.Bytes("newer")
				}
				other = b.Put("b", o)
			}
		})
		policy := Policy{}
		if rewraps {
			policy.Operation = RewrapOnly
		}
		j := b.create(t, policy)
		if _, err := j.Run(ctx, Options{}); err == nil {
			t.Fatal("nobody died")
		}
		if sum, err := j.Run(t.Context(), Options{}); err != nil || (sum.Failed == 1) == before || strings.Contains(b.said(t, j)["a"], other) == before || other == "" {
			t.Errorf("rewraps %t, before %t: %+v, %v: %v", rewraps, before, sum, err, b.said(t, j))
		}
	}
}
