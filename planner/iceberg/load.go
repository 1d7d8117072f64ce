package iceberg

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Open streams a file of the table. Safe for concurrent use.
type Open func(ctx context.Context, uri string) (io.ReadCloser, error)

// Table is one snapshot of a table.
type Table struct {
	Snapshot int64
	Created  time.Time
	Fields   []Field
	Files    []DataFile
	// Positions are files that name deleted rows by data file and row: one applies to
	// rows of data files up to its own Sequence that have no Vector. Equality are files
	// that name them by the values of columns.
	Positions, Equality []DeleteFile
}

// DataFile is a Parquet file of rows.
type DataFile struct {
	Path       string
	Size, Rows int64
	Sequence   int64
	// Vector, where set, tells all of its rows that were deleted by their number.
	Vector *DeleteFile
	// scope is its partition; see DeleteFile.Hits.
	scope string
}

// DeleteFile is a file of deletions.
type DeleteFile struct {
	Path           string
	Size, Rows     int64
	Sequence       int64
	Offset, Length int64 // of the vector within a Puffin file
	// Fields are the IDs of the columns that a deletion by values is about.
	Fields []int
	of     string // the data file that a vector is about
	scope  string // the partition that it is about; empty for the whole table
}

// Hits says whether a deletion by values is about rows of a data file.
func (d *DeleteFile) Hits(f *DataFile) bool {
	return f.Sequence < d.Sequence && (d.scope == "" || d.scope == f.scope)
}

// The kinds of manifests and of files, and the states of an entry.
const (
	contentData, contentPositions, contentEquality = 0, 1, 2
	statusExisting, statusAdded, statusDeleted     = 0, 1, 2
)

// The bounds of the memory for what a snapshot is made of.
const (
	maxFiles     = 5_000_000
	maxManifests = 1_000_000
	maxPaths     = 2 << 30 // bytes
)

// Load reads what one snapshot is made of, the current one where snapshot is 0.
func Load(ctx context.Context, data []byte, snapshot int64, open Open) (*Table, error) {
	m, err := parse(data)
	if err != nil {
		return nil, err
	}
	s, err := m.snapshot(snapshot)
	if err != nil {
		return nil, err
	}
	l := &loader{metadata: m, open: open, table: &Table{Snapshot: s.ID, Created: s.time()}}
	if l.table.Fields, err = m.fields(); err != nil {
		return nil, err
	}
	var manifests []listed
	if err := each(ctx, open, s.List, -1, wantedOfList, func(r record) error {
		m, err := listedOf(r)
		if manifests = append(manifests, m); err == nil && len(manifests) > maxManifests {
			err = fmt.Errorf("it names more than %d manifests", maxManifests)
		}
		return err
	}); err != nil {
		return nil, err
	}
	for i := range manifests {
		if err := l.manifest(ctx, &manifests[i]); err != nil {
			return nil, err
		}
	}
	if err := l.once(); err != nil {
		return nil, err
	}
	return l.table, l.vectorsOfFiles()
}

type loader struct {
	*metadata
	open    Open
	table   *Table
	vectors []DeleteFile
	paths   int // bytes
}

func (l *loader) manifest(ctx context.Context, m *listed) error {
	partitioned, err := l.partitioned(m.Spec)
	if err != nil {
		return err
	}
	if m.Content != contentData && m.Content != 1 { // 1 are all kinds of deletions
		return fmt.Errorf("%s: a manifest of the kind %d is not known", m.Path, m.Content)
	}
	want := wantedOfDeletions
	if m.Content == contentData {
		want = wantedOfData
	}
	return each(ctx, l.open, m.Path, m.Length, want, func(r record) error {
		e, err := entryOf(r)
		if err != nil {
			return err
		}
		f := &e.File
		switch {
		case e.Status == statusDeleted:
			return nil
		case e.Status != statusExisting && e.Status != statusAdded:
			return fmt.Errorf("the entry of %s has the status %d, which is not known", f.Path, e.Status)
		case (f.Content == contentData) != (m.Content == contentData):
			return fmt.Errorf("%s does not belong into a manifest of this kind", f.Path)
		case f.Path == "" || f.Rows < 0 || f.Size < 0:
			return fmt.Errorf("the entry of %q is not whole", f.Path)
		}
		sequence := m.Sequence // of an entry that was added with its manifest
		switch {
		case e.Sequence != nil:
			sequence = *e.Sequence
		case e.Status == statusExisting && l.Version > 1:
			return fmt.Errorf("the entry of %s has no sequence number", f.Path)
		}
		scope := ""
		if partitioned {
			values, err := canonical(f.Partition)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", m.Spec, values))
			scope = string(sum[:])
		}
		return l.add(&e, sequence, scope)
	})
}

// add takes in one file.
func (l *loader) add(e *entry, sequence int64, scope string) error {
	f, t := &e.File, l.table
	if len(t.Files)+len(t.Positions)+len(t.Equality)+len(l.vectors) >= maxFiles {
		return fmt.Errorf("it has more than %d files", maxFiles)
	}
	if l.paths += len(f.Path); l.paths > maxPaths {
		return fmt.Errorf("the paths of its files have more than %d bytes", maxPaths)
	}
	d := DeleteFile{Path: f.Path, Size: f.Size, Rows: f.Rows, Sequence: sequence, scope: scope}
	switch format := strings.ToUpper(f.Format); {
	case f.Content == contentPositions && format == "PUFFIN":
		if f.Of == nil || f.Offset == nil || f.Length == nil {
			return fmt.Errorf("the deletion vector in %s does not tell whose it is, or where it lies", f.Path)
		}
		d.of, d.Offset, d.Length = *f.Of, *f.Offset, *f.Length
		l.vectors = append(l.vectors, d)
	case format != "PARQUET":
		return fmt.Errorf("%s is a file of the format %q, which is not known", f.Path, f.Format)
	case f.Content == contentData:
		t.Files = append(t.Files, DataFile{Path: f.Path, Size: f.Size, Rows: f.Rows, Sequence: sequence, scope: scope})
	case f.Content == contentPositions:
		t.Positions = append(t.Positions, d)
	case f.Content == contentEquality && len(f.Fields) > 0:
		d.Fields = f.Fields
		t.Equality = append(t.Equality, d)
	default:
		return fmt.Errorf("%s is a file of the kind %d, which is not known", f.Path, f.Content)
	}
	return nil
}

// once refuses a data file that is there twice, since every row of it would be.
func (l *loader) once() error {
	order := make([]int32, len(l.table.Files))
	for i := range order {
		order[i] = int32(i)
	}
	path := func(i int32) string { return l.table.Files[i].Path }
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(path(a), path(b)) })
	for i := 1; i < len(order); i++ {
		if path(order[i]) == path(order[i-1]) {
			return fmt.Errorf("the data file %s is there twice", path(order[i]))
		}
	}
	return nil
}

// vectorsOfFiles gives each data file its deletion vector.
func (l *loader) vectorsOfFiles() error {
	at := make(map[string]*DataFile, len(l.vectors))
	for i := range l.vectors {
		at[l.vectors[i].of] = nil
	}
	for i := range l.table.Files {
		f := &l.table.Files[i]
		if _, wanted := at[f.Path]; wanted {
			at[f.Path] = f
		}
	}
	for i := range l.vectors {
		v := &l.vectors[i]
		f := at[v.of]
		switch {
		case f == nil || f.Sequence > v.Sequence: // of a file that is gone, or older than the file
		case f.Vector != nil:
			return fmt.Errorf("the data file %s has two deletion vectors", f.Path)
		default:
			f.Vector = v
		}
	}
	return nil
}

// counted counts what was read.
type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}
