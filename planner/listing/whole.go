package listing

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/resealhq/reseal/engine/object"
)

// readWhole lists page after page from the beginning, by the store's own tokens,
// for a store that loses keys when asked to begin in the middle. A part of a listing
// takes its own keys out of the whole. What the ranges
// have passed on already is passed over: each of them passed what lies between
// its beginning and its position, and nothing else. That claim is put to the test: a
// store that hides keys from a range may give them here, and they must not be taken
// for passed.
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
		rows, err := passed.filter(s.within(b.rows))
		if err != nil {
			return fmt.Errorf("listing s3://%s: %w", s.Bucket, err)
		}
		if !b.more && !passed.asClaimed() {
			return fmt.Errorf("listing s3://%s: from the beginning it gives other keys than its ranges gave: %w", s.Bucket, ErrOrder)
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

// within takes the rows out that lie within After and Through. They are in byte order:
// a careful walker insists on it.
func (s *Source) within(rows []object.Object) []object.Object {
	from := sort.Search(len(rows), func(i int) bool { return rows[i].Key > s.After })
	to := len(rows)
	if s.Through != "" {
		to = sort.Search(len(rows), func(i int) bool { return rows[i].Key > s.Through })
	}
	return rows[from:max(from, to)]
}

// passedOver knows what earlier readings have passed on.
type passedOver struct {
	tiles []*span
	upTo  string // the position of an earlier reading of the whole
	// mids are the last versions passed of keys that came in pieces.
	mids map[string]string
	// claimed is what the ranges have passed on, found what lies there now.
	claimed, found []seen
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
	for _, s := range tiles {
		p.claimed = append(p.claimed, s.seen)
		p.found = append(p.found, seen{Before: s.Before})
	}
	return p
}

// asClaimed says whether the ranges have passed on what lies between their
// beginnings and their positions. Less may lie there by now, since others delete and
// overwrite; what was there before and is not among what was passed on was hidden.
// Keys in pieces are left out of it, with their ranges: how many of their rows were
// passed on is not known here.
func (p *passedOver) asClaimed() bool {
	for i, c := range p.claimed {
		f := p.found[i]
		if p.tiles[i].MidKey == "" && (f.Count > c.Count || f.Count == c.Count && f.Sum != c.Sum) {
			return false
		}
	}
	return true
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
	if o.Key <= p.tiles[i].Pos {
		p.found[i].add(*o)
		return true
	}
	if o.Key <= p.upTo {
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
