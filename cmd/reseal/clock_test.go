package main

import (
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestClockIsOff: S3 refuses signatures that are more than 15 minutes off. The
// run goes by the store's clock then, from its beginning or from the moment at
// which one of the two clocks is set, and no object pays for it.
func TestClockIsOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		begins, turns time.Duration // the store's clock ahead of this machine's, and that in the middle of the run
	}{{"slow here", 20 * time.Minute, 20 * time.Minute}, {"fast here", -20 * time.Minute, -20 * time.Minute}, {"set in the middle", 0, 25 * time.Minute}, {"put right in the middle", -3 * time.Hour, 0}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var ahead atomic.Int64
			ahead.Store(int64(c.begins))
			st := newStage(t, s3test.Config{Seed: 21, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
				Latency: map[string]time.Duration{"": 2 * time.Millisecond}})
			before := st.fillDocs(1500)
			var copies, refused atomic.Int32
			st.server.OnReply(func(r s3test.Request) {
				if r.Op == "CopyObject" && copies.Add(1) == 500 {
					ahead.Store(int64(c.turns))
				}
				if r.Code == "RequestTimeTooSkewed" {
					refused.Add(1)
				}
			})
			job := filepath.Join(st.dir, "job")
			s := st.reseal(t, "run", "s3://docs", "--sse", "aws:kms", "--sse-kms-key-id", "alias/a", "--operation", "copy", "--job", job, "--no-progress", "--json")
			if s.code != 0 || !strings.Contains(s.stdout, `"done":1500`) {
				t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
			}
			if !strings.Contains(s.stderr, "clock") {
				t.Errorf("nobody is told that the clock is off\n%s", s.stderr)
			}
			if n := refused.Load(); n == 0 || n > 600 { // what was in flight, and its askings again
				t.Errorf("%d requests were refused for their time", n)
			}
			st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA}})
			for key, row := range st.rows(t, job) {
				if n := row["attempts"]; n != "1" && n != "2" {
					t.Errorf("%s took %s attempts", key, n)
				}
			}
		})
	}
}

// TestClockCannotBeCorrected: a store that refuses every time is waited for, as
// for credentials, and the log and status say that it is about the clock.
func TestClockCannotBeCorrected(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 22})
	before := st.fillDocs(300)
	job := filepath.Join(st.dir, "job")
	var copies atomic.Int32
	stuck := make(chan struct{})
	st.server.OnReply(func(r s3test.Request) {
		if r.Op == "CopyObject" && copies.Add(1) == 100 {
			if err := st.server.SetRules("(If Any (Error 403 RequestTimeTooSkewed))"); err != nil {
				t.Error(err)
			}
			close(stuck)
		}
	})
	ended := make(chan said, 1)
	go func() {
		ended <- st.reseal(t, "run", "s3://docs", "--sse", "AES256", "--job", job, "--concurrency", "8", "--no-progress", "--json")
	}()
	<-stuck
	st.awaitStatus(t, job, "waiting for credentials")
	if err := st.server.SetRules(""); err != nil {
		t.Fatal(err)
	}
	s := <-ended
	if s.code != 0 || !strings.Contains(s.stdout, `"done":300,"already":0,"left":0,"failed":0`) || !strings.Contains(s.stderr, "clock") {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSES3}})
	rows := st.rows(t, job)
	if bad := slices.ContainsFunc([]string{"failed", "remaining"}, func(state string) bool {
		for _, r := range rows {
			if r["state"] == state {
				return true
			}
		}
		return false
	}); bad {
		t.Error("objects paid for the clock")
	}
}
