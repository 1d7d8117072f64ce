package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{Job: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func task(i int) object.Task {
	return object.Task{Object: object.Object{Ref: object.Ref{Bucket: "b", Key: fmt.Sprintf("dir/key-%06d", i)}, Size: 10}}
}

func tasks(from, to int) []object.Task {
	var ts []object.Task
	for i := from; i < to; i++ {
		ts = append(ts, task(i))
	}
	return ts
}

func outcome(seq uint64) *object.Outcome {
	return &object.Outcome{Seq: seq, State: object.Done, Operation: object.OpCopy, Size: 10,
		ETagAfter: "d41d8cd98f00b204e9800998ecf8427e", FinishedAt: time.Unix(1700000000, 5e6).UTC()}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// drain takes every task there is, n at a time.
func drain(t *testing.T, s *Store, n int) (got []object.Task) {
	t.Helper()
	buf := make([]object.Task, n)
	for {
		n, err := s.Next(t.Context(), buf)
		if err == io.EOF {
			return got
		}
		must(t, err)
		got = append(got, buf[:n]...)
	}
}

func seqs(ts []object.Task) (out []uint64) {
	for _, t := range ts {
		out = append(out, t.Seq)
	}
	return out
}

func TestPlanNextRecordReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if s.Existed() {
		t.Error("a new store says that it existed")
	}
	first := tasks(0, 3000)
	must(t, s.Append(first, []object.Cursor{{Range: "r", Position: []byte("k")}}))
	if first[2999].Seq != 2999 {
		t.Errorf("the last task has Seq %d", first[2999].Seq)
	}
	must(t, s.Append(tasks(3000, 5000), []object.Cursor{{Range: "r", Finished: true}}))
	must(t, s.PlanComplete())
	if err := s.Append(tasks(0, 1), nil); err != ErrPlanComplete {
		t.Errorf("Append after PlanComplete: %v", err)
	}
	got := drain(t, s, 64)
	if len(got) != 5000 || got[4999].Object.Key != "dir/key-004999" || got[0].InDoubt {
		t.Fatalf("%d tasks, the last %+v", len(got), got[len(got)-1])
	}
	for i := range got {
		if i%10 != 3 {
			must(t, s.Record(outcome(got[i].Seq)))
		}
	}
	must(t, s.Flush())
	totals := s.Totals()
	if totals.States[object.Done] != (object.Tally{Objects: 4500, Bytes: 45000}) || totals.States[object.Remaining] != (object.Tally{Objects: 500, Bytes: 5000}) {
		t.Errorf("totals %+v", totals)
	}
	must(t, s.Close())

	s = open(t, dir)
	if !s.Existed() || !s.PlanIsComplete() {
		t.Error("the reopened store does not know its past")
	}
	if got := s.Totals(); !reflect.DeepEqual(got, totals) {
		t.Errorf("reopened totals\n %+v, want\n %+v", got, totals)
	}
	cursors, err := s.Cursors()
	if err != nil || len(cursors) != 1 || !cursors[0].Finished {
		t.Errorf("cursors %v, %v", cursors, err)
	}
	left := drain(t, s, 7)
	if len(left) != 500 {
		t.Fatalf("%d tasks remain, want 500", len(left))
	}
	for i, task := range left {
		if task.Seq != uint64(i*10+3) || !task.InDoubt || task.Object.Key != fmt.Sprintf("dir/key-%06d", task.Seq) {
			t.Fatalf("task %d is %+v", i, task)
		}
	}
}

func TestNextFollowsThePlan(t *testing.T) {
	s := open(t, t.TempDir())
	done := make(chan []object.Task)
	go func() { done <- drain(t, s, 16) }()
	for i := range 50 {
		must(t, s.Append(tasks(i*10, i*10+10), nil))
	}
	must(t, s.PlanComplete())
	if got := <-done; len(got) != 500 {
		t.Errorf("%d tasks, want 500", len(got))
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	go func() {
		_, err := s.Next(ctx, make([]object.Task, 1))
		errs <- err
	}()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("Next: %v", err)
	}
}

func TestOutcomeReplacesOutcome(t *testing.T) {
	s := open(t, t.TempDir())
	must(t, s.Append(tasks(0, 4), nil))
	must(t, s.PlanComplete())
	drain(t, s, 10)
	fail := func(seq uint64) *object.Outcome {
		return &object.Outcome{Seq: seq, State: object.Failed, Reason: "denied", ErrorCode: "AccessDenied", Size: 10}
	}
	must(t, s.Record(fail(0)))
	must(t, s.Record(fail(1)))
	must(t, s.Record(outcome(1))) // in the same group
	must(t, s.Flush())
	must(t, s.Record(outcome(0))) // in a later one
	must(t, s.Record(fail(2)))
	must(t, s.Flush())
	got := s.Totals()
	if got.States[object.Done].Objects != 2 || got.States[object.Failed].Objects != 1 || got.States[object.Remaining].Objects != 1 {
		t.Errorf("states %+v", got.States)
	}
	if len(got.Causes) != 1 || got.Causes[0].Objects != 1 || got.Causes[0].ErrorCode != "AccessDenied" {
		t.Errorf("causes %+v", got.Causes)
	}
	if err := s.Record(outcome(4)); err == nil {
		t.Error("an outcome of a task that was never given out is taken")
	}
}

func TestRetry(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 10000), nil))
	must(t, s.PlanComplete())
	for _, task := range drain(t, s, 500) {
		o := outcome(task.Seq)
		if task.Seq%2 == 1 {
			o.State, o.Reason = object.Failed, "transient"
		}
		if task.Seq != 50 { // a hole between the failed ones
			must(t, s.Record(o))
		}
	}
	must(t, s.Close())
	s = open(t, dir)
	if n, err := s.Retry(func(o *object.Outcome) bool { return o.State == object.Failed }); n != 5000 || err != nil {
		t.Fatalf("Retry: %d, %v", n, err)
	}
	if got := s.Totals().States; got[object.Failed].Objects != 0 || got[object.Remaining].Objects != 5001 {
		t.Errorf("states %+v", got)
	}
	must(t, s.Close())
	s = open(t, dir) // r/ records outlive the process
	got := drain(t, s, 100)
	want := []uint64{}
	for i := uint64(0); i < 10000; i++ {
		if i%2 == 1 || i == 50 {
			want = append(want, i)
		}
	}
	if !reflect.DeepEqual(seqs(got), want) {
		t.Fatalf("%d tasks again, want %d in order", len(got), len(want))
	}
	for _, task := range got {
		if !task.InDoubt {
			t.Fatalf("task %d is taken again without doubt", task.Seq)
		}
		must(t, s.Record(outcome(task.Seq)))
	}
	must(t, s.Close())
	s = open(t, dir)
	if got := drain(t, s, 10); len(got) != 0 {
		t.Errorf("%d tasks remain after all have outcomes", len(got))
	}
	if got := s.Totals().States; got[object.Done].Objects != 10000 {
		t.Errorf("states %+v", got)
	}
}

