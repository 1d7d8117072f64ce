package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// divided is a job of so many shards over objects with these keys.
func divided(t *testing.T, b *bench, n int) *Job {
	t.Helper()
	j := b.create(t, Policy{})
	if _, err := j.Divide(t.Context(), n, Options{}); err != nil {
		t.Fatal(err)
	}
	return j
}

// TestDivideLayouts: shards hold about as many objects each, whatever the keys look like,
// and every object is in exactly one.
func TestDivideLayouts(t *testing.T) {
	const n, shards = 3000, 8
	for name, key := range map[string]func(i int) string{
		"uuid": func(i int) string {
			return fmt.Sprintf("%08x-%04x-4000-8000-%012x", uint32(i)*2654435761, i*40503&0xffff, i)
		},
		"dates": func(i int) string {
			return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, i/8).Format("2006/01/02/") + fmt.Sprint(i)
		},
		"flat": func(i int) string { return fmt.Sprintf("data/object-%09d", i) },
		"skew": func(i int) string {
			if i%20 > 0 {
				return fmt.Sprintf("big/%07d", i)
			}
			return fmt.Sprintf("small-%d/x", i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 0)
			b.Fill("b", n, key, s3test.Bytes("body"), s3test.Attrs{})
			j := divided(t, b, shards)
			sizes := make([]int, shards)
			for i := range n {
				in := 0
				for s := range j.Division.Shards {
					if j.Division.Shards[s].holds(object.Ref{Bucket: "b", Key: key(i)}) {
						sizes[s]++
						in++
					}
				}
				if in != 1 {
					t.Fatalf("%q is in %d shards", key(i), in)
				}
			}
			if fair := n / shards; slices.Max(sizes) > 2*fair || slices.Min(sizes) < fair/2 {
				t.Errorf("a fair share is %d, and the shards hold %d", fair, sizes)
			}
		})
	}
}

// TestShardsInTurn: one process works on all shards as on one job. It asks the store what
// it does once, what somebody sets holds for the shards that follow, and whoever looks
// sees all of them together.
func TestShardsInTurn(t *testing.T) {
	canaries := func(shards int) (sent int) {
		b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 120)
		j := divided(t, b, shards)
		b.ResetRequests()
		b.SetLatency(map[string]time.Duration{"CopyObject": 2 * time.Millisecond})
		var seen struct {
			sync.Mutex
			watched int
			rate    float64
		}
		watch := func(r *Running) (func(), error) {
			stop := make(chan struct{})
			var looking sync.WaitGroup
			looking.Go(func() {
				for {
					r.Progress.Snapshot(time.Now())
					if totals := r.Totals(); totals.Planned.Objects > 120 {
						t.Errorf("%d objects are planned", totals.Planned.Objects)
					}
					r.Pace()
					seen.Lock()
					if seen.rate = r.Setting().RequestsPerSecond; seen.rate == 1e6 {
						b.SetLatency(nil)
					}
					seen.Unlock()
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
				}
			})
			seen.Lock()
			defer seen.Unlock()
			if seen.watched++; !r.OfShards {
				t.Error("it is not said that this is one of several shards")
			}
			if seen.watched == 1 {
				limit := 1e6
				if _, err := j.Set(Change{RequestsPerSecond: &limit}); err != nil {
					t.Error(err)
				}
			}
			return func() { close(stop); looking.Wait() }, nil
		}
		// Whoever sets something is heard within a second, and the first shard lasts until then.
		b.SetLatency(map[string]time.Duration{"CopyObject": 400 * time.Millisecond})
		sum, err := j.Run(t.Context(), Options{Watch: watch, Limits: Limits{Concurrency: 8}})
		if err != nil || sum.Done != 120 || !sum.Complete || sum.Remaining != 0 || sum.Resumed {
			t.Errorf("%+v, %v", sum, err)
		}
		if seen.watched != shards || seen.rate != 1e6 {
			t.Errorf("%d shards were watched, and the last had a ceiling of %v", seen.watched, seen.rate)
		}
		for _, r := range b.Requests("PutObject") {
			if strings.Contains(r.Key, ".reseal-canary-") {
				sent++
			}
		}
		again, err := j.Run(t.Context(), Options{})
		if err != nil || again.Done != 120 || !again.Resumed {
			t.Errorf("again: %+v, %v", again, err)
		}
		if o := b.Snapshot("b").Objects; len(o) != 240 {
			t.Errorf("%d versions: an object was done twice, or not at all", len(o))
		}
		return sent
	}
	if one, three := canaries(1), canaries(3); one != three || one == 0 {
		t.Errorf("of one shard %d throwaway objects were written, of three %d", one, three)
	}
}

// TestVersionsStayTogether: where all versions are taken, those of a key are in one shard.
func TestVersionsStayTogether(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 0)
	for v := range 9 {
		for k := range 5 {
			b.Put("b", s3test.Object{Key: fmt.Sprintf("k%d", k), Body: s3test.Bytes(fmt.Sprint("body ", v))})
		}
	}
	b.spec.Selection.Versions = "all"
	j := divided(t, b, 4)
	if _, err := j.Plan(t.Context(), PlanOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := j.openRecords()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	shardOf, rows := map[string]int{}, 0
	if err := r.Rows(func(task *object.Task, _ *object.Outcome) error {
		if at, ok := shardOf[task.Object.Key]; ok && at != r.index {
			t.Errorf("%s is in the shards %d and %d", task.Object.Key, at, r.index)
		}
		shardOf[task.Object.Key] = r.index
		rows++
		return nil
	}); err != nil || rows != 45 {
		t.Errorf("%d rows of 45, %v", rows, err)
	}
}

