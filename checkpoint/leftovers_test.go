package checkpoint

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

func TestLeftoversAreUploadsOfSettledTasks(t *testing.T) {
	s := open(t, t.TempDir())
	tasks := make([]object.Task, 2)
	must(t, s.Append(tasks, nil))
	for seq := range uint64(2) {
		must(t, s.SaveUpload(object.Upload{Seq: seq, ID: "id"}))
	}
	if n, err := s.Next(t.Context(), tasks); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	must(t, s.Record(&object.Outcome{Seq: 1, State: object.Failed}))
	must(t, s.Flush())
	got, err := s.Leftovers()
	if err != nil || len(got) != 1 || got[0].Seq != 1 {
		t.Errorf("%+v, %v; want the upload of task 1", got, err)
	}
}
