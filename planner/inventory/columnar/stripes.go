package columnar

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/snappy"
	"github.com/scritchley/orc"
	"github.com/scritchley/orc/proto"
)

// CheckStripe unpacks what will be read of a stripe, and keeps none of it.
func (l *ORC) CheckStripe(i int) error {
	if i >= len(l.footer.GetStripes()) {
		return nil
	}
	s := l.footer.GetStripes()[i]
	from, index, data, footer := s.GetOffset(), s.GetIndexLength(), s.GetDataLength(), s.GetFooterLength()
	room := uint64(l.size)
	for _, n := range []uint64{from, index, data, footer} {
		if n > room {
			return errors.New("the stripe lies outside of the file")
		}
		room -= n
	}
	if s.GetNumberOfRows() > maxStripeRows {
		return fmt.Errorf("the stripe has %d rows, and %d are the most that is read", s.GetNumberOfRows(), maxStripeRows)
	}
	b, err := l.unpack(int64(from+index+data), int64(footer), maxStripeFooter)
	var f proto.StripeFooter
	if err == nil {
		err = unmarshal(b, &f)
	}
	if err != nil {
		return fmt.Errorf("the footer of the stripe: %w", err)
	}
	texts := map[uint32]*orcTexts{}
	at, left := from, int64(MaxUnpacked)
	for _, stream := range f.GetStreams() {
		n := stream.GetLength()
		if n > uint64(l.size)-at {
			return errors.New("the stripe lies outside of the file")
		}
		if column := stream.GetColumn(); l.names[column] != "" {
			if err := l.checkStream(stream, int64(at), &left, texts); err != nil {
				return fmt.Errorf("its column %q: %w", l.names[column], err)
			}
		}
		at += n
	}
	for column, t := range texts {
		if err := t.check(f.GetColumns(), column, s.GetNumberOfRows()); err != nil {
			return fmt.Errorf("its column %q: %w", l.names[column], err)
		}
	}
	return nil
}

// orcTexts are the streams of a column whose values have lengths.
type orcTexts struct {
	data, words int64
	lengths     []byte
}

func (l *ORC) checkStream(s *proto.Stream, at int64, left *int64, texts map[uint32]*orcTexts) error {
	var to io.Writer = io.Discard
	var kept bytes.Buffer
	isLengths := s.GetKind() == proto.Stream_LENGTH && l.wanted[s.GetColumn()]
	if isLengths {
		to = &kept
	}
	n := *left
	if _, err := l.unpackTo(to, at, int64(s.GetLength()), left); err != nil {
		return err
	}
	n -= *left
	if !l.wanted[s.GetColumn()] {
		return nil
	}
	t := texts[s.GetColumn()]
	if t == nil {
		t = &orcTexts{}
		texts[s.GetColumn()] = t
	}
	switch s.GetKind() {
	case proto.Stream_DATA:
		t.data = n
	case proto.Stream_DICTIONARY_DATA:
		t.words = n
	case proto.Stream_LENGTH:
		t.lengths = kept.Bytes()
	}
	return nil
}

// check adds up the lengths of the texts.
func (t *orcTexts) check(columns []*proto.ColumnEncoding, column uint32, rows uint64) error {
	if int(column) >= len(columns) {
		return nil // the library says so
	}
	var lengths orc.IntegerReader
	there, most := t.data, rows
	switch in := bufio.NewReader(bytes.NewReader(t.lengths)); columns[column].GetKind() {
	case proto.ColumnEncoding_DIRECT:
		lengths = orc.NewRunLengthIntegerReader(in, false)
	case proto.ColumnEncoding_DIRECT_V2:
		lengths = orc.NewRunLengthIntegerReaderV2(in, false, false)
	case proto.ColumnEncoding_DICTIONARY:
		there, most, lengths = t.words, math.MaxUint64, orc.NewRunLengthIntegerReader(in, false)
	default:
		there, most, lengths = t.words, math.MaxUint64, orc.NewRunLengthIntegerReaderV2(in, false, false)
	}
	for n := uint64(0); n < most && lengths.Next(); n++ {
		length := lengths.Int()
		if length < 0 || length > there {
			return errors.New("it holds less than the lengths of its texts say")
		}
		there -= length
		if most == math.MaxUint64 && n >= MaxWords {
			return fmt.Errorf("its dictionary has more than %d words", MaxWords)
		}
	}
	return nil
}

// unpack gives what is there at a place, unpacked, up to a length.
func (l *ORC) unpack(at, n, most int64) ([]byte, error) {
	left := most
	size, err := l.unpackTo(io.Discard, at, n, &left)
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	_, err = l.unpackTo(b, at, n, &most)
	return b.Bytes(), err
}

// unpackTo takes what it writes off what may be left.
func (l *ORC) unpackTo(to io.Writer, at, n int64, left *int64) (written int64, err error) {
	if at < 0 || n < 0 || n > l.size-at {
		return 0, errORC
	}
	in := bufio.NewReaderSize(io.NewSectionReader(l.r, at, n), 64<<10)
	for {
		var r io.Reader = in
		packed := &chunk{in: in}
		if l.codec != proto.CompressionKind_NONE {
			if r, err = l.chunk(packed, *left); err != nil {
				if err == io.EOF {
					err = nil
				}
				return written, err
			}
		}
		k, err := io.Copy(to, io.LimitReader(r, *left+1))
		if written += k; k > *left {
			return written, errUnpacks
		}
		*left -= k
		if err == nil && packed.left > 0 { // the library would take it for another chunk
			err = errORC
		}
		if err != nil || l.codec == proto.CompressionKind_NONE {
			return written, err
		}
	}
}

// chunk is one as it lies, of up to 8 MiB. Of a byte reader flate takes no more than it needs.
type chunk struct {
	in   *bufio.Reader
	left int64
}

func (c *chunk) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.in.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}

func (c *chunk) ReadByte() (byte, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	return c.in.ReadByte()
}

// chunk begins the next one; io.EOF behind the last.
func (l *ORC) chunk(c *chunk, left int64) (io.Reader, error) {
	var head [3]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		if err == io.ErrUnexpectedEOF {
			err = errORC
		}
		return nil, err
	}
	h := int64(head[0]) | int64(head[1])<<8 | int64(head[2])<<16
	c.left = h >> 1
	if h&1 != 0 {
		return c, nil
	}
	switch l.codec {
	case proto.CompressionKind_ZLIB:
		return flate.NewReader(c), nil
	case proto.CompressionKind_SNAPPY:
		packed, err := io.ReadAll(c)
		if err != nil {
			return nil, err
		}
		if n, err := snappy.DecodedLen(packed); err != nil || int64(n) > left {
			return nil, errUnpacks
		}
		text, err := snappy.Decode(nil, packed)
		return bytes.NewReader(text), err
	}
	return nil, fmt.Errorf("its compression %s is not known", l.codec)
}
