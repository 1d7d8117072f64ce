package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestDamage changes one file of a job's directory, whichever it is and however a disk,
// a backup or a hand may change it, and asks every verb that reads a job. Whoever answers
// with exit code 0 tells what is true, nobody panics or hangs, and a run touches nothing
// that the plan did not name. RESEAL_DAMAGE_SEEDS=200 is the whole campaign.
func TestDamage(t *testing.T) {
	seeds := 8
	if n := os.Getenv("RESEAL_DAMAGE_SEEDS"); n != "" {
		seeds, _ = strconv.Atoi(n)
	}
	d := newDamaged(t)
	for seed := range seeds {
		d.play(uint64(seed))
	}
	t.Logf("%d verbs were asked of %d damaged directories: %d told the truth, %d refused", d.asked, seeds, d.true, d.refused)
	if d.refused == 0 || d.true == 0 {
		t.Error("the test shows too little")
	}
}

// damaged is a store, and jobs on it in every state.
type damaged struct {
	*testing.T
	st    *stage
	key   string // to sign with
	bases []*damagedBase
	// undone is how the objects were before any job.
	undone               map[string]s3test.Object
	asked, true, refused int
}

// damagedBase is one job before anything happened to its directory.
type damagedBase struct {
	name, bucket, dir string
	finished          bool
	truth             map[string]string // what each reading verb answered
	counts            damagedCounts
	before            s3test.Bucket
	done              map[string]bool // the objects that the job has changed
}

type damagedCounts struct {
	Planned, Done, Already, Left, Failed, Remaining uint64
	Complete                                        bool
}

const damagedObjects = 60

func newDamaged(t *testing.T) *damaged {
	d := &damaged{T: t, st: newStage(t, s3test.Config{Seed: 11}), key: signingKey(t), undone: map[string]s3test.Object{}}
	for _, kv := range d.st.env {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	for _, b := range []*damagedBase{{name: "finished", finished: true}, {name: "killed"}, {name: "planned"}} {
		b.bucket, b.dir = b.name, filepath.Join(t.TempDir(), "job")
		d.st.server.CreateBucket(b.bucket, s3test.BucketConfig{})
		for i := range damagedObjects {
			o := s3test.Object{Key: fmt.Sprintf("k%03d", i), Body: s3test.Bytes(fmt.Sprintf("of %d", i)), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}}}
			if i%15 == 7 {
				o.StorageClass = "GLACIER"
			}
			d.undone[o.Key] = o
			d.st.server.Put(b.bucket, o)
		}
		d.begin(b)
		// Nothing that comes after the plan is the job's, in the bucket or beside it.
		d.st.server.Put(b.bucket, s3test.Object{Key: "k0000-later", Body: s3test.Bytes("later"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}}})
		d.truth(b)
		d.bases = append(d.bases, b)
	}
	return d
}

