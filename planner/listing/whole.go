package listing

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/resealhq/reseal/engine/object"
)

// readWhole lists page after page from the beginning, by the store's own tokens,
// for a store that loses keys when asked to begin in the middle. What the ranges
// have passed on already is passed over: each of them passed what lies between
// its beginning and its position, and nothing else.
func (s *Source) readWhole(ctx context.Context, whole *span, tiles []*span, emit func(object.Page) error) error {
	if whole.finished {
		return nil
	}
	slices.SortFunc(tiles, func(a, b *span) int {
		if a.From < b.From {
			return -1
		}
		return 1
	})
	passed := newPassedOver(tiles, whole)
	w := &walker{src: s, s: whole, careful: true}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b, err := w.next(ctx)
		if err != nil {
			return err
		}
		rows, err := passed.filter(b.rows)
		if err != nil {
			return fmt.Errorf("listing s3://%s: %w", s.Bucket, err)
		}
		if b.passed > whole.Pos || b.midKey != "" && b.midKey > whole.Pos {
			whole.Pos, whole.MidKey, whole.MidVersion = max(whole.Pos, b.passed), b.midKey, b.midVersion
		}
		cursor := object.Cursor{Range: wholeID, Position: whole.encode(), Finished: !b.more}
		if err := emit(object.Page{Objects: rows, Cursors: []object.Cursor{cursor}}); err != nil {
			return err
		}
		w.move(&b)
		if !b.more {
			return nil
		}
	}
}

// passedOver knows what earlier readings have passed on.
type passedOver struct {
	tiles []*span
	upTo  string // the position of an earlier reading of the whole
	// mids are the last versions passed of keys that came in pieces.
	mids map[string]string
	// skipping is such a key while its versions are passed over, up to skipTo.
	skipping, skipTo string
}

func newPassedOver(tiles []*span, whole *span) *passedOver {
	p := &passedOver{tiles: tiles, upTo: whole.Pos, mids: map[string]string{}}
	for _, s := range append(slices.Clone(tiles), whole) {
		if s.MidKey != "" {
			p.mids[s.MidKey] = s.MidVersion
		}
	}
	return p
}

func (p *passedOver) filter(rows []object.Object) ([]object.Object, error) {
	var out []object.Object
	for i := range rows {
		o := &rows[i]
		if p.skipping != "" && o.Key != p.skipping {
			return nil, fmt.Errorf("%w: version %s of %q, up to which its versions were listed, is gone", ErrCursor, p.skipTo, p.skipping)
		}
		if !p.passed(o) {
			out = append(out, *o)
		}
	}
	return out, nil
}

func (p *passedOver) passed(o *object.Object) bool {
	i := sort.Search(len(p.tiles), func(i int) bool { return p.tiles[i].Open || o.Key <= p.tiles[i].To })
	if o.Key <= p.upTo || o.Key <= p.tiles[i].Pos {
		return true
	}
	if version, ok := p.mids[o.Key]; ok {
		delete(p.mids, o.Key)
		p.skipping, p.skipTo = o.Key, version
	}
	if p.skipping == "" {
		return false
	}
	if o.VersionID == p.skipTo {
		p.skipping = ""
	}
	return true
}
