package inventory

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"github.com/resealhq/reseal/engine/object"
)

// iceRow is a row of the table; the IDs of the columns decide, and not their names.
type iceRow struct {
	Bucket     string            `parquet:"bucket,id(1)"`
	Key        string            `parquet:"was_key,id(2)"`
	Size       *int64            `parquet:"size,optional,id(6)"`
	ETag       *string           `parquet:"e_tag,optional,id(8)"`
	Class      *string           `parquet:"storage_class,optional,id(9)"`
	Encryption *string           `parquet:"encryption_status,optional,id(11)"`
	BucketKey  *bool             `parquet:"is_bucket_key_enabled,optional,id(12)"`
	KMSKey     *string           `parquet:"kms_key_arn,optional,id(13)"`
	Gone       *string           `parquet:"colour,optional,id(77)"` // a column that the table had once
	Tags       map[string]string `parquet:"object_tags,id(15)"`
}

type icePosition struct {
	Path string `parquet:"file_path,id(2147483546)"`
	Pos  int64  `parquet:"pos,id(2147483545)"`
}

type iceKey struct {
	Bucket string `parquet:"bucket,id(1)"`
	Key    string `parquet:"anything,id(2)"`
}

const (
	iceList = `{"type":"record","name":"manifest_file","fields":[{"name":"manifest_path","type":"string"},{"name":"manifest_length","type":"long"},
 {"name":"partition_spec_id","type":"int"},{"name":"content","type":"int"},{"name":"sequence_number","type":"long"},{"name":"min_sequence_number","type":"long"}]}`
	iceManifest = `{"type":"record","name":"manifest_entry","fields":[{"name":"status","type":"int"},{"name":"snapshot_id","type":["null","long"]},
 {"name":"sequence_number","type":["null","long"]},{"name":"data_file","type":{"type":"record","name":"r2","fields":[{"name":"content","type":"int"},
 {"name":"file_path","type":"string"},{"name":"file_format","type":"string"},{"name":"partition","type":{"type":"record","name":"r102","fields":[{"name":"class","type":["null","string"]}]}},
 {"name":"record_count","type":"long"},{"name":"file_size_in_bytes","type":"long"},{"name":"key_metadata","type":["null","bytes"]},
 {"name":"equality_ids","type":["null",{"type":"array","items":"int"}]},{"name":"referenced_data_file","type":["null","string"]},
 {"name":"content_offset","type":["null","long"]},{"name":"content_size_in_bytes","type":["null","long"]}]}}]}`
)

// iceTable is a table in memory, written as the format says, and what has to be left of it.
type iceTable struct {
	testing.TB
	files       map[string][]byte
	manifests   []map[string]any
	sequence    int64
	partitioned bool
	// data files in order, their rows by number; a deleted one is empty.
	data  []string
	rows  map[string][]string
	born  map[string]int64
	class map[string]string
	// dead are the positions that were deleted, by data file; a vector has to hold all.
	dead map[string]map[int]bool
	n    int
}

func newIceTable(t testing.TB, partitioned bool) *iceTable {
	return &iceTable{TB: t, files: map[string][]byte{}, partitioned: partitioned, rows: map[string][]string{}, born: map[string]int64{},
		class: map[string]string{}, dead: map[string]map[int]bool{}}
}

func (x *iceTable) Open(_ context.Context, uri string) (io.ReadCloser, int64, error) {
	data, ok := x.files[uri]
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", uri, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
}

func (x *iceTable) Folders(context.Context, string) ([]string, error) { return nil, fs.ErrNotExist }

