package inventory

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner/inventory/columnar"
)

// parquetRows are the rows of a Parquet file.
type parquetRows struct {
	rower  rower
	groups []parquet.RowGroup
	units  []time.Duration // of the columns that are timestamps
	group  int             // of the rows that are open
	rows   parquet.Rows
	buf    []parquet.Row
	have   int // rows in buf
	at     int // next in buf
	row    int64
	// number is that of the next row of the whole file, deleted tells of it.
	number  int64
	deleted *deletions
}

func (s *Source) parquetRows(r io.ReaderAt, size int64, deleted *deletions) (rowReader, error) {
	f, err := columnar.OpenParquet(r, size, s.known())
	if err != nil {
		return nil, err
	}
	p := &parquetRows{groups: f.RowGroups(), buf: make([]parquet.Row, 256)}
	var names []string
	for _, c := range f.Root().Columns() {
		name, err := s.nameOf(c)
		switch {
		case err != nil:
			return nil, err
		case c.Leaf() && !c.Repeated():
			names = append(names, name)
			p.units = append(p.units, timeUnit(c.Type()))
			continue
		case name != dropped && !ignored(name):
			return nil, fmt.Errorf("its column %q is no plain column", name)
		}
		for range leaves(c) { // of tags and metadata, which are maps
			names = append(names, name)
			p.units = append(p.units, 0)
		}
	}
	if p.deleted, err = deleted.in(f.Root()); err != nil {
		return nil, err
	}
	sch, err := newSchema(names)
	if err != nil {
		return nil, err
	}
	p.rower = s.rower(sch, false)
	return p, nil
}

// leaves counts the columns that hold the values of one that has parts.
func leaves(c *parquet.Column) (n int) {
	if c.Leaf() {
		return 1
	}
	for _, part := range c.Columns() {
		n += leaves(part)
	}
	return n
}

// timeUnit is what one tick of a timestamp column is; 0 for other columns.
func timeUnit(t parquet.Type) time.Duration {
	if lt := t.LogicalType(); lt != nil {
		if ts, ok := lt.Value.(*format.TimestampType); ok && ts.Unit.Value != nil {
			return ts.Unit.Value.Duration()
		}
	}
	if ct := t.ConvertedType(); ct != nil {
		switch *ct {
		case deprecated.TimestampMillis:
			return time.Millisecond
		case deprecated.TimestampMicros:
			return time.Microsecond
		}
	}
	return 0
}

func (p *parquetRows) next(o *object.Object) (bool, error) {
	for p.at == p.have {
		if err := p.fill(); err != nil {
			return false, err
		}
	}
	row := p.buf[p.at]
	p.at++
	p.row++
	p.number++
	gone := p.deleted.has(p.number-1, row)
	p.rower.begin(o)
	for _, v := range row {
		if v.IsNull() {
			continue
		}
		i := v.Column()
		if i < 0 || i >= len(p.rower.schema.cols) {
			return false, errors.New("the row has more columns than the schema")
		}
		if err := p.set(o, i, v); err != nil {
			return false, err
		}
	}
	if !p.rower.seen {
		return false, errors.New("the row has no bucket")
	}
	ok, err := p.rower.finish(o)
	return ok && !gone, err
}

func (p *parquetRows) set(o *object.Object, i int, v parquet.Value) error {
	col := p.rower.schema.cols[i]
	if col == colIgnored {
		return nil
	}
	switch v.Kind() {
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return p.rower.set(o, col, v.ByteArray())
	case parquet.Boolean:
		return p.rower.setBool(o, col, v.Boolean())
	case parquet.Int64:
		if u := p.units[i]; u != 0 {
			return p.rower.setTime(o, col, ticks(v.Int64(), u))
		}
		if col == colLastModified || col == colRetainUntil {
			return p.rower.setTime(o, col, ticks(v.Int64(), time.Millisecond))
		}
		return p.rower.setInt(o, col, v.Int64())
	case parquet.Int32:
		return p.rower.setInt(o, col, int64(v.Int32()))
	case parquet.Int96:
		return p.rower.setTime(o, col, julian(v.Int96().Int()))
	}
	return errType
}

func ticks(n int64, unit time.Duration) time.Time {
	switch unit {
	case time.Microsecond:
		return time.UnixMicro(n)
	case time.Nanosecond:
		return time.Unix(0, n)
	}
	return time.UnixMilli(n)
}

// julian is the time of an INT96: nanoseconds of the day below, the Julian day
// above.
func julian(v *big.Int) time.Time {
	const unixEpoch = 2440588
	nanos := new(big.Int).And(v, new(big.Int).SetUint64(1<<64-1)).Int64()
	day := new(big.Int).Rsh(v, 64).Int64()
	return time.Unix((day-unixEpoch)*86400, nanos)
}

// fill reads the next rows, of the next group where one is at its end.
func (p *parquetRows) fill() error {
	if p.rows == nil {
		if p.group == len(p.groups) {
			return io.EOF
		}
		p.rows, p.row = p.groups[p.group].Rows(), 0
	}
	n, err := p.rows.ReadRows(p.buf)
	p.have, p.at = n, 0
	if n > 0 {
		return nil
	}
	switch {
	case err == nil:
		return io.ErrNoProgress
	case err != io.EOF:
		return err
	case p.row != p.groups[p.group].NumRows():
		return fmt.Errorf("the row group ends after %d rows of %d", p.row, p.groups[p.group].NumRows())
	}
	err = p.rows.Close()
	p.rows = nil
	p.group++
	return err
}

func (p *parquetRows) skip(n uint64) error {
	p.number = int64(n)
	for n > 0 {
		if p.group == len(p.groups) {
			return errors.New("the file has fewer rows than were read of it before")
		}
		rows := uint64(p.groups[p.group].NumRows())
		if n >= rows {
			n -= rows
			p.group++
			continue
		}
		p.rows = p.groups[p.group].Rows()
		p.row = int64(n)
		return p.rows.SeekToRow(int64(n))
	}
	return nil
}

func (p *parquetRows) where() string { return fmt.Sprintf("row group %d, row %d", p.group+1, p.row) }
