package inventory

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// page is one page of a Parquet file: its header, and what follows it.
type page struct {
	header format.PageHeader
	body   []byte
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := thrift.Marshal(&thrift.CompactProtocol{}, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plainText is a data page of texts.
func plainText(texts ...string) page {
	var body []byte
	for _, s := range texts {
		body = append(binary.LittleEndian.AppendUint32(body, uint32(len(s))), s...)
	}
	p := page{body: body}
	p.header.Type = format.DataPage
	p.header.DataPageHeader.Valid = true
	p.header.DataPageHeader.V = format.DataPageHeader{NumValues: int32(len(texts)), Encoding: format.Plain, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE}
	p.header.UncompressedPageSize, p.header.CompressedPageSize = int32(len(body)), int32(len(body))
	return p
}

func required(name string) format.SchemaElement {
	e := format.SchemaElement{Name: name}
	e.Type.V, e.Type.Valid = format.ByteArray, true
	e.RepetitionType.V, e.RepetitionType.Valid = format.Required, true
	return e
}

// craft writes a Parquet file of the columns bucket and key by hand, so that it can lie.
func craft(t testing.TB, codec format.CompressionCodec, rows int64, bucket, key []page) []byte {
	t.Helper()
	file := []byte("PAR1")
	root := format.SchemaElement{Name: "schema"}
	root.NumChildren.V, root.NumChildren.Valid = 2, true
	meta := format.FileMetaData{Version: 1, NumRows: rows, Schema: thrift.Slice[format.SchemaElement]{root, required("bucket"), required("key")}}
	group := format.RowGroup{NumRows: rows}
	for i, pages := range [][]page{bucket, key} {
		c := format.ColumnChunk{}
		c.MetaData.Type = format.ByteArray
		c.MetaData.Encoding = thrift.Slice[format.Encoding]{format.Plain}
		c.MetaData.PathInSchema = thrift.Slice[string]{[]string{"bucket", "key"}[i]}
		c.MetaData.NumValues = rows
		from := int64(len(file))
		c.MetaData.DataPageOffset = from
		if i == 0 {
			c.MetaData.Codec = format.Uncompressed
		} else {
			c.MetaData.Codec = codec
		}
		for j, p := range pages {
			if p.header.Type == format.DictionaryPage {
				c.MetaData.DictionaryPageOffset = int64(len(file))
			} else if j > 0 && pages[j-1].header.Type == format.DictionaryPage {
				c.MetaData.DataPageOffset = int64(len(file))
			}
			file = append(append(file, marshal(t, p.header)...), p.body...)
		}
		c.MetaData.TotalCompressedSize = int64(len(file)) - from
		c.MetaData.TotalUncompressedSize = c.MetaData.TotalCompressedSize
		group.Columns = append(group.Columns, c)
	}
	meta.RowGroups = thrift.Slice[format.RowGroup]{group}
	return withFooter(file, marshal(t, meta))
}

func withFooter(file, footer []byte) []byte {
	file = append(bytes.Clone(file), footer...)
	return append(binary.LittleEndian.AppendUint32(file, uint32(len(footer))), "PAR1"...)
}

// refusedCheaply reads a file whose headers lie: an error, and little memory.
func refusedCheaply(t *testing.T, format Format, data []byte, want string) {
	t.Helper()
	s := &Source{bucket: "src", format: format}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := s.countRows(data)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 48<<20 {
		t.Errorf("%d MB for %d bytes (%v)", used>>20, len(data), err)
	}
}

func zippedZeros(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.CopyN(z, zeros{}, int64(n)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestParquetBombs: a footer or a page that claims what is not there, or unpacks to far
// more than it says, is refused before room is made for it. Some of these ended the
// process: Go cannot recover from a lack of memory.
func TestParquetBombs(t *testing.T) {
	bucket := []page{plainText("src", "src")}
	with := func(change func(p *page)) []page {
		p := plainText("a", "b")
		change(&p)
		return []page{p}
	}
	squeezed := func(body []byte) []page {
		return with(func(p *page) { p.body, p.header.CompressedPageSize = body, int32(len(body)) })
	}
	dictionary := func(values int32, size int32) page {
		p := plainText("a", "b")
		p.header.Type, p.header.DataPageHeader.Valid = format.DictionaryPage, false
		p.header.DictionaryPageHeader.Valid = true
		p.header.DictionaryPageHeader.V = format.DictionaryPageHeader{NumValues: values, Encoding: format.Plain}
		p.header.UncompressedPageSize = size
		return p
	}
	indexed := func(encoding format.Encoding, values int32, body ...byte) page {
		p := page{body: body}
		p.header.Type, p.header.DataPageHeader.Valid = format.DataPage, true
		p.header.DataPageHeader.V = format.DataPageHeader{NumValues: values, Encoding: encoding}
		p.header.UncompressedPageSize, p.header.CompressedPageSize = int32(len(body)), int32(len(body))
		return p
	}
	zstd, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	milliard := binary.AppendUvarint(nil, 1<<30)
	shared := func() []byte { // 100,000 texts of 100,000 bytes each, all but one letter of the one before
		const n = 100_000
		prefix, suffix := make([]int32, n), make([]int32, n)
		for i := range prefix {
			prefix[i] = n
		}
		prefix[0], suffix[0] = 0, n
		var e delta.BinaryPackedEncoding
		b, _ := e.EncodeInt32(nil, prefix)
		c, _ := e.EncodeInt32(nil, suffix)
		return slices.Concat(b, c, make([]byte, n))
	}()
	for _, tc := range []struct {
		what string
		data []byte
		want string
	}{
		{"a schema of two milliards", withFooter([]byte("PAR1"), []byte{0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07}), "footer"},
		{"a text of two milliards", withFooter([]byte("PAR1"), []byte{0x15, 2, 0x68, 0xff, 0xff, 0xff, 0xff, 0x07}), "footer"},
		{"many empty elements", withFooter([]byte("PAR1"), slices.Concat([]byte{0x15, 2, 0x19, 0xfc, 0x80, 0x80, 0x80, 0x01}, make([]byte, 2<<20))), "too many elements"},
		{"structures without end", withFooter([]byte("PAR1"), bytes.Repeat([]byte{0x1c}, 1<<20)), "nested too deep"},
		{"an unpacked size of 2 GiB", craft(t, format.Snappy, 2, bucket, with(func(p *page) { p.header.UncompressedPageSize = 1<<31 - 1 })), "more memory"},
		{"a packed size of 2 GiB", craft(t, format.Snappy, 2, bucket, with(func(p *page) { p.header.CompressedPageSize = 1<<31 - 1 })), "larger than what is there"},
		{"two milliards of values", craft(t, format.Uncompressed, 2, bucket, with(func(p *page) { p.header.DataPageHeader.V.NumValues = 1<<31 - 1 })), "more memory"},
		{"a dictionary of two milliards", craft(t, format.Uncompressed, 2, bucket, []page{dictionary(1<<31-1, 10), indexed(format.RLEDictionary, 2, 1, 4, 0)}), "more memory"},
		{"a dictionary of 2 GiB", craft(t, format.Snappy, 2, bucket, []page{dictionary(2, 1<<31-1), indexed(format.RLEDictionary, 2, 1, 4, 0)}), "more memory"},
		{"a run of a milliard", craft(t, format.Uncompressed, 2, bucket, []page{dictionary(2, 10), indexed(format.RLEDictionary, 2, append(append([]byte{1}, milliard...), 0)...)}), "more values than it says"},
		{"snappy of 2 GiB", craft(t, format.Snappy, 2, bucket, squeezed([]byte{0xff, 0xff, 0xff, 0xff, 0x07, 0})), "more bytes than it says"},
		{"gzip of 64 MiB", craft(t, format.Gzip, 2, bucket, squeezed(zippedZeros(t, 64<<20))), "more bytes than it says"},
		{"zstd of 64 MiB", craft(t, format.Zstd, 2, bucket, squeezed(zstd.EncodeAll(make([]byte, 64<<20), nil))), "more bytes than it says"},
		{"a key of 10 MiB", craft(t, format.Uncompressed, 1, []page{plainText("src")}, []page{plainText(strings.Repeat("k", 10<<20))}), "a value of 10485760 bytes"},
		{"a key of 1,025 bytes", craft(t, format.Uncompressed, 1, []page{plainText("src")}, []page{plainText(strings.Repeat("k", 1025))}), "the key has 1025 bytes"},
		{"damaged LZ4", craft(t, format.Lz4Raw, 2, bucket, squeezed([]byte{0xff, 0xff, 0xff})), "damaged"},
		{"a milliard of differences", craft(t, format.Uncompressed, 2, bucket, []page{indexed(format.DeltaLengthByteArray, 2, append([]byte{0x80, 1, 4}, append(milliard, 0)...)...)}), "more values than it says"},
		{"10 GB of shared prefixes", craft(t, format.Uncompressed, 100_000, []page{bucketOf(100_000)}, []page{indexed(format.DeltaByteArray, 100_000, shared...)}), "more memory"},
	} {
		t.Run(tc.what, func(t *testing.T) { refusedCheaply(t, Parquet, tc.data, tc.want) })
	}
	s := &Source{bucket: "src", format: Parquet}
	if n, err := s.countRows(craft(t, format.Uncompressed, 2, bucket, []page{dictionary(2, 10), indexed(format.RLEDictionary, 2, 1, 4, 0)})); n != 2 || err != nil {
		t.Errorf("an honest dictionary: %d rows, %v", n, err)
	}
	if n, err := s.countRows(craft(t, format.Uncompressed, 2, bucket, []page{plainText("a", "b")})); n != 2 || err != nil {
		t.Errorf("an honest page: %d rows, %v", n, err)
	}
}

func bucketOf(n int) page {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = "src"
	}
	return plainText(texts...)
}

// TestLongNames: what is longer than any name is told by its beginning.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("a", 1<<20)
	for _, m := range []string{
		`{"sourceBucket":"` + long + `","files":[]}`,
		`{"sourceBucket":"src","fileFormat":"` + long + `","files":[]}`,
		`{"sourceBucket":"src","fileFormat":"CSV","fileSchema":"Bucket, Key, ` + long + `","files":[]}`,
		`{"sourceBucket":"src","fileFormat":"ORC","files":[{"key":"` + long + `","MD5checksum":"f11166069f1990abeb9c97ace9cdfabc"}]}`,
		`{"sourceBucket":"src","fileFormat":"ORC","files":[{"key":"a","MD5checksum":"` + long + `"}]}`,
	} {
		if _, err := parseManifest("manifest.json", []byte(m)); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%.80s: %.200v", m, err)
		}
	}
}
