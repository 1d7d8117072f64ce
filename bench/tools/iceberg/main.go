// Command iceberg writes tables as Apache's Go library does, and reads them again: the second
// opinion on reseal's own reader. It reads a job from standard input and prints what the
// table is, and every row that is left of it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/hadoop"
	"github.com/apache/iceberg-go/catalog/rest"
	_ "github.com/apache/iceberg-go/io/gocloud"
	"github.com/apache/iceberg-go/table"
)

// job is what is to be done, in order.
type job struct {
	// Dir is the folder of a catalog on disk; else URI and Warehouse are those of a REST
	// catalog, and Props what its files are reached by.
	Dir, URI, Warehouse, Region string
	Props                       map[string]string
	Namespace, Table, Version   string
	Partitioned                 bool // by storage_class
	Steps                       []step
}

// step is one of these.
type step struct {
	Append []json.RawMessage // rows
	// Delete takes the rows with one of these keys: by their positions, or by a vector.
	Delete []string
	// Equal takes the rows with these values of bucket and key.
	Equal []json.RawMessage
	// Rename gives a column another name, Upgrade the table another version.
	Rename  []string
	Upgrade int
}

type done struct {
	Metadata string            `json:"metadata"`
	Snapshot int64             `json:"snapshot"`
	Rows     []json.RawMessage `json:"rows"`
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "iceberg:", err)
		os.Exit(1)
	}
}

// live is the schema of S3 Metadata's live inventory.
func live() *iceberg.Schema {
	text := iceberg.PrimitiveTypes.String
	tags := func(id int) *iceberg.MapType {
		return &iceberg.MapType{KeyID: id, KeyType: text, ValueID: id + 1, ValueType: text}
	}
	return iceberg.NewSchema(0,
		iceberg.NestedField{ID: 1, Name: "bucket", Type: text, Required: true},
		iceberg.NestedField{ID: 2, Name: "key", Type: text, Required: true},
		iceberg.NestedField{ID: 3, Name: "sequence_number", Type: text},
		iceberg.NestedField{ID: 4, Name: "version_id", Type: text},
		iceberg.NestedField{ID: 5, Name: "is_delete_marker", Type: iceberg.PrimitiveTypes.Bool},
		iceberg.NestedField{ID: 6, Name: "size", Type: iceberg.PrimitiveTypes.Int64},
		iceberg.NestedField{ID: 7, Name: "last_modified_date", Type: iceberg.PrimitiveTypes.Timestamp},
		iceberg.NestedField{ID: 8, Name: "e_tag", Type: text},
		iceberg.NestedField{ID: 9, Name: "storage_class", Type: text},
		iceberg.NestedField{ID: 10, Name: "is_multipart", Type: iceberg.PrimitiveTypes.Bool},
		iceberg.NestedField{ID: 11, Name: "encryption_status", Type: text},
		iceberg.NestedField{ID: 12, Name: "is_bucket_key_enabled", Type: iceberg.PrimitiveTypes.Bool},
		iceberg.NestedField{ID: 13, Name: "kms_key_arn", Type: text},
		iceberg.NestedField{ID: 14, Name: "checksum_algorithm", Type: text},
		iceberg.NestedField{ID: 15, Name: "object_tags", Type: tags(101)},
		iceberg.NestedField{ID: 16, Name: "user_metadata", Type: tags(103)})
}

func run(ctx context.Context) error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	cat, err := j.catalog(ctx)
	if err != nil {
		return err
	}
	ns := table.Identifier{j.Namespace}
	if err := cat.CreateNamespace(ctx, ns, nil); err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
		return err
	}
	opts := []catalog.CreateTableOpt{catalog.WithProperties(iceberg.Properties{
		table.PropertyFormatVersion: j.Version, table.WriteDeleteModeKey: table.WriteModeMergeOnRead})}
	if j.Partitioned {
		spec := iceberg.NewPartitionSpec(iceberg.PartitionField{SourceIDs: []int{9}, FieldID: 1000, Transform: iceberg.IdentityTransform{}, Name: "class"})
		opts = append(opts, catalog.WithPartitionSpec(&spec))
	}
	tbl, err := cat.CreateTable(ctx, append(ns, j.Table), live(), opts...)
	if err != nil {
		return err
	}
	for i := range j.Steps {
		if tbl, err = j.Steps[i].do(ctx, tbl); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return tell(ctx, tbl)
}

