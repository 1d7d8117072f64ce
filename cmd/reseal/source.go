package main

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

func (w *work) openSource(ctx context.Context) (planner.Source, error) {
	return &serial{p: w.pages(), bucket: w.learnt.Bucket, prefix: w.order.spec.Source.Prefix}, nil
}

func (w *work) pages() *pages { return &pages{store: w.source, reads: w.reads, gate: w.gate} }

type serial struct {
	p              *pages
	bucket, prefix string
}

func (s *serial) Read(ctx context.Context, resume []object.Cursor, emit func(object.Page) error) error {
	after := ""
	for _, c := range resume {
		if c.Finished {
			return nil
		}
		after = string(c.Position)
	}
	for {
		rep, err := s.p.ListPage(ctx, object.ListRequest{Bucket: s.bucket, Prefix: s.prefix, StartAfter: after})
		if err != nil {
			return err
		}
		if n := len(rep.Objects); n > 0 {
			after = rep.Objects[n-1].Key
		}
		if err := emit(object.Page{Objects: rep.Objects, Cursors: []object.Cursor{{Range: "all", Position: []byte(after), Finished: !rep.Truncated}}}); err != nil {
			return err
		}
		if !rep.Truncated {
			return nil
		}
	}
}