// TestRetryOfWhatWasNeverSent: a task that was left before anything was sent is not in doubt
// when it is taken again, so that nobody takes the work of others for this job's. Any other is,
// also where the process that left it has sent nothing: one before it may have.
func TestRetryOfWhatWasNeverSent(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 3), nil))
	must(t, s.PlanComplete())
	for _, task := range drain(t, s, 3) {
		o := outcome(task.Seq)
		o.State, o.Reason, o.Attempts, o.NeverSent = object.Left, "archived", int(task.Seq)/2, task.Seq == 0
		must(t, s.Record(o))
	}
	if n, err := s.Retry(func(*object.Outcome) bool { return true }); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	must(t, s.Close())
	s = open(t, dir)
	for _, task := range drain(t, s, 3) {
		if sent := task.Seq > 0; task.InDoubt != sent {
			t.Errorf("task %d: in doubt %v", task.Seq, task.InDoubt)
		}
	}
	must(t, s.Close())
}

func TestUploads(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	up := object.Upload{Seq: 7, Target: object.Ref{Bucket: "b", Key: "k"}, ID: "id1", ETag: "e", Size: 100, PartSizes: []int64{60, 40}, Carries: []byte{1, 2, 3}, Made: "made",
		Reapply: object.Reapply{Annotations: []object.Annotation{{Name: "note ü", ETag: "a1", Size: 4, Text: []byte("text")}, {Name: "b", ETag: "a2", Size: 1 << 20, Text: make([]byte, 1<<20)}}}}
	must(t, s.SaveUpload(up))
	must(t, s.SavePart(7, object.Part{Number: 2, ETag: "p2", Size: 10}))
	must(t, s.SavePart(7, object.Part{Number: 1, ETag: "p1", Size: 10}))
	must(t, s.SaveUpload(object.Upload{Seq: 8, ID: "other"}))
	must(t, s.Close())
	s = open(t, dir)
	got, parts, found, err := s.Upload(7)
	if err != nil || !found || !reflect.DeepEqual(got, up) || len(parts) != 2 || parts[0].ETag != "p1" {
		t.Fatalf("%+v %+v %v %v", got, parts, found, err)
	}
	up.ID = "id2"
	must(t, s.SaveUpload(up))
	if _, parts, _, _ := s.Upload(7); len(parts) != 0 {
		t.Errorf("parts of the old upload are taken for the new one's: %v", parts)
	}
	must(t, s.DropUpload(7))
	if _, _, found, _ := s.Upload(7); found {
		t.Error("a dropped upload is found")
	}
	n := 0
	must(t, s.Uploads(func(u object.Upload, _ []object.Part) error { n++; return nil }))
	if n != 1 {
		t.Errorf("%d uploads, want 1", n)
	}
}

