// Package manifest opens whatever --manifest names: an S3 Inventory report, a
// Batch Operations manifest or completion report, or a list of keys, in a
// bucket, on disk or on standard input, and finds out which of them it is.
//
//	src, err := manifest.Open(ctx, manifest.Options{URI: "s3://inv/b/daily/", S3: store})
//	job.Source.Manifest = src.URI()   // the report that was found, not the folder
//	planner.Plan(ctx, src, …)         // src.Bucket() is the bucket of the job
//
// Open reads little; src.Read checks everything before it gives out the first
// row. What cannot be used is a *planner.UnusableError (exit code 2).
//
// Standard input can be read once, and so can a pipe, /dev/fd/63 among them. Such a
// list is written to SpoolDir (the job's directory) in full before the first row
// is given out, and a resumed job reads it there; once the plan is complete nobody
// needs it any more.
package manifest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize/english"
	"github.com/klauspost/compress/gzip"

	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/csvline"
	"github.com/resealhq/reseal/planner/iceberg"
	"github.com/resealhq/reseal/planner/inventory"
	"github.com/resealhq/reseal/planner/keylist"
)

// Format of a manifest, as --manifest-format names it.
type Format string

// The formats. CSV covers Batch Operations manifests and completion reports.
const (
	Auto      Format = "auto"
	Inventory Format = "inventory"
	CSV       Format = "csv"
	Keys      Format = "keys"
)

// Stdin is the URI of standard input.
const Stdin = "-"

// Spooled is the name of the file in SpoolDir that keeps what can be read once.
const Spooled = "manifest.stdin"

// Options say what to open.
type Options struct {
	// URI is s3://bucket/key, a path, or "-". One that ends in a slash is the
	// folder of an inventory configuration.
	URI string
	// Format; empty is Auto.
	Format Format
	// Bucket of a key list; of the others it is only compared.
	Bucket string
	// S3 opens what lies in buckets, Tables tells of tables; nil where there is no
	// connection.
	S3     inventory.Storage
	Tables Tables
	// Stdin is read for "-" unless SpoolDir has it already; nil where there is none,
	// as in a resumed job.
	Stdin io.Reader
	// SpoolDir keeps what can be read once; empty for a temporary file.
	SpoolDir string
	// AllVersions, TempDir, Parallel and PageRows are those of inventory.Options.
	// Files, where set, are the data files of a report that are read; others are not.
	Files       []string
	AllVersions bool
	TempDir     string
	Parallel    int
	PageRows    int
}

// Source is an opened manifest.
type Source interface {
	planner.Source
	// Bucket that all its rows are of.
	Bucket() string
	// Check reads it to its end and gives nothing out.
	Check(ctx context.Context) error
}

// Opened is a Source with what is known of it.
type Opened struct {
	Source
	// URI is that of the file itself, "-" for standard input. A resumed job must
	// open this one.
	URI string
	// What it is, in words: "S3 Inventory report of 2026-11-23, 12 CSV files".
	What string
	// Format is never Auto.
	Format Format
}

// DataFiles are those of a report that is read file by file; nil for every other kind.
func (o *Opened) DataFiles() []inventory.DataFile {
	if s, ok := o.Source.(*inventory.Source); ok && o.Format == Inventory {
		return s.DataFiles()
	}
	return nil
}

// Open finds out what the URI names and opens it.
func Open(ctx context.Context, o Options) (*Opened, error) {
	if o.Format == "" {
		o.Format = Auto
	}
	if IsTable(o.URI) {
		return o.tableOfCatalog(ctx)
	}
	where := inventory.Where{S3: o.S3}
	if o.URI != Stdin && strings.HasSuffix(o.URI, "/") {
		return o.inventory(inventory.Open(ctx, where, o.URI, o.forInventory()))
	}
	open := func(ctx context.Context) (io.ReadCloser, error) {
		plain, _ := snapshotOf(o.URI)
		r, _, err := where.Open(ctx, plain)
		return r, err
	}
	name, once := o.URI, o.readOnce()
	if once {
		var err error
		if open, err = o.spool(ctx); err != nil {
			return nil, err
		}
		name = o.onceName()
	}
	head, err := peek(ctx, open, name)
	if err != nil {
		return nil, err
	}
	kind, err := o.detect(head, name)
	if err != nil {
		return nil, err
	}
	parts := []keylist.Part{{Name: name, Open: open}}
	switch kind {
	case isInventory:
		if once {
			return nil, &planner.UnusableError{Where: name, What: "an inventory manifest names files beside it", Fix: "give the URI of the manifest.json instead"}
		}
		return o.inventory(inventory.Open(ctx, where, o.URI, o.forInventory()))
	case isCompletion:
		if parts, err = completionParts(ctx, where, open, name, once); err != nil {
			return nil, err
		}
		return o.list(ctx, keylist.Results, parts, "failed tasks of a Batch Operations job")
	case isResults:
		return o.list(ctx, keylist.Results, parts, "failed tasks of a Batch Operations job")
	case isIceberg:
		if once {
			return nil, &planner.UnusableError{Where: name, What: "a table's metadata names files beside it", Fix: "give the URI of the metadata.json instead"}
		}
		return o.tableOfFile(ctx, open)
	case isTable:
		return o.table(inventory.OpenTable(ctx, open, name, o.forInventory()))
	case isKeys:
		return o.list(ctx, keylist.Keys, parts, "key list")
	}
	return o.list(ctx, keylist.Rows, parts, "Batch Operations manifest")
}