func (d *damaged) begin(b *damagedBase) {
	plan := d.st.reseal(d.T, "plan", "s3://"+b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", d.st.keyB, "--no-progress", "--job", b.dir)
	if plan.code != 0 {
		d.Fatalf("exit code %d: %s", plan.code, plan.stderr)
	}
	run := []string{"run", "--job", b.dir, "--no-progress", "--concurrency", "2"}
	switch b.name {
	case "finished":
		if end := d.st.reseal(d.T, run...); end.code != 3 {
			d.Fatalf("exit code %d: %s", end.code, end.stderr)
		}
	case "killed":
		w := &watch{T: d.T, stage: d.st}
		d.st.server.SetLatency(map[string]time.Duration{"CopyObject": 30 * time.Millisecond})
		w.killed(run)
		d.st.server.SetLatency(nil)
	}
}

// readingVerbs are those whose whole answer is the job's.
func (d *damaged) readingVerbs(dir, bucket string) [][]string {
	return [][]string{{"status", "--json", "--job", dir}, {"status", "--job", dir}, {"report", "--job", dir}, {"report", "--job", dir, "--format", "json"},
		{"report", "--job", dir, "--format", "html"}, {"verify", "--job", dir, "--json"}, {"explain", "--job", dir, "s3://" + bucket + "/k003"}, {"jobs", filepath.Dir(dir)},
		{"report", "--job", dir, "--evidence", filepath.Join(filepath.Dir(dir), "evidence"), "--evidence-key-file", d.key}}
}

func (d *damaged) truth(b *damagedBase) {
	b.truth, b.done = map[string]string{}, map[string]bool{}
	b.before = d.st.server.Snapshot(b.bucket)
	for _, o := range b.before.Objects {
		if o.Encryption.Type == object.SSEKMS {
			b.done[o.Key] = true
		}
	}
	for _, args := range d.readingVerbs(b.dir, b.bucket) {
		code, out, stderr := d.main(args...)
		b.truth[verbOf(args)] = steady(args, b.dir, out)
		if verbOf(args) == "status --json" {
			b.counts = countsIn(d.T, out)
		}
		if code != 0 && !(args[0] == "verify" && code == 3) {
			d.Fatalf("%s of %s: exit code %d: %s", verbOf(args), b.name, code, stderr)
		}
	}
	if b.counts.Planned != damagedObjects {
		d.Fatalf("%s: %+v", b.name, b.counts)
	}
}

// verbOf is a verb with its flags, without what is another one each time.
func verbOf(args []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--job" || strings.Contains(a, "/") }), " ")
}

var (
	changing = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[0-9.]*|,"example":"[^"]*"`)
	counters = regexp.MustCompile(`(?m)^ *(planned|done|already|left|failed|remaining) .*\n`)
)

// steady is what an answer says of the objects, without what is another one each time:
// when, where, and what the last process said of itself.
func steady(args []string, dir, out string) string {
	out = changing.ReplaceAllString(strings.ReplaceAll(withoutRuns(out), filepath.Dir(dir), "DIR"), "…")
	switch {
	case slices.Contains(args, "--json") && args[0] == "status":
		var c damagedCounts
		_ = json.Unmarshal([]byte(out), &c) // all zero is another answer
		return fmt.Sprintf("%+v", c)
	case args[0] == "status":
		out = strings.Join(counters.FindAllString(out, -1), "")
	}
	return strings.Join(strings.Fields(out), " ")
}

// withoutRuns leaves out of the report's page what runs and other verbs told of
// themselves, which stands under these headings. Where a file of that is changed it is
// not shown (TestKeptIsWhole, TestHistoryStaysSmall).
func withoutRuns(page string) string {
	sections := strings.Split(page, "<h2>")
	return strings.Join(slices.DeleteFunc(sections, func(s string) bool {
		title, _, _ := strings.Cut(s, "</h2>")
		return slices.Contains([]string{"The job", "Over time", "Verification", "Estimate and outcome"}, title)
	}), "<h2>")
}

func countsIn(t *testing.T, out string) (c damagedCounts) {
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Errorf("%s: %v", out, err)
	}
	return c
}

// main runs a command line in this process, where a panic of any goroutine is this
// test's end, and insists that it ends.
func (d *damaged) main(args ...string) (code int, stdout, stderr string) {
	d.asked++
	var out, err bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- Main(args, strings.NewReader(""), &out, &err) }()
	select {
	case code = <-ended:
	case <-time.After(2 * time.Minute):
		d.Fatalf("%v hangs", args)
	}
	if strings.Contains(err.String(), "panic: ") || code < 0 || code > 4 {
		d.Errorf("%v: exit code %d: %s", args, code, err.String())
	}
	if i := slices.Index(args, "--evidence"); i >= 0 && code == 0 {
		rows, err := os.ReadFile(filepath.Join(args[i+1], "report.csv"))
		if err != nil {
			d.Error(err)
		}
		out.Write(rows)
	}
	return code, out.String(), err.String()
}

// play damages one copy of one job.
func (d *damaged) play(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	b := d.bases[r.IntN(len(d.bases))]
	top := filepath.Join(d.TempDir(), "j")
	dir := filepath.Join(top, "job")
	if err := os.CopyFS(dir, os.DirFS(b.dir)); err != nil {
		d.Fatal(err)
	}
	private(d.T, dir)
	what := fmt.Sprintf("seed %d, %s: %s", seed, b.name, damage(d.T, r, dir))
	for _, args := range d.readingVerbs(dir, b.bucket) {
		code, out, stderr := d.main(args...)
		if code != 0 && !(code == 3 && args[0] == "verify") {
			if strings.TrimSpace(stderr) == "" {
				d.Errorf("%s: %s: exit code %d without a word", what, verbOf(args), code)
			}
			d.refused++
			continue
		}
		d.true++
		d.compare(what, b, args, dir, out)
	}
	d.run(what, b, dir)
}

