package planner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
)

// rowsSource reads rows in parts that are read at the same time, each with a
// cursor that counts its rows.
type rowsSource struct {
	rows        []object.Object
	parts, page int
}

func (s *rowsSource) Read(ctx context.Context, resume []object.Cursor, emit func(object.Page) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for p := range s.parts {
		first, end := len(s.rows)*p/s.parts, len(s.rows)*(p+1)/s.parts
		id := fmt.Sprint("part", p)
		for _, c := range resume {
			if c.Range == id {
				first = int(binary.BigEndian.Uint64(c.Position))
			}
		}
		g.Go(func() error {
			for at := first; at < end; {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				next := min(at+s.page, end)
				rows := append([]object.Object(nil), s.rows[at:next]...)
				cursor := object.Cursor{Range: id, Position: binary.BigEndian.AppendUint64(nil, uint64(next)), Finished: next == end}
				if err := emit(object.Page{Objects: rows, Cursors: []object.Cursor{cursor}}); err != nil {
					return err
				}
				at = next
			}
			return nil
		})
	}
	return g.Wait()
}

// memorySink is a checkpoint in memory that can die before any Append.
type memorySink struct {
	mu      sync.Mutex
	tasks   []object.Task
	cursors map[string]object.Cursor
	life    int // appends left; negative for ever
}

var errDied = errors.New("the process died")

func (s *memorySink) Append(tasks []object.Task, cursors []object.Cursor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == 0 {
		return errDied
	}
	s.life--
	for _, t := range tasks {
		t.Seq = uint64(len(s.tasks))
		s.tasks = append(s.tasks, t)
	}
	for _, c := range cursors {
		if s.cursors == nil {
			s.cursors = map[string]object.Cursor{}
		}
		s.cursors[c.Range] = c
	}
	return nil
}

func (s *memorySink) resume() []object.Cursor {
	var out []object.Cursor
	for _, c := range s.cursors {
		out = append(out, c)
	}
	return out
}

func manyRows(n int) []object.Object {
	rows := make([]object.Object, n)
	for i := range rows {
		rows[i] = under(object.SSES3, "")
		rows[i].Key, rows[i].Size = fmt.Sprintf("k%06d", i), int64(i)
		rows[i].DeleteMarker = i%10 == 9
	}
	return rows
}

func toKeyB() *Chooser { return &Chooser{Target: kms(keyB), Caps: awsCaps(), Facts: plainFacts()} }

func checkTasks(t *testing.T, got []object.Task, want map[string]bool) {
	t.Helper()
	seen := map[string]bool{}
	for _, x := range got {
		if seen[x.Object.Key] {
			t.Fatalf("%s is planned twice", x.Object.Key)
		}
		if seen[x.Object.Key] = true; !want[x.Object.Key] {
			t.Fatalf("%s is planned and should not be", x.Object.Key)
		}
	}
	if len(seen) != len(want) {
		t.Fatalf("%d tasks, want %d", len(seen), len(want))
	}
}

func TestPlanSurvivesDyingAtAnyAppend(t *testing.T) {
	rows := manyRows(1000)
	want := map[string]bool{}
	for _, o := range rows {
		want[o.Key] = !o.DeleteMarker
		if o.DeleteMarker {
			delete(want, o.Key)
		}
	}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		sink := &memorySink{}
		src := &rowsSource{rows, 1 + r.IntN(8), 1 + r.IntN(50)}
		for lives := 0; ; lives++ {
			sink.life = r.IntN(20)
			_, err := Plan(t.Context(), src, &Selection{}, toKeyB(), sink, Options{Resume: sink.resume(), Planned: uint64(len(sink.tasks))})
			if err == nil {
				break
			}
			if !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			if lives > 5000 {
				t.Fatal("it never ends")
			}
		}
		checkTasks(t, sink.tasks, want)
	}
}

