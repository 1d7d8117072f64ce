package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestSetWhereTheClockIsOff: whether a process is at work on a job in a bucket is told by when its
// lease was renewed, which is a date of the store. A machine whose clock is minutes off, too little
// for S3 to refuse its signatures, could neither pause a run nor change its pace.
func TestSetWhereTheClockIsOff(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{5 * time.Minute, -5 * time.Minute} {
		const objects = 4000
		st := &bucketStage{newStage(t, s3test.Config{Seed: 15, Now: func() time.Time { return time.Now().Add(off) }}), objects}
		st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
		st.server.CreateBucket("state", s3test.BucketConfig{})
		st.server.Fill("b", objects, func(i int) string { return fmt.Sprintf("k/%05d", i) }, s3test.Bytes("body"), s3test.Attrs{})
		st.server.SetLatency(map[string]time.Duration{"CopyObject": 30 * time.Millisecond})
		cmd := st.elsewhere(t, st.order()...)
		said := st.begun(t, cmd, "CopyObject", 100)
		if s := answered(t, st.elsewhere(t, "status", "--job", bucketPlace, "--json")); s.code != 0 || !strings.Contains(s.stdout, `"state":"running"`) {
			t.Errorf("off by %s: status: exit code %d\n%s%s", off, s.code, s.stdout, s.stderr)
		}
		if s := answered(t, st.elsewhere(t, "set", "--job", bucketPlace, "--max-requests-per-second", "100")); s.code != 0 || !strings.Contains(s.stdout, "has taken it up") {
			t.Errorf("off by %s: set: exit code %d\n%s%s", off, s.code, s.stdout, s.stderr)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		<-time.After(4 * time.Second) // its lease lasts one
		if s := answered(t, st.elsewhere(t, "status", "--job", bucketPlace, "--json")); s.code != 0 || strings.Contains(s.stdout, `"state":"running"`) {
			t.Errorf("off by %s: it is said to run after its end: exit code %d\n%s%s\n%s", off, s.code, s.stdout, s.stderr, said)
		}
	}
}
