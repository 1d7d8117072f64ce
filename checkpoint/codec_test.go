package checkpoint

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// fillAll sets every field of a struct to something other than its zero value,
// so that a field that a codec forgets is seen, also one that is added later.
func fillAll(v reflect.Value, r *rand.Rand) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(r.Int64N(4e9)-1e9, r.Int64N(1e9)).UTC()))
		return
	case object.State:
		v.Set(reflect.ValueOf(object.State(1 + r.IntN(object.NumStates-1))))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillAll(v.Field(i), r)
		}
	case reflect.Slice:
		n := 1 + r.IntN(3)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fillAll(v.Index(i), r)
		}
	case reflect.String:
		v.SetString(anyString(r))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64N(1<<40) - 1<<39 | 1)
	case reflect.Uint8:
		v.SetUint(1 + r.Uint64N(4))
	case reflect.Uint64:
		v.SetUint(1 + r.Uint64N(1<<50))
	default:
		panic("no rule for " + v.Kind().String())
	}
}

var oddStrings = []string{"d41d8cd98f00b204e9800998ecf8427e", "D41D8CD98F00B204", "d41d8cd98f00b204e9800998ecf8427e-12",
	"d41d8cd98f00b204e9800998ecf8427e-012", "7ac6ed41-9d4c-4ad6-9d3c-6b0a7a5d9f01", "7AC6ED41-9d4c-4ad6-9d3c-6b0a7a5d9f01", "abc", "null",
	"a//b/../\x00\xff\xfe", "dir/é e\u0301😀%2F+&<>\"'", "-", "0", "00", "arn:aws:kms:eu-central-1:111122223333:key/1234"}

func anyString(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return oddStrings[r.IntN(len(oddStrings))]
	}
	b := make([]byte, 1+r.IntN(40))
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	return string(b)
}

// TestEveryFieldSurvives: whatever object's nouns hold comes back exactly, with
// all fields set and with each field alone set to zero.
func TestEveryFieldSurvives(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	d := newDict()
	for round := range 300 {
		var task object.Task
		fillAll(reflect.ValueOf(&task).Elem(), r)
		task.InDoubt, task.Earlier, task.Object.Unfit = false, false, object.Unfit{} // not stored, by contract
		var out object.Outcome
		fillAll(reflect.ValueOf(&out).Elem(), r)
		var up object.Upload
		fillAll(reflect.ValueOf(&up).Elem(), r)
		for i := range up.Reapply.Annotations {
			a := &up.Reapply.Annotations[i]
			a.Size = int64(len(a.Text)) // not stored: it is the text's
		}
		zeroOne(reflect.ValueOf(&task.Object).Elem(), round)
		if f := round % reflect.TypeOf(out).NumField(); reflect.TypeOf(out).Field(f).Name != "State" && round > 100 {
			reflect.ValueOf(&out).Elem().Field(f).SetZero()
		}

		e := encoder{d: d}
		e.task(&task)
		var gotTask object.Task
		if err := decodeTask(d, task.Seq, e.b, &gotTask); err != nil || !reflect.DeepEqual(gotTask, task) {
			t.Fatalf("task: %v\n got %#v\nwant %#v", err, gotTask, task)
		}
		e = encoder{d: d}
		e.outcome(&out)
		var gotOut object.Outcome
		if err := decodeOutcome(d, out.Seq, e.b, &gotOut); err != nil || !reflect.DeepEqual(gotOut, out) {
			t.Fatalf("outcome: %v\n got %+v\nwant %+v", err, gotOut, out)
		}
		e = encoder{d: d}
		e.upload(&up)
		gotUp, err := decodeUpload(d, up.Seq, e.b)
		if err != nil || !reflect.DeepEqual(gotUp, up) {
			t.Fatalf("upload: %v\n got %+v\nwant %+v", err, gotUp, up)
		}
		var part object.Part
		fillAll(reflect.ValueOf(&part).Elem(), r)
		e = encoder{d: d}
		e.part(&part)
		if got, err := decodePart(part.Number, e.b); err != nil || got != part {
			t.Fatalf("part: %v\n got %+v\nwant %+v", err, got, part)
		}
	}
}

