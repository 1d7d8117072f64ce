//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/s3test"
)

// dividedStatus is what status tells of a divided job.
type dividedStatus struct {
	Planned, Done, Already, Left, Failed, Remaining uint64
	State                                           string
	Complete                                        bool
	Resumed                                         bool
	InDoubt                                         uint64 `json:"already_in_doubt"`
	Shards                                          []job.ShardStatus
}

func (st *stage) dividedStatus(t *testing.T, dir string) (s dividedStatus) {
	t.Helper()
	out := st.reseal(t, "status", "--job", dir, "--json")
	if err := json.Unmarshal([]byte(out.stdout), &s); err != nil || out.code != 0 {
		t.Fatalf("status: exit code %d, %v: %s%s", out.code, err, out.stdout, out.stderr)
	}
	var sum dividedStatus
	for _, one := range s.Shards {
		sum.Planned += one.Planned
		sum.Done, sum.Already, sum.Left = sum.Done+one.Done, sum.Already+one.Already, sum.Left+one.Left
		sum.Failed, sum.Remaining = sum.Failed+one.Failed, sum.Remaining+one.Remaining
	}
	if s.Planned != s.Done+s.Already+s.Left+s.Failed+s.Remaining || s.Planned != sum.Planned || s.Done != sum.Done || s.Remaining != sum.Remaining {
		t.Errorf("the counters do not add up: %+v", s)
	}
	return s
}

// TestShardsByManyProcesses: 5,000 objects in 8 shards, worked on by three processes that
// take what is free. One is killed in the middle and its work taken over. Every object is
// done exactly once, which a versioned bucket shows, but for those that were in flight
// when the process died: they may have been done a moment before, and are found as wanted.
func TestShardsByManyProcesses(t *testing.T) {
	t.Parallel()
	const objects = 5000
	st := newStage(t, s3test.Config{Seed: 8})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	st.server.Fill("b", objects, func(i int) string { return fmt.Sprintf("%03x/%05d", (i*2654435761)%4096, i) }, s3test.Bytes("body"), s3test.Attrs{})
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "plan", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", dir, "--shards", "8"); s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	st.server.SetLatency(map[string]time.Duration{"CopyObject": time.Second})
	work := func() (*exec.Cmd, *bytes.Buffer) {
		cmd := st.command("run", "--job", dir, "--shard", "any", "--concurrency", "8", "--json", "--no-progress")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, &out
	}
	victim, _ := work()
	st.until(t, dir, func(s *dividedStatus) bool { return s.Done > 20 })
	second, secondSaid := work()
	third, thirdSaid := work()
	at := func(s *dividedStatus, pid int) int { // a shard is taken before it is known by whom
		return slices.IndexFunc(s.Shards, func(s job.ShardStatus) bool { return s.PID == pid })
	}
	taken := st.until(t, dir, func(s *dividedStatus) bool { return atWork(s) == 3 && at(s, third.Process.Pid) >= 0 })
	if s := st.reseal(t, "run", "--job", dir); s.code != 2 || !strings.Contains(s.stderr, "--shard any") {
		t.Errorf("a run of all shards beside the others: exit code %d: %s", s.code, s.stderr)
	}
	mine := at(&taken, third.Process.Pid)
	if s := st.reseal(t, "run", "--job", dir, "--shard", fmt.Sprint(mine)); s.code != 2 || !strings.Contains(s.stderr, "in use by process") {
		t.Errorf("a second process on shard %d: exit code %d: %s", mine, s.code, s.stderr)
	}
	if err := victim.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	st.server.SetLatency(nil)
	for cmd, said := range map[*exec.Cmd]*bytes.Buffer{second: secondSaid, third: thirdSaid} {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, said)
		}
	}
	end := st.dividedStatus(t, dir)
	if end.State != "finished" || !end.Complete || end.Done+end.Already != objects || end.Already != end.InDoubt || end.Already > 8 {
		t.Errorf("in the end: %+v", end)
	}
	versions := st.copiedOnce(t)
	rows := st.rows(t, dir)
	if keys := slices.Sorted(maps.Keys(rows)); !slices.Equal(keys, slices.Sorted(maps.Keys(versions))) {
		t.Errorf("the report has %d rows, the bucket %d keys", len(keys), len(versions))
	}
	if s := st.reseal(t, "verify", "--job", dir, "--json", "--no-dependents"); s.code != 0 || !strings.Contains(s.stdout, `"verified":5000`) {
		t.Errorf("verify: exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
}

func atWork(s *dividedStatus) (n int) {
	for i := range s.Shards {
		if s.Shards[i].State == "running" {
			n++
		}
	}
	return n
}

// until waits for a divided job to come to a point.
func (st *stage) until(t *testing.T, dir string, there func(*dividedStatus) bool) dividedStatus {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(20 * time.Millisecond) {
		s := st.dividedStatus(t, dir)
		if there(&s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("it never came: %+v", s)
		}
	}
}

// TestShardsShareTheCeiling: the ceiling is the job's. Two processes together do not exceed
// it, and when one has ended the other has it for itself.
func TestShardsShareTheCeiling(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Fill("b", 4000, func(i int) string { return fmt.Sprintf("k%05d", i) }, s3test.Bytes("body"), s3test.Attrs{})
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "plan", "s3://b", "--sse", "AES256", "--job", dir, "--shards", "2"); s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	var cmds []*exec.Cmd
	for i := range 2 {
		cmd := st.command("run", "--job", dir, "--shard", fmt.Sprint(i), "--max-requests-per-second", "100", "--no-progress")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	allowed := func(shard int, want float64) {
		t.Helper()
		var live struct {
			Pace struct {
				Allowed float64 `json:"allowed"`
			} `json:"pace"`
		}
		for deadline := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
			data, err := os.ReadFile(filepath.Join(dir, "shards", fmt.Sprintf("%04d", shard), "status.json"))
			if err == nil && json.Unmarshal(data, &live) == nil && live.Pace.Allowed == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("shard %d is allowed %v requests/s, want %v: %s", shard, live.Pace.Allowed, want, data)
			}
		}
	}
	allowed(0, 50)
	allowed(1, 50)
	if err := cmds[1].Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmds[1].Wait()
	allowed(0, 100)
	if err := cmds[0].Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmds[0].Wait()
}

