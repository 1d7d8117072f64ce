package checkpoint

import (
	"reflect"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestStateOfAnOlderReseal: counters that were written when there were five
// operations and twelve kinds of requests are read as they stand.
func TestStateOfAnOlderReseal(t *testing.T) {
	e := encoder{d: newDict()}
	e.byte(valueVersion)
	e.uint(9) // handed
	e.uint(0) // holes
	numbers := func(n int) {
		e.uint(uint64(n))
		for i := range n {
			e.tally(object.Tally{Objects: uint64(i), Bytes: int64(10 * i)})
		}
	}
	numbers(object.NumStates)
	numbers(5)
	e.tally(object.Tally{Objects: 1, Bytes: 2})
	e.uint(12)
	for i := range 12 {
		e.uint(uint64(100 + i))
	}
	e.int(int64(time.Second))
	e.uint(0) // causes
	st, err := decodeState(e.d, e.b)
	c, handed := st.counts, st.handed
	if err != nil || handed != 9 || c.elapsed != time.Second || c.oldVersions.Bytes != 2 {
		t.Fatalf("read %+v, handed %d, %v", c, handed, err)
	}
	if c.operations[object.OpMultipart].Objects != 4 || c.operations[object.OpRewrite] != (object.Tally{}) {
		t.Errorf("operations %+v", c.operations)
	}
	if c.requests[object.ReqPutDetail] != 111 || c.requests[object.ReqPut] != 0 {
		t.Errorf("requests %v", c.requests)
	}
}

// TestRewritesAreKept: the operations that came later are written and counted.
func TestRewritesAreKept(t *testing.T) {
	e := encoder{d: newDict()}
	want := object.Outcome{Seq: 3, State: object.Done, Operation: object.OpRewrite, Size: 5, FinishedAt: time.Unix(7, 0).UTC()}
	e.outcome(&want)
	var got object.Outcome
	if err := decodeOutcome(e.d, 3, e.b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("read %+v, want %+v, %v", got, want, err)
	}
	c := new(counters).clone()
	f := factOf(&got)
	c.count(&f, 3, 1)
	if c.operations[object.OpRewrite] != (object.Tally{Objects: 1, Bytes: 5}) {
		t.Errorf("counted %+v", c.operations)
	}
}
