package inventory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/scritchley/orc"

	"github.com/resealhq/reseal/engine/object"
)

// orcRows are the rows of an ORC file. The library ends silently where a column
// is shorter than its stripe, so the rows are counted.
type orcRows struct {
	rower   rower
	look    *orcLook // nil for a file that was read to its end before
	reader  *orc.Reader
	cursor  *orc.Cursor
	stripes int
	stripe  int // of the rows that are open, from 1
	row     uint64
	rows    uint64 // of the stripe
	total   uint64
}

func (s *Source) orcRows(f io.ReaderAt, size int64) (rowReader, error) {
	if err := checkORCTail(f, size); err != nil {
		return nil, fmt.Errorf("it is no ORC file: %w", err)
	}
	look, err := lookAtORC(f, size)
	if err != nil {
		return nil, fmt.Errorf("it is no ORC file: %w", err)
	}
	r, err := orc.NewReader(io.NewSectionReader(f, 0, size))
	if err != nil {
		return nil, fmt.Errorf("it is no ORC file: %w", err)
	}
	names := r.Schema().Columns()
	sch, err := newSchema(names)
	if err != nil {
		return nil, err
	}
	n, err := r.NumStripes()
	if err != nil {
		return nil, err
	}
	// Only what tells something is decoded.
	var wanted []string
	kept := &schema{has: sch.has}
	for i, name := range names {
		if sch.cols[i] != colIgnored {
			wanted = append(wanted, name)
			kept.cols = append(kept.cols, sch.cols[i])
		}
	}
	if err := look.want(func(name string) bool { return slices.Contains(wanted, name) }); err != nil {
		return nil, err
	}
	if s.known() {
		look = nil
	}
	o := &orcRows{rower: s.rower(kept, false), look: look, reader: r, cursor: r.Select(wanted...), stripes: n}
	return o, o.cursor.Err()
}

// checkORCTail looks at the lengths that the tail names before the library
// believes them.
func checkORCTail(r io.ReaderAt, size int64) error {
	if size < 4 {
		return errors.New("it is too short")
	}
	tail := make([]byte, min(size, 257))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	n := int(tail[len(tail)-1])
	if n > len(tail)-1 {
		return errors.New("its postscript is longer than the file")
	}
	footer, metadata, err := postScriptLengths(tail[len(tail)-1-n : len(tail)-1])
	if err != nil {
		return err
	}
	if room := uint64(size) - 1 - uint64(n); footer > room || metadata > room-footer {
		return errors.New("its footer is longer than the file")
	}
	return nil
}

// postScriptLengths reads fields 1 and 5 of the postscript, which is protobuf.
func postScriptLengths(b []byte) (footer, metadata uint64, err error) {
	bad := errors.New("its postscript is damaged")
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, 0, bad
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, 0, bad
		}
		b = b[n:]
		switch tag & 7 {
		case 0:
			switch tag >> 3 {
			case 1:
				footer = v
			case 5:
				metadata = v
			}
		case 2:
			if v > uint64(len(b)) {
				return 0, 0, bad
			}
			b = b[v:]
		default:
			return 0, 0, bad
		}
	}
	return footer, metadata, nil
}

func (r *orcRows) next(o *object.Object) (bool, error) {
	for r.row == r.rows {
		if err := r.nextStripe(); err != nil {
			return false, err
		}
	}
	if !r.cursor.Next() {
		if err := r.cursor.Err(); err != nil {
			return false, err
		}
		return false, fmt.Errorf("the stripe ends after %d rows of %d", r.row, r.rows)
	}
	r.row++
	r.rower.begin(o)
	for i, v := range r.cursor.Row() {
		if err := r.set(o, r.rower.schema.cols[i], v); err != nil {
			return false, err
		}
	}
	if err := r.cursor.Err(); err != nil {
		return false, err
	}
	if !r.rower.seen {
		return false, errors.New("the row has no bucket")
	}
	return r.rower.finish(o)
}

func (r *orcRows) set(o *object.Object, col column, v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return r.rower.setString(o, col, v)
	case []byte:
		return r.rower.set(o, col, v)
	case bool:
		return r.rower.setBool(o, col, v)
	case int64:
		return r.rower.setInt(o, col, v)
	case time.Time:
		return r.rower.setTime(o, col, v)
	}
	return errType
}

func (r *orcRows) nextStripe() error {
	if r.stripe == r.stripes {
		if r.total != uint64(r.reader.NumRows()) {
			return fmt.Errorf("the file ends after %d rows of %d", r.total, r.reader.NumRows())
		}
		return io.EOF
	}
	r.stripe++
	r.row = 0
	if r.look != nil {
		if err := r.look.checkStripe(r.stripe - 1); err != nil {
			return err
		}
	}
	if !r.cursor.Stripes() {
		if err := r.cursor.Err(); err != nil {
			return err
		}
		return errors.New("the stripe is not there")
	}
	r.rows = r.cursor.GetNumberOfRows()
	r.total += r.rows
	return nil
}

// skip decodes what it passes: the library cannot step over rows of a stripe.
func (r *orcRows) skip(n uint64) error {
	var o object.Object
	for ; n > 0; n-- {
		if _, err := r.next(&o); err != nil {
			if err == io.EOF {
				return errors.New("the file has fewer rows than were read of it before")
			}
			return err
		}
	}
	return nil
}

func (r *orcRows) where() string { return fmt.Sprintf("stripe %d, row %d", r.stripe, r.row) }
