package iceberg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
)

// Rows are numbers of rows. The zero value holds none; memory grows with the highest number
// of a stretch of 65,536, by a bit each.
type Rows struct {
	chunks map[uint64]*[1024]uint64
	n      int64
}

// Add takes one in, and says whether that took more memory.
func (r *Rows) Add(row uint64) (grew bool) {
	before := len(r.chunks)
	c := r.chunk(row >> 16)
	word, bit := row>>6&1023, uint64(1)<<(row&63)
	if c[word]&bit == 0 {
		c[word] |= bit
		r.n++
	}
	return len(r.chunks) > before
}

// Stretch is how much memory, in bytes, a stretch of rows takes that has any.
const Stretch = 8 << 10

// Bytes is how much memory they take.
func (r *Rows) Bytes() int64 {
	if r == nil {
		return 0
	}
	return int64(len(r.chunks)) * Stretch
}

func (r *Rows) chunk(high uint64) *[1024]uint64 {
	if r.chunks == nil {
		r.chunks = map[uint64]*[1024]uint64{}
	}
	c := r.chunks[high]
	if c == nil {
		c = new([1024]uint64)
		r.chunks[high] = c
	}
	return c
}

// Has says whether one is there. A nil *Rows holds none.
func (r *Rows) Has(row uint64) bool {
	if r == nil {
		return false
	}
	c := r.chunks[row>>16]
	return c != nil && c[row>>6&1023]&(1<<(row&63)) != 0
}

// Or holds what either holds.
func (r *Rows) Or(o *Rows) *Rows {
	out := &Rows{}
	for _, from := range []*Rows{r, o} {
		if from == nil {
			continue
		}
		for high, c := range from.chunks {
			into := out.chunk(high)
			for i, word := range c {
				out.n += int64(bits.OnesCount64(word &^ into[i]))
				into[i] |= word
			}
		}
	}
	return out
}

// Len is how many there are.
func (r *Rows) Len() int64 {
	if r == nil {
		return 0
	}
	return r.n
}

// maxVector bounds a deletion vector in bytes, maxUnpacked what it is in memory: ten bytes
// of it can be a stretch.
const maxVector, maxUnpacked = 64 << 20, 512 << 20

var vectorMagic = []byte{0xd1, 0xd3, 0x39, 0x64}

// Vector reads the deletion vector of a data file that has so many rows out of the Puffin
// file.
func (d *DeleteFile) Vector(puffin io.Reader, rows int64) (*Rows, error) {
	if d.Offset < 0 || d.Length < 12 || d.Length > maxVector {
		return nil, fmt.Errorf("a deletion vector of %d bytes at %d cannot be read", d.Length, d.Offset)
	}
	if _, err := io.CopyN(io.Discard, puffin, d.Offset); err != nil {
		return nil, fmt.Errorf("the file ends before its deletion vector: %w", err)
	}
	blob := make([]byte, d.Length)
	if _, err := io.ReadFull(puffin, blob); err != nil {
		return nil, fmt.Errorf("the file ends within its deletion vector: %w", err)
	}
	body, sum := blob[4:len(blob)-4], binary.BigEndian.Uint32(blob[len(blob)-4:])
	switch {
	case int64(binary.BigEndian.Uint32(blob)) != int64(len(body)) || string(body[:4]) != string(vectorMagic):
		return nil, errors.New("it is no deletion vector")
	case crc32.ChecksumIEEE(body) != sum:
		return nil, errors.New("the deletion vector has another checksum than stands beside it")
	}
	r, err := decodeRows(body[4:], uint64(rows), d.Rows)
	if err == nil && r.Len() != d.Rows {
		err = fmt.Errorf("the deletion vector has %d rows, and its manifest says %d", r.Len(), d.Rows)
	}
	return r, err
}

var errVector = errors.New("the deletion vector is damaged")