func TestPlanLimitHoldsAcrossLives(t *testing.T) {
	rows := manyRows(1000)
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		sink := &memorySink{}
		sel := &Selection{Limit: uint64(1 + r.IntN(900))}
		src := &rowsSource{rows, 1 + r.IntN(8), 1 + r.IntN(50)}
		var counts Counts
		for {
			sink.life = 1 + r.IntN(20)
			var err error
			counts, err = Plan(t.Context(), src, sel, toKeyB(), sink, Options{Resume: sink.resume(), Planned: uint64(len(sink.tasks))})
			if err == nil {
				break
			}
			if !errors.Is(err, errDied) {
				t.Fatal(err)
			}
		}
		if uint64(len(sink.tasks)) != min(sel.Limit, 900) {
			t.Fatalf("seed %d: %d tasks under a limit of %d", seed, len(sink.tasks), sel.Limit)
		}
		if counts.Limited != (sel.Limit <= 900) && sel.Limit != 900 {
			t.Fatalf("seed %d: limited %v with limit %d", seed, counts.Limited, sel.Limit)
		}
		keys := map[string]bool{}
		for _, x := range sink.tasks {
			if keys[x.Object.Key] || x.Object.DeleteMarker {
				t.Fatalf("%s is planned twice or a delete marker", x.Object.Key)
			}
			keys[x.Object.Key] = true
		}
	}
}

// untold is a listing's rows, and the store that knows better.
func untold(n int) ([]object.Object, Inspector) {
	rows := manyRows(n)
	for i := range rows {
		rows[i].Encryption, rows[i].DeleteMarker = object.Encryption{}, false
	}
	return rows, func(_ context.Context, o *object.Object) (object.Head, error) {
		h := object.Head{Object: *o}
		h.Grants = []object.Grant{}
		switch o.Size % 5 {
		case 0:
			h.Encryption = object.Encryption{Type: object.SSENone}
		case 1:
			h.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: keyB}
		case 2:
			h.Encryption = object.Encryption{Type: object.SSES3}
			h.ChecksumType, h.ChecksumAlgorithm = "COMPOSITE", "CRC32"
		case 3:
			return h, &object.Error{Class: object.ClassGone, Op: "HeadObject", Ref: o.Ref}
		case 4:
			return h, &object.Error{Class: object.ClassDenied, Op: "HeadObject", Ref: o.Ref}
		}
		return h, nil
	}
}

func TestPlanInspectsWhatIsUndecided(t *testing.T) {
	rows, inspect := untold(1000)
	sink := &memorySink{life: -1}
	ch := toKeyB()
	ch.Caps.Update = object.No
	counts, err := Plan(t.Context(), &rowsSource{rows, 4, 100}, &Selection{}, ch, sink, Options{Inspect: inspect, InspectAll: true, Inspectors: 7})
	if err != nil {
		t.Fatal(err)
	}
	want := Counts{Rows: 1000, Tasks: 800, Bytes: counts.Bytes, Copy: 200, Already: 200, Multipart: 200, Undecided: 200, Inspected: 1000, Gone: 200}
	if counts != want {
		t.Errorf("got %+v, want %+v", counts, want)
	}
	for _, x := range sink.tasks {
		// A composite checksum is not in the task, so the worker must look again.
		if looked := x.Object.Settled; looked != (x.Object.Size%5 < 2) {
			t.Errorf("%s: settled %v", x.Object.Key, looked)
		}
		if again := ch.Choose(&x.Object, nil); x.Object.Settled && again.Operation != x.Operation {
			t.Errorf("%s: planned %v, and the worker would choose %v", x.Object.Key, x.Operation, again.Operation)
		}
	}
}

func TestPlanWithoutInspectionLeavesItToTheWorker(t *testing.T) {
	rows, inspect := untold(100)
	sink := &memorySink{life: -1}
	counts, err := Plan(t.Context(), &rowsSource{rows, 1, 30}, &Selection{}, toKeyB(), sink, Options{Inspect: inspect})
	if err != nil || counts.Undecided != 100 || counts.Inspected != 0 {
		t.Errorf("%+v, %v", counts, err)
	}
}

