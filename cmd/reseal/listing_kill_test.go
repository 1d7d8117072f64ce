package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestListingSurvivesKills kills a plan again and again at random moments while
// it lists a bucket of several shapes at once, and resumes it: in the end it holds
// every key once. rows fails on a key that is planned twice.
func TestListingSurvivesKills(t *testing.T) {
	t.Parallel()
	const n = 20_000
	st := newStage(t, s3test.Config{Seed: 9})
	st.server.CreateBucket("docs", s3test.BucketConfig{})
	key := func(i int) string {
		r := rand.New(rand.NewPCG(uint64(i), 9))
		switch i % 4 {
		case 0:
			return fmt.Sprintf("flat/%09d", i)
		case 1:
			return fmt.Sprintf("%016x-%08x", r.Uint64(), i)
		case 2:
			return fmt.Sprintf("date/2026/%02d/%02d/é %06d", 1+r.IntN(12), 1+r.IntN(28), i)
		}
		return fmt.Sprintf("one/deep/prefix/that/holds/most/%s%06d", string("abc"[r.IntN(3)]), i)
	}
	st.server.Fill("docs", n, key, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}})
	st.server.SetLatency(map[string]time.Duration{"ListObjectsV2": 400 * time.Millisecond})
	job := filepath.Join(t.TempDir(), "job")
	args := []string{"plan", "s3://docs", "--sse", "AES256", "--job", job, "--inspect", "never"}
	kills, random := 0, rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for {
		cmd := st.command(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var err error
		select {
		case err = <-ended:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Duration(500+random.IntN(900)) * time.Millisecond):
			if kills++; kills < 12 {
				_ = cmd.Process.Kill()
			}
			if err = <-ended; kills < 12 {
				continue
			}
		}
		if err != nil {
			t.Fatalf("after %d kills: %v", kills, err)
		}
		break
	}
	rows := st.rows(t, job)
	for i := range n {
		if rows[key(i)] == nil {
			t.Fatalf("%q was missed, after %d kills", key(i), kills)
		}
	}
	if len(rows) != n {
		t.Errorf("%d keys are planned, want %d", len(rows), n)
	}
	if kills == 0 {
		t.Error("no process was killed: the test shows nothing")
	}
	t.Logf("%d kills, %d pages listed", kills, st.server.Count("ListObjectsV2"))
}