// decodeRows reads a 64-bit roaring bitmap in its portable form: the number of 32-bit ones,
// and each with the upper half of its numbers. All of it ascends, so that no byte of it is
// work for more than a stretch. want is how many rows there should be.
func decodeRows(b []byte, limit uint64, want int64) (*Rows, error) {
	if len(b) < 8 {
		return nil, errVector
	}
	count := binary.LittleEndian.Uint64(b)
	b = b[8:]
	r := &reading{Rows: &Rows{}, limit: limit, want: want}
	for last := int64(-1); count > 0; count-- {
		if len(b) < 4 || int64(binary.LittleEndian.Uint32(b)) <= last {
			return nil, errVector
		}
		last = int64(binary.LittleEndian.Uint32(b))
		rest, err := r.add32(b[4:], uint64(last)<<32)
		if err != nil {
			return nil, err
		}
		b = rest
	}
	if len(b) != 0 {
		return nil, errVector
	}
	return r.Rows, nil
}

// reading takes in a vector of a data file with as many rows as its limit.
type reading struct {
	*Rows
	limit uint64
	want  int64
}

// The first words of a 32-bit roaring bitmap: without runs, and with.
const plainCookie, runCookie = 12346, 12347

// add32 takes in a 32-bit roaring bitmap and gives what follows it.
func (r *reading) add32(b []byte, high uint64) (rest []byte, err error) {
	if len(b) < 8 {
		return nil, errVector
	}
	cookie := binary.LittleEndian.Uint32(b)
	var runs []byte
	n := 0
	switch {
	case cookie == plainCookie:
		n, b = int(binary.LittleEndian.Uint32(b[4:])), b[8:]
	case cookie&0xffff == runCookie:
		n, b = int(cookie>>16)+1, b[4:]
		if len(b) < (n+7)/8 {
			return nil, errVector
		}
		runs, b = b[:(n+7)/8], b[(n+7)/8:]
	default:
		return nil, errVector
	}
	offsets := 0
	if runs == nil || n >= 4 {
		offsets = 4 * n
	}
	if n > 1<<16 || len(b) < 4*n+offsets {
		return nil, errVector
	}
	head := b[:4*n]
	b = b[4*n+offsets:]
	last := -1
	for i := range n {
		key := int(binary.LittleEndian.Uint16(head[4*i:]))
		if key <= last {
			return nil, errVector
		}
		last = key
		size := int(binary.LittleEndian.Uint16(head[4*i+2:])) + 1
		run := runs != nil && runs[i/8]&(1<<(i%8)) != 0
		if b, err = r.container(b, high|uint64(key)<<16, size, run); err != nil {
			return nil, err
		}
		switch {
		case r.n > r.want:
			return nil, fmt.Errorf("the deletion vector has more than the %d rows that its manifest says", r.want)
		case r.Bytes() > maxUnpacked:
			return nil, fmt.Errorf("the deletion vector takes more than %d bytes of memory", maxUnpacked)
		}
	}
	return b, nil
}

// container takes in 65,536 rows at most: as a list, as bits, or as runs.
func (r *reading) container(b []byte, base uint64, size int, run bool) ([]byte, error) {
	add := func(low uint64) error {
		if base|low >= r.limit {
			return fmt.Errorf("the deletion vector names the row %d of a file that has %d", base|low, r.limit)
		}
		r.Add(base | low)
		return nil
	}
	word := func(i int) uint64 { return uint64(binary.LittleEndian.Uint16(b[2*i:])) }
	switch {
	case run:
		if len(b) < 2 || len(b) < 2+4*int(word(0)) {
			return nil, errVector
		}
		n := int(word(0))
		next := uint64(0)
		for i := range n {
			from, to := word(1+2*i), word(1+2*i)+word(2+2*i)
			if from < next || to > 0xffff {
				return nil, errVector
			}
			for low := from; low <= to; low++ {
				if err := add(low); err != nil {
					return nil, err
				}
			}
			next = to + 1
		}
		return b[2+4*n:], nil
	case size <= 4096:
		if len(b) < 2*size {
			return nil, errVector
		}
		for i := range size {
			if err := add(word(i)); err != nil {
				return nil, err
			}
		}
		return b[2*size:], nil
	case len(b) < 8192:
		return nil, errVector
	}
	for i := range 1024 {
		for left := binary.LittleEndian.Uint64(b[8*i:]); left != 0; left &= left - 1 {
			if err := add(uint64(64*i + bits.TrailingZeros64(left))); err != nil {
				return nil, err
			}
		}
	}
	return b[8192:], nil
}
