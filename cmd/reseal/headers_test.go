package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// Ten legal tags are longer in a header than all headers may be: they are written
// after the copy, and read back, also where its answer was lost.
func TestW4TagsAreWrittenWhereNoHeaderHoldsThem(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"copy with Expires": nil, "parts": inParts} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, s3test.Config{Seed: 4, Profile: s3test.Profile{CopyDropsExpires: true}})
			st.server.CreateBucket("b", s3test.BucketConfig{})
			for _, key := range []string{"k0", "k1", "k2"} {
				o := s3test.Object{Key: key, Body: s3test.Bytes("bytes of " + key)}
				o.Expires = "Thu, 01 Jan 2099 00:00:00 GMT"
				for i := range 10 {
					o.Tags = append(o.Tags, object.Tag{Key: fmt.Sprint(i, strings.Repeat("ä", 100)), Value: strings.Repeat("ü", 128)})
				}
				st.server.Put("b", o)
			}
			before := st.server.Snapshot("b")
			if err := st.server.SetRules("(If (And (Or Copy Complete Put) (Key \"k1\") (First 1)) ReplyLost)"); err != nil {
				t.Fatal(err)
			}
			job := filepath.Join(t.TempDir(), "job")
			run := append([]string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--operation", "copy", "--no-progress", "--job", job}, args...)
			if end := st.reseal(t, run...); end.code != 0 {
				t.Fatalf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
			}
			st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA}})
		})
	}
}
