package inventory

import (
	"bytes"
	"compress/flate"
	"slices"
	"testing"

	"github.com/scritchley/orc/proto"
	gproto "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/resealhq/reseal/planner/inventory/columnar"
)

// orcParts make an ORC file by hand, so that it can lie.
type orcParts struct {
	codec    proto.CompressionKind
	types    []*proto.Type
	data     []byte // of the only stripe
	streams  []*proto.Stream
	encoding proto.ColumnEncoding_Kind
	rows     uint64
	footer   []byte // in place of what is made
	change   func(*proto.StripeInformation)
}

func protobuf(t testing.TB, m protoadapt.MessageV1) []byte {
	t.Helper()
	b, err := gproto.Marshal(protoadapt.MessageV2Of(m))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packed is one chunk.
func packedChunk(t testing.TB, codec proto.CompressionKind, b []byte, original bool) []byte {
	t.Helper()
	if codec == proto.CompressionKind_NONE {
		return b
	}
	h := len(b) << 1
	if original {
		h |= 1
	}
	return append([]byte{byte(h), byte(h >> 8), byte(h >> 16)}, b...)
}

func deflated(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, flate.BestCompression)
	if _, err := z.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func orcType(kind proto.Type_Kind, names []string, parts ...uint32) *proto.Type {
	return &proto.Type{Kind: &kind, FieldNames: names, Subtypes: parts}
}

func orcStream(column uint32, kind proto.Stream_Kind, n int) *proto.Stream {
	return &proto.Stream{Column: gproto.Uint32(column), Kind: &kind, Length: gproto.Uint64(uint64(n))}
}

func (p orcParts) file(t testing.TB) []byte {
	t.Helper()
	file := append([]byte("ORC"), p.data...)
	var columns []*proto.ColumnEncoding
	for range p.types {
		columns = append(columns, &proto.ColumnEncoding{Kind: &p.encoding})
	}
	stripeFooter := packedChunk(t, p.codec, protobuf(t, &proto.StripeFooter{Streams: p.streams, Columns: columns}), true)
	stripe := &proto.StripeInformation{Offset: gproto.Uint64(3), IndexLength: gproto.Uint64(0), DataLength: gproto.Uint64(uint64(len(p.data))),
		FooterLength: gproto.Uint64(uint64(len(stripeFooter))), NumberOfRows: &p.rows}
	if p.change != nil {
		p.change(stripe)
	}
	file = append(file, stripeFooter...)
	footer := p.footer
	if footer == nil {
		footer = packedChunk(t, p.codec, protobuf(t, &proto.Footer{Types: p.types, Stripes: []*proto.StripeInformation{stripe}, NumberOfRows: &p.rows}), true)
	}
	file = append(file, footer...)
	ps := protobuf(t, &proto.PostScript{FooterLength: gproto.Uint64(uint64(len(footer))), Compression: &p.codec, MetadataLength: gproto.Uint64(0), Magic: gproto.String("ORC")})
	return append(append(file, ps...), byte(len(ps)))
}

// TestORCBombs: what claims more than is there, unpacks to far more, or contains itself is
// refused before the library follows it.
func TestORCBombs(t *testing.T) {
	plain := []*proto.Type{orcType(proto.Type_STRUCT, []string{"bucket", "key"}, 1, 2), orcType(proto.Type_STRING, nil), orcType(proto.Type_STRING, nil)}
	// Two rows: src a, src b; lengths by a run of version 1: two more than the head says.
	data := []byte("srcsrc" + "ab")
	lengths := func(n ...byte) []byte { return append([]byte{0xfe}, n...) } // two literals
	honest := func(change func(*orcParts)) []byte {
		key := lengths(1, 1)
		p := orcParts{types: plain, data: slices.Concat(data, lengths(3, 3), key), rows: 2, streams: []*proto.Stream{
			orcStream(1, proto.Stream_DATA, 6), orcStream(2, proto.Stream_DATA, 2), orcStream(1, proto.Stream_LENGTH, 3), orcStream(2, proto.Stream_LENGTH, 3)}}
		if change != nil {
			change(&p)
		}
		return p.file(t)
	}
	s := &Source{bucket: "src", format: ORC}
	if n, err := s.countRows(honest(nil)); n != 2 || err != nil {
		t.Errorf("an honest file: %d rows, %v", n, err)
	}
	big := packedChunk(t, proto.CompressionKind_ZLIB, deflated(t, 8<<20), false)
	for _, tc := range []struct {
		what string
		data []byte
		want string
	}{
		{"types that contain themselves", honest(func(p *orcParts) {
			p.types = []*proto.Type{plain[0], plain[1], orcType(proto.Type_LIST, nil, 2)}
		}), "contain each other"},
		{"types that double", honest(func(p *orcParts) {
			p.types = nil
			for i := range uint32(40) {
				p.types = append(p.types, orcType(proto.Type_MAP, nil, i+1, i+1))
			}
			p.types = append(p.types, plain[1])
		}), "contain each other"},
		{"a footer of much more", honest(func(p *orcParts) {
			p.codec, p.footer = proto.CompressionKind_ZLIB, bytes.Repeat(big, columnar.MaxFooter/(8<<20)+1)
		}), "unpacks to more"},
		{"a stripe of much more", honest(func(p *orcParts) {
			p.codec, p.data = proto.CompressionKind_ZLIB, bytes.Repeat(big, columnar.MaxUnpacked/(8<<20)+1)
			p.streams = []*proto.Stream{orcStream(2, proto.Stream_DATA, len(p.data))}
		}), "unpacks to more"},
		{"a text of 35 TB", honest(func(p *orcParts) {
			long := lengths(1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 8)
			p.data = slices.Concat(data, lengths(3, 3), long)
			p.streams[3] = orcStream(2, proto.Stream_LENGTH, len(long))
		}), "less than the lengths"},
		{"a dictionary of very many", honest(func(p *orcParts) {
			words := bytes.Repeat([]byte{127, 0, 0}, columnar.MaxWords/130+1)
			p.encoding, p.data = proto.ColumnEncoding_DICTIONARY, words
			p.streams = []*proto.Stream{orcStream(2, proto.Stream_LENGTH, len(words))}
		}), "more than 16777216 words"},
		{"a stripe of milliards", honest(func(p *orcParts) { p.rows = 1 << 40 }), "rows"},
		{"a stripe elsewhere", honest(func(p *orcParts) {
			p.change = func(s *proto.StripeInformation) { s.FooterLength = gproto.Uint64(1 << 62) }
		}), "outside of the file"},
		{"a key that is a list", honest(func(p *orcParts) {
			p.types = []*proto.Type{plain[0], plain[1], orcType(proto.Type_LIST, nil, 3), plain[1]}
		}), "no plain column"},
		{"bytes behind what was packed", honest(func(p *orcParts) {
			p.codec = proto.CompressionKind_ZLIB
			p.data = packedChunk(t, p.codec, append(deflated(t, 10), 1, 2, 3), false)
			p.streams = []*proto.Stream{orcStream(2, proto.Stream_DATA, len(p.data))}
		}), "damaged"},
	} {
		t.Run(tc.what, func(t *testing.T) { refusedCheaply(t, ORC, tc.data, tc.want) })
	}
}
