package columnar

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// maxPadding is how many values more than a page has may stand in its runs, which come
// in eights.
const maxPadding = 1024

var errTooLong = errors.New("a page has more bytes than it says")

// decompress gives what a page holds, up to a length. It is valid until the next call.
func (p *pages) decompress(body []byte, most int64) ([]byte, error) {
	var r io.Reader
	switch codec := p.column.Codec; codec {
	case format.Uncompressed:
		return body, nil
	case format.Snappy:
		n, err := snappy.DecodedLen(body)
		if err == nil && int64(n) > most {
			err = errTooLong
		}
		if err == nil {
			p.text, err = snappy.Decode(p.text[:cap(p.text)], body)
		}
		return p.text, err
	case format.Lz4Raw:
		if int64(cap(p.text)) < most {
			p.text = make([]byte, most)
		}
		n, err := lz4.UncompressBlock(body, p.text[:most])
		if err != nil {
			return nil, fmt.Errorf("a page is damaged, or has more bytes than it says: %w", err)
		}
		return p.text[:n], nil
	case format.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r = z
	case format.Brotli:
		r = brotli.NewReader(bytes.NewReader(body))
	case format.Zstd:
		if p.unzstd == nil {
			var err error
			if p.unzstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)); err != nil {
				return nil, err
			}
		}
		if err := p.unzstd.Reset(bytes.NewReader(body)); err != nil {
			return nil, err
		}
		r = p.unzstd
	default:
		return nil, fmt.Errorf("its compression %s is not known", codec)
	}
	text := bytes.NewBuffer(slices.Grow(p.text[:0], int(most)+bytes.MinRead))
	n, err := io.Copy(text, io.LimitReader(r, most+1))
	p.text = text.Bytes()
	if err == nil && n > most {
		err = errTooLong
	}
	return p.text, err
}

// levelsV1 checks the levels before the values of a data page, and passes over them.
func (p *pages) levelsV1(h *format.DataPageHeader, text []byte, values int64) ([]byte, error) {
	for i, encoding := range []format.Encoding{h.RepetitionLevelEncoding, h.DefinitionLevelEncoding} {
		if p.levels[i] == 0 {
			continue
		}
		if len(text) < 4 || uint64(binary.LittleEndian.Uint32(text)) > uint64(len(text)-4) {
			return nil, errPage
		}
		n := int(binary.LittleEndian.Uint32(text))
		if encoding == format.RLE {
			if err := checkRuns(text[4:4+n], p.levels[i], values); err != nil {
				return nil, err
			}
		}
		text = text[4+n:]
	}
	return text, nil
}

func checkLevels(levels [2]int, repeats, defines []byte, values int64) error {
	if levels[0] > 0 {
		if err := checkRuns(repeats, levels[0], values); err != nil {
			return err
		}
	}
	if levels[1] > 0 {
		return checkRuns(defines, levels[1], values)
	}
	return nil
}

// checkRuns looks whether runs of values hold more than there are: one of a few bytes may
// claim two milliards.
func checkRuns(b []byte, width int, values int64) error {
	for n := int64(0); len(b) > 0; {
		head, k := binary.Uvarint(b)
		if k <= 0 || head>>1 > 1<<31 {
			return errPage
		}
		b = b[k:]
		count, length := int64(head>>1), int64((width+7)/8)
		if head&1 != 0 {
			count, length = 8*count, count*int64(width)
		}
		if n += count; n > values+maxPadding {
			return errors.New("a page holds more values than it says")
		}
		b = b[min(length, int64(len(b))):]
	}
	return nil
}

// plainDictionary is what writers of old call RLEDictionary.
const plainDictionary = format.Encoding(2)

// expands tells how many bytes more than the text the values of an encoding take.
func expands(encoding format.Encoding, text []byte, values int64) (int64, error) {
	switch encoding {
	case plainDictionary, format.RLEDictionary:
		if len(text) == 0 || text[0] > 32 {
			return 0, nil // the library says what is wrong with it
		}
		return 0, checkRuns(text[1:], int(text[0]), values)
	case format.RLE:
		if len(text) < 4 || uint64(binary.LittleEndian.Uint32(text)) > uint64(len(text)-4) {
			return 0, nil
		}
		return 0, checkRuns(text[4:4+binary.LittleEndian.Uint32(text)], 1, values)
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray:
		_, err := deltas(text, values)
		return 0, err
	case format.DeltaByteArray:
		return prefixes(text, values)
	}
	return 0, nil
}

// prefixes are as many bytes as values share with the one before each.
func prefixes(text []byte, values int64) (sum int64, err error) {
	rest, err := deltas(text, values)
	if err == nil {
		_, err = deltas(rest, values) // of the suffixes
	}
	if err != nil {
		return 0, err
	}
	lengths, err := new(delta.BinaryPackedEncoding).DecodeInt32(nil, text[:len(text)-len(rest)])
	for _, n := range lengths {
		sum += int64(max(0, n))
	}
	return sum, err
}

// deltas passes over one run of packed differences, whose head must not claim more values
// than there are.
func deltas(b []byte, values int64) (rest []byte, err error) {
	var head [3]uint64
	for i := range head {
		var n int
		if head[i], n = binary.Uvarint(b); n <= 0 {
			return nil, errPage
		}
		b = b[n:]
	}
	block, parts, left := head[0], head[1], head[2]
	_, n := binary.Uvarint(b) // the first value
	switch {
	case n <= 0 || block == 0 || block > 1<<16 || parts == 0 || parts > block:
		return nil, errPage
	case left > uint64(values):
		return nil, errors.New("a page holds more values than it says")
	}
	b = b[n:]
	for left = max(left, 1) - 1; left > 0; {
		_, n := binary.Uvarint(b) // the least difference
		if n <= 0 || uint64(len(b)-n) < parts {
			return nil, errPage
		}
		widths := b[n : n+int(parts)]
		b = b[n+int(parts):]
		for _, width := range widths {
			if left == 0 {
				break
			}
			b = b[min(uint64(len(b)), block/parts*uint64(width)/8):]
			left -= min(left, block/parts)
		}
	}
	return b, nil
}
