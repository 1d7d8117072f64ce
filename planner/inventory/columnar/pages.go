package columnar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The library makes room for what a footer and the headers of pages of a Parquet file claim.
// The bounds are far above what honest writers do: pages of theirs have a megabyte, footers a few.
const (
	// MaxFooter is how many bytes a footer may have, unpacked, of ORC as well.
	MaxFooter = 64 << 20

	maxElements   = 1 << 19 // of all lists of a footer: 26 columns in 3,000 row groups
	maxColumns    = 4096
	maxHeld       = 512 << 20 // of one row group: a page and the dictionary of each column
	maxPageHeader = 1 << 20
	valueTakes    = 8       // two levels, an index or an offset
	leastText     = 1 << 20 // a page may be as long, whatever it says
)

var errPage = errors.New("a page is damaged")

// checkFooter looks at the footer of a Parquet file, and at the length of it that the tail
// names, before the library believes them.
func checkFooter(r io.ReaderAt, size int64) error {
	var tail [8]byte
	if size < 12 {
		return errors.New("it is too short")
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil && err != io.EOF {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	switch {
	case string(tail[4:]) != "PAR1":
		return errors.New("it does not end as one")
	case n > size-12:
		return errors.New("its footer is longer than the file")
	case n > MaxFooter:
		return fmt.Errorf("its footer has %d bytes, and %d are the most that is read", n, MaxFooter)
	}
	footer := make([]byte, n)
	if _, err := r.ReadAt(footer, size-8-n); err != nil && err != io.EOF {
		return err
	}
	w := thriftWalk{b: footer, elements: maxElements}
	if err := w.structure(0); err != nil {
		return fmt.Errorf("its footer: %w", err)
	}
	return nil
}

// OpenParquet opens a file whose footer and pages were looked at; the pages of one that
// was read to its end before need no second look.
func OpenParquet(r io.ReaderAt, size int64, known bool) (*parquet.File, error) {
	if err := checkFooter(r, size); err != nil {
		return nil, fmt.Errorf("it is no Parquet file: %w", err)
	}
	f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("it is no Parquet file: %w", err)
	}
	if !known {
		err = checkPages(r, size, f)
	}
	return f, err
}

// checkPages walks through all pages of a file.
func checkPages(r io.ReaderAt, size int64, f *parquet.File) error {
	meta := f.Metadata()
	if len(meta.Schema) > maxColumns {
		return fmt.Errorf("its schema has %d columns, and %d are the most that is read", len(meta.Schema), maxColumns)
	}
	columns := leavesOf(nil, f.Root())
	p := pages{r: r, size: size}
	defer p.close()
	for i := range meta.RowGroups {
		left := int64(maxHeld)
		for j := range meta.RowGroups[i].Columns {
			if j >= len(columns) {
				return fmt.Errorf("row group %d has more columns than the schema", i+1)
			}
			takes, err := p.walk(&meta.RowGroups[i].Columns[j].MetaData, columns[j], left)
			if err != nil {
				return fmt.Errorf("row group %d, column %q: %w", i+1, columns[j].Name(), err)
			}
			left -= takes
		}
	}
	return nil
}

func leavesOf(columns []*parquet.Column, c *parquet.Column) []*parquet.Column {
	if c.Leaf() {
		return append(columns, c)
	}
	for _, part := range c.Columns() {
		columns = leavesOf(columns, part)
	}
	return columns
}

// pages walks through those of one column after another.
type pages struct {
	r    io.ReaderAt
	size int64

	column *format.ColumnMetaData
	levels [2]int // the bits of a repetition level and of a definition level
	most   int64  // that one page and the dictionary may take
	page   int64  // what the largest page takes
	dict   int64  // what the largest dictionary takes

	body, text []byte
	unzstd     *zstd.Decoder
}

func (p *pages) close() {
	if p.unzstd != nil {
		p.unzstd.Close()
	}
}

// walk tells what the pages of a column in one row group take in memory.
func (p *pages) walk(c *format.ColumnMetaData, of *parquet.Column, most int64) (takes int64, err error) {
	p.column, p.most, p.page, p.dict = c, most, 0, 0
	p.levels = [2]int{bits.Len(uint(of.MaxRepetitionLevel())), bits.Len(uint(of.MaxDefinitionLevel()))}
	from, n := c.DataPageOffset, c.TotalCompressedSize
	if c.DictionaryPageOffset != 0 {
		from = c.DictionaryPageOffset
	}
	if from < 0 || n < 0 || from > p.size || n > p.size-from {
		return 0, errors.New("its pages lie outside of the file")
	}
	begins := n == 0 // the data begins where the footer says: the library goes there
	for at, end := from, from+n; at < end; {
		begins = begins || at == c.DataPageOffset
		h, length, err := p.header(at, end)
		if err != nil {
			return 0, err
		}
		at += length
		if h.CompressedPageSize < 0 || h.UncompressedPageSize < 0 || int64(h.CompressedPageSize) > end-at {
			return 0, errors.New("a page is larger than what is there of it")
		}
		if err := p.check(h, at); err != nil {
			return 0, err
		}
		at += int64(h.CompressedPageSize)
	}
	if !begins {
		return 0, errors.New("no page begins where the footer says")
	}
	return p.page + p.dict, nil
}

// header reads that of the page at a place, and tells its length.
func (p *pages) header(at, end int64) (*format.PageHeader, int64, error) {
	for room := int64(4 << 10); ; room *= 16 {
		p.body = slices.Grow(p.body[:0], int(min(room, end-at)))[:min(room, end-at)]
		if _, err := p.r.ReadAt(p.body, at); err != nil && err != io.EOF {
			return nil, 0, err
		}
		w := thriftWalk{b: p.body, elements: maxElements}
		err := w.structure(0)
		if err == errThriftShort && room < maxPageHeader && room < end-at {
			continue
		}
		h := new(format.PageHeader)
		if err == nil {
			err = thrift.Unmarshal(&thrift.CompactProtocol{}, p.body[:w.at], h)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("the header of a page: %w", err)
		}
		return h, int64(w.at), nil
	}
}

// check looks at what one page takes in memory, and reads it to see that it takes no
// more than it says.
func (p *pages) check(h *format.PageHeader, at int64) error {
	var values, repeats, defines int64
	encoding, v2, compressed := format.Plain, h.Type == format.DataPageV2, true
	switch {
	case v2:
		d := &h.DataPageHeaderV2.V
		values, encoding, compressed = int64(d.NumValues), d.Encoding, !d.IsCompressed.Valid || d.IsCompressed.V
		repeats, defines = int64(d.RepetitionLevelsByteLength), int64(d.DefinitionLevelsByteLength)
	case h.Type == format.DataPage:
		values, encoding = int64(h.DataPageHeader.V.NumValues), h.DataPageHeader.V.Encoding
	case h.Type == format.DictionaryPage:
		values = int64(h.DictionaryPageHeader.V.NumValues)
	default:
		return fmt.Errorf("a page of the kind %s is not known", h.Type)
	}
	if n := int64(h.CompressedPageSize); values < 0 || repeats < 0 || defines < 0 || repeats > n || defines > n-repeats {
		return errPage
	}
	takes := int64(h.CompressedPageSize) + int64(h.UncompressedPageSize) + valueTakes*values
	if takes > p.most {
		return fmt.Errorf("a page of %d values and %d bytes takes more memory than the %d MiB that a row group may", values, h.UncompressedPageSize, maxHeld>>20)
	}
	p.body = slices.Grow(p.body[:0], int(h.CompressedPageSize))[:h.CompressedPageSize]
	if _, err := p.r.ReadAt(p.body, at); err != nil && err != io.EOF {
		return err
	}
	text, err := p.body[repeats+defines:], error(nil)
	if compressed {
		if text, err = p.decompress(text, max(int64(h.UncompressedPageSize), leastText)); err != nil {
			return err
		}
	}
	switch {
	case v2:
		err = checkLevels(p.levels, p.body[:repeats], p.body[repeats:repeats+defines], values)
	case h.Type == format.DataPage:
		text, err = p.levelsV1(&h.DataPageHeader.V, text, values)
	}
	if err != nil {
		return err
	}
	more, err := expands(encoding, text, values)
	if err != nil {
		return err
	}
	takes += more + max(0, int64(len(text))-int64(h.UncompressedPageSize))
	if h.Type == format.DictionaryPage {
		p.dict = max(p.dict, takes)
	} else {
		p.page = max(p.page, takes)
	}
	if p.dict+p.page > p.most {
		return fmt.Errorf("its pages take more memory than the %d MiB that a row group may", maxHeld>>20)
	}
	return nil
}
