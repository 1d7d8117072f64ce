package ledger

import (
	"context"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// round is a bucket whose pages lead from one to the other and back.
type round struct {
	*bucket
	asked int
}

func (r *round) ListPage(_ context.Context, q object.ListRequest) (object.ListReply, error) {
	if r.asked++; r.asked > 20 {
		return object.ListReply{}, &object.Error{Class: object.ClassInvalid}
	}
	return object.ListReply{Truncated: true, NextToken: map[string]string{"": "2", "1": "2", "2": "1"}[q.ContinuationToken]}, nil
}

// TestAListThatLeadsBack: each of its pages is read once, and no part is taken for the
// whole.
func TestAListThatLeadsBack(t *testing.T) {
	r := &round{bucket: newBucket()}
	p := r.place()
	p.Store = r
	if all, err := p.List(t.Context(), "log"); err == nil || r.asked != 3 {
		t.Errorf("asked %d times, %v, %v", r.asked, all, err)
	}
}

// deep is a bucket whose listings know no delimiter.
type deep struct{ *bucket }

func (deep) ListPage(_ context.Context, q object.ListRequest) (r object.ListReply, err error) {
	for _, name := range []string{"run.json", "job.json.probe/../../../elsewhere", "shards/0001/run.json"} {
		r.Objects = append(r.Objects, object.Object{Ref: object.Ref{Key: q.Prefix + name}})
	}
	return r, nil
}

// TestAListOfWhatLiesDeeper: a list names what lies directly below a folder, whatever the
// store answers: the names become those of files.
func TestAListOfWhatLiesDeeper(t *testing.T) {
	d := deep{newBucket()}
	p := d.place()
	p.Store = d
	if all, err := p.List(t.Context(), ""); err != nil || len(all) != 1 || all[0].Name != "run.json" {
		t.Errorf("%v, %v", all, err)
	}
}
