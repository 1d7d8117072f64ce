package job

import (
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// older is where the store of testdata/format1 was: the endpoint of a job is frozen.
const older = "127.0.0.1:28475"

// TestOlderDirectory: testdata/format1 was planned by reseal at commit 66d2341, in
// format 1 and before policies had a digest. It is read, and goes on.
func TestOlderDirectory(t *testing.T) {
	b := newBench(t, s3test.Config{Addr: older}, s3test.BucketConfig{Versioning: "Enabled"}, 3)
	copyDir(t, "testdata/format1", b.dir)
	j, err := Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	if j.Policy.Guard != GuardStrict || !j.Policy.Accepts(AcceptTags) || j.Spec.Source.Bucket != "b" {
		t.Errorf("read %+v of %+v", j.Policy, j.Spec)
	}
	if s, err := j.Status(); err != nil || s.Planned != 3 || s.Remaining != 3 {
		t.Errorf("status: %+v, %v", s, err)
	}
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 3 || !sum.Resumed {
		t.Errorf("run: %+v, %v", sum, err)
	}
	if v, err := j.Verify(t.Context(), VerifyOptions{}); err != nil || !v.OK {
		t.Errorf("verify: %+v, %v", v, err)
	}
}