func zeroOne(v reflect.Value, round int) {
	if round > 100 {
		v.Field(round % v.NumField()).SetZero()
	}
}

func TestCursorsSurvive(t *testing.T) {
	for _, c := range []object.Cursor{{Range: "a"}, {Range: "b", Position: []byte{}}, {Range: "c", Position: []byte{0, 255}, Finished: true}} {
		var e encoder
		e.cursor(&c)
		if got, err := decodeCursor(c.Range, e.b); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%v: got %#v, want %#v", err, got, c)
		}
	}
}

func TestTokensPack(t *testing.T) {
	for s, most := range map[string]int{
		"d41d8cd98f00b204e9800998ecf8427e": 18, "D41D8CD98F00B204": 9,
		"7ac6ed41-9d4c-4ad6-9d3c-6b0a7a5d9f01": 18, "d41d8cd98f00b204e9800998ecf8427e-9999": 20,
	} {
		e := encoder{}
		e.token(s)
		if len(e.b) > most {
			t.Errorf("%s takes %d bytes, want at most %d", s, len(e.b), most)
		}
	}
}

func TestStateSurvives(t *testing.T) {
	d := newDict()
	c := new(counters).clone()
	for i := range 2000 {
		f := fact{object.State(1 + i%4), object.Operation(i % 5), object.Reason(fmt.Sprint("r", i%7)), fmt.Sprint("c", i%900), int64(i) - 3, i%3 == 0}
		c.count(&f, uint64(i), 1)
	}
	c.requests[object.ReqCopy], c.elapsed = 7, time.Hour
	holes := []uint64{0, 1 << 39, 1<<39 + 1, 1<<40 - 1}
	for _, lanes := range [][]laneState{nil, {{3, 3, 5}, {5, 7, 1 << 39}, {1 << 40, 1 << 41, 1 << 41}}} {
		e := encoder{d: d}
		e.state(c, 1<<41, lanes, holes)
		got, err := decodeState(d, e.b)
		if want := (state{c, 1 << 41, lanes, holes}); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v: %+v, want %+v", err, got, want)
		}
	}
	if len(c.causes) > maxCauses+20 {
		t.Errorf("%d causes are kept", len(c.causes))
	}
}

// FuzzDecode: no record that a damaged disk could hold makes a decoder panic,
// and what is accepted is written again so that it reads the same.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	d := newDict()
	for range 8 {
		var task object.Task
		fillAll(reflect.ValueOf(&task).Elem(), r)
		var out object.Outcome
		fillAll(reflect.ValueOf(&out).Elem(), r)
		var up object.Upload
		fillAll(reflect.ValueOf(&up).Elem(), r)
		for kind, write := range []func(*encoder){func(e *encoder) { e.task(&task) }, func(e *encoder) { e.outcome(&out) },
			func(e *encoder) { e.upload(&up) }, func(e *encoder) { e.cursor(&object.Cursor{Position: []byte("x")}) },
			func(e *encoder) { e.part(&object.Part{Number: 1}) }, func(e *encoder) { e.state(new(counters), 9, nil, []uint64{1, 2}) },
			func(e *encoder) { e.state(new(counters), 9, []laneState{{2, 3, 5}, {7, 7, 9}}, []uint64{1, 2}) }} {
			e := encoder{d: d}
			write(&e)
			f.Add(byte(min(kind, 5)), e.b)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		e := encoder{d: d}
		var again func([]byte) (any, error)
		switch kind % 6 {
		case 0:
			again = func(b []byte) (any, error) {
				var v object.Task
				err := decodeTask(d, 1, b, &v)
				e.task(&v)
				return v, err
			}
		case 1:
			again = func(b []byte) (any, error) {
				var v object.Outcome
				err := decodeOutcome(d, 1, b, &v)
				e.outcome(&v)
				return v, err
			}
		case 2:
			again = func(b []byte) (any, error) {
				v, err := decodeUpload(d, 1, b)
				e.upload(&v)
				return v, err
			}
		case 3:
			again = func(b []byte) (any, error) {
				v, err := decodeCursor("r", b)
				e.cursor(&v)
				return v, err
			}
		case 4:
			again = func(b []byte) (any, error) {
				v, err := decodePart(1, b)
				e.part(&v)
				return v, err
			}
		case 5:
			_, _ = decodeState(d, b)
			return
		}
		first, err := again(bytes.Clone(b))
		if err != nil {
			return
		}
		written := e.b
		e.b = nil
		second, err := again(written)
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%v: read %+v, wrote and read %+v", err, first, second)
		}
	})
}

