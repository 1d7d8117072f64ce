package listing

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// place is how far a range was read, and what it covers: the keys after From up
// to To, both as raw keys; every key up to Pos is passed.
type place struct {
	From, To string
	// Open ranges reach to the end of the bucket; their To is empty.
	Open bool
	Pos  string
	// MidKey and MidVersion are set within the versions of one key that fill more
	// than a page: those up to MidVersion are passed.
	MidKey, MidVersion string
	// seen is what was passed on.
	seen
}

// seen is a set of rows as their number and the sum of their hashes, by which two
// readings of the same keys are compared. It leaves out what was written at Before
// (Unix seconds; 0: never) or later.
type seen struct {
	Before     int64
	Count, Sum uint64
}

func (s *seen) add(rows ...object.Object) {
	for i := range rows {
		if o := &rows[i]; s.Before == 0 || o.LastModified.Unix() < s.Before {
			s.Count++
			s.Sum += hash(o.Key, o.VersionID)
		}
	}
}

// hash is FNV-1a, which is the same in every process.
func hash(key, version string) uint64 {
	h := uint64(14695981039346656037)
	for _, part := range [...]string{key, "\x00", version} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 1099511628211
		}
	}
	return h
}

const (
	placeVersion = 1
	flagOpen     = 1
	flagMid      = 2
	flagSeen     = 4
)

// encode writes the place as a cursor's position: a version, flags, and strings
// with their lengths.
func (p *place) encode() []byte {
	b := make([]byte, 0, 16+len(p.From)+len(p.To)+len(p.Pos)+len(p.MidKey)+len(p.MidVersion))
	flags := byte(0)
	if p.Open {
		flags |= flagOpen
	}
	if p.MidKey != "" {
		flags |= flagMid
	}
	if p.seen != (seen{}) {
		flags |= flagSeen
	}
	b = append(b, placeVersion, flags)
	b = appendString(appendString(b, p.From), p.Pos)
	if !p.Open {
		b = appendString(b, p.To)
	}
	if p.MidKey != "" {
		b = appendString(appendString(b, p.MidKey), p.MidVersion)
	}
	if p.seen != (seen{}) {
		for _, v := range [...]uint64{uint64(p.Before), p.Count, p.Sum} {
			b = binary.BigEndian.AppendUint64(b, v)
		}
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodePlace refuses whatever encode does not write.
func decodePlace(b []byte) (place, error) {
	var p place
	if len(b) < 2 || b[0] != placeVersion || b[1]&^(flagOpen|flagMid|flagSeen) != 0 {
		return p, fmt.Errorf("%w: unknown form", ErrCursor)
	}
	flags := b[1]
	r := reader{b: b[2:]}
	p.From, p.Pos = r.string(), r.string()
	if p.Open = flags&flagOpen != 0; !p.Open {
		p.To = r.string()
	}
	if flags&flagMid != 0 {
		p.MidKey, p.MidVersion = r.string(), r.string()
	}
	if flags&flagSeen != 0 {
		p.seen = seen{int64(r.number()), r.number(), r.number()}
		r.bad = r.bad || p.seen == seen{}
	}
	switch {
	case r.bad || len(r.b) != 0:
		return p, fmt.Errorf("%w: cut short or too long", ErrCursor)
	case p.Pos < p.From || !p.Open && (p.To <= p.From || p.Pos > p.To):
		return p, fmt.Errorf("%w: position %q outside (%q, %q]", ErrCursor, p.Pos, p.From, p.To)
	case flags&flagMid != 0 && (p.MidKey <= p.Pos || !p.Open && p.MidKey > p.To):
		return p, fmt.Errorf("%w: position %q outside its range", ErrCursor, p.MidKey)
	}
	return p, nil
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) string() string {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > uint64(len(r.b)-size) || size > 1 && r.b[size-1] == 0 {
		r.bad = true
		return ""
	}
	s := string(r.b[size : size+int(n)])
	r.b = r.b[size+int(n):]
	return s
}

func (r *reader) number() uint64 {
	if len(r.b) < 8 {
		r.bad = true
		return 0
	}
	n := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

// rangeID names the n-th range of a listing.
func rangeID(n uint64) string { return "list/" + strconv.FormatUint(n, 36) }

func parseRangeID(s string) (uint64, error) {
	digits, ok := strings.CutPrefix(s, "list/")
	n, err := strconv.ParseUint(digits, 36, 63)
	if !ok || err != nil || rangeID(n) != s {
		return 0, fmt.Errorf("%w: unknown range %q", ErrCursor, s)
	}
	return n, nil
}

// wholeID is the cursor of a listing that goes on page after page.
const wholeID = "list/whole"

// tiling is what the cursors of an earlier process say: the ranges, which
// together tile the key space, and where the listing went on page after page,
// how far.
func (s *Source) restore(cursors []object.Cursor) (tiles []*span, whole *span, err error) {
	for _, c := range cursors {
		p, err := decodePlace(c.Position)
		if err != nil {
			return nil, nil, fmt.Errorf("range %s: %w", c.Range, err)
		}
		t := &span{id: c.Range, place: p, finished: c.Finished}
		if c.Range == wholeID {
			whole = t
			continue
		}
		if t.number, err = parseRangeID(c.Range); err != nil {
			return nil, nil, err
		}
		tiles = append(tiles, t)
	}
	open := s.Through == ""
	if len(tiles) == 0 {
		tiles = []*span{{id: rangeID(0), place: place{From: s.After, Pos: s.After, To: s.Through, Open: open, seen: seen{Before: time.Now().Unix()}}}}
	}
	// Ranges that do not tile the key space would miss keys without a trace.
	slices.SortFunc(tiles, func(a, b *span) int { return cmp.Compare(a.From, b.From) })
	border := s.After
	for i, t := range tiles {
		if t.From != border || t.Open != (open && i == len(tiles)-1) {
			return nil, nil, fmt.Errorf("%w: no range covers the keys after %q", ErrCursor, border)
		}
		border = t.To
	}
	if border != s.Through {
		return nil, nil, fmt.Errorf("%w: the ranges end at %q, and what is read at %q", ErrCursor, border, s.Through)
	}
	return tiles, whole, nil
}
