package inventory

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/scritchley/orc"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner/inventory/columnar"
)

// orcRows are the rows of an ORC file. The library ends silently where a column
// is shorter than its stripe, so the rows are counted.
type orcRows struct {
	rower   rower
	look    *columnar.ORC // nil for a file that was read to its end before
	reader  *orc.Reader
	cursor  *orc.Cursor
	stripes int
	stripe  int // of the rows that are open, from 1
	row     uint64
	rows    uint64 // of the stripe
	total   uint64
}

func (s *Source) orcRows(f io.ReaderAt, size int64) (rowReader, error) {
	r, look, err := columnar.OpenORC(f, size)
	if err != nil {
		return nil, err
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
	if err := look.Want(func(name string) bool { return slices.Contains(wanted, name) }); err != nil {
		return nil, err
	}
	if s.known() {
		look = nil
	}
	o := &orcRows{rower: s.rower(kept, false), look: look, reader: r, cursor: r.Select(wanted...), stripes: n}
	return o, o.cursor.Err()
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
		if err := r.look.CheckStripe(r.stripe - 1); err != nil {
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