func (o *Options) forInventory() inventory.Options {
	return inventory.Options{AllVersions: o.AllVersions, TempDir: o.TempDir, Parallel: o.Parallel, PageRows: o.PageRows}
}

func (o *Options) inventory(s *inventory.Source, err error) (*Opened, error) {
	if err != nil {
		return nil, err
	}
	if o.Format != Auto && o.Format != Inventory {
		return nil, &planner.UnusableError{Where: s.URI(), What: fmt.Sprintf("this is an inventory report, and --manifest-format says %s", o.Format), Fix: "leave --manifest-format out"}
	}
	if len(o.Files) > 0 {
		if err := s.Only(o.Files); err != nil {
			return nil, err
		}
	}
	n, _ := s.Files()
	files := english.Plural(n, string(s.Format())+" file", "")
	what := "S3 Inventory report, " + files
	if !s.Created().IsZero() {
		what = fmt.Sprintf("S3 Inventory report of %s, %s", s.Created().Format("2006-01-02"), files)
	}
	return o.opened(s, s.URI(), what, Inventory)
}

func (o *Options) table(s *inventory.Source, err error) (*Opened, error) {
	if err != nil {
		return nil, err
	}
	return o.opened(s, o.URI, "live inventory of S3 Metadata, one "+string(s.Format())+" file", Inventory)
}

func (o *Options) list(ctx context.Context, kind keylist.Kind, parts []keylist.Part, what string) (*Opened, error) {
	s, err := keylist.New(ctx, kind, parts, keylist.Options{Bucket: o.Bucket, PageRows: o.PageRows})
	if err != nil {
		return nil, err
	}
	format := CSV
	if kind == keylist.Keys {
		format = Keys
	}
	return o.opened(s, o.URI, what, format)
}

func (o *Options) opened(s Source, uri, what string, f Format) (*Opened, error) {
	if o.Bucket != "" && s.Bucket() != o.Bucket {
		return nil, &planner.UnusableError{Where: uri, What: fmt.Sprintf("it is about bucket %q, and --bucket says %q", s.Bucket(), o.Bucket), Fix: "leave --bucket out"}
	}
	return &Opened{Source: s, URI: uri, What: what, Format: f}, nil
}

// peekBytes is enough for the first lines and the first names of a manifest.
const peekBytes = 64 << 10

