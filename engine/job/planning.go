package job

import (
	"cmp"
	"context"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/listing"
)

// plan reads the source to its end, unless an earlier process did.
func (w *work) plan(ctx context.Context) error {
	if w.points.PlanIsComplete() {
		return nil
	}
	src, err := w.openSource(ctx)
	if err != nil {
		return err
	}
	cursors, err := w.points.Cursors()
	if err != nil {
		return err
	}
	sel, err := w.job.Spec.Selection.planned(w.job.Spec.Source.Prefix)
	if err != nil {
		return err
	}
	opt := planner.Options{Resume: cursors, Planned: w.points.Totals().Planned.Objects}
	if w.job.Policy.Inspect != InspectNever {
		opt.Inspect, opt.InspectAll = w.reads.Inspect, w.inspectAll
	}
	sink := w.mayRead(ctx)
	if a := w.adding; a != nil {
		a.Sink, sink = sink, a
	}
	counts, err := planner.Plan(ctx, src, &sel, w.chooser(), sink, opt)
	if err := cmp.Or(err, w.begunWell(ctx)); err != nil {
		return err
	}
	w.log.Info("plan complete", "rows", counts.Rows, "tasks", counts.Tasks, "inspected", counts.Inspected, "gone", counts.Gone, "throwaway", counts.Throwaway, "limited", counts.Limited)
	if w.points.Totals().Planned.Objects == 0 {
		w.log.Warn("there is nothing to do: no object was found that the source and the selection name; check how they are written",
			"source", w.job.Spec.Source.String(), "rows", counts.Rows)
	}
	return w.points.PlanComplete()
}

// openSource is what the job's objects come from.
func (w *work) openSource(context.Context) (planner.Source, error) {
	if w.files != nil {
		return w.files, nil
	}
	src := &w.job.Spec.Source
	if w.manifest != nil {
		return w.manifest, nil
	}
	list := w.job.Part.part(&listing.Source{Lister: w.store, Bucket: w.learnt.Bucket, Prefix: src.Prefix, Versions: w.job.Spec.Selection.Versions == "all",
		Metadata: w.learnt.caps().ListMetadata == object.Yes, Send: w.send})
	if !w.inspectAll {
		list.Readers = readersBeside
	}
	return list, nil
}

// readersBeside is how many ranges are listed at a time while workers do what was
// planned. So many bring ten times what the workers can use, and every further one
// would cost memory for its page.
const readersBeside = 4

// send lets a request of the planner through the window, the pace and the retry
// loop.
func (w *work) send(ctx context.Context, call object.Call, f func(context.Context) error) error {
	if err := w.gate(ctx); err != nil {
		return err
	}
	return w.reads.Do(ctx, call, f)
}
