package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/resealhq/reseal/engine/object"
)

// jobOf makes a job of n tasks of which all but every tenth have an outcome;
// where it is finished, all have. The copy of an unfinished one is what SIGKILL
// leaves.
func jobOf(t *testing.T, n int, finished bool, memTable uint64) (dir string, truth object.Totals) {
	t.Helper()
	dir = t.TempDir()
	s, err := Open(dir, Options{Job: [32]byte{1}, memTable: memTable})
	must(t, err)
	for at := 0; at < n; at += 500 {
		must(t, s.Append(tasks(at, min(n, at+500)), []object.Cursor{{Range: "r", Position: []byte(strconv.Itoa(at))}}))
	}
	must(t, s.PlanComplete())
	for _, task := range drain(t, s, 100) {
		if !finished && task.Seq%10 == 3 {
			continue
		}
		o := outcome(task.Seq)
		if task.Seq%7 == 0 {
			o.State, o.Reason = object.Failed, "denied"
		}
		must(t, s.Record(o))
		if task.Seq%500 == 499 {
			must(t, s.Flush())
		}
	}
	must(t, s.Flush())
	truth = s.Totals()
	if finished {
		must(t, s.Close())
		return dir, truth
	}
	dead := copyJob(t, dir)
	must(t, s.Close())
	return dead, truth
}

