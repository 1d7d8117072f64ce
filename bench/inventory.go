package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// InventoryConfig is the workload "inventory": a plan from files instead of from
// a listing. The files are made as S3 makes them, on the local disk.
type InventoryConfig struct {
	Objects, Rounds int
	Dir             string
}

func (c *InventoryConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Objects, "objects", 1_000_000, "rows")
	f.IntVar(&c.Rounds, "rounds", 3, "rounds; the forms take turns")
	f.StringVar(&c.Dir, "dir", "", "where files and jobs are kept while they run")
}

// RunInventory measures rows a second, CPU, memory and HEADs of `reseal plan` from an
// S3 Inventory in CSV, from a Batch Operations CSV, from a list of keys, and from what
// Athena writes of S3 Metadata's live inventory, which alone tells the KMS key.
func RunInventory(ctx context.Context, c InventoryConfig, log io.Writer) (*Table, error) {
	return withNull(ctx, func(server *nullProcess, b *builder) (*Table, error) { return c.run(ctx, server, b, log) })
}

func (c *InventoryConfig) run(ctx context.Context, server *nullProcess, b *builder, log io.Writer) (*Table, error) {
	path, _, err := b.find(ctx)
	if err != nil {
		return nil, err
	}
	bucket := fmt.Sprintf("n%d", c.Objects)
	t := &Table{Workload: "inventory", What: "reseal plan from files on the local disk, every selected row durable at its end",
		Columns: []Column{{"rows/s", "%.0f", true}, {"CPU µs/row", "%.2f", true}, {"peak RSS MB", "%.1f", false}, {"HEADs", "%.0f", false}, {"planned", "%.0f", false}}}
	err = inDir(c.Dir, func(files string) error {
		if err := writeSources(files, bucket, c.Objects); err != nil {
			return err
		}
		forms := []*participant{
			planning(b, "S3 Inventory, CSV", func(*task) []string { return []string{"--manifest", filepath.Join(files, "manifest.json")} }),
			planning(b, "Batch Operations CSV", func(*task) []string { return []string{"--manifest", filepath.Join(files, "batch.csv")} }),
			planning(b, "list of keys", func(*task) []string {
				return []string{"--manifest", filepath.Join(files, "keys.txt"), "--manifest-format", "keys", "--bucket", bucket}
			}),
		}
		forms = append(forms, liveForms(b, files)...)
		for round := range c.Rounds {
			for _, p := range forms {
				err := inDir(c.Dir, func(dir string) error {
					f, err := c.plan(ctx, server, p, path, bucket, dir)
					if err != nil {
						return err
					}
					t.add(p.name, "", c.Objects/p.share, f)
					fmt.Fprintf(log, "round %d: %-34s %9.0f rows/s, %7.0f HEADs, %7.0f planned\n", round+1, p.name, f["rows/s"], f["HEADs"], f["planned"])
					return nil
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	return t, err
}

// plan is one plan, with the HEADs that the server was asked meanwhile and the objects that
// it has.
func (c *InventoryConfig) plan(ctx context.Context, server *nullProcess, p *participant, path, bucket, dir string) (Figures, error) {
	before, err := server.Stats()
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cost, err := run(p.command(ctx, path, server.task(bucket, dir)), &said)
	if err != nil {
		return nil, err
	}
	after, err := server.Stats()
	if err != nil {
		return nil, err
	}
	var plan struct {
		Total struct{ Objects int } `json:"total"`
	}
	if err := json.Unmarshal(said.Bytes(), &plan); err != nil {
		return nil, fmt.Errorf("%s: %w", said.String(), err)
	}
	n := c.Objects / p.share
	f := readingFigures("rows/s", "CPU µs/row", n, cost)
	f["HEADs"], f["planned"] = float64(after.minus(before).Head), float64(plan.Total.Objects)
	return f, p.check(n, f)
}

// writeSources makes the same objects as an inventory, as a Batch Operations CSV
// and as keys.
func writeSources(dir, bucket string, n int) error {
	const data = "data/00000000-0000-4000-8000-000000000000.csv.gz"
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return err
	}
	if err := writeLines(filepath.Join(dir, data), true, n, func(w io.Writer, i int) {
		fmt.Fprintf(w, "%q,\"%s\",\"1024\",\"2026-11-23T19:10:05.000Z\",\"%s\",\"STANDARD\",\"false\",\"NOT-SSE\"\n", bucket, nullKey(i), nullETag)
	}); err != nil {
		return err
	}
	if err := writeLines(filepath.Join(dir, "batch.csv"), false, n, func(w io.Writer, i int) { fmt.Fprintf(w, "%s,%s\n", bucket, nullKey(i)) }); err != nil {
		return err
	}
	if err := writeLines(filepath.Join(dir, "keys.txt"), false, n, func(w io.Writer, i int) { fmt.Fprintln(w, nullKey(i)) }); err != nil {
		return err
	}
	if err := writeManifest(dir, bucket, "manifest.json", data); err != nil {
		return err
	}
	return writeLive(dir, bucket, n)
}

// writeManifest names one data file.
func writeManifest(dir, bucket, name, data string) error {
	packed, err := os.ReadFile(filepath.Join(dir, data))
	if err != nil {
		return err
	}
	sum := md5.Sum(packed)
	manifest, err := json.Marshal(map[string]any{"sourceBucket": bucket, "destinationBucket": "arn:aws:s3:::reports", "version": "2016-11-30",
		"creationTimestamp": "1795374605000", "fileFormat": "CSV",
		"fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag, StorageClass, IsMultipartUploaded, EncryptionStatus",
		"files":      []any{map[string]any{"key": data, "size": len(packed), "MD5checksum": hex.EncodeToString(sum[:])}}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), manifest, 0o644)
}

func writeLines(path string, pack bool, n int, line func(io.Writer, int)) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	defer func() { err = errors.Join(err, w.Flush()) }()
	to := io.Writer(w)
	if pack {
		z := gzip.NewWriter(w)
		defer func() { err = errors.Join(err, z.Close()) }()
		to = z
	}
	for i := range n {
		line(to, i)
	}
	return nil
}
