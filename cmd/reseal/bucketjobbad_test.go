//go:build unix

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestASignalWhileTheStateDoesNotAnswer: the second ends a process whose state cannot be
// kept, and the next one asks what became of the rest.
func TestASignalWhileTheStateDoesNotAnswer(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 300)
	st.server.SetLatency(map[string]time.Duration{"CopyObject": 500 * time.Millisecond})
	first := st.elsewhere(t, st.order()...)
	var said bytes.Buffer
	first.Stderr = &said
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	st.until(t, func(s *bucketStatus) bool { return s.Done > 10 })
	if err := st.server.SetRules(`(If (Key "jobs/*") (Failed))`); err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{1500 * time.Millisecond, 0} {
		if err := first.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait)
	}
	stuck := time.AfterFunc(30*time.Second, func() { _ = first.Process.Kill() })
	_ = first.Wait()
	if code := first.ProcessState.ExitCode(); !stuck.Stop() || code != 130 || !strings.Contains(said.String(), "could not be kept away from this machine") {
		t.Errorf("exit code %d: %s", code, said.String())
	}
	st.server.SetLatency(nil)
	if err := st.server.SetRules(""); err != nil {
		t.Fatal(err)
	}
	if s := answered(t, st.elsewhere(t, st.order()...)); s.code != 0 {
		t.Fatalf("the next run: exit code %d: %s", s.code, s.stderr)
	}
	st.checkOnce(t)
}

// TestRefusedCredentialsOfTheState: whoever asks with wrong ones learns it at once.
func TestRefusedCredentialsOfTheState(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 3)
	for _, verb := range []string{"status", "run", "report"} {
		cmd := st.elsewhere(t, verb, "--job", bucketPlace)
		cmd.Env = append(cmd.Env, "AWS_SECRET_ACCESS_KEY=another")
		began := time.Now()
		if s := listen(t, cmd); s.code != 1 || !strings.Contains(s.stderr, "AWS_SECRET_ACCESS_KEY") || time.Since(began) > 20*time.Second {
			t.Errorf("%s: exit code %d after %s: %s", verb, s.code, time.Since(began), s.stderr)
		}
	}
}

// TestTheBucketOfTheStateIsNotThere: a place of a job that nobody can have is no error of
// the run.
func TestTheBucketOfTheStateIsNotThere(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 3)
	for _, args := range [][]string{{"status"}, {"report"}, {"run"}, {"run", "s3://b", "--sse", "AES256"}} {
		s := answered(t, st.elsewhere(t, append(args, "--job", "s3://not-there/jobs/one")...))
		if s.code != 2 || !strings.Contains(s.stderr, "s3://not-there/jobs/one") || !strings.Contains(s.stderr, "make the bucket") {
			t.Errorf("%v: exit code %d: %s", args, s.code, s.stderr)
		}
	}
}

// TestWhereTheStateCannotLive: what is refused, and that nothing is left behind.
func TestWhereTheStateCannotLive(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 3)
	target := []string{"--sse", "AES256", "--job"}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"in the source":  {append([]string{"run", "s3://b"}, append(target, "s3://b/jobs/x")...), "which the job itself works on"},
		"all buckets":    {append([]string{"run", "--all-buckets"}, append(target, bucketPlace)...), "leave that bucket out"},
		"above":          {append([]string{"run", "s3://b"}, append(target, "s3://state/../x")...), "s3://BUCKET/PREFIX"},
		"a line's end":   {append([]string{"run", "s3://b"}, append(target, "s3://state/x\ny")...), "s3://BUCKET/PREFIX"},
		"one slash":      {append([]string{"run", "s3://b"}, append(target, "s3:/state/x")...), "s3://BUCKET/PREFIX"},
		"capitals":       {[]string{"status", "--job", "S3://state/x"}, "s3://BUCKET/PREFIX"},
		"no prefix":      {append([]string{"run", "s3://b"}, append(target, "s3://state")...), "s3://BUCKET/PREFIX"},
		"standard input": {append([]string{"run", "--manifest", "-", "--manifest-format", "keys", "--bucket", "b"}, append(target, bucketPlace)...), "can be read once"},
		"nothing there":  {[]string{"status", "--job", bucketPlace}, "there is no job"},
		"a short lease":  {append([]string{"run", "s3://b", "--lease-duration", "1ms"}, append(target, bucketPlace)...), "--lease-duration"},
	} {
		if s := answered(t, st.elsewhere(t, c.args...)); s.code != 2 || !strings.Contains(s.stderr, c.want) {
			t.Errorf("%s: exit code %d: %s", name, s.code, s.stderr)
		}
	}
	left := filepath.Join(t.TempDir(), "reseal-job-*")
	if found, _ := filepath.Glob(left); len(found) > 0 {
		t.Errorf("left on the disk: %v", found)
	}
	if n := len(st.server.Snapshot("b").Objects); n != 3 {
		t.Errorf("%d objects", n)
	}
}

