package job

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestTheStateOfManyShards: of a job in a bucket the shards are read side by side, and whoever
// asks is told how far that is.
func TestTheStateOfManyShards(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 0)
	b.Fill("b", 600, func(i int) string { return fmt.Sprintf("%03d", i) }, s3test.Bytes("body"), s3test.Attrs{})
	b.CreateBucket("state", s3test.BucketConfig{})
	b.dir = "s3://state/jobs/one"
	n := len(divided(t, b, 24).Division.Shards)
	j, err := Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var told, last atomic.Int64
	j.OnReading(func(read, of int) {
		told.Add(1)
		if read == of {
			last.Store(int64(read))
		}
	})
	b.SetLatency(map[string]time.Duration{"GetObject": 100 * time.Millisecond, "ListObjectsV2": 100 * time.Millisecond})
	began := time.Now()
	s, err := j.Status()
	if err != nil || n < 20 || len(s.Shards) != n || s.Shards[n-1].State != StateUntaken {
		t.Fatal(n, s, err)
	}
	// One after another each takes three tenths of a second.
	if took := time.Since(began); took > time.Duration(n)*150*time.Millisecond {
		t.Errorf("the state of %d shards was read in %s", n, took)
	}
	if told.Load() != int64(n) || last.Load() != int64(n) {
		t.Errorf("told %d times, of %d at last, want %d", told.Load(), last.Load(), n)
	}
}

// TestShardsAtWorkOnOtherTerms: a process that holds its lease for longer renews it more
// seldom, and has its part of the ceilings all the same; one that gave it back has none.
func TestShardsAtWorkOnOtherTerms(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 1)
	b.CreateBucket("state", s3test.BucketConfig{})
	now := time.Now().Truncate(time.Second)
	for name, l := range map[string]struct {
		ago  time.Duration
		text string
	}{
		"0000": {0, `{"epoch":1,"owner":"a","ttl_seconds":60,"beat":9}`},
		"0001": {30 * time.Second, `{"epoch":1,"owner":"b","ttl_seconds":60,"beat":3}`},
		"0002": {19 * time.Minute, `{"epoch":1,"owner":"c","ttl_seconds":3600,"beat":1}`},
		"0003": {19 * time.Minute, `{"epoch":1,"owner":"d","ttl_seconds":3600,"beat":1,"free":true}`},
		"0004": {19 * time.Minute, `{"epoch":1,"owner":"e","ttl_seconds":60,"beat":1}`},
	} {
		b.Put("state", s3test.Object{Key: "jobs/one/leases/" + name, Body: s3test.Bytes(l.text), LastModified: now.Add(-l.ago)})
	}
	h, err := openHome(t.Context(), "s3://state/jobs/one", Connection{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 2 {
		if n, err := h.atWorkNow(t.Context(), time.Minute); n != 3 || err != nil {
			t.Errorf("%d are at work, %v", n, err)
		}
	}
	if n := b.Count("GetObject"); n != 3 {
		t.Errorf("%d leases were read, want each old one once", n)
	}
}