// TestShardAutoWaits: a scheduler may begin a task anew while the one before is still
// there. The second waits for the first, and goes on when that is gone.
func TestShardAutoWaits(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	st.server.Fill("b", 40, func(i int) string { return fmt.Sprintf("k%05d", i) }, s3test.Bytes("body"), s3test.Attrs{})
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "plan", "s3://b", "--sse", "AES256", "--job", dir, "--shards", "2"); s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	st.server.SetLatency(map[string]time.Duration{"CopyObject": time.Minute})
	first := st.command("run", "--job", dir, "--shard", "1", "--no-progress")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	st.until(t, dir, func(s *dividedStatus) bool {
		return s.Shards[1].State == "running" && st.server.Count("CopyObject") > 0
	})
	second := st.command("run", "--job", dir, "--shard", "auto", "--no-progress", "--json")
	second.Env = append(slices.Clone(second.Env), "JOB_COMPLETION_INDEX=1")
	log := filepath.Join(st.dir, "second.log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out bytes.Buffer
	second.Stdout, second.Stderr = &out, file
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		if data, err := os.ReadFile(log); err == nil && strings.Contains(string(data), "waiting for it") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the second process never said that it waits")
		}
	}
	st.server.SetLatency(nil)
	if err := first.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	if err := second.Wait(); err != nil || !strings.Contains(out.String(), `"remaining":0`) || !strings.Contains(out.String(), `"resumed":true`) {
		data, _ := os.ReadFile(log)
		t.Errorf("%v: %s%s", err, &out, data)
	}
}

// TestShardsOfAnInventory: a report is divided by its data files, about as many bytes for
// each shard; a shard reads its own files and no others.
func TestShardsOfAnInventory(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{})
	st.server.CreateBucket("docs", s3test.BucketConfig{Versioning: "Enabled"})
	st.server.CreateBucket("inv", s3test.BucketConfig{})
	st.server.Fill("docs", 60, func(i int) string { return fmt.Sprintf("a/%06d", i) }, s3test.Bytes("body"), s3test.Attrs{})
	all := st.server.Snapshot("docs").Objects
	uri := st.store("2026-11-23T01-00Z", inventoryReport{format: "CSV", schema: inventorySchema, files: [][]byte{
		inventoryLines(all[:30]), inventoryLines(all[30:40]), inventoryLines(all[40:50]), inventoryLines(all[50:])}})
	dir := filepath.Join(t.TempDir(), "job")
	order := []string{"plan", "--manifest", uri, "--sse", "AES256", "--job", dir, "--json"}
	if s := st.reseal(t, append(order, "--shards", "5")...); s.code != 2 || !strings.Contains(s.stderr, "it has 4 data files, and 5 shards were asked for") {
		t.Errorf("more shards than files: exit code %d: %s", s.code, s.stderr)
	}
	s := st.reseal(t, append(order, "--shards", "2")...)
	var d struct {
		Kind   string
		Shards []job.Part
	}
	if err := json.Unmarshal([]byte(s.stdout), &d); err != nil || s.code != 0 || d.Kind != job.ByFiles || len(d.Shards) != 2 || len(d.Shards[0].Files)+len(d.Shards[1].Files) != 4 {
		t.Fatalf("exit code %d, %v: %s%s", s.code, err, s.stdout, s.stderr)
	}
	if a, b := d.Shards[0].Bytes, d.Shards[1].Bytes; a > 2*b || b > 2*a {
		t.Errorf("shards of %d and %d bytes", a, b)
	}
	st.server.ResetRequests()
	if s := st.reseal(t, "run", "--job", dir, "--shard", "1", "--json"); s.code != 0 {
		t.Fatalf("run: exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	for _, r := range st.server.Requests("GetObject") {
		if slices.Contains(d.Shards[0].Files, r.Key) {
			t.Errorf("shard 1 read %s of shard 0", r.Key)
		}
	}
	if s := st.reseal(t, "run", "--job", dir, "--json"); s.code != 0 || !strings.Contains(s.stdout, `"planned":60,"done":60,`) {
		t.Errorf("the rest: exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	if o := st.server.Snapshot("docs").Objects; len(o) != 120 || len(st.rows(t, dir)) != 60 {
		t.Errorf("%d versions and %d rows: an object was done twice, or not at all", len(o), len(st.rows(t, dir)))
	}
}

// copiedOnce sees that each object of bucket b has the version that was there and one copy.
func (st *stage) copiedOnce(t *testing.T) (versions map[string]int) {
	t.Helper()
	versions = map[string]int{}
	for _, o := range st.server.Snapshot("b").Objects {
		versions[o.Key]++
	}
	for key, n := range versions {
		if n != 2 {
			t.Errorf("%s has %d versions: it was copied %d times", key, n, n-1)
		}
	}
	return versions
}
