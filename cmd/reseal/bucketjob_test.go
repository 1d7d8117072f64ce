//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// bucketStage is a versioned bucket of objects, and another for the state of jobs.
type bucketStage struct {
	*stage
	objects int
}

const bucketPlace = "s3://state/jobs/one"

func newBucketStage(t *testing.T, objects int) *bucketStage {
	st := newStage(t, s3test.Config{Seed: 14})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	st.server.CreateBucket("state", s3test.BucketConfig{})
	st.server.Fill("b", objects, func(i int) string { return fmt.Sprintf("%03x/%05d", (i*2654435761)%4096, i) }, s3test.Bytes("body"), s3test.Attrs{})
	return &bucketStage{st, objects}
}

func (st *bucketStage) order() []string {
	return []string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", bucketPlace, "--concurrency", "16", "--lease-duration", "1s", "--no-progress", "--json"}
}

// elsewhere is a process on another machine: nothing of the earlier ones is on its disk.
func (st *bucketStage) elsewhere(t *testing.T, args ...string) *exec.Cmd {
	cmd := st.command(args...)
	cmd.Env = append(slices.Clone(cmd.Env), "TMPDIR="+t.TempDir())
	return cmd
}

// checkOnce looks that every object was copied once, and that the report has a row of
// each.
func (st *bucketStage) checkOnce(t *testing.T) {
	t.Helper()
	versions := st.copiedOnce(t)
	rows := st.rows(t, bucketPlace)
	done := 0
	for _, r := range rows {
		if r["state"] == "done" || r["state"] == "already" && r["reason"] == "in-doubt" {
			done++
		}
	}
	if len(rows) != st.objects || done != st.objects || len(versions) != st.objects {
		t.Errorf("%d rows, %d of them done, of %d objects", len(rows), done, st.objects)
	}
	if s := st.reseal(t, "verify", "--job", bucketPlace, "--no-dependents", "--json"); s.code != 0 || !strings.Contains(s.stdout, fmt.Sprintf(`"verified":%d`, st.objects)) {
		t.Errorf("verify: exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
}

// TestAJobInABucket: a job whose state is in a bucket, looked at, paused, resumed and read
// from places that share no disk with the process at work.
func TestAJobInABucket(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 600)
	st.server.SetLatency(map[string]time.Duration{"CopyObject": time.Second})
	first := st.elsewhere(t, st.order()...)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	st.until(t, func(s *bucketStatus) bool { return s.State == "running" && s.Done > 10 })
	if s := answered(t, st.elsewhere(t, "run", "--job", bucketPlace)); s.code != 2 || !strings.Contains(s.stderr, "in use by process") {
		t.Errorf("a second process: exit code %d: %s", s.code, s.stderr)
	}
	if s := answered(t, st.elsewhere(t, "set", "--job", bucketPlace, "--max-requests-per-second", "900")); s.code != 0 || !strings.Contains(s.stdout, "has taken it up") {
		t.Errorf("set: exit code %d: %s", s.code, s.stderr)
	}
	st.server.SetLatency(nil)
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	s := answered(t, st.elsewhere(t, "run", "--job", bucketPlace, "--json"))
	var sum bucketStatus
	if err := json.Unmarshal([]byte(s.stdout), &sum); err != nil || s.code != 0 || sum.Done != 600 || !sum.Complete || sum.Job != bucketPlace {
		t.Errorf("run again: exit code %d, %v: %s%s", s.code, err, s.stdout, s.stderr)
	}
	if s := answered(t, st.elsewhere(t, "run", "s3://b", "--sse", "AES256", "--job", bucketPlace)); s.code != 2 || !strings.Contains(s.stderr, "--sse") {
		t.Errorf("another target: exit code %d: %s", s.code, s.stderr)
	}
	if s := answered(t, st.elsewhere(t, "explain", "--job", bucketPlace, "s3://b/000/00000")); s.code != 0 || !strings.Contains(s.stdout, "done") {
		t.Errorf("explain: exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	st.checkOnce(t)
}

type bucketStatus struct {
	Job                            string
	Planned, Done, Left, Remaining uint64
	State                          string
	PID                            int
	Complete, Running              bool
}

func (st *bucketStage) until(t *testing.T, there func(*bucketStatus) bool) {
	t.Helper()
	var s bucketStatus
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		out := answered(t, st.elsewhere(t, "status", "--job", bucketPlace, "--json"))
		if out.code == 0 && json.Unmarshal([]byte(out.stdout), &s) == nil && there(&s) {
			return
		}
	}
	t.Fatalf("it never came: %+v", s)
}

// TestAJobInABucketIsKilled kills its process at thirty moments, and goes on each time
// with an empty disk, while the store loses answers about the state and the objects.
func TestAJobInABucketIsKilled(t *testing.T) {
	t.Parallel()
	kills := 30
	if testing.Short() {
		kills = 5
	}
	st := newBucketStage(t, 6000)
	st.server.SetLatency(map[string]time.Duration{"CopyObject": 20 * time.Millisecond})
	const rules = `
(If (And (Key "jobs/*") PutObject (Random 0.06 1)) ReplyLost)
(If (And (Key "jobs/*") PutObject (Random 0.06 2)) Failed)
(If (And (Key "jobs/*") (Random 0.05 3)) (Delay 200))
(If (And CopyObject (Random 0.01 4)) ReplyLost)`
	if err := st.server.SetRules(rules); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(14, 1))
	killed := 0
	for n := range kills {
		cmd := st.elsewhere(t, st.order()...)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// From its first request to the bucket, since it waits for the lease before; of a job
		// that is there, since one that is being begun has a lease of the usual minute.
		at := time.Duration(r.IntN(700)) * time.Millisecond
		var begun atomic.Bool
		st.server.OnRequest(func(q s3test.Request) {
			if q.Bucket != "b" {
				return
			}
			if _, there := st.server.Get("state", "jobs/one/job.json", ""); there && begun.CompareAndSwap(false, true) {
				time.AfterFunc(at, func() { _ = cmd.Process.Kill() })
			}
		})
		if err := cmd.Wait(); err == nil {
			t.Logf("done after %d kills", killed)
			break
		} else if !strings.Contains(err.Error(), "killed") {
			t.Fatalf("process %d: %v: %s", n, err, said.String())
		}
		killed++
	}
	st.server.OnRequest(nil)
	if err := st.server.SetRules(""); err != nil {
		t.Fatal(err)
	}
	if s := answered(t, st.elsewhere(t, st.order()...)); s.code != 0 {
		t.Fatalf("the last run: exit code %d: %s", s.code, s.stderr)
	}
	if killed < kills/2 {
		t.Errorf("only %d kills", killed)
	}
	st.checkOnce(t)
	if st.server.Snapshot("b").Uploads != nil {
		t.Error("uploads are open")
	}
}

// TestASleepingWorker: a worker is stopped (SIGSTOP) until another has taken its job, and
// wakes. It sends nothing more, says why, and nothing is doubled.
func TestASleepingWorker(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 3000)
	sleeper := s3test.Credentials{AccessKeyID: "AKIDSLEEPER", SecretAccessKey: "a secret of the sleeper", SessionToken: "token"}
	st.server.AddCredentials(sleeper)
	st.server.SetLatency(map[string]time.Duration{"CopyObject": 30 * time.Millisecond})
	first := st.elsewhere(t, st.order()...)
	first.Env = append(first.Env, "AWS_ACCESS_KEY_ID="+sleeper.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+sleeper.SecretAccessKey, "AWS_SESSION_TOKEN="+sleeper.SessionToken)
	var said bytes.Buffer
	first.Stderr = &said
	asleep := make(chan error, 1)
	var fell sync.Once
	st.server.OnRequest(func(q s3test.Request) {
		if q.Op == "CopyObject" && st.server.Count("CopyObject") > 400 {
			fell.Do(func() { asleep <- first.Process.Signal(syscall.SIGSTOP) })
		}
	})
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-asleep:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		_ = first.Process.Kill()
		t.Fatalf("the first copies nothing: %v: %s", first.Wait(), said.String())
	}
	st.server.OnRequest(nil)
	second := st.elsewhere(t, st.order()...)
	var result bytes.Buffer
	second.Stdout, second.Stderr = &result, &result
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	copies := st.server.Count("CopyObject")
	for deadline := time.Now().Add(time.Minute); st.server.Count("CopyObject") < copies+100; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the second takes nothing over: %s", result.String())
		}
	}
	// The second is not to end before all is looked at.
	st.server.SetLatency(map[string]time.Duration{"CopyObject": time.Second})
	st.until(t, func(s *bucketStatus) bool { return s.PID == second.Process.Pid })
	woke := time.Now()
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	err := first.Wait()
	if code := first.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), "another process has taken the job over") {
		t.Errorf("the sleeper: %v: %s", err, said.String())
	}
	// It tells nothing of its end over what the second tells of itself.
	if s := answered(t, st.elsewhere(t, "set", "--job", bucketPlace, "--concurrency", "8")); s.code != 0 {
		t.Errorf("set of the second: exit code %d: %s", s.code, s.stderr)
	}
	if s := answered(t, st.elsewhere(t, "status", "--job", bucketPlace, "--json")); !strings.Contains(s.stdout, fmt.Sprintf(`"pid":%d,`, second.Process.Pid)) || !strings.Contains(s.stdout, `"state":"running"`) {
		t.Errorf("status beside process %d: %s%s", second.Process.Pid, s.stdout, s.stderr)
	}
	st.server.SetLatency(nil)
	for _, q := range st.server.Requests() {
		if q.Bucket == "b" && q.Time.After(woke) && slices.Contains(q.Withheld, "X-Amz-Security-Token") {
			t.Errorf("after it woke the sleeper sent %s of %s", q.Op, q.Key)
		}
	}
	if err := second.Wait(); err != nil {
		t.Fatalf("%v: %s", err, result.String())
	}
	st.checkOnce(t)
}