// copyJob copies a job, also one that is open: then Pebble may remove a file in the
// middle.
func copyJob(t *testing.T, dir string) string {
	t.Helper()
	to := ""
	for range 20 {
		to = t.TempDir()
		err := os.CopyFS(to, os.DirFS(dir))
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	must(t, os.Chmod(filepath.Join(to, storeDir), 0o700))
	must(t, os.Chmod(filepath.Join(to, storeDir, dbDir), 0o700))
	return to
}

// read is what a reader says about a job: its totals, and how many rows it has by
// state. Rows that were believed before an error count too.
func read(dir string) (got object.Totals, rows [object.NumStates]int, err error) {
	s, err := OpenSnapshot(dir, Options{})
	if err != nil {
		return got, rows, err
	}
	got = s.Totals()
	err = s.Rows(func(_ *object.Task, o *object.Outcome) error {
		if o == nil {
			rows[object.Remaining]++
		} else {
			rows[o.State]++
		}
		return nil
	})
	return got, rows, errors.Join(err, s.Close())
}

// goOn opens a job as its writer and takes what is left.
func goOn(t *testing.T, dir string) (got object.Totals, left int, err error) {
	s, err := Open(dir, Options{Job: [32]byte{1}})
	if err != nil {
		return got, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	got = s.Totals()
	buf := make([]object.Task, 100)
	for {
		n, err := s.Next(t.Context(), buf)
		left += n
		if err == io.EOF {
			return got, left, nil
		}
		if err != nil {
			return got, left, err
		}
	}
}

func files(t *testing.T, dir string, pick func(string) bool) (names []string) {
	t.Helper()
	must(t, filepath.Walk(filepath.Join(dir, storeDir), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() > 0 && pick(info.Name()) {
			names = append(names, path)
		}
		return err
	}))
	return names
}

// damage changes one file of a job, once, and tells how.
func damage(t *testing.T, name string, r *rand.Rand) string {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	how := ""
	switch at := r.IntN(len(data)); r.IntN(4) {
	case 0:
		data, how = data[:at], fmt.Sprintf("cut at %d of %d", at, len(data))
	default:
		bit := r.IntN(8)
		data[at] ^= 1 << bit
		how = fmt.Sprintf("bit %d of byte %d of %d", bit, at, len(data))
	}
	must(t, os.WriteFile(name, data, 0o600))
	return filepath.Base(name) + ": " + how
}

// TestM3AFinishedJobIsSealed flips and cuts the log, the manifest and the rest of
// what Pebble believes as far as it goes: each is an error, for readers and for
// the next run.
func TestM3AFinishedJobIsSealed(t *testing.T) {
	dir, truth := jobOf(t, 3000, true, 0)
	if got, rows, err := read(dir); err != nil || !reflect.DeepEqual(got, truth) || rows[object.Done]+rows[object.Failed] != 3000 {
		t.Fatalf("%+v %v %v", got, rows, err)
	}
	for seed := range seeds(60) {
		bad := copyJob(t, dir)
		names := files(t, bad, func(n string) bool { return n != lockName && !strings.HasSuffix(n, ".sst") })
		r := rand.New(rand.NewPCG(seed, 3))
		how := damage(t, names[r.IntN(len(names))], r)
		for who, err := range map[string]error{"status": second(read(bad)), "run": second(goOn(t, bad))} {
			var disk *DiskError
			if !errors.As(err, &disk) || !strings.Contains(disk.Error(), "restore the whole job directory") {
				t.Errorf("%s: %s says %v", how, who, err)
			}
		}
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

// TestM3NoFileMayGo removes each file of a finished job in turn.
func TestM3NoFileMayGo(t *testing.T) {
	dir, _ := jobOf(t, 3000, true, 64<<10)
	all := files(t, dir, func(n string) bool { return n != lockName })
	if len(all) < 6 {
		t.Fatalf("only %v", all)
	}
	for _, name := range all {
		bad := copyJob(t, dir)
		rel, err := filepath.Rel(dir, name)
		must(t, err)
		must(t, os.Remove(filepath.Join(bad, rel)))
		for who, err := range map[string]error{"status": second(read(bad)), "run": second(goOn(t, bad))} {
			if err == nil {
				t.Errorf("%s is gone, and %s does not notice", rel, who)
			}
		}
	}
}

// TestM3TheSealIsBrokenBeforeAnythingIsWritten: a job that was sealed, resumed
// and killed opens again; what the first process had sealed is still promised.
func TestM3TheSealIsBrokenBeforeAnythingIsWritten(t *testing.T) {
	dir, truth := jobOf(t, 2000, true, 0)
	s := open(t, dir)
	killed := copyJob(t, dir) // before its first change
	got, left, err := goOn(t, killed)
	if err != nil || left != 0 || !reflect.DeepEqual(got, truth) {
		t.Errorf("%+v, %d left, %v", got, left, err)
	}
	must(t, s.Close())
	if got, _, err := read(dir); err != nil || !reflect.DeepEqual(got, truth) {
		t.Errorf("after a second clean close: %+v, %v", got, err)
	}
}

// TestM3ADirectoryOfAnEarlierVersion has no seal, and is read like one that was
// killed.
func TestM3ADirectoryOfAnEarlierVersion(t *testing.T) {
	old, truth := jobOf(t, 2000, true, 0)
	db, err := pebble.Open(filepath.Join(old, storeDir, dbDir), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: &pebbleLog{newStore(old, Options{})}})
	must(t, err)
	must(t, db.Delete([]byte(keyTurn), pebble.Sync))
	must(t, db.Close())
	must(t, os.Remove(filepath.Join(old, storeDir, sealName)))
	for range 2 { // the second finds the seal of the first
		if got, left, err := goOn(t, old); err != nil || left != 0 || !reflect.DeepEqual(got, truth) {
			t.Errorf("%+v, %d left, %v", got, left, err)
		}
	}
}

// TestM3Campaign damages one byte or one length of finished and of killed jobs:
// what is believed is the truth, and nothing panics or hangs.
// RESEAL_SOAK_SEEDS asks for more.
func TestM3Campaign(t *testing.T) {
	seeds := 200
	if testing.Short() {
		seeds = 24
	}
	if n, err := strconv.Atoi(os.Getenv("RESEAL_SOAK_SEEDS")); err == nil {
		seeds = max(seeds, n)
	}
	type source struct {
		name  string
		dir   string
		truth object.Totals
	}
	var jobs []source
	for _, finished := range []bool{true, false} {
		for _, mem := range []uint64{0, 64 << 10} { // all in the log, and mostly in tables
			dir, truth := jobOf(t, 3000, finished, mem)
			jobs = append(jobs, source{fmt.Sprintf("finished %t, memtable %d", finished, mem), dir, truth})
		}
	}
	noticed := 0
	for seed := range seeds {
		job := jobs[seed%len(jobs)]
		r := rand.New(rand.NewPCG(uint64(seed), 33))
		bad := copyJob(t, job.dir)
		names := files(t, bad, func(string) bool { return true })
		how := fmt.Sprintf("seed %d, %s, %s", seed, job.name, damage(t, names[r.IntN(len(names))], r))
		done := make(chan struct{})
		go func() {
			defer close(done)
			if campaignRead(t, how, bad, &job.truth) {
				noticed++
			}
		}()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatalf("%s: it hangs", how)
		}
		_ = os.RemoveAll(bad)
	}
	t.Logf("%d damages of %d were noticed", noticed, seeds)
	if noticed < seeds/2 {
		t.Errorf("only %d damages of %d were noticed", noticed, seeds)
	}
}

func campaignRead(t *testing.T, how, dir string, truth *object.Totals) (noticed bool) {
	got, rows, err := read(dir)
	remaining := truth.States[object.Remaining].Objects
	if uint64(rows[object.Remaining]) > remaining {
		t.Errorf("%s: %d rows remain, of %d (%v)", how, rows[object.Remaining], remaining, err)
	}
	if err == nil {
		for state := range rows {
			if uint64(rows[state]) != truth.States[state].Objects {
				t.Errorf("%s: rows %v, want %v", how, rows, truth.States)
			}
		}
	}
	if got.Planned.Objects > 0 && !reflect.DeepEqual(got, *truth) {
		t.Errorf("%s: a reader gives totals %+v", how, got)
	}
	got, left, werr := goOn(t, dir)
	if got.Planned.Objects > 0 && !reflect.DeepEqual(got, *truth) {
		t.Errorf("%s: a writer gives totals %+v", how, got)
	}
	if werr == nil && uint64(left) != remaining {
		t.Errorf("%s: %d are left, want %d", how, left, remaining)
	}
	return err != nil || werr != nil
}

// TestM3NoManifestIsNoEmptyJob: of a job that was killed the file is gone that names the
// manifest, without which Pebble finds no database. That is damage, and no job that has
// not begun.
func TestM3NoManifestIsNoEmptyJob(t *testing.T) {
	dir, _ := jobOf(t, 50, false, 0)
	markers, err := filepath.Glob(filepath.Join(dir, storeDir, dbDir, "marker.manifest*"))
	must(t, err)
	if len(markers) != 1 {
		t.Fatal(markers)
	}
	must(t, os.Remove(markers[0]))
	_, reading := OpenSnapshot(dir, Options{})
	_, running := Open(dir, Options{Job: [32]byte{1}})
	for verb, err := range map[string]error{"read": reading, "run": running} {
		var disk *DiskError
		if !errors.As(err, &disk) || errors.Is(err, ErrNoStore) || !strings.Contains(err.Error(), "manifest") {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// TestM4ADamagedTable: a block of outcomes that cannot be read makes no task a
// remaining one.
func TestM4ADamagedTable(t *testing.T) {
	n := 20000 // for many tables, each of which all are read for
	if testing.Short() {
		n = 5000
	}
	dir, truth := jobOf(t, n, true, 64<<10)
	tables := files(t, dir, func(n string) bool { return strings.HasSuffix(n, ".sst") })
	failed := 0
	for i, name := range tables {
		bad := copyJob(t, dir)
		rel, err := filepath.Rel(dir, name)
		must(t, err)
		data, err := os.ReadFile(name)
		must(t, err)
		data[len(data)/3] ^= 0x10
		must(t, os.WriteFile(filepath.Join(bad, rel), data, 0o600))
		_, rows, err := read(bad)
		if err != nil {
			failed++
		}
		if rows[object.Remaining] > 0 || err == nil && uint64(rows[object.Done]) != truth.States[object.Done].Objects {
			t.Errorf("table %d of %d: rows %v, %v", i, len(tables), rows, err)
		}
	}
	if failed == 0 || failed < min(3, len(tables)) { // how many there are is up to Pebble
		t.Errorf("only %d of %d tables were read and found damaged", failed, len(tables))
	}
}
