package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// TestIcebergUnknown: what is not known for certain gives out no row.
func TestIcebergUnknown(t *testing.T) {
	set := func(key string, v any) func(map[string]any) { return func(m map[string]any) { m[key] = v } }
	for name, c := range map[string]struct {
		metadata func(m map[string]any)
		table    func(x *iceTable)
		want     string
	}{
		"a newer version": {metadata: set("format-version", 4), want: "version 4"},
		"encrypted":       {metadata: set("encryption-keys", []any{map[string]any{"key-id": "1"}}), want: "encrypted"},
		"no snapshot":     {metadata: set("current-snapshot-id", nil), want: "no snapshot"},
		"a lost snapshot": {metadata: set("current-snapshot-id", 5), want: "no snapshot 5"},
		"no schema":       {metadata: set("current-schema-id", 9), want: "schema"},
		"an unknown column": {metadata: func(m map[string]any) {
			m["schemas"].([]any)[1].(map[string]any)["fields"].([]map[string]any)[0]["name"] = "colour"
		}, want: ""},
		"an unknown spec":   {metadata: set("partition-specs", []any{}), want: "partition spec"},
		"no metadata":       {metadata: func(m map[string]any) { clear(m) }, want: "no metadata"},
		"an unknown status": {table: func(x *iceTable) { x.entry(func(e, _ map[string]any) { e["status"] = 3 }) }, want: "status 3"},
		"another format":    {table: func(x *iceTable) { x.entry(func(_, f map[string]any) { f["file_format"] = "ORC" }) }, want: `"ORC"`},
		"an unknown kind":   {table: func(x *iceTable) { x.entry(func(_, f map[string]any) { f["content"] = 7 }) }, want: "manifest of this kind"},
		"an encrypted file": {table: func(x *iceTable) { x.entry(func(_, f map[string]any) { f["key_metadata"] = []byte("k") }) }, want: "encrypted"},
		"another size":      {table: func(x *iceTable) { x.entry(func(_, f map[string]any) { f["file_size_in_bytes"] = int64(5) }) }, want: "bytes"},
		"a manifest cut":    {table: func(x *iceTable) { x.manifests[0]["manifest_length"] = int64(3) }, want: "bytes, and its list says 3"},
		"a missing file":    {table: func(x *iceTable) { delete(x.files, x.data[0]) }, want: "missing"},
		"a local file":      {table: func(x *iceTable) { x.entry(func(_, f map[string]any) { f["file_path"] = "/etc/passwd" }) }, want: "no bucket"},
		"a vector of rows that are not there": {table: func(x *iceTable) {
			x.dead[x.data[0]][4000] = true
			x.vector(rand.New(rand.NewPCG(1, 1)), x.data[0])
		}, want: "row 4000"},
		"a damaged vector": {table: func(x *iceTable) {
			x.dead[x.data[0]][0] = true
			x.vector(rand.New(rand.NewPCG(1, 1)), x.data[0])
			for uri, data := range x.files {
				if strings.HasSuffix(uri, ".puffin") {
					data[len(data)-12] ^= 1
				}
			}
		}, want: "checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newIceTable(t, false)
			x.append(rand.New(rand.NewPCG(1, 2)), []string{"a", "b", "c"})
			if c.table != nil {
				c.table(x)
			}
			s, err := OpenIceberg(t.Context(), x, "s3://tables/metadata.json", x.metadata(c.metadata), 0, Options{TempDir: t.TempDir()})
			if err == nil {
				err = s.Read(t.Context(), nil, func(object.Page) error { t.Error("rows came out"); return nil })
			}
			var unusable *planner.UnusableError
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &unusable) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// entry changes the entry of the first data file.
func (x *iceTable) entry(change func(entry, file map[string]any)) {
	uri := x.data[0]
	e := x.put(0, "PARQUET", strings.TrimPrefix(uri, "s3://tables/"), x.files[uri], len(x.rows[uri]), "", nil)
	change(e, e["data_file"].(map[string]any))
	data := icePackAvro(x.TB, iceManifest, []map[string]any{e})
	x.files["s3://tables/m1.avro"], x.manifests[0]["manifest_length"] = data, int64(len(data))
}

// BenchmarkTableIceberg reads a table of four files, a third of whose rows were deleted, by
// position and by value.
func BenchmarkTableIceberg(b *testing.B) {
	const files, each = 4, 50_000
	r := rand.New(rand.NewPCG(1, 2))
	x := newIceTable(b, false)
	var some []string
	for f := range files {
		keys := make([]string, each)
		for i := range keys {
			if keys[i] = fmt.Sprintf("logs/2026/%d/%08d.json", f, i); i%10 == 0 {
				some = append(some, keys[i])
			}
		}
		x.append(r, keys)
	}
	x.positions(r, false)
	x.equal(some, "")
	want, metadata := len(x.left()), x.metadata(nil)
	b.ReportAllocs()
	for b.Loop() {
		s, err := OpenIceberg(b.Context(), x, "s3://tables/metadata.json", metadata, 0, Options{Parallel: 1, TempDir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		s.mu.checked = true // one pass is measured, and what opens it
		rows := 0
		if err := s.Read(b.Context(), nil, func(p object.Page) error { rows += len(p.Objects); return nil }); err != nil || rows != want {
			b.Fatal(rows, want, err)
		}
	}
	b.ReportMetric(files*each*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