// TestPruneOfAJobInABucket kills prunes, each of which finds on an empty disk what the ones
// before it recorded.
func TestPruneOfAJobInABucket(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string][]string{"own": nil, "selected": {"--versions", "noncurrent", "--only-encryption", "none"}} {
		t.Run(name, func(t *testing.T) { killedPrunes(t, extra...) })
	}
}

func killedPrunes(t *testing.T, extra ...string) {
	t.Helper()
	st := newBucketStage(t, 1500)
	if s := answered(t, st.elsewhere(t, st.order()...)); s.code != 0 {
		t.Fatalf("run: exit code %d: %s", s.code, s.stderr)
	}
	if s := answered(t, st.elsewhere(t, append([]string{"prune", "--job", bucketPlace, "--json"}, extra...)...)); s.code != 0 || !strings.Contains(s.stdout, `"would_delete":1500`) {
		t.Fatalf("dry: exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	st.server.SetLatency(map[string]time.Duration{"DeleteObject": 5 * time.Millisecond})
	prune := append([]string{"prune", "--job", bucketPlace, "--yes", "--json", "--lease-duration", "1s"}, extra...)
	killed := 0
	for range 6 {
		cmd := st.elsewhere(t, prune...)
		deletions := st.server.Count("DeleteObject")
		st.server.OnRequest(func(q s3test.Request) {
			if q.Op == "DeleteObject" && st.server.Count("DeleteObject") > deletions+150 {
				_ = cmd.Process.Kill()
			}
		})
		if err := cmd.Run(); err != nil {
			killed++
		}
	}
	st.server.OnRequest(nil)
	s := answered(t, st.elsewhere(t, prune...))
	var pruned struct {
		Versions, Deleted, Gone, Kept, Failed uint64
		Earlier                               uint64 `json:"deleted_earlier"`
	}
	if err := json.Unmarshal([]byte(s.stdout), &pruned); err != nil || s.code != 0 || killed < 3 || pruned.Versions != 1500 || pruned.Deleted+pruned.Gone != 1500 || pruned.Earlier < 256 {
		t.Errorf("after %d kills: exit code %d, %v: %s%s", killed, s.code, err, s.stdout, s.stderr)
	}
	versions := st.server.Snapshot("b").Objects
	if len(versions) != 1500 {
		t.Errorf("%d versions are left", len(versions))
	}
	if s := st.reseal(t, "verify", "--job", bucketPlace, "--no-dependents"); s.code != 0 {
		t.Errorf("verify: exit code %d: %s", s.code, s.stderr)
	}
}

// TestShardsInABucket: shards of a job in a bucket, worked on by processes that share no
// disk. One is killed, and what it held is taken over.
func TestShardsInABucket(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 4000)
	order := st.order()
	if s := answered(t, st.elsewhere(t, append([]string{"plan"}, append(order[1:8:8], "--shards", "6")...)...)); s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	st.server.SetLatency(map[string]time.Duration{"CopyObject": 60 * time.Millisecond})
	work := []string{"run", "--job", bucketPlace, "--shard", "any", "--concurrency", "8", "--lease-duration", "1s", "--no-progress"}
	var workers []*exec.Cmd
	said := make([]bytes.Buffer, 3)
	for i := range 3 {
		cmd := st.elsewhere(t, work...)
		cmd.Stdout, cmd.Stderr = &said[i], &said[i]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		workers = append(workers, cmd)
	}
	st.until(t, func(s *bucketStatus) bool { return s.Done > 200 })
	_ = workers[0].Process.Kill()
	_ = workers[0].Wait()
	for i, cmd := range workers[1:] {
		if err := cmd.Wait(); err != nil {
			t.Errorf("worker %d: %v: %s", i+1, err, said[i+1].String())
		}
	}
	end := answered(t, st.elsewhere(t, "status", "--job", bucketPlace))
	if !strings.Contains(end.stdout, "complete: every object is as wanted") {
		t.Fatalf("both have ended, and the job has not: %s%s\n%s\n%s", end.stdout, end.stderr, said[1].String(), said[2].String())
	}
	st.checkOnce(t)
}

// TestWorkersThatBeginTogether: none waits for a shard that another was faster to take
// while others are free.
func TestWorkersThatBeginTogether(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 4000)
	order := st.order()
	if s := answered(t, st.elsewhere(t, append([]string{"plan"}, append(order[1:8:8], "--shards", "4")...)...)); s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	st.server.SetLatency(map[string]time.Duration{"CopyObject": 60 * time.Millisecond})
	var workers []*exec.Cmd
	said := make([]bytes.Buffer, 4)
	for i := range said {
		cmd := st.elsewhere(t, "run", "--job", bucketPlace, "--shard", "any", "--concurrency", "8", "--no-progress")
		cmd.Stdout, cmd.Stderr = &said[i], &said[i]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		workers = append(workers, cmd)
	}
	for i, cmd := range workers {
		if err := cmd.Wait(); err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
		if strings.Contains(said[i].String(), "waiting") {
			t.Errorf("worker %d waited: %s", i, said[i].String())
		}
	}
	st.checkOnce(t)
}
