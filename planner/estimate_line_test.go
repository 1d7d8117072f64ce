package planner

import (
	"reflect"
	"slices"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestEstimateInAnyOrder: what is at hand from the task before is used for tasks
// like it only. Sizes, classes, sources and locks alternate, each of which makes
// another line or ground.
func TestEstimateInAnyOrder(t *testing.T) {
	opt := EstimateOptions{Target: kms(keyB), Caps: awsCaps(), Facts: plainFacts(),
		Chooser: &Chooser{Target: kms(keyB), Caps: awsCaps(), Facts: plainFacts(), Operation: CopyOnly, MultipartThreshold: 1 << 30}}
	var tasks []object.Task
	for _, source := range []object.SSE{object.SSENone, object.SSES3, object.SSEKMS} {
		for _, class := range []string{"", "STANDARD_IA"} {
			for _, size := range []int64{1, 2 << 30, MaxCopySize + 1} {
				for _, lock := range []string{"", "GOVERNANCE"} {
					o := under(source, "")
					o.StorageClass, o.Size, o.LockMode = class, size, lock
					op := object.OpCopy
					if size > 1 {
						op = object.OpMultipart
					}
					tasks = append(tasks, object.Task{Object: o, Operation: op})
				}
			}
		}
	}
	slow := opt
	want := NewEstimator(slow)
	for i := range tasks {
		want.Add(&tasks[i])
		want.Under(slow) // forgets the lines
	}
	got := NewEstimator(opt)
	for i := range tasks {
		got.Add(&tasks[i])
	}
	if a, b := want.Estimate(), got.Estimate(); !reflect.DeepEqual(a, b) {
		t.Errorf("forgetting what is at hand: %+v\nusing it: %+v", a, b)
	}
	if e := got.Estimate(); len(e.Work) != 12 || len(e.Choices) < 6 {
		t.Errorf("%d lines of work, %d grounds", len(e.Work), len(e.Choices))
	}
	slices.Reverse(tasks)
	back := NewEstimator(opt)
	for i := range tasks {
		back.Add(&tasks[i])
	}
	if a, b := back.Estimate(), got.Estimate(); !reflect.DeepEqual(a.Work, b.Work) || !reflect.DeepEqual(a.Choices, b.Choices) {
		t.Errorf("backwards: %+v\nforwards: %+v", a, b)
	}
}
