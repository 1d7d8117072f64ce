package main

import (
	"context"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
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
	sel, err := w.order.spec.Selection.Selection(w.order.spec.Source.Prefix)
	if err != nil {
		return err
	}
	opt := planner.Options{Resume: cursors, Planned: w.points.Totals().Planned.Objects}
	if w.order.consent.Inspect != "never" {
		opt.Inspect, opt.InspectAll = w.reads.Inspect, w.inspectAll
	}
	counts, err := planner.Plan(ctx, src, &sel, w.chooser(), w.points, opt)
	if err != nil {
		return err
	}
	w.log.Info("plan complete", "rows", counts.Rows, "tasks", counts.Tasks, "inspected", counts.Inspected, "gone", counts.Gone, "limited", counts.Limited)
	return w.points.PlanComplete()
}

// pages is a lister whose pages pass the window, the pace and the retry loop.
type pages struct {
	store interface {
		ListPage(context.Context, object.ListRequest) (object.ListReply, error)
		ListVersionsPage(context.Context, object.ListRequest) (object.ListReply, error)
	}
	reads *engine.Reads
	gate  func(context.Context) error
}

func (p *pages) ListPage(ctx context.Context, q object.ListRequest) (reply object.ListReply, err error) {
	return p.page(ctx, q, p.store.ListPage)
}

func (p *pages) ListVersionsPage(ctx context.Context, q object.ListRequest) (reply object.ListReply, err error) {
	return p.page(ctx, q, p.store.ListVersionsPage)
}

func (p *pages) page(ctx context.Context, q object.ListRequest, send func(context.Context, object.ListRequest) (object.ListReply, error)) (reply object.ListReply, err error) {
	if p.gate != nil {
		if err := p.gate(ctx); err != nil {
			return reply, err
		}
	}
	call := object.Call{Kind: object.ReqList, Key: max(q.StartAfter, q.KeyMarker, q.Prefix)}
	err = p.reads.Do(ctx, call, func(ctx context.Context) (err error) {
		reply, err = send(ctx, q)
		return err
	})
	return reply, err
}
