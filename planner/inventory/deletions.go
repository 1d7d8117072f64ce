package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/resealhq/reseal/planner/iceberg"
	"github.com/resealhq/reseal/planner/inventory/columnar"
)

// deletions are the rows of one data file that were deleted. Nil are none.
type deletions struct {
	rows  *iceberg.Rows
	byKey []*keyDeletions
	// cells, in a file that is open: by deletion, the numbers of its columns; -1 for one
	// that the file does not have, which is null in every row.
	cells [][]int
}

// keyDeletions name rows by the values of columns.
type keyDeletions struct {
	fields []int // IDs of the columns
	keys   map[string]bool
}

// The bounds of the memory for what was deleted: by values, these and their bytes; by
// position, the bytes of all rows that are held.
const (
	maxDeleted      = 20_000_000
	maxDeletedBytes = 2 << 30
)

// in finds the columns of the deletions in a file.
func (d *deletions) in(root *parquet.Column) (*deletions, error) {
	if d == nil || len(d.byKey) == 0 {
		return d, nil
	}
	at := map[int]int{}
	for _, c := range root.Columns() {
		if c.Leaf() {
			at[c.ID()] = int(c.Index())
		}
	}
	open := &deletions{rows: d.rows, byKey: d.byKey}
	for _, k := range d.byKey {
		cells := make([]int, len(k.fields))
		for i, id := range k.fields {
			cells[i] = -1
			if n, ok := at[id]; ok {
				cells[i] = n
			}
		}
		open.cells = append(open.cells, cells)
	}
	return open, nil
}

// has says whether a row was deleted.
func (d *deletions) has(number int64, row parquet.Row) bool {
	if d == nil {
		return false
	}
	if d.rows.Has(uint64(number)) {
		return true
	}
	for i, k := range d.byKey {
		if key, err := keyOf(row, d.cells[i]); err == nil && k.keys[key] {
			return true
		}
	}
	return false
}

// keyOf is the text of a row's values in some columns. Kinds and lengths stand in it, so
// that no two sets of values have the same.
func keyOf(row parquet.Row, cells []int) (string, error) {
	var b []byte
	for _, n := range cells {
		var v parquet.Value
		if n >= 0 {
			if i := slices.IndexFunc(row, func(v parquet.Value) bool { return v.Column() == n }); i >= 0 {
				v = row[i]
			}
		}
		switch {
		case v.IsNull():
			b = append(b, 'n')
		case v.Kind() == parquet.ByteArray, v.Kind() == parquet.FixedLenByteArray:
			b = binary.AppendUvarint(append(b, 's'), uint64(len(v.ByteArray())))
			b = append(b, v.ByteArray()...)
		case v.Kind() == parquet.Boolean:
			b = strconv.AppendBool(append(b, 'b'), v.Boolean())
		case v.Kind() == parquet.Int32:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(int64(v.Int32())))
		case v.Kind() == parquet.Int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v.Int64()))
		default:
			return "", fmt.Errorf("rows were deleted by a column of the type %s, which cannot be compared", v.Kind())
		}
	}
	return string(b), nil
}

// deletionReader reads what a table says is deleted.
type deletionReader struct {
	source *Source
	table  *iceberg.Table
	fields map[int]iceberg.Field
	// positions by data file, once they are read: each with the sequence of its deletion.
	positions map[string][]positioned
	// sets are the deletions by values that were read, by their file.
	sets    map[string]*keyDeletions
	deleted int
	bytes   int64 // of memory for all of it
}

// takes counts memory.
func (r *deletionReader) takes(n int64) error {
	if r.bytes += n; r.bytes > maxDeletedBytes {
		return fmt.Errorf("what was deleted of the table takes more than %d bytes of memory", int64(maxDeletedBytes))
	}
	return nil
}

type positioned struct {
	sequence int64
	rows     *iceberg.Rows
}

func newDeletionReader(s *Source, t *iceberg.Table) *deletionReader {
	r := &deletionReader{source: s, table: t, fields: map[int]iceberg.Field{}, sets: map[string]*keyDeletions{}}
	for _, f := range t.Fields {
		r.fields[f.ID] = f
	}
	return r
}

// of are the deletions of one data file.
func (r *deletionReader) of(ctx context.Context, f *iceberg.DataFile) (*deletions, error) {
	d := &deletions{}
	if f.Vector != nil {
		rows, err := r.vector(ctx, f)
		if err != nil {
			return nil, err
		}
		d.rows = rows
	} else if err := r.readPositions(ctx); err != nil {
		return nil, err
	} else {
		for _, p := range r.positions[f.Path] {
			if p.sequence < f.Sequence {
				continue
			}
			if d.rows != nil {
				if err := r.takes(p.rows.Bytes()); err != nil {
					return nil, err
				}
			}
			d.rows = joined(d.rows, p.rows)
		}
	}
	for i := range r.table.Equality {
		e := &r.table.Equality[i]
		if !e.Hits(f) {
			continue
		}
		set, err := r.byKey(ctx, e)
		if err != nil {
			return nil, err
		}
		d.byKey = append(d.byKey, set)
	}
	if d.rows == nil && d.byKey == nil {
		return nil, nil
	}
	return d, nil
}

func joined(a, b *iceberg.Rows) *iceberg.Rows {
	if a == nil {
		return b
	}
	return a.Or(b)
}

// vector reads the deletion vector of a data file.
func (r *deletionReader) vector(ctx context.Context, f *iceberg.DataFile) (*iceberg.Rows, error) {
	body, _, err := r.source.storage.Open(ctx, f.Vector.Path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Vector.Path, err)
	}
	defer body.Close()
	rows, err := f.Vector.Vector(body, f.Rows)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Vector.Path, err)
	}
	return rows, r.takes(rows.Bytes())
}