// TestDivisionIsBelievedAsItWasWritten: the division, a checkpoint in another shard's
// place, and an older reseal's idea of the job.
func TestDivisionIsBelievedAsItWasWritten(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 26)
	j := divided(t, b, 2)
	shard, err := j.Shard(0)
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := shard.Run(t.Context(), Options{}); err != nil || sum.Planned == 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	other, _ := j.Shard(1)
	if err := os.Rename(shard.Dir, other.Dir); err != nil {
		t.Fatal(err)
	}
	_, err = other.Run(t.Context(), Options{})
	wantUnusable(t, err, "holds another job")
	_, err = j.Run(t.Context(), Options{})
	wantUnusable(t, err, "holds another job")
	_, err = j.Status()
	wantUnusable(t, err, "holds another job")
	if err := os.Rename(other.Dir, shard.Dir); err != nil {
		t.Fatal(err)
	}
	if again, err := Open(shard.Dir); err != nil || again.Part == nil || again.Part.Index != 0 || again.digest != shard.digest {
		t.Errorf("by its own directory: %+v, %v", again, err)
	}
	data, err := os.ReadFile(j.path(fileName))
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Format int }
	if err := json.Unmarshal(data, &f); err != nil || f.Format != formatDivided {
		t.Errorf("format %d, %v: a reseal without shards would do all of it again", f.Format, err)
	}
	if _, err := j.Divide(t.Context(), 3, Options{}); !errors.As(err, new(*UnusableError)) {
		t.Errorf("another number of shards: %v", err)
	}
	path := j.path(divisionName)
	if data, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	for _, spoiled := range map[string][]byte{"a digit": []byte(strings.Replace(string(data), `"index": 1`, `"index": 0`, 1)), "a blank": append(data, ' '), "all of it": nil} {
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(j.Dir)
		wantUnusable(t, err, "was edited after the job began", "restore the file")
	}
}

// TestDivideLeavesNothing: a process that dies between the division and job.json leaves
// no job, and the next order begins anew.
func TestDivideLeavesNothing(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 26)
	j := divided(t, b, 2)
	if err := os.Remove(j.path(fileName)); err != nil {
		t.Fatal(err)
	}
	again, err := Create(b.dir, b.spec, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if d, err := again.Divide(t.Context(), 5, Options{}); err != nil || len(d.Shards) != 5 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, claimName)); !os.IsNotExist(err) {
		t.Errorf("the claim is still there: %v", err)
	}
}

// TestPoliciesOfWorkersThatBeginTogether: a worker that records a policy waits for another
// one that is about to. An exit code that says that the job cannot be used would end all.
func TestPoliciesOfWorkersThatBeginTogether(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 50)
	j := divided(t, b, 2)
	shard, err := j.Shard(1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := tryClaim(j.path(claimName))
	if err != nil || other == nil {
		t.Fatal(other, err)
	}
	time.AfterFunc(200*time.Millisecond, other.release)
	shard.Policy.Accept = []Acceptance{AcceptTags}
	if err := j.keepPolicyOf(shard, time.Now()); err != nil {
		t.Error(err)
	}
	if again, err := Open(b.dir); err != nil || !again.Policy.Accepts(AcceptTags) {
		t.Errorf("recorded: %+v, %v", again, err)
	}
}

// TestARefusalInTheMiddle: that a shard cannot be used is no refusal to begin once others were
// worked on, which would say that nothing was touched.
func TestARefusalInTheMiddle(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 0)
	key := b.KMS.CreateKey("alias/old")
	for i := range 20 {
		b.Put("b", s3test.Object{Key: fmt.Sprintf("k%02d", i), Body: s3test.Bytes("body"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: key}}})
	}
	b.CreateBucket("state", s3test.BucketConfig{})
	b.dir = "s3://state/jobs/one"
	j := divided(t, b, 2)
	damaged := sync.OnceFunc(func() {
		b.Put("state", s3test.Object{Key: "jobs/one/leases/0001", Body: s3test.Bytes("no lease")})
	})
	touched := func(what string, err error, n uint64) {
		t.Helper()
		var refused *UnusableError
		if err == nil || errors.As(err, &refused) || n == 0 {
			t.Errorf("%s: %d, and then %T %v", what, n, err, err)
		}
	}
	b.OnRequest(func(r s3test.Request) {
		if r.Op == "CopyObject" && r.Bucket == "b" {
			damaged()
		}
	})
	_, err := j.Run(t.Context(), Options{})
	touched("run", err, uint64(len(b.Snapshot("b").Objects)-20))
	b.OnRequest(nil)
	b.Remove("state", "jobs/one/leases/0001", "")
	if _, err := j.Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	b.Put("state", s3test.Object{Key: "jobs/one/leases/0001", Body: s3test.Bytes("no lease")})
	p, err := j.Prune(t.Context(), PruneOptions{Delete: true})
	if p == nil {
		t.Fatal(err)
	}
	touched("prune", err, p.Deleted)
	b.Remove("state", "jobs/one/leases/0001", "")
	b.Put("state", s3test.Object{Key: "jobs/one/leases/0000", Body: s3test.Bytes("no lease")})
	_, err = j.Prune(t.Context(), PruneOptions{Delete: true})
	wantUnusable(t, err, "no lease")
}

// TestADirectoryThatIsNamedLikeAShard: in a folder of no job a directory may be named as one likes.
func TestADirectoryThatIsNamedLikeAShard(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 1)
	at := t.TempDir()
	if err := os.WriteFile(filepath.Join(at, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.dir = filepath.Join(at, shardsName, "1")
	if _, err := Open(b.dir); !errors.Is(err, ErrNone) {
		t.Errorf("where nothing is: %v", err)
	}
	b.create(t, Policy{})
}