func icePack[T any](t testing.TB, rows []T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(int64(max(7, len(rows)/4))))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func icePackAvro(t testing.TB, schema string, records []map[string]any) []byte {
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

// put stores a file and gives its entry. inherit leaves its sequence to the manifest.
func (x *iceTable) put(content int, format, name string, data []byte, rows int, class string, more map[string]any) map[string]any {
	uri := "s3://tables/" + name
	x.files[uri] = data
	partition := map[string]any{"class": nil}
	if x.partitioned && class != "" {
		partition["class"] = class
	}
	file := map[string]any{"content": content, "file_path": uri, "file_format": format, "partition": partition, "record_count": int64(rows),
		"file_size_in_bytes": int64(len(data)), "key_metadata": nil, "equality_ids": nil, "referenced_data_file": nil, "content_offset": nil, "content_size_in_bytes": nil}
	maps.Copy(file, more)
	return map[string]any{"status": 1, "snapshot_id": int64(1), "sequence_number": nil, "data_file": file}
}

// commit adds a manifest of these entries. Every other one tells sequences of its own.
func (x *iceTable) commit(deletes bool, entries ...map[string]any) {
	x.n++
	if x.n%2 == 0 {
		for _, e := range entries {
			e["status"], e["sequence_number"] = 0, x.sequence
		}
	}
	entries = append(entries, map[string]any{"status": 2, "snapshot_id": int64(1), "sequence_number": int64(1),
		"data_file": x.put(0, "PARQUET", fmt.Sprint("gone", x.n), []byte("not there"), 9, "", nil)["data_file"]}) // removed from the table
	data := icePackAvro(x.TB, iceManifest, entries)
	uri := fmt.Sprintf("s3://tables/m%d.avro", x.n)
	x.files[uri] = data
	content := 0
	if deletes {
		content = 1
	}
	x.manifests = append(x.manifests, map[string]any{"manifest_path": uri, "manifest_length": int64(len(data)), "partition_spec_id": 0, "content": content,
		"sequence_number": x.sequence, "min_sequence_number": int64(0)})
}

func (x *iceTable) append(r *rand.Rand, keys []string) {
	x.sequence++
	name := fmt.Sprintf("d%d.parquet", x.sequence)
	class := []string{"STANDARD", "STANDARD_IA"}[r.IntN(2)]
	var rows []iceRow
	for _, k := range keys {
		size, etag, sse, kms, bk := int64(len(k)), "e-"+k, "SSE-KMS", liveKey, true
		rows = append(rows, iceRow{Bucket: "src", Key: k, Size: &size, ETag: &etag, Class: &class, Encryption: &sse, KMSKey: &kms, BucketKey: &bk, Gone: text("red"), Tags: map[string]string{"a": k, "b": ""}})
	}
	x.commit(false, x.put(0, "PARQUET", name, icePack(x.TB, rows), len(rows), class, nil))
	uri := "s3://tables/" + name
	x.data = append(x.data, uri)
	x.rows[uri], x.born[uri], x.class[uri], x.dead[uri] = slices.Clone(keys), x.sequence, class, map[int]bool{}
}

// positions deletes rows of some files by a file of positions; those that a vector covers
// already may not have one any more.
func (x *iceTable) positions(r *rand.Rand, one bool) {
	x.sequence++
	var rows []icePosition
	more := map[string]any{}
	for _, uri := range x.data {
		if one && uri != x.data[len(x.data)-1] {
			continue
		}
		for i := range x.rows[uri] {
			if r.IntN(4) == 0 {
				rows = append(rows, icePosition{uri, int64(i)})
				x.dead[uri][i] = true
			}
		}
		more["referenced_data_file"] = uri
	}
	rows = append(rows, icePosition{"s3://tables/gone", 3})
	if !one {
		more = nil
	}
	x.commit(true, x.put(1, "PARQUET", fmt.Sprintf("p%d.parquet", x.sequence), icePack(x.TB, rows), len(rows), "", more))
}

// vector deletes more rows of one file, by a vector that holds all that are deleted of it.
func (x *iceTable) vector(r *rand.Rand, uri string) {
	x.sequence++
	for i := range x.rows[uri] {
		if r.IntN(3) == 0 {
			x.dead[uri][i] = true
		}
	}
	blob := iceVector(slices.Sorted(maps.Keys(x.dead[uri])))
	data := append([]byte("PFA1 and what lies before"), blob...)
	x.commit(true, x.put(1, "puffin", fmt.Sprintf("v%d.puffin", x.sequence), append(data, "PFA1"...), len(x.dead[uri]), x.class[uri],
		map[string]any{"referenced_data_file": uri, "content_offset": int64(len(data) - len(blob)), "content_size_in_bytes": int64(len(blob))}))
}

// iceVector is a deletion vector of one container, which is a list.
func iceVector(rows []int) []byte {
	body := []byte{0xd1, 0xd3, 0x39, 0x64}
	body = binary.LittleEndian.AppendUint64(body, 1)
	body = binary.LittleEndian.AppendUint32(body, 0)
	body = binary.LittleEndian.AppendUint32(body, 12346)
	body = binary.LittleEndian.AppendUint32(body, 1)
	body = binary.LittleEndian.AppendUint16(body, 0)
	body = binary.LittleEndian.AppendUint16(body, uint16(len(rows)-1))
	body = binary.LittleEndian.AppendUint32(body, 16)
	for _, r := range rows {
		body = binary.LittleEndian.AppendUint16(body, uint16(r))
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	return binary.BigEndian.AppendUint32(append(out, body...), crc32.ChecksumIEEE(body))
}

// equal deletes by bucket and key what older files hold.
func (x *iceTable) equal(keys []string, class string) {
	x.sequence++
	var rows []iceKey
	for _, k := range keys {
		rows = append(rows, iceKey{"src", k})
	}
	x.commit(true, x.put(2, "PARQUET", fmt.Sprintf("e%d.parquet", x.sequence), icePack(x.TB, rows), len(rows), class, map[string]any{"equality_ids": []int32{2, 1}}))
	for _, uri := range x.data {
		for i, k := range x.rows[uri] {
			if slices.Contains(keys, k) && (!x.partitioned || x.class[uri] == class) {
				x.rows[uri][i] = "" // but it keeps its number
			}
		}
	}
}

func (x *iceTable) left() (keys []string) {
	for uri, rows := range x.rows {
		for i, k := range rows {
			if k != "" && !x.dead[uri][i] {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

func (x *iceTable) metadata(change func(m map[string]any)) []byte {
	list := icePackAvro(x.TB, iceList, x.manifests)
	x.files["s3://tables/list.avro"] = list
	fields := []map[string]any{}
	for id, name := range map[int]string{1: "bucket", 2: "key", 6: "size", 8: "e_tag", 9: "storage_class", 11: "encryption_status", 12: "is_bucket_key_enabled", 13: "kms_key_arn"} {
		fields = append(fields, map[string]any{"id": id, "name": name, "type": map[bool]any{true: "long", false: "string"}[id == 6]})
	}
	fields = append(fields, map[string]any{"id": 15, "name": "object_tags", "type": map[string]any{"type": "map", "key-id": 101, "key": "string", "value-id": 102, "value": "string"}})
	spec := []any{}
	if x.partitioned {
		spec = append(spec, map[string]any{"source-id": 9, "field-id": 1000, "name": "class", "transform": "identity"})
	}
	m := map[string]any{"format-version": 3, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "s3://tables", "current-schema-id": 4,
		"schemas": []any{map[string]any{"schema-id": 0, "fields": []any{}}, map[string]any{"schema-id": 4, "fields": fields}}, "current-snapshot-id": 3051729675574597004,
		"snapshots":       []any{map[string]any{"snapshot-id": 3051729675574597004, "timestamp-ms": 1795374605000, "manifest-list": "s3://tables/list.avro"}},
		"partition-specs": []any{map[string]any{"spec-id": 0, "fields": spec}}}
	if change != nil {
		change(m)
	}
	data, err := json.Marshal(m)
	if err != nil {
		x.Fatal(err)
	}
	return data
}

func (x *iceTable) read(resume func(keys int) bool) ([]string, error) {
	s, err := OpenIceberg(x.Context(), x, "s3://tables/metadata.json", x.metadata(nil), 0, Options{PageRows: 3, TempDir: x.TempDir(), Parallel: 1})
	if err != nil {
		return nil, err
	}
	var keys []string
	var at []object.Cursor
	stop := errors.New("killed")
	take := func(p object.Page) error {
		for i := range p.Objects {
			o := &p.Objects[i]
			keys = append(keys, o.Key)
			if o.Bucket != "src" || !o.Settled || o.ETag != "e-"+o.Key || o.Encryption.KMSKeyID != liveKey || !o.Encryption.BucketKey {
				x.Errorf("%+v", o)
			}
		}
		at = append(slices.DeleteFunc(at, func(c object.Cursor) bool { return c.Range == p.Cursors[0].Range }), p.Cursors...)
		if resume != nil && resume(len(keys)) {
			resume = nil
			return stop
		}
		return nil
	}
	if err = s.Read(x.Context(), nil, take); errors.Is(err, stop) {
		err = s.Read(x.Context(), at, take)
	}
	slices.Sort(keys)
	return keys, err
}

// TestIcebergTables: of tables that were appended to and deleted from at random, in every way
// that the format has, exactly the rows are given out that are left, also where the reading
// was interrupted.
func TestIcebergTables(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 16))
		x := newIceTable(t, seed%2 == 0)
		for step := range 3 + r.IntN(8) {
			var keys []string
			for i := range 1 + r.IntN(30) {
				keys = append(keys, fmt.Sprintf("k/%d/%d \xff", step%3, i))
			}
			switch op := r.IntN(6); {
			case op < 3 || len(x.data) == 0:
				x.append(r, keys)
			case op == 3:
				x.positions(r, r.IntN(2) == 0)
			default:
				x.equal(keys, []string{"STANDARD", "STANDARD_IA"}[r.IntN(2)])
			}
		}
		for _, uri := range x.data {
			if r.IntN(3) == 0 {
				x.dead[uri][0] = true
				x.vector(r, uri)
			}
		}
		want := x.left()
		cut := r.IntN(len(want) + 1)
		got, err := x.read(func(n int) bool { return n >= cut })
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d rows, want %d: %v", seed, len(got), len(want), err)
		}
	}
}