// TestADamagedState: what stands in the bucket and cannot be what reseal wrote is refused,
// by its name in the bucket, with what to do.
func TestADamagedState(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 30)
	if s := answered(t, st.elsewhere(t, st.order()...)); s.code != 0 {
		t.Fatalf("run: exit code %d: %s", s.code, s.stderr)
	}
	copies := st.server.Count("CopyObject")
	for name, fix := range map[string]string{
		"lease": "delete the object", "log/000000000002": "restore it", "job.json": "restore it",
		"log/zzz": "take it away",
	} {
		key := "jobs/one/" + name
		was, there := st.server.Get("state", key, "")
		st.server.Put("state", s3test.Object{Key: key, Body: s3test.Bytes("nonsense")})
		for _, verb := range []string{"status", "run", "report"} {
			s := answered(t, st.elsewhere(t, verb, "--job", bucketPlace))
			if s.code != 2 || !strings.Contains(s.stderr, "s3://state/"+key) || !strings.Contains(s.stderr, fix) || strings.Count(s.stderr, "\n") != 1 {
				t.Errorf("%s of a damaged %s: exit code %d: %s", verb, name, s.code, s.stderr)
			}
		}
		if st.server.Remove("state", key, ""); there {
			st.server.Put("state", was)
		}
	}
	if n := st.server.Count("CopyObject"); n != copies {
		t.Errorf("%d copies were sent", n-copies)
	}
	st.checkOnce(t)
}

// TestAShardByItsPlace: what is said to be next, after one shard, is about a place in the
// bucket that every verb takes, and that no other job can have.
func TestAShardByItsPlace(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 60)
	order := st.order()
	if s := answered(t, st.elsewhere(t, append([]string{"plan"}, append(order[1:8:8], "--shards", "3")...)...)); s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	shard := bucketPlace + "/shards/0001"
	if s := answered(t, st.elsewhere(t, "run", "--job", bucketPlace, "--shard", "1")); s.code != 0 || !strings.Contains(s.stdout, "--job "+shard) {
		t.Fatalf("run: exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	for _, args := range [][]string{{"status"}, {"report"}, {"verify", "--no-dependents"}, {"run"}} {
		if s := answered(t, st.elsewhere(t, append(args, "--job", shard)...)); s.code != 0 {
			t.Errorf("%s: exit code %d: %s", args[0], s.code, s.stderr)
		}
	}
	if s := answered(t, st.elsewhere(t, "status", "--job", bucketPlace+"/shards/0009")); s.code != 2 || !strings.Contains(s.stderr, "3 shards") {
		t.Errorf("one that there is not: exit code %d: %s", s.code, s.stderr)
	}
	if s := answered(t, st.elsewhere(t, "run", "s3://b", "--sse", "AES256", "--job", bucketPlace+"/shards/0002")); s.code != 2 {
		t.Errorf("another job in the place of a shard: exit code %d: %s", s.code, s.stderr)
	}
}
