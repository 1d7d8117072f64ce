package sim

import (
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

func TestMain(m *testing.M) {
	// A night lives on one core, so that what runs in the same moment does so in the same
	// order; and garbage, of which it makes much and keeps little, is rarely collected.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(800)
	c := s3test.DefaultCredentials
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": c.AccessKeyID, "AWS_SECRET_ACCESS_KEY": c.SecretAccessKey, "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "", "AWS_ENDPOINT_URL_KMS": "", "AWS_PROFILE": "", "AWS_CA_BUNDLE": "", "HTTP_PROXY": "", "http_proxy": ""} {
		_ = os.Setenv(name, value)
	}
	dir, err := os.MkdirTemp(inMemory, "reseal-sim-")
	if err != nil {
		panic(err)
	}
	_ = os.Setenv("TMPDIR", dir) // where the copies of jobs in a bucket lie
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// foundBy are the seeds of nights that found a fault: doubt that a clean stop forgot, a
// completed upload whose version was not found again, a store that cannot be tried out, a
// shard whose holder was seen to be gone, and not taken over, a stop that waited for the end
// of a pause, an upload that was looked for by its date, what a dead canary left where no lock
// is shown, tags that could not be read, throwaway objects that a default retention locked,
// a copy in vain of a process that was stopped, a canary's lock that a clock which went back
// made look long, a lock that was held over a request whose failure needs it.
var foundBy = []uint64{24, 455, 527, 1901, 2077, 2227, 2797, 11820, 11917, 13252, 14178, 16296, 22079, 41109}

// nightsToPlay are how many from which seed on: few, or as many as were asked for, at
// most some. RESEAL_SOAK_SEEDS asks for more nights than `make test` plays, RESEAL_SEED for
// one, as it was, and both for that many from that one on.
func nightsToPlay(few, most uint64) (first, count uint64) {
	first, count = 1, few
	if n, err := strconv.ParseUint(os.Getenv("RESEAL_SEED"), 10, 64); err == nil {
		first, count = n, 1
	}
	if n, err := strconv.ParseUint(os.Getenv("RESEAL_SOAK_SEEDS"), 10, 64); err == nil {
		count = min(n, most)
	}
	return first, count
}

// TestSoakNights plays one night a seed.
func TestSoakNights(t *testing.T) {
	first, count := nightsToPlay(12, math.MaxUint64)
	var seeds []uint64
	for i := range count {
		seeds = append(seeds, first+i)
	}
	if os.Getenv("RESEAL_SEED") == "" && count < foundBy[0] {
		seeds = append(seeds, foundBy...)
	}
	sum := tally{rows: map[string]int{}, faults: map[string]int{}}
	began, worked := time.Now(), cpuTime()
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { sum.add(draw(seed).night(t)) })
	}
	took, busy := time.Since(began), cpuTime()-worked
	t.Logf("%d nights of %.0f simulated hours in %v, %.1f nights a second of one core (%v)", len(seeds), sum.hours.Hours(), took.Round(time.Millisecond),
		float64(len(seeds))/busy.Seconds(), busy.Round(time.Millisecond))
	t.Logf("%d processes, %d crashes and power cuts, %d rivals, %d settings, %d acts of other clients", sum.lives, sum.crashes, sum.rivals, sum.sets, sum.acts)
	t.Logf("%d jobs in a bucket, %d divided, %d on several prefixes at once; %d nights refused, %d runs stopped", sum.away, sum.divided, sum.beside, sum.refused, sum.stopped)
	t.Logf("rows %s; faults %s", told(sum.rows), told(sum.faults))
}

// cpuTime is what this process has worked so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // there is nothing to be wrong with the call
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func told(m map[string]int) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, " %s %d,", k, m[k])
	}
	return strings.TrimSuffix(strings.TrimSpace(b.String()), ",")
}

func (s *tally) add(o tally) {
	s.hours += o.hours
	s.lives += o.lives
	s.crashes += o.crashes
	s.acts += o.acts
	s.rivals += o.rivals
	s.refused += o.refused
	s.stopped += o.stopped
	s.sets += o.sets
	s.away += o.away
	s.divided += o.divided
	s.beside += o.beside
	for k, v := range o.rows {
		s.rows[k] += v
	}
	for k, v := range o.faults {
		s.faults[k] += v
	}
}

// inMemory is where folders cost no disk, since a job directory syncs; empty where this
// machine has no such place.
var inMemory = func() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}()

// scratch is a folder for a job directory.
func scratch(t *testing.T) string {
	dir, err := os.MkdirTemp(inMemory, "reseal-sim-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// String is the plan for whoever looks at a failing night.
func (p *plan) String() string {
	return fmt.Sprintf("store %s, bucket %+v, target %v %s, versions %s, %d objects, %d workers, latency %v, others %g\npolicy %+v\nlives %+v\n%s",
		p.profile.Name, p.bucket, p.target.SSE, p.target.KMSKeyID, p.versions, len(p.objects), p.workers, p.latency, p.others, p.policy, p.lives, p.rules)
}