func (j *job) catalog(ctx context.Context) (catalog.Catalog, error) {
	if j.Dir != "" {
		return hadoop.NewCatalog("disk", j.Dir, nil)
	}
	return rest.NewCatalog(ctx, "rest", j.URI, rest.WithSigV4RegionSvc(j.Region, "s3tables"), rest.WithWarehouseLocation(j.Warehouse),
		rest.WithAdditionalProps(j.Props))
}

func (s *step) do(ctx context.Context, tbl *table.Table) (*table.Table, error) {
	tx := tbl.NewTransaction()
	var err error
	switch {
	case len(s.Append) > 0:
		var rows arrow.RecordBatch
		if rows, err = records(tbl.Schema(), s.Append); err == nil {
			var reader array.RecordReader
			if reader, err = array.NewRecordReader(rows.Schema(), []arrow.RecordBatch{rows}); err == nil {
				err = tx.Append(ctx, reader, nil)
			}
		}
	case len(s.Delete) > 0:
		err = tx.Delete(ctx, iceberg.IsIn(iceberg.Reference("key"), s.Delete...), nil)
	case len(s.Equal) > 0:
		names := []string{"bucket", "key"}
		ids := []int{1, 2}
		if spec := tbl.Spec(); !spec.IsUnpartitioned() {
			names, ids = append(names, "storage_class"), append(ids, 9)
		}
		var keys *iceberg.Schema
		if keys, err = tbl.Schema().Select(true, names...); err == nil {
			var rows arrow.RecordBatch
			if rows, err = records(keys, s.Equal); err == nil {
				err = tx.CommitEqualityDeletes(ctx, ids, once(rows), nil)
			}
		}
	case len(s.Rename) == 2:
		err = tx.UpdateSchema(true, false).RenameColumn([]string{s.Rename[0]}, s.Rename[1]).Commit()
	case s.Upgrade > 0:
		err = tx.UpgradeFormatVersion(s.Upgrade)
	}
	if err != nil {
		return nil, err
	}
	return tx.Commit(ctx)
}

func once(rows arrow.RecordBatch) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) { yield(rows, nil) }
}

func records(s *iceberg.Schema, rows []json.RawMessage) (arrow.RecordBatch, error) {
	as, err := table.SchemaToArrowSchema(s, nil, true, false)
	if err != nil {
		return nil, err
	}
	text := bytes.Join(append([][]byte{}, raw(rows)...), []byte(","))
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, as, bytes.NewReader(append(append([]byte("["), text...), ']')))
	return rec, err
}

func raw(rows []json.RawMessage) (out [][]byte) {
	for _, r := range rows {
		out = append(out, r)
	}
	return out
}

// tell prints the table as the library reads it.
func tell(ctx context.Context, tbl *table.Table) error {
	d := done{Metadata: tbl.MetadataLocation(), Snapshot: tbl.CurrentSnapshot().SnapshotID, Rows: []json.RawMessage{}}
	_, batches, err := tbl.Scan().ToArrowRecords(ctx)
	if err != nil {
		return err
	}
	for rec, err := range batches {
		if err != nil {
			return err
		}
		text, err := rec.MarshalJSON()
		if err != nil {
			return err
		}
		var rows []json.RawMessage
		if err := json.Unmarshal(text, &rows); err != nil {
			return err
		}
		d.Rows = append(d.Rows, rows...)
		rec.Release()
	}
	return json.NewEncoder(os.Stdout).Encode(d)
}