func TestRefusals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "job")
	if _, err := OpenReadOnly(dir, Options{}); !errors.Is(err, ErrNoStore) {
		t.Errorf("OpenReadOnly of nothing: %v", err)
	}
	s := open(t, dir)
	var locked *LockedError
	if _, err := Open(dir, Options{Job: [32]byte{1}}); !errors.As(err, &locked) || locked.PID == 0 {
		t.Errorf("a second Open: %v", err)
	}
	if _, err := OpenReadOnly(dir, Options{}); !errors.As(err, &locked) {
		t.Errorf("OpenReadOnly beside a writer: %v", err)
	}
	if pid, yes, err := Locked(dir); !yes || pid == 0 || err != nil {
		t.Errorf("Locked: %d %v %v", pid, yes, err)
	}
	must(t, s.SetMeta("capabilities", []byte("{}")))
	must(t, s.Close())
	var other *JobMismatchError
	if _, err := Open(dir, Options{Job: [32]byte{2}}); !errors.As(err, &other) {
		t.Errorf("Open of another job: %v", err)
	}
	if _, yes, err := Locked(dir); yes || err != nil {
		t.Errorf("Locked after Close and a refused Open: %v %v", yes, err)
	}
	a, err := OpenReadOnly(dir, Options{})
	must(t, err)
	b, err := OpenReadOnly(dir, Options{})
	must(t, err)
	if v, found, err := b.Meta("capabilities"); string(v) != "{}" || !found || err != nil {
		t.Errorf("Meta: %q %v %v", v, found, err)
	}
	if err := a.Record(outcome(0)); err != ErrReadOnly {
		t.Errorf("Record of a reader: %v", err)
	}
	must(t, a.Close())
	must(t, b.Close())
	if err := s.Record(outcome(0)); err != ErrClosed {
		t.Errorf("Record after Close: %v", err)
	}
}

func TestDump(t *testing.T) {
	s := open(t, t.TempDir())
	must(t, s.Append(tasks(0, 2), []object.Cursor{{Range: "r\x00", Position: []byte("k")}}))
	must(t, s.PlanComplete())
	drain(t, s, 10)
	must(t, s.Record(outcome(1)))
	must(t, s.SaveUpload(object.Upload{Seq: 0, ID: "id", PartSizes: []int64{5}}))
	must(t, s.SavePart(0, object.Part{Number: 3, ETag: "e", Size: 5}))
	must(t, s.SetMeta("capabilities", []byte(`{"a":1}`)))
	must(t, s.Flush())
	var b strings.Builder
	must(t, s.Dump(&b))
	for _, want := range []string{
		"c/r\\x00 position \"k\", finished false\n",
		"m/complete the plan is complete\n",
		"m/d/1 \"b\"\n",
		"m/dispatched 2\n",
		"m/format 1\n",
		"m/plan 2 objects, 20 bytes\n",
		"m/state handed 2, holes [0], settled 1 objects 10 bytes",
		"m/x/capabilities \"{\\\"a\\\":1}\"\n",
		"o/1 done copy 2023-11-14T22:13:20.005Z",
		"p/0 \"s3://b/dir/key-000000\" 10 bytes",
		"u/0 \"s3://",
		"u/0/3 part 3, 5 bytes, ETag \"e\"\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestM13TasksOfAnEarlierProcess: whoever opens a directory cannot know how old it
// is, or whether it is the only one of its job.
func TestM13TasksOfAnEarlierProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 10), nil))
	must(t, s.Close())
	s = open(t, dir)
	must(t, s.Append(tasks(10, 20), nil))
	must(t, s.PlanComplete())
	got := drain(t, s, 7)
	if len(got) != 20 {
		t.Fatalf("%d tasks", len(got))
	}
	for _, task := range got {
		if task.Earlier != (task.Seq < 10) || task.InDoubt {
			t.Errorf("task %d: planned earlier %t, in doubt %t", task.Seq, task.Earlier, task.InDoubt)
		}
	}
}