// peek reads the beginning, decompressed.
func peek(ctx context.Context, open func(context.Context) (io.ReadCloser, error), name string) ([]byte, error) {
	r, err := open(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &planner.UnusableError{Where: name, What: "there is no such file", Fix: "give a manifest or a list of objects with --manifest"}
	}
	var unusable *planner.UnusableError
	switch {
	case errors.As(err, &unusable):
		return nil, unusable
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer r.Close()
	head, err := readUpTo(r, peekBytes)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(head) == 0 {
		return nil, &planner.UnusableError{Where: name, What: "it is empty", Fix: "give a manifest or a list of objects with --manifest"}
	}
	if z, err := gzip.NewReader(bytes.NewReader(head)); err == nil {
		if text, _ := readUpTo(z, peekBytes); len(text) > 0 {
			return text, nil
		}
	}
	return head, nil
}

func readUpTo(r io.Reader, n int) ([]byte, error) {
	buf := make([]byte, n)
	got, err := io.ReadFull(r, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return buf[:got], err
}

type kind uint8

const (
	isRows kind = iota
	isKeys
	isResults
	isCompletion
	isInventory
	isTable
	isIceberg
)

// detect looks at the beginning of the content.
//
//	Parquet, or names columns, kms_key_arn among them  live inventory
//	begins with {, names format-version                table of Iceberg: live inventory
//	begins with {, names sourceBucket or fileSchema    inventory
//	begins with {, names Results and TaskExecutionStatus  completion report: manifest
//	4 to 7 columns, the fourth a task status           completion report: rows
//	2 or 3 columns, or 1 with --bucket                 CSV, or keys
func (o *Options) detect(head []byte, name string) (kind, error) {
	unclear := func(what string) error {
		return &planner.UnusableError{Where: name, What: what,
			Fix: "give the manifest.json of an S3 Inventory, a Batch Operations CSV (Bucket,Key[,VersionId]), or a list of keys with --manifest-format keys --bucket BUCKET"}
	}
	switch o.Format {
	case Keys:
		return isKeys, nil
	case Inventory, Auto:
		if inventory.IsTable(bytes.TrimPrefix(head, []byte("\ufeff"))) {
			return isTable, nil
		}
		if bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")) && iceberg.IsMetadata(head) {
			return isIceberg, nil
		}
	}
	if o.Format == Inventory {
		return isInventory, nil
	}
	head = bytes.TrimPrefix(head, []byte("\ufeff")) // as the reader of the list does
	if text := bytes.TrimLeft(head, " \t\r\n\ufeff"); bytes.HasPrefix(text, []byte("{")) {
		switch {
		case bytes.Contains(text, []byte(`"TaskExecutionStatus"`)) || bytes.Contains(text, []byte(`"ReportSchema"`)):
			return isCompletion, nil
		case o.Format == Auto && (bytes.Contains(text, []byte(`"sourceBucket"`)) || bytes.Contains(text, []byte(`"fileSchema"`))):
			return isInventory, nil
		}
		return 0, unclear("this JSON is no manifest")
	}
	fields, err := csvline.NewReader(bytes.NewReader(bytes.Clone(head))).Next()
	switch {
	case err == nil && o.Format == Auto && o.Bucket != "" && string(fields[0]) != o.Bucket && !keylist.Header(fields):
		return isKeys, nil // keys may hold commas; rows would begin with the bucket
	case err == nil && len(fields) >= 4 && len(fields) <= 7 && taskStatus(fields[3]):
		return isResults, nil
	case err == nil && (len(fields) == 2 || len(fields) == 3):
		return isRows, nil
	case o.Format == CSV:
		return isRows, nil // whose reader says what is wrong with it
	case o.Bucket != "":
		return isKeys, nil
	case err == nil && len(fields) == 1:
		return 0, unclear("its first line has one column: is it a list of keys?")
	}
	return 0, unclear("this is no manifest and no list that is known")
}

func taskStatus(f []byte) bool {
	switch strings.ToLower(string(f)) {
	case "succeeded", "failed":
		return true
	}
	return false
}

// completionParts are the files of failed tasks that the manifest of a
// completion report names.
func completionParts(ctx context.Context, where inventory.Where, open func(context.Context) (io.ReadCloser, error), name string, once bool) ([]keylist.Part, error) {
	r, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer r.Close()
	var m struct {
		Results []struct {
			TaskExecutionStatus, Bucket, MD5Checksum, Key string
		}
	}
	if err := json.NewDecoder(r).Decode(&m); err != nil {
		return nil, &planner.UnusableError{Where: name, What: "this is no manifest of a completion report", Err: err, Fix: "give its manifest.json, or one of its CSV files"}
	}
	var parts []keylist.Part
	for _, res := range m.Results {
		if strings.EqualFold(res.TaskExecutionStatus, "succeeded") {
			continue
		}
		bucket := res.Bucket[strings.LastIndexByte(res.Bucket, ':')+1:] // an ARN, of any partition, or the name
		uri := "s3://" + bucket + "/" + res.Key
		if !once && !inventory.Remote(name) {
			uri = filepath.Join(filepath.Dir(name), "results", filepath.Base(res.Key))
			if _, err := os.Stat(uri); err != nil {
				uri = filepath.Join(filepath.Dir(name), filepath.Base(res.Key))
			}
		}
		parts = append(parts, keylist.Part{Name: uri, MD5: strings.ToLower(res.MD5Checksum), Open: func(ctx context.Context) (io.ReadCloser, error) {
			r, _, err := where.Open(ctx, uri)
			return r, err
		}})
	}
	if len(parts) == 0 {
		return nil, &planner.UnusableError{Where: name, What: "the job that it reports on has no failed tasks", Fix: "there is nothing to do"}
	}
	return parts, nil
}
