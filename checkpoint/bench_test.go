package checkpoint

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// The figures of README.md and of bench/README.md:
//
//	RESEAL_CHECKPOINT_OBJECTS=2000000 go test -run '^$' -bench Checkpoint -benchtime 1x ./checkpoint
//
// Rows are as a versioned bucket under KMS gives them: keys of 40 to 60 bytes,
// random ETags, request and version IDs, two key ARNs.

func benchObjects() int {
	if n, err := strconv.Atoi(os.Getenv("RESEAL_CHECKPOINT_OBJECTS")); err == nil {
		return n
	}
	return 50_000
}

var benchKeys = [2]string{"arn:aws:kms:eu-central-1:111122223333:key/0f3c1a52-7f0e-4f0a-9d9c-0b1f5f6f7a01",
	"arn:aws:kms:eu-central-1:111122223333:key/5d2b9c1e-1111-4c3b-8a7d-3f2e1d0c9b8a"}

func benchTask(r *rand.Rand, i int) object.Task {
	return object.Task{Operation: object.OpUndecided, Object: object.Object{
		Ref:          object.Ref{Bucket: "customer-archive-eu", Key: fmt.Sprintf("tenants/%04d/2024/%02d/invoice-%010d.pdf", i/5000, i/400%12, i)},
		Size:         r.Int64N(1 << 20),
		ETag:         fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()),
		LastModified: time.Unix(1700000000+int64(i/3), 0).UTC(),
	}}
}

func benchOutcome(r *rand.Rand, seq uint64, now time.Time, o *object.Outcome) {
	*o = object.Outcome{Seq: seq, State: object.Done, Operation: object.OpCopy, Size: 524288, Attempts: 1,
		ETagBefore: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()), ETagAfter: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()),
		Before: object.Encryption{Type: object.SSEKMS, KMSKeyID: benchKeys[0]}, After: object.Encryption{Type: object.SSEKMS, KMSKeyID: benchKeys[1], BucketKey: true},
		RequestID: fmt.Sprintf("%016X", r.Uint64()), FinishedAt: now}
}

func BenchmarkCheckpoint(b *testing.B) {
	n := benchObjects()
	for b.Loop() {
		dir := b.TempDir()
		s, err := Open(dir, Options{})
		check(b, err)
		r := rand.New(rand.NewPCG(1, 1))
		planCost(b, s, r, n)
		outcomeCost(b, s, r, n, n-n/100)
		check(b, s.Close())
		b.ReportMetric(float64(diskUse(b, dir))/float64(n), "disk-bytes/object")
		reopenCost(b, dir)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(peakRSS(b), "peak-RSS-MB")
}

func check(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

// planCost appends pages of 1,000 as a listing does, and makes the plan durable.
func planCost(b *testing.B, s *Store, r *rand.Rand, n int) {
	page := make([]object.Task, 0, 1000)
	var spent time.Duration
	cpu := cpuTime()
	made := time.Duration(0)
	for i := 0; i < n; {
		start := cpuTime()
		page = page[:0]
		for ; len(page) < 1000 && i < n; i++ {
			page = append(page, benchTask(r, i))
		}
		made += cpuTime() - start
		begin := time.Now()
		check(b, s.Append(page, []object.Cursor{{Range: "r", Position: []byte(page[len(page)-1].Object.Key)}}))
		spent += time.Since(begin)
	}
	begin := time.Now()
	check(b, s.PlanComplete())
	spent += time.Since(begin)
	b.ReportMetric(us(spent, n), "plan-us/object")
	b.ReportMetric(us(cpuTime()-cpu-made, n), "plan-cpu-us/object")
}

// outcomeCost takes tasks and records their outcomes as fast as it goes; the
// store groups and syncs them. The cost of making the rows is taken off.
func outcomeCost(b *testing.B, s *Store, r *rand.Rand, n, done int) {
	buf := make([]object.Task, 256)
	outs := make([]object.Outcome, len(buf))
	var made time.Duration
	var next, record time.Duration
	cpu := cpuTime()
	for i := 0; i < done; {
		begin := time.Now()
		k, err := s.Next(b.Context(), buf[:min(len(buf), done-i)])
		check(b, err)
		next += time.Since(begin)
		start := cpuTime()
		now := time.Now().UTC()
		for j := range k {
			benchOutcome(r, buf[j].Seq, now, &outs[j])
		}
		made += cpuTime() - start
		begin = time.Now()
		for j := range k {
			check(b, s.Record(&outs[j]))
		}
		record += time.Since(begin)
		i += k
	}
	begin := time.Now()
	check(b, s.Flush())
	record += time.Since(begin)
	b.ReportMetric(us(next, done), "next-us/object")
	b.ReportMetric(us(record, done), "outcome-us/object")
	b.ReportMetric(us(cpuTime()-cpu-made, done), "outcome-cpu-us/object")
}

// reopenCost is a process that resumes: open, first task.
func reopenCost(b *testing.B, dir string) {
	begin := time.Now()
	s, err := Open(dir, Options{})
	check(b, err)
	b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "reopen-ms")
	buf := make([]object.Task, 64)
	_, err = s.Next(b.Context(), buf)
	check(b, err)
	b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "first-task-ms")
	begin, rows := time.Now(), 0
	check(b, s.Rows(func(*object.Task, *object.Outcome) error { rows++; return nil }))
	b.ReportMetric(us(time.Since(begin), rows), "row-us/object")
	check(b, s.Close())
}

func us(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }

// cpuTime is the processor time of the whole process, Pebble's goroutines
// included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func diskUse(b *testing.B, dir string) (total int64) {
	check(b, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, ierr := d.Info()
			err = ierr
			total += info.Size()
		}
		return err
	}))
	return total
}

func peakRSS(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0 // not Linux
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(v)[0])
			check(b, err)
			return float64(kb) / 1024
		}
	}
	return 0
}

// BenchmarkRecord is what a worker pays for an outcome, the writer working beside
// it; the longest wait is what group commit may cost it.
func BenchmarkRecord(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	check(b, err)
	r := rand.New(rand.NewPCG(1, 1))
	page := make([]object.Task, 1000)
	for i := 0; i < b.N; i += len(page) {
		for j := range page {
			page[j] = benchTask(r, i+j)
		}
		check(b, s.Append(page, nil))
	}
	var o object.Outcome
	benchOutcome(r, 0, time.Now().UTC(), &o)
	buf := make([]object.Task, 1000)
	var longest time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; {
		b.StopTimer()
		n, err := s.Next(b.Context(), buf)
		check(b, err)
		b.StartTimer()
		for j := range min(n, b.N-i) {
			o.Seq = buf[j].Seq
			begin := time.Now()
			check(b, s.Record(&o))
			longest = max(longest, time.Since(begin))
		}
		i += n
	}
	b.StopTimer()
	b.ReportMetric(float64(longest.Microseconds()), "longest-us")
	check(b, s.Close())
}