// compare looks whether an answer is the one that was given before the damage. A job
// that was killed may have lost what was not durable yet: it may know less, in numbers
// that add up, and never more.
func (d *damaged) compare(what string, b *damagedBase, args []string, dir, out string) {
	now := steady(args, dir, out)
	if now == b.truth[verbOf(args)] || args[0] == "jobs" && strings.Contains(now, "cannot be read") {
		return
	}
	if verbOf(args) == "status --json" {
		c, was := countsIn(d.T, out), b.counts
		if b.name == "killed" && c.Planned == was.Planned && c.Done <= was.Done && c.Planned == c.Done+c.Already+c.Left+c.Failed+c.Remaining && !c.Complete {
			return
		}
	} else if b.name == "killed" {
		return // as status, which was compared
	}
	d.Errorf("%s: %s is believed:\nis  %s\nwas %s", what, verbOf(args), divergence(now, b.truth[verbOf(args)]), divergence(b.truth[verbOf(args)], now))
}

// divergence is where a begins to differ from b.
func divergence(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return fmt.Sprintf("…%.300q", a[max(0, i-80):])
}

// run goes on with the damaged job, and puts the objects back that it changed.
func (d *damaged) run(what string, b *damagedBase, dir string) {
	d.st.server.ResetRequests()
	code, out, stderr := d.main("run", "--job", dir, "--json", "--no-progress", "--quiet")
	after := check.Bucket(d.st.server, b.before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: d.st.keyB}, Intent: func(o s3test.Object) check.Intent {
		if b.done[o.Key] || strings.Contains(o.Key, "later") || o.StorageClass == "GLACIER" {
			return check.Keep
		}
		return check.MayChange
	}})
	for _, x := range after.Differences {
		d.Errorf("%s: run (exit code %d) has changed %v\n%s", what, code, x, stderr)
	}
	if code == 0 || code == 3 {
		d.true++
		if c := countsIn(d.T, out); c.Planned != damagedObjects || c.Done+c.Already != damagedObjects-4 || c.Left != 4 || !c.Complete {
			d.Errorf("%s: run ended with exit code %d and %+v", what, code, c)
		}
	} else {
		d.refused++
	}
	for _, o := range d.st.server.Snapshot(b.bucket).Objects {
		if was, ours := d.undone[o.Key]; ours && !b.done[o.Key] && o.Encryption.Type != object.SSENone {
			d.st.server.Put(b.bucket, was)
		}
	}
	b.before = d.st.server.Snapshot(b.bucket)
}

// private gives a copy the modes of a job directory.
func private(t *testing.T, dir string) {
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
}

// damage changes one file of the directory, and says how.
func damage(t *testing.T, r *rand.Rand, dir string) string {
	var files []string
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	path := files[r.IntN(len(files))]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name, _ := filepath.Rel(dir, path)
	at, n := 0, 0
	if len(data) > 0 {
		at = r.IntN(len(data))
		n = 1 + r.IntN(min(len(data)-at, 64))
	}
	how := []string{"flip", "cut", "zero", "extend", "double", "remove", "empty", "garble"}[r.IntN(8)]
	switch {
	case how == "remove":
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return how + " " + name
	case how == "extend" || len(data) == 0:
		how = "extend"
		for range 1 + r.IntN(200) {
			data = append(data, byte(r.Uint32()))
		}
	case how == "flip":
		data[at] ^= 1 << r.IntN(8)
	case how == "cut":
		data = data[:at]
	case how == "zero":
		clear(data[at : at+n])
	case how == "double":
		data = slices.Concat(data[:at+n], data[at:])
	case how == "empty":
		data = nil
	case how == "garble":
		for i := range data[at : at+n] {
			data[at+i] = byte(r.Uint32())
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %s at %d, %d", how, name, at, n)
}
