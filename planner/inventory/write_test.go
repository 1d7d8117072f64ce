package inventory

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"
	"github.com/scritchley/orc"
)

// record is one row of a report as S3 would write it: texts by CSV column name;
// what is missing is empty.
type record map[string]string

var allColumns = []string{"Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag",
	"StorageClass", "IsMultipartUploaded", "ReplicationStatus", "EncryptionStatus", "ObjectLockRetainUntilDate",
	"ObjectLockMode", "ObjectLockLegalHoldStatus", "IntelligentTieringAccessTier", "BucketKeyStatus", "ChecksumAlgorithm",
	"ObjectAccessControlList", "ObjectOwner"}

// snake is how Parquet and ORC name a column.
func snake(name string) string {
	switch name {
	case "ETag":
		return "e_tag"
	}
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

func kindOf(col string) string {
	switch col {
	case "Size":
		return "bigint"
	case "LastModifiedDate", "ObjectLockRetainUntilDate":
		return "timestamp"
	case "IsLatest", "IsDeleteMarker", "IsMultipartUploaded":
		return "boolean"
	}
	return "string"
}

// typed is the value of a column as Parquet and ORC hold it; nil for empty.
func typed(t testing.TB, col, text string) any {
	if text == "" {
		return nil
	}
	switch kindOf(col) {
	case "bigint":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	case "timestamp":
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	case "boolean":
		return text == "true"
	}
	return text
}

func writeCSV(t testing.TB, cols []string, rows []record) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	for _, r := range rows {
		for i, c := range cols {
			if i > 0 {
				z.Write([]byte(","))
			}
			v := r[c]
			if c == "Key" {
				v = url.QueryEscape(v)
			}
			fmt.Fprintf(z, `"%s"`, strings.ReplaceAll(v, `"`, `""`))
		}
		z.Write([]byte("\n"))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func writeParquet(t testing.TB, cols []string, rows []record, groupRows int) []byte {
	t.Helper()
	group := parquet.Group{}
	for _, c := range cols {
		var n parquet.Node
		switch kindOf(c) {
		case "bigint":
			n = parquet.Int(64)
		case "timestamp":
			n = parquet.Timestamp(parquet.Millisecond)
		case "boolean":
			n = parquet.Leaf(parquet.BooleanType)
		default:
			n = parquet.String()
		}
		if c != "Bucket" && c != "Key" {
			n = parquet.Optional(n)
		}
		group[snake(c)] = parquet.Compressed(n, &parquet.Snappy)
	}
	schema := parquet.NewSchema("s3.inventory", group)
	var buf bytes.Buffer
	w := parquet.NewWriter(&buf, schema, parquet.MaxRowsPerRowGroup(int64(groupRows)))
	order := slices.Clone(cols)
	slices.SortFunc(order, func(a, b string) int { return strings.Compare(snake(a), snake(b)) })
	for _, r := range rows {
		var row parquet.Row
		for i, c := range order {
			def := 1
			if c == "Bucket" || c == "Key" {
				def = 0
			}
			v := typed(t, c, r[c])
			if when, ok := v.(time.Time); ok {
				v = when.UnixMilli()
			}
			if v == nil {
				row = append(row, parquet.NullValue().Level(0, 0, i))
			} else {
				row = append(row, parquet.ValueOf(v).Level(0, def, i))
			}
		}
		if _, err := w.WriteRows([]parquet.Row{row}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func writeORC(t testing.TB, cols []string, rows []record, stripeRows int) []byte {
	t.Helper()
	var fields []string
	for _, c := range cols {
		fields = append(fields, snake(c)+":"+kindOf(c))
	}
	schema, err := orc.ParseSchema("struct<" + strings.Join(fields, ",") + ">")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w, err := orc.NewWriter(&buf, orc.SetSchema(schema), orc.SetCompression(orc.CompressionZlib{Level: 6}))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if i > 0 && i%stripeRows == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		values := make([]any, len(cols))
		for i, c := range cols {
			values[i] = typed(t, c, r[c])
		}
		if err := w.Write(values...); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// report is a report on disk, in the layout of S3.
type report struct {
	root string // stands for the destination bucket
	uri  string // of manifest.json
	m    manifest
}

const configFolder = "Inventory/src/daily/"

// newReport writes files, in the format, and a manifest for them.
func newReport(t testing.TB, format Format, cols []string, files ...[]byte) *report {
	t.Helper()
	r := &report{root: t.TempDir()}
	r.m = manifest{SourceBucket: "src", DestinationBucket: "arn:aws:s3:::inv", Version: "2016-11-30", FileFormat: format,
		CreationTimestamp: json.RawMessage(`"1514944800000"`)}
	r.m.FileSchema = strings.Join(cols, ", ")
	ext := map[Format]string{CSV: "csv.gz", Parquet: "parquet", ORC: "orc"}[format]
	for i, data := range files {
		key := fmt.Sprintf("%sdata/part-%d.%s", configFolder, i, ext)
		r.put(t, key, data)
		sum := md5.Sum(data)
		r.m.Files = append(r.m.Files, struct {
			Key  string `json:"key"`
			Size int64  `json:"size"`
			MD5  string `json:"MD5checksum"`
		}{key, int64(len(data)), hex.EncodeToString(sum[:])})
	}
	r.write(t, "2026-11-23T01-00Z")
	return r
}

func (r *report) put(t testing.TB, key string, data []byte) {
	t.Helper()
	path := filepath.Join(r.root, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// write writes the manifest as a report of the given time.
func (r *report) write(t testing.TB, folder string) {
	t.Helper()
	data, err := json.MarshalIndent(r.m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(data)
	r.put(t, configFolder+folder+"/manifest.json", data)
	r.put(t, configFolder+folder+"/manifest.checksum", []byte(hex.EncodeToString(sum[:])+"\n"))
	r.uri = filepath.Join(r.root, configFolder, folder, "manifest.json")
}

// oddRecords are rows of every kind.
func oddRecords() []record {
	at := "2026-03-29T02:30:00.000Z"
	base := func(key string, more ...string) record {
		r := record{"Bucket": "src", "Key": key, "VersionId": "v-" + key, "IsLatest": "true", "IsDeleteMarker": "false", "Size": "5",
			"LastModifiedDate": at, "ETag": "d41d8cd98f00b204e9800998ecf8427e", "StorageClass": "STANDARD", "IsMultipartUploaded": "false",
			"EncryptionStatus": "SSE-S3", "BucketKeyStatus": "DISABLED", "ObjectLockLegalHoldStatus": "OFF", "ObjectOwner": "me"}
		for i := 0; i < len(more); i += 2 {
			r[more[i]] = more[i+1]
		}
		return r
	}
	rows := []record{
		base("plain", "EncryptionStatus", "NOT-SSE", "Size", "0"),
		base("s3"),
		base("kms", "EncryptionStatus", "SSE-KMS", "BucketKeyStatus", "ENABLED"),
		base("dsse", "EncryptionStatus", "DSSE-KMS"),
		base("ssec", "EncryptionStatus", "SSE-C"),
		base("tomorrow", "EncryptionStatus", "SSE-QUANTUM"),
		base("multi", "ETag", "d41d8cd98f00b204e9800998ecf8427e-3", "IsMultipartUploaded", "true", "ChecksumAlgorithm", "CRC64NVME", "Size", "5368709121"),
		base("cold", "StorageClass", "DEEP_ARCHIVE"),
		base("tiered", "StorageClass", "INTELLIGENT_TIERING", "IntelligentTieringAccessTier", "ARCHIVE"),
		base("instant", "StorageClass", "INTELLIGENT_TIERING", "IntelligentTieringAccessTier", "ARCHIVE_INSTANT_ACCESS"),
		base("locked", "ObjectLockMode", "COMPLIANCE", "ObjectLockRetainUntilDate", "2031-01-01T00:00:00.000Z", "ObjectLockLegalHoldStatus", "ON"),
		base("null version", "VersionId", ""),
		base("old", "IsLatest", "false"),
		base("old null", "IsLatest", "false", "VersionId", ""),
		base("gone", "IsDeleteMarker", "true", "Size", "", "ETag", "", "EncryptionStatus", ""),
	}
	for _, key := range []string{"a b", "a+b", "a%2Fb", "a,b", `a"b`, "línea/ñ", "\u00e9", "e\u0301", "🗝", "//", "/lead", "tr/", "&<>'", "line\nbreak", strings.Repeat("x", 1000)} {
		rows = append(rows, base(key, "VersionId", "v"))
	}
	return rows
}

// encode writes rows in a format.
func encode(t testing.TB, format Format, cols []string, rows []record) []byte {
	t.Helper()
	switch format {
	case CSV:
		return writeCSV(t, cols, rows)
	case Parquet:
		return writeParquet(t, cols, rows, 7)
	}
	return writeORC(t, cols, rows, 9)
}
