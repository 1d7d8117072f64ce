// Package csvline splits CSV as S3 writes it (RFC 4180, any line ends) into
// records without copying: inventories have billions of rows, and the fields of
// a row are looked at once. It promises to give each record of the input once
// and whole, or an error with its line; a last record without a line end counts,
// an empty line is no record.
package csvline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxRecord bounds a record in bytes. The longest that S3 writes are inventory
// rows with a key of 3,072 encoded bytes and an ACL.
const MaxRecord = 4 << 20

// maxFields bounds the fields of a record, each of which takes more memory than its bytes.
const maxFields = 1 << 17

const firstBuffer = 256 << 10

// Reader reads records. Not safe for concurrent use.
type Reader struct {
	src        io.Reader
	err        error // of src, once it came
	buf        []byte
	start, end int // of what is not parsed yet
	fields     [][]byte
	line       int // of the record given last
	next       int // line at start
}

// NewReader reads records from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{src: r, buf: make([]byte, firstBuffer), next: 1}
}

// Line is the line on which the last record began, from 1.
func (r *Reader) Line() int { return r.line }

// A SyntaxError is a record that is no CSV.
type SyntaxError struct {
	Line int
	What string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.What) }

// errShort: the record goes on behind the end of the buffer.
var errShort = errors.New("the record is not complete")

// Next gives the fields of the next record; they are valid until the following
// call. The end is io.EOF; every other error is that of the source, or a
// *SyntaxError.
func (r *Reader) Next() ([][]byte, error) {
	for {
		r.passEmpty()
		r.line = r.next
		n, lines, err := r.parse(r.buf[r.start:r.end], r.err == io.EOF)
		switch {
		case err == errShort && r.err == nil:
			if err := r.fill(); err != nil {
				return nil, err
			}
		case err == errShort:
			return nil, r.err
		case err != nil:
			return nil, err
		default:
			r.start += n
			r.next += lines
			if len(r.fields) > 0 {
				return r.fields, nil
			}
		}
	}
}

// passEmpty passes over lines of nothing, of which a small compressed file may hold
// milliards: a record of each would take fifty times as long.
func (r *Reader) passEmpty() {
	b := r.buf[r.start:r.end]
	n := 0
	for ; n < len(b); n++ {
		if b[n] == '\r' && n+1 < len(b) && b[n+1] == '\n' {
			n++
		} else if b[n] != '\n' {
			break
		}
		r.next++
	}
	r.start += n
}

// fill reads more behind what is there.
func (r *Reader) fill() error {
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.start, r.end = 0, r.end-r.start
	}
	if r.end == len(r.buf) {
		if len(r.buf) >= MaxRecord {
			return &SyntaxError{r.next, fmt.Sprintf("a record of more than %d bytes", MaxRecord)}
		}
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	for range 100 {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		r.err = err
		if n > 0 || err != nil {
			return nil
		}
	}
	return io.ErrNoProgress
}

// parse splits the first record of b into fields and tells its length with the
// line end. Nothing of b is changed before the record is seen to be whole.
func (r *Reader) parse(b []byte, last bool) (n, lines int, err error) {
	r.fields = r.fields[:0]
	if len(b) == 0 {
		return 0, 0, errShort
	}
	quoted := false // some field has doubled quotes
	for i := 0; ; {
		if i < len(b) && b[i] == '"' {
			from := i + 1
			to, doubled := closingQuote(b, from)
			if to < 0 {
				if last {
					return 0, 0, &SyntaxError{r.next, "a quoted field does not end"}
				}
				return 0, 0, errShort
			}
			quoted = quoted || doubled
			lines += bytes.Count(b[from:to], newline)
			if r.fields = append(r.fields, b[from:to:to]); len(r.fields) > maxFields {
				return 0, 0, &SyntaxError{r.next, fmt.Sprintf("a record of more than %d fields", maxFields)}
			}
			i = to + 1
		} else {
			to := fieldEnd(b, i)
			if to < 0 {
				if !last {
					return 0, 0, errShort
				}
				to = len(b)
			}
			f := b[i:to:to]
			if bytes.IndexByte(f, '"') >= 0 {
				return 0, 0, &SyntaxError{r.next, "a quote within a field that is not quoted"}
			}
			if r.fields = append(r.fields, f); len(r.fields) > maxFields {
				return 0, 0, &SyntaxError{r.next, fmt.Sprintf("a record of more than %d fields", maxFields)}
			}
			i = to
		}
		switch {
		case i == len(b) && !last:
			return 0, 0, errShort
		case i == len(b):
			return r.finish(i, lines, quoted)
		case b[i] == ',':
			i++
		case b[i] == '\n':
			return r.finish(i+1, lines+1, quoted)
		case b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n':
			return r.finish(i+2, lines+1, quoted)
		case b[i] == '\r' && i+1 == len(b) && !last:
			return 0, 0, errShort
		case b[i] == '\r' && i+1 == len(b):
			return r.finish(i+1, lines, quoted)
		default:
			return 0, 0, &SyntaxError{r.next, "something other than a comma follows a field"}
		}
	}
}

var newline = []byte{'\n'}

func (r *Reader) finish(n, lines int, quoted bool) (int, int, error) {
	if len(r.fields) == 1 && len(r.fields[0]) == 0 {
		r.fields = r.fields[:0] // an empty line
	}
	if quoted {
		for i, f := range r.fields {
			r.fields[i] = undouble(f)
		}
	}
	return n, lines, nil
}

// closingQuote finds the quote that ends a field; negative if it is not there.
func closingQuote(b []byte, i int) (at int, doubled bool) {
	for {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1, doubled
		}
		i += n
		if i+1 == len(b) || b[i+1] != '"' {
			return i, doubled
		}
		doubled = true
		i += 2
	}
}

// fieldEnd finds the end of a field without quotes. A carriage return belongs
// to the line end only directly before it.
func fieldEnd(b []byte, i int) int {
	for ; i < len(b); i++ {
		switch b[i] {
		case ',', '\n':
			return i
		case '\r':
			if i+1 == len(b) || b[i+1] == '\n' {
				return i
			}
		}
	}
	return -1
}

// undouble makes one quote of two, in place.
func undouble(f []byte) []byte {
	if bytes.IndexByte(f, '"') < 0 {
		return f
	}
	to := f[:0]
	for i := 0; i < len(f); i++ {
		to = append(to, f[i])
		if f[i] == '"' {
			i++ // its twin
		}
	}
	return to
}
