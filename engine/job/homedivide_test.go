package job

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestADivisionIsNotReplaced: a process that has slept, and wakes when another has begun the
// job, leaves the division of that job as it is; and what a process left that came to no job
// is in nobody's way.
func TestADivisionIsNotReplaced(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *bench) *Job{
		"another began": func(t *testing.T, b *bench) *Job {
			late := b.create(t, Policy{})
			b.Remove("state", "jobs/one/lease", "") // as it is for others once it has slept too long
			return late
		},
		"another died": func(_ *testing.T, b *bench) *Job {
			b.Put("state", s3test.Object{Key: "jobs/one/" + divisionName, Body: s3test.Bytes("{}")})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 26)
			b.CreateBucket("state", s3test.BucketConfig{})
			b.dir = "s3://state/jobs/one"
			late := before(t, b)
			if d, err := b.create(t, Policy{}).Divide(t.Context(), 3, Options{}); err != nil || len(d.Shards) != 3 {
				t.Fatal(d, err)
			}
			if late != nil {
				_, err := late.Divide(t.Context(), 5, Options{})
				wantUnusable(t, err, "another process began a job")
			}
			j, err := Open(b.dir)
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if n := len(j.Division.Shards); n != 3 {
				t.Errorf("%d shards, want those of the process that began the job", n)
			}
		})
	}
}

// TestADivisionThatIsGone: what is said names the place, and not the copy that goes with the
// process.
func TestADivisionThatIsGone(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 26)
	b.CreateBucket("state", s3test.BucketConfig{})
	b.dir = "s3://state/jobs/one"
	if _, err := b.create(t, Policy{}).Divide(t.Context(), 3, Options{}); err != nil {
		t.Fatal(err)
	}
	b.Remove("state", "jobs/one/"+divisionName, "")
	_, err := Open(b.dir)
	wantUnusable(t, err, b.dir+"/"+divisionName)
	if err != nil && strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("%v", err)
	}
}

// TestAPlaceThatAnotherHolds: a process that wants to begin a job where another is about to is
// refused as in a directory, and so is one that finds a lease which is none.
func TestAPlaceThatAnotherHolds(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 1)
	b.CreateBucket("state", s3test.BucketConfig{})
	lease := func(text string) { b.Put("state", s3test.Object{Key: "jobs/one/lease", Body: s3test.Bytes(text)}) }
	lease("no lease")
	_, err := Create("s3://state/jobs/one", b.spec, Policy{})
	wantUnusable(t, err, "this is no lease")

	ended, beating := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(beating)
		for beat := 0; ; beat++ {
			lease(fmt.Sprintf(`{"epoch":1,"owner":"another","host":"there","pid":7,"ttl_seconds":2,"beat":%d}`, beat))
			select {
			case <-ended:
				return
			case <-time.After(300 * time.Millisecond):
			}
		}
	}()
	defer func() { close(ended); <-beating }()
	time.Sleep(100 * time.Millisecond)
	_, err = Create("s3://state/jobs/one", b.spec, Policy{})
	wantUnusable(t, err, "process 7 on there")
}

// TestNobodyHasTakenASettingUp: where no process is at work on any shard, none has.
func TestNobodyHasTakenASettingUp(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 26)
	j := divided(t, b, 2)
	if j.tookUp(new(Setting)) {
		t.Error("a setting was taken up by nobody")
	}
}

// TestASettingThatTheDeadDoNotTakeUp: whoever died with the lease of a shard, which nobody has
// watched yet, is not waited for.
func TestASettingThatTheDeadDoNotTakeUp(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 26)
	b.CreateBucket("state", s3test.BucketConfig{})
	b.dir = "s3://state/jobs/one"
	j := divided(t, b, 2)
	asked := time.Now().UTC()
	put := func(name, text string, ago time.Duration) {
		b.Put("state", s3test.Object{Key: "jobs/one/" + name, Body: s3test.Bytes(text), LastModified: asked.Add(-ago)})
	}
	put("leases/0000", `{"epoch":1,"owner":"dead","ttl_seconds":60,"beat":9}`, 10*time.Minute)
	put("leases/0001", `{"epoch":1,"owner":"works","ttl_seconds":60,"beat":9}`, 0)
	if j.tookUp(&Setting{At: asked}) {
		t.Error("it was taken up by nobody")
	}
	put("shards/0001/status.json", fmt.Sprintf(`{"progress":{},"set":{"at":%q}}`, asked.Format(time.RFC3339Nano)), 0)
	if !j.tookUp(&Setting{At: asked}) {
		t.Error("whoever works has taken it up, and the dead is waited for")
	}
}
