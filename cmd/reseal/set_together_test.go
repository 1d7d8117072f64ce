//go:build unix

package main

import (
	"encoding/json"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestSeveralChangesOfThePaceAtOnce: of changes that people ask for in the same moment none
// is lost, each of which was told that the run had taken it up.
func TestSeveralChangesOfThePaceAtOnce(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]string{"in a directory": filepath.Join(t.TempDir(), "job"), "in a bucket": bucketPlace} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newBucketStage(t, 400)
			// Whoever has read what is asked for has time to be overtaken.
			st.server.SetLatency(map[string]time.Duration{"PutObject": 50 * time.Millisecond})
			run := st.command("run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", place, "--max-requests-per-second", "8", "--concurrency", "16", "--no-progress")
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = run.Process.Signal(syscall.SIGKILL)
				_ = run.Wait()
			}()
			began := time.Now()
			for s := st.reseal(t, "status", "--job", place, "--json"); ; s = st.reseal(t, "status", "--job", place, "--json") {
				var now struct{ Done int }
				if json.Unmarshal([]byte(s.stdout), &now) == nil && now.Done > 0 {
					break
				}
				if time.Since(began) > time.Minute {
					t.Fatalf("the run does not begin: %s%s", s.stdout, s.stderr)
				}
				time.Sleep(100 * time.Millisecond)
			}
			var last struct {
				sync.Mutex
				answers []string
			}
			var asking sync.WaitGroup
			for _, flags := range [][]string{{"--pause"}, {"--max-kms-requests-per-second", "77"}, {"--max-bandwidth", "33MiB"}, {"--concurrency", "5"}, {"--max-requests-per-second", "9"}} {
				asking.Go(func() {
					s := st.reseal(t, append([]string{"set", "--job", place, "--json"}, flags...)...)
					last.Lock()
					defer last.Unlock()
					last.answers = append(last.answers, s.stdout)
					var answer struct {
						TakenUp bool `json:"taken_up"`
					}
					if err := json.Unmarshal([]byte(s.stdout), &answer); s.code != 0 || err != nil || !answer.TakenUp {
						t.Errorf("%v: exit code %d: %s%s", flags, s.code, s.stdout, s.stderr)
					}
				})
			}
			asking.Wait()
			s := st.reseal(t, "status", "--job", place, "--json")
			var now struct {
				Live struct {
					Set struct {
						Paused      bool
						Concurrency int
						Requests    float64 `json:"requests_per_second"`
						KMS         float64 `json:"kms_requests_per_second"`
						Bytes       int64   `json:"bytes_per_second"`
					}
				}
			}
			err := json.Unmarshal([]byte(s.stdout), &now)
			if set := now.Live.Set; err != nil || !set.Paused || set.Concurrency != 5 || set.Requests != 9 || set.KMS != 77 || set.Bytes != 33<<20 {
				t.Errorf("in force at the end: %+v, %v; the answers were %v", set, err, last.answers)
			}
		})
	}
}
