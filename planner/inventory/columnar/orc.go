package columnar

import (
	"errors"
	"fmt"
	"io"

	"github.com/scritchley/orc"
	"github.com/scritchley/orc/proto"
	gproto "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// The library unpacks footers and whole stripes of an ORC file before it looks at them,
// follows types that contain themselves, and makes room for a text as long as its length
// says. The bounds are far above what honest writers do: their stripes have 64 MB, or 256.
const (
	// MaxUnpacked is how many bytes a stripe may have in the columns that are read.
	MaxUnpacked = 512 << 20
	// MaxWords is how many a dictionary may have.
	MaxWords = 1 << 24

	maxStripeFooter = 16 << 20
	maxStripeRows   = 1 << 27
)

var (
	errORC     = errors.New("it is damaged")
	errUnpacks = errors.New("it unpacks to more than is read")
)

// ORC looks at the parts of an ORC file before the library does.
type ORC struct {
	r      io.ReaderAt
	size   int64
	codec  proto.CompressionKind
	footer *proto.Footer
	// names are those of the columns that are read, by the numbers that the library gives
	// them; wanted says of each whether its values have lengths.
	names  map[uint32]string
	wanted map[uint32]bool
}

// OpenORC opens a file, everything before whose stripes was looked at.
func OpenORC(r io.ReaderAt, size int64) (*orc.Reader, *ORC, error) {
	look, err := lookAtORC(r, size)
	var reader *orc.Reader
	if err == nil {
		reader, err = orc.NewReader(io.NewSectionReader(r, 0, size))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("it is no ORC file: %w", err)
	}
	return reader, look, nil
}

// lookAtORC looks at everything before the stripes.
func lookAtORC(r io.ReaderAt, size int64) (*ORC, error) {
	if size < 4 {
		return nil, errors.New("it is too short")
	}
	tail := make([]byte, min(size, 257))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return nil, err
	}
	n := int(tail[len(tail)-1])
	if n > len(tail)-1 {
		return nil, errors.New("its postscript is longer than the file")
	}
	var ps proto.PostScript
	if err := unmarshal(tail[len(tail)-1-n:len(tail)-1], &ps); err != nil {
		return nil, errors.New("its postscript is damaged")
	}
	if room := uint64(size) - 1 - uint64(n); ps.GetFooterLength() > room || ps.GetMetadataLength() > room-ps.GetFooterLength() {
		return nil, errors.New("its footer is longer than the file")
	}
	l := &ORC{r: r, size: size, codec: ps.GetCompression(), footer: new(proto.Footer), names: map[uint32]string{}, wanted: map[uint32]bool{}}
	footer, metadata := int64(ps.GetFooterLength()), int64(ps.GetMetadataLength())
	at := size - 1 - int64(n) - footer
	b, err := l.unpack(at, footer, MaxFooter)
	if err == nil {
		err = unmarshal(b, l.footer)
	}
	if err != nil {
		return nil, fmt.Errorf("its footer: %w", err)
	}
	if _, err := l.unpack(at-metadata, metadata, MaxFooter); err != nil {
		return nil, fmt.Errorf("its metadata: %w", err)
	}
	return l, l.checkTypes()
}

// checkTypes sees that each type but the first is part of one before it, and of no other.
func (l *ORC) checkTypes() error {
	types := l.footer.GetTypes()
	if len(types) == 0 || len(types) > maxColumns {
		return fmt.Errorf("its footer names %d types, and 1 to %d are read", len(types), maxColumns)
	}
	part := make([]bool, len(types))
	for i, t := range types {
		for _, sub := range t.GetSubtypes() {
			if int64(sub) <= int64(i) || int(sub) >= len(types) || part[sub] {
				return errors.New("its types contain each other")
			}
			part[sub] = true
		}
	}
	return nil
}

// Want says which columns are read. One whose values have parts is none of a report's.
func (l *ORC) Want(reads func(name string) bool) error {
	types := l.footer.GetTypes()
	number := uint32(1)
	for i, sub := range types[0].GetSubtypes() {
		if names := types[0].GetFieldNames(); i < len(names) && reads(names[i]) {
			lengths := false
			switch kind := types[sub].GetKind(); kind {
			case proto.Type_STRING, proto.Type_VARCHAR, proto.Type_CHAR, proto.Type_BINARY:
				lengths = true
			case proto.Type_BOOLEAN, proto.Type_BYTE, proto.Type_SHORT, proto.Type_INT, proto.Type_LONG, proto.Type_TIMESTAMP, proto.Type_DATE,
				proto.Type_FLOAT, proto.Type_DOUBLE:
			default:
				return fmt.Errorf("its column %q is no plain column", names[i])
			}
			l.names[number], l.wanted[number] = names[i], lengths
		}
		number += l.parts(sub)
	}
	return nil
}

// parts counts a type and all that it contains.
func (l *ORC) parts(of uint32) (n uint32) {
	for _, sub := range l.footer.GetTypes()[of].GetSubtypes() {
		n += l.parts(sub)
	}
	return n + 1
}

// unmarshal reads one of the library's messages, which are of the older kind.
func unmarshal(b []byte, m protoadapt.MessageV1) error {
	return gproto.Unmarshal(b, protoadapt.MessageV2Of(m))
}