// What a run finds must not depend on when its canary's objects go.
func TestPlanCountsNoThrowawayObject(t *testing.T) {
	rows := manyRows(100)
	for i := range 6 {
		rows[i].Key = fmt.Sprintf("a/%s0123456789abcdef01234567-%02d-plain", object.ThrowawayMark, i)
	}
	passed := 0
	counts, err := Plan(t.Context(), &rowsSource{rows, 1, 30}, &Selection{}, toKeyB(), &memorySink{life: -1},
		Options{Passed: func(rows, tasks int) { passed += rows }})
	if err != nil || counts.Rows != 94 || counts.Throwaway != 6 || passed != 94 {
		t.Errorf("%+v, %v; passed %d", counts, err, passed)
	}
}

func TestPlanInspectsForTheSelection(t *testing.T) {
	rows, inspect := untold(1000)
	sel := &Selection{OnlyEncryption: []EncryptionFilter{{Type: object.SSENone}}}
	sink := &memorySink{life: -1}
	counts, err := Plan(t.Context(), &rowsSource{rows, 3, 64}, sel, toKeyB(), sink, Options{Inspect: inspect})
	if err != nil {
		t.Fatal(err)
	}
	if counts.Copy != 200 || counts.Left != 200 || counts.Tasks != 400 {
		t.Errorf("%+v", counts)
	}
	for _, x := range sink.tasks {
		if x.Operation == object.OpNone && x.Reason != "denied" {
			t.Errorf("%s: left for %q", x.Object.Key, x.Reason)
		}
	}
	if _, err := Plan(t.Context(), &rowsSource{rows, 3, 64}, sel, toKeyB(), &memorySink{life: -1}, Options{}); err == nil {
		t.Error("a selection that cannot be decided was taken for decided")
	}
}

func TestPlanStopsOnWhatConcernsTheRun(t *testing.T) {
	rows, _ := untold(1000)
	for _, class := range []object.Class{object.ClassCredentials, object.ClassNoBucket, object.ClassUnreachable} {
		fail := func(_ context.Context, o *object.Object) (object.Head, error) {
			return object.Head{}, &object.Error{Class: class, Op: "HeadObject", Ref: o.Ref}
		}
		_, err := Plan(t.Context(), &rowsSource{rows, 3, 64}, &Selection{}, toKeyB(), &memorySink{life: -1}, Options{Inspect: fail, InspectAll: true})
		if object.ClassOf(err) != class {
			t.Errorf("%v: the plan ended with %v", class, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Plan(ctx, &rowsSource{rows, 3, 64}, &Selection{}, toKeyB(), &memorySink{life: -1}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled plan ended with %v", err)
	}
}

// TestPlanKeepsNamesOfNothing: a name of a list under which nothing lies is planned, so that
// it has a row: the list may write its keys wrongly. What a listing showed was deleted since.
func TestPlanKeepsNamesOfNothing(t *testing.T) {
	gone := func(_ context.Context, o *object.Object) (object.Head, error) {
		return object.Head{}, &object.Error{Class: object.ClassGone, Op: "HeadObject", Ref: o.Ref}
	}
	rows := []object.Object{{Ref: object.Ref{Bucket: "b", Key: "named"}, Size: -1}, {Ref: object.Ref{Bucket: "b", Key: "listed"}, Size: 1, ETag: "e"}}
	for _, sel := range []*Selection{{}, {OnlyEncryption: []EncryptionFilter{{Type: object.SSENone}}}} {
		sink := &memorySink{life: -1}
		counts, err := Plan(t.Context(), &rowsSource{rows, 1, 10}, sel, toKeyB(), sink, Options{Inspect: gone, InspectAll: true})
		if err != nil {
			t.Fatal(err)
		}
		if counts.Tasks != 1 || counts.Left != 1 || counts.Gone != 1 || sink.tasks[0].Object.Key != "named" || sink.tasks[0].Reason != object.ReasonGone {
			t.Errorf("%+v, %+v", counts, sink.tasks)
		}
	}
}