// The IDs that the format gives the columns of a file of positions.
const (
	positionPathID = 2147483546
	positionRowID  = 2147483545
)

// readPositions reads all files of positions, once.
func (r *deletionReader) readPositions(ctx context.Context) error {
	if r.positions != nil {
		return nil
	}
	r.positions = map[string][]positioned{}
	rowsOf := make(map[string]int64, len(r.table.Files))
	for i := range r.table.Files {
		rowsOf[r.table.Files[i].Path] = r.table.Files[i].Rows
	}
	for i := range r.table.Positions {
		p := &r.table.Positions[i]
		found := map[string]*iceberg.Rows{}
		err := r.rows(ctx, p, []int{positionPathID, positionRowID}, func(row parquet.Row, cells []int) error {
			path, number := row[cells[0]], row[cells[1]]
			if path.Kind() != parquet.ByteArray || number.Kind() != parquet.Int64 {
				return errors.New("a position is no path and number")
			}
			name := string(path.ByteArray())
			limit, known := rowsOf[name]
			switch n := number.Int64(); {
			case !known: // a data file that is gone
			case n < 0 || n >= limit:
				return fmt.Errorf("it names the row %d of %s, which has %d", n, name, limit)
			default:
				if found[name] == nil {
					found[name] = &iceberg.Rows{}
				}
				if found[name].Add(uint64(n)) {
					return r.takes(iceberg.Stretch)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for name, rows := range found {
			r.positions[name] = append(r.positions[name], positioned{p.Sequence, rows})
		}
	}
	return nil
}

// byKey reads a file of deletions by values, once.
func (r *deletionReader) byKey(ctx context.Context, e *iceberg.DeleteFile) (*keyDeletions, error) {
	if set := r.sets[e.Path]; set != nil {
		return set, nil
	}
	set := &keyDeletions{fields: slices.Sorted(slices.Values(e.Fields)), keys: map[string]bool{}}
	for _, id := range set.fields {
		f, ok := r.fields[id]
		switch {
		case !ok:
			return nil, fmt.Errorf("%s: rows were deleted by the column %d, which the table does not have", e.Path, id)
		case f.Default:
			return nil, fmt.Errorf("%s: rows were deleted by the column %q, which has a default", e.Path, f.Name)
		case !comparable(f.Type):
			return nil, fmt.Errorf("%s: rows were deleted by the column %q of the type %q, which cannot be compared", e.Path, f.Name, f.Type)
		}
	}
	err := r.rows(ctx, e, set.fields, func(row parquet.Row, cells []int) error {
		key, err := keyOf(row, cells)
		if err != nil {
			return err
		}
		if r.deleted++; r.deleted > maxDeleted {
			return fmt.Errorf("more than %d rows were deleted by their values", maxDeleted)
		}
		if set.keys[key] {
			return nil
		}
		set.keys[key] = true
		return r.takes(int64(len(key)))
	})
	if err != nil {
		return nil, err
	}
	r.sets[e.Path] = set
	return set, nil
}

// comparable says whether two values of a type are the same if their bytes are, in every
// file that Iceberg writes.
func comparable(kind string) bool {
	return slices.Contains([]string{"boolean", "int", "long", "string", "binary", "date", "time", "timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns", "uuid"}, kind) ||
		strings.HasPrefix(kind, "fixed")
}

// rows reads a file of deletions. cells are the numbers of the columns with these IDs.
func (r *deletionReader) rows(ctx context.Context, d *iceberg.DeleteFile, ids []int, use func(row parquet.Row, cells []int) error) (err error) {
	f := &file{key: d.Path, size: d.Size}
	body, _, err := r.source.storage.Open(ctx, d.Path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", d.Path, err)
	}
	defer body.Close()
	sum := newHashing(ctx, f.bounded(body))
	local, err := r.source.local(body, sum)
	if err != nil {
		return fmt.Errorf("reading %s: %w", d.Path, err)
	}
	defer local.Close()
	if err := r.source.compare(d.Path, f, sum); err != nil {
		return err
	}
	if err := guarded(func() error { return eachParquet(ctx, local, d.Size, d.Rows, ids, use) }); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	return nil
}

// eachParquet goes through the rows of a file of deletions.
func eachParquet(ctx context.Context, local *os.File, size, want int64, ids []int, use func(parquet.Row, []int) error) error {
	f, err := columnar.OpenParquet(local, size, false)
	if err != nil {
		return err
	}
	cells := make([]int, len(ids))
	for i, id := range ids {
		n := slices.IndexFunc(f.Root().Columns(), func(c *parquet.Column) bool { return c.ID() == id && c.Leaf() && !c.Repeated() })
		if n < 0 {
			return fmt.Errorf("it has no column with the ID %d", id)
		}
		cells[i] = int(f.Root().Columns()[n].Index())
	}
	read := int64(0)
	buf := make([]parquet.Row, 256)
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				if err := use(row, cells); err != nil {
					return errors.Join(err, rows.Close())
				}
			}
			if read += int64(n); read > want {
				return errors.Join(fmt.Errorf("it has more than the %d rows that its manifest says", want), rows.Close())
			}
			if err == io.EOF {
				break
			}
			if err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err(), rows.Close())
			}
		}
		if err := rows.Close(); err != nil {
			return err
		}
	}
	if read != want {
		return fmt.Errorf("it has %d rows, and its manifest says %d", read, want)
	}
	return nil
}
