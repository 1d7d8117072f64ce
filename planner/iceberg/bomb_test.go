package iceberg

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
)

// allocated is what f allocates, in MiB.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 20
}

const (
	bombMetadata = `{"format-version":2,"table-uuid":"u","current-schema-id":0,"schemas":[{"schema-id":0,"fields":[{"id":1,"name":"bucket","type":"string"}]}],
 "current-snapshot-id":1,"snapshots":[{"snapshot-id":1,"manifest-list":"list"}],"partition-specs":[{"spec-id":0,"fields":[{}]}]}`
	bombList = `{"type":"record","name":"manifest_file","fields":[{"name":"manifest_path","type":"string"},{"name":"manifest_length","type":"long"},
 {"name":"partition_spec_id","type":"int"},{"name":"content","type":"int"},{"name":"sequence_number","type":"long"}]}`
	bombManifest = `{"type":"record","name":"manifest_entry","fields":[{"name":"status","type":"int"},{"name":"sequence_number","type":"long"},
 {"name":"data_file","type":{"type":"record","name":"r2","fields":[{"name":"content","type":"int"},{"name":"file_path","type":"string"},{"name":"file_format","type":"string"},
 {"name":"partition","type":{"type":"record","name":"r102","fields":[PARTITION]}},{"name":"record_count","type":"long"},{"name":"file_size_in_bytes","type":"long"},
 {"name":"FIELD","type":TYPE}]}}]}`
)

func packed(t *testing.T, schema string, records ...map[string]any) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := ocf.NewWriter(&b, avro.MustParse(schema), ocf.WithCodec(ocf.DeflateCodec(6)))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bombed loads a table of one manifest whose entries have one more field.
func bombed(t *testing.T, partition, field, kind string, files ...map[string]any) (table *Table, size int, mib uint64, err error) {
	t.Helper()
	var entries []map[string]any
	for i, more := range files {
		f := map[string]any{"other": nil, "content": int32(0), "file_path": fmt.Sprint("x", i), "file_format": "PARQUET", "partition": map[string]any{}, "record_count": int64(1), "file_size_in_bytes": int64(1)}
		maps.Copy(f, more)
		entries = append(entries, map[string]any{"status": int32(1), "sequence_number": int64(1), "data_file": f})
	}
	m := packed(t, strings.NewReplacer("PARTITION", partition, "FIELD", field, "TYPE", kind).Replace(bombManifest), entries...)
	kindOf := int32(0)
	if len(files) > 0 && files[0]["content"] != nil {
		kindOf = 1
	}
	l := packed(t, bombList, map[string]any{"manifest_path": "m", "manifest_length": int64(len(m)), "partition_spec_id": int32(0), "content": kindOf, "sequence_number": int64(1)})
	mib = allocated(func() {
		table, err = Load(t.Context(), []byte(bombMetadata), 0, func(_ context.Context, uri string) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(map[string][]byte{"list": l, "m": m}[uri])), nil
		})
	})
	return table, len(m), mib, err
}

// TestBombsOfManifests: what nobody wants of a manifest takes no memory, and what is wanted is
// bounded, whatever a few compressed bytes unpack to.
func TestBombsOfManifests(t *testing.T) {
	const n = 2 << 20
	numbers, pairs := make([]any, n), make([]map[string]any, n)
	for i := range n {
		numbers[i], pairs[i] = int32(0), map[string]any{"key": int32(0), "value": []byte{}}
	}
	for _, c := range []struct {
		field, kind string
		value       any
		want        string
	}{
		{"equality_ids", `"null"`, nil, "kind 2"},
		{"lower_bounds", `{"type":"array","items":{"type":"record","name":"kv","fields":[{"name":"key","type":"int"},{"name":"value","type":"bytes"}]}}`, pairs, "kind 2"},
		{"equality_ids", `{"type":"array","items":"int"}`, numbers, "equality_ids has 2097152 numbers"},
		{"key_metadata", `{"type":"array","items":"int"}`, numbers, "key_metadata is of the type array"},
		{"referenced_data_file", `"string"`, strings.Repeat("a", 10<<20), "referenced_data_file has 10485760 bytes"},
		{"split_offsets", `"string"`, strings.Repeat("a", 20<<20), "decompress"},
	} {
		_, size, mib, err := bombed(t, "", c.field, c.kind, map[string]any{c.field: c.value, "content": int32(2)})
		if mib > 128 || c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 300) {
			t.Errorf("%s: a manifest of %d bytes allocated %d MiB: %v", c.field, size, mib, err)
		}
	}
	for field, value := range map[string]any{"lower_bounds": pairs, "equality_ids": pairs} { // which nobody wants of data files
		kind := `{"type":"array","items":{"type":"record","name":"kv","fields":[{"name":"key","type":"int"},{"name":"value","type":"bytes"}]}}`
		table, _, mib, err := bombed(t, "", field, kind, map[string]any{field: value})
		if err != nil || mib > 128 || len(table.Files) != 1 {
			t.Errorf("%s of a data file: %d MiB: %v", field, mib, err)
		}
	}
	_, _, mib, err := bombed(t, `{"name":"p","type":"string"}`, "other", `"null"`, map[string]any{"partition": map[string]any{"p": strings.Repeat("a", 10<<20)}})
	if err == nil || mib > 64 {
		t.Errorf("a partition: %d MiB: %v", mib, err)
	}
	for _, unit := range []string{`"encryption-keys":[0%s]`, `"schemas":[0%s]`, `"snapshots":[0%s]`} {
		data := []byte("{" + strings.Replace(unit, "%s", strings.Repeat(",0", maxValues+1), 1) + "}")
		if mib := allocated(func() { _, err = parse(data) }); err == nil || !strings.Contains(err.Error(), "values") || mib > 16 {
			t.Errorf("%s: %d MiB: %v", unit, mib, err)
		}
	}
}