// An upload that a reseal of the first format wrote is read, with the part size and
// the grants that it kept and nobody uses.
func TestUploadOfTheFirstFormat(t *testing.T) {
	e := encoder{d: newDict()}
	e.byte(valueVersion)
	e.word("b")
	e.str("k")
	e.token("")
	e.str("id")
	e.token("etag")
	e.int(20 << 20)
	e.int(10 << 20) // part size
	e.uint(2)
	e.int(10 << 20)
	e.int(10 << 20)
	e.uint(1)
	e.str("team")
	e.str("a")
	e.uint(1) // grants
	for _, s := range []string{"owner", "", "", "READ"} {
		e.str(s)
	}
	e.byte(1) // a legal hold
	e.str("")
	e.byte(0) // begun at no known time
	got, err := decodeUpload(e.d, 3, e.b)
	want := object.Upload{Seq: 3, Target: object.Ref{Bucket: "b", Key: "k"}, ID: "id", ETag: "etag", Size: 20 << 20,
		PartSizes: []int64{10 << 20, 10 << 20}, Reapply: object.Reapply{Tags: []object.Tag{{Key: "team", Value: "a"}}, LegalHold: true}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

// TestUploadsWithoutAnnotations: the second format ended where they stand now, and the third
// where the ETag of what was made does.
func TestUploadsWithoutAnnotations(t *testing.T) {
	want := object.Upload{Seq: 3, Target: object.Ref{Bucket: "b", Key: "k"}, ID: "id", ETag: "etag", Size: 9, PartSizes: []int64{9}, Carries: []byte{7, 8}}
	e := encoder{d: newDict()}
	e.upload(&want)
	for lacks := range 3 { // the last byte but one is their number
		got, err := decodeUpload(e.d, 3, e.b[:len(e.b)-lacks])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
		}
	}
}

// TestOlderEnvelopes: records of an older reseal tell that a client has encrypted the
// object, not how, and end where what it did not know would stand.
func TestOlderEnvelopes(t *testing.T) {
	d := newDict()
	for _, had := range []bool{true, false} {
		e := encoder{d: d}
		e.byte(valueVersion)
		e.byte(byte(object.OpCopy))
		e.uint(flag(taskClientSide, had) | taskETag)
		e.word("b")
		e.str("k")
		e.int(7)
		e.token("abc")
		var task object.Task
		if err := decodeTask(d, 0, e.b, &task); err != nil {
			t.Fatal(err)
		}
		want := object.ClientSide("")
		if had {
			want = object.SomeEnvelope
		}
		if task.Object.ClientSide != want || task.Object.ETag != "abc" {
			t.Errorf("%+v, want %q", task.Object, want)
		}
		out := object.Outcome{State: object.Done, Attempts: 1}
		e = encoder{d: d}
		e.outcome(&out)
		var got object.Outcome
		if err := decodeOutcome(d, 0, e.b, &got); err != nil || got.ClientSideBefore != "" || got.ClientSideAfter != "" {
			t.Errorf("%+v, %v", got, err)
		}
	}
}