// TestPartitionsOfDecimals: the same values of a partition are the same partition, also where
// they are read into pointers, and where the type is named by one that stood before it.
func TestPartitionsOfDecimals(t *testing.T) {
	const kinds = `{"name":"a","type":{"type":"fixed","name":"decimal_9_2","size":4,"logicalType":"decimal","precision":9,"scale":2}},{"name":"b","type":"decimal_9_2"},
 {"name":"c","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]},{"name":"d","type":["null",{"type":"int","logicalType":"date"}]}`
	values := func(n int64) map[string]any {
		return map[string]any{"partition": map[string]any{"a": big.NewRat(n, 1), "b": big.NewRat(n, 2), "c": big.NewRat(n, 4), "d": int32(20000)}}
	}
	table, _, _, err := bombed(t, kinds, "other", `"null"`, values(7), values(7), values(8))
	if err != nil {
		t.Fatal(err)
	}
	f := table.Files
	if f[0].scope == "" || f[0].scope != f[1].scope || f[0].scope == f[2].scope {
		t.Errorf("the scopes are %x, %x and %x", f[0].scope, f[1].scope, f[2].scope)
	}
}

// TestDataFileTwice: of a table that names a data file twice every row of it would be there twice.
func TestDataFileTwice(t *testing.T) {
	same := map[string]any{"file_path": "same"}
	if _, _, _, err := bombed(t, "", "other", `"null"`, same, map[string]any{}, same); err == nil || !strings.Contains(err.Error(), "same is there twice") {
		t.Error(err)
	}
}

// TestBombsOfVectors: a vector whose containers or runs do not ascend is refused, and one of
// more rows than its manifest says is not read to its end.
func TestBombsOfVectors(t *testing.T) {
	le := binary.LittleEndian
	build := func(keys []uint16, runs [][2]uint16) []byte {
		b := le.AppendUint64(bytes.Clone(vectorMagic), 1)
		b = le.AppendUint32(le.AppendUint32(b, 0), uint32(len(keys)-1)<<16|runCookie)
		b = append(b, bytes.Repeat([]byte{0xff}, (len(keys)+7)/8)...)
		for _, k := range keys {
			b = le.AppendUint16(le.AppendUint16(b, k), 0)
		}
		if len(keys) >= 4 {
			b = append(b, make([]byte, 4*len(keys))...)
		}
		for range keys {
			b = le.AppendUint16(b, uint16(len(runs)))
			for _, r := range runs {
				b = le.AppendUint16(le.AppendUint16(b, r[0]), r[1])
			}
		}
		out := append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
		return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(b))
	}
	many := make([]uint16, 60000)
	for i := range many {
		many[i] = uint16(i)
	}
	for name, c := range map[string]struct {
		vector []byte
		want   string
	}{
		"full":        {build(many, [][2]uint16{{0, 65535}}), "more than the 70000 rows"},
		"overlapping": {build(many[:1], slicesOf([2]uint16{0, 65535}, 60000)), "damaged"},
		"descending":  {build(many[:1], [][2]uint16{{9, 0}, {3, 0}}), "damaged"},
		"twice":       {build([]uint16{4, 4}, [][2]uint16{{9, 0}}), "damaged"},
		"beyond":      {build(many[:1], [][2]uint16{{65535, 1}}), "damaged"},
	} {
		d := DeleteFile{Length: int64(len(c.vector)), Rows: 70000}
		var err error
		mib := allocated(func() { _, err = d.Vector(bytes.NewReader(c.vector), 1<<40) })
		if err == nil || !strings.Contains(err.Error(), c.want) || mib > 8 {
			t.Errorf("%s: %d bytes allocated %d MiB: %v", name, len(c.vector), mib, err)
		}
	}
	d := DeleteFile{Length: int64(len(build(many, [][2]uint16{{0, 0}}))), Rows: 60000}
	if r, err := d.Vector(bytes.NewReader(build(many, [][2]uint16{{0, 0}})), 1<<40); err != nil || r.Len() != 60000 {
		t.Error(r.Len(), err)
	}
}

func slicesOf[T any](v T, n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = v
	}
	return all
}
