package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/parquet-go/parquet-go"
)

// Every fourth row of the live inventory is under the old key; the others are under another
// one, under SSE-S3 and without any.
const (
	liveOld   = "arn:aws:kms:us-east-1:111122223333:key/0a0a0a0a-0000-4000-8000-000000000000"
	liveOther = "arn:aws:kms:us-east-1:111122223333:key/0b0b0b0b-0000-4000-8000-000000000000"
	liveNames = `"bucket","key","sequence_number","version_id","is_delete_marker","size","last_modified_date","e_tag","storage_class","is_multipart",` +
		`"encryption_status","is_bucket_key_enabled","kms_key_arn","checksum_algorithm","object_tags","user_metadata"`
)

// shareByKey is for the inventory without keys, which costs a HEAD a row.
const shareByKey = 20

// liveForms are the plan of everything in a live inventory, and that of one key; beside them
// that of one key from an S3 Inventory, which does not name any.
func liveForms(b *builder, files string) []*participant {
	byKey := []string{"--only-encryption", "sse-kms=" + liveOld}
	var forms []*participant
	for _, form := range [][2]string{{"live inventory, Parquet", "live.parquet"}, {"live inventory, CSV", "live.csv"}} {
		name, file := form[0], form[1]
		all := planningByRow(b, name, "--manifest", filepath.Join(files, file))
		all.verify = noHead(1)
		one := planningByRow(b, name+", by key", append(byKey, "--manifest", filepath.Join(files, file))...)
		one.verify = noHead(4)
		forms = append(forms, all, one)
	}
	blind := planningByRow(b, "S3 Inventory, CSV, by key", append(byKey, "--manifest", filepath.Join(files, "kms.json"))...)
	blind.share = shareByKey
	return append(forms, blind)
}

// planningByRow is a plan that may inspect what rows do not tell.
func planningByRow(b *builder, name string, args ...string) *participant {
	return &participant{name: name, share: 1, find: b.find, args: func(t *task) []string {
		return append(append([]string{"plan"}, args...), "--sse", "AES256", "--verify", "response", "--job", filepath.Join(t.dir, "job"), "--json", "--no-progress")
	}}
}

// aJobs are the HEADs of every job, whatever its source: of the one object that shows whether
// all of it may be read.
const aJobs = 2

// noHead refuses a plan of every share-th row that asked about more objects than a job does,
// or that has others.
func noHead(share int) func(int, Figures) error {
	return func(n int, f Figures) error {
		if f["HEADs"] > aJobs || f["planned"] != float64((n+share-1)/share) {
			return fmt.Errorf("%.0f HEADs, and %.0f of %d rows were planned", f["HEADs"], f["planned"], n)
		}
		return nil
	}
}

// liveRow is a row as Athena's UNLOAD writes it.
type liveRow struct {
	Bucket       string            `parquet:"bucket,dict"`
	Key          string            `parquet:"key"`
	Sequence     string            `parquet:"sequence_number"`
	VersionID    *string           `parquet:"version_id,optional"`
	DeleteMarker bool              `parquet:"is_delete_marker"`
	Size         int64             `parquet:"size"`
	Modified     time.Time         `parquet:"last_modified_date,timestamp(microsecond)"`
	ETag         string            `parquet:"e_tag"`
	Class        string            `parquet:"storage_class,dict"`
	Multipart    bool              `parquet:"is_multipart"`
	Encryption   string            `parquet:"encryption_status,dict"`
	BucketKey    bool              `parquet:"is_bucket_key_enabled"`
	KMSKey       *string           `parquet:"kms_key_arn,optional,dict"`
	Checksum     string            `parquet:"checksum_algorithm,dict"`
	Tags         map[string]string `parquet:"object_tags"`
	Metadata     map[string]string `parquet:"user_metadata"`
}

func liveRowOf(bucket string, i int) liveRow {
	kms := []string{liveOld, liveOther, "", ""}[i%4]
	r := liveRow{Bucket: bucket, Key: nullKey(i), Sequence: fmt.Sprintf("%032x", i), Size: 1024, Modified: time.Date(2026, 11, 23, 19, 10, 5, 0, time.UTC),
		ETag: nullETag, Class: "STANDARD", Encryption: []string{"SSE-KMS", "SSE-KMS", "SSE-S3", "NOT-SSE"}[i%4], Checksum: "CRC64NVME"}
	if kms != "" {
		r.KMSKey = &kms
	}
	return r
}

// writeLive makes the rows in both forms, and a report of S3 Inventory in which a share of
// them is under SSE-KMS.
func writeLive(dir, bucket string, n int) error {
	err := writeLines(filepath.Join(dir, "live.csv"), false, n, func(w io.Writer, i int) {
		if i == 0 {
			fmt.Fprintln(w, liveNames)
		}
		r := liveRowOf(bucket, i)
		kms := ""
		if r.KMSKey != nil {
			kms = `"` + *r.KMSKey + `"`
		}
		fmt.Fprintf(w, "%q,%q,%q,,\"false\",\"1024\",\"2026-11-23 19:10:05.000000 UTC\",%q,\"STANDARD\",\"false\",%q,\"false\",%s,\"CRC64NVME\",,\n",
			bucket, r.Key, r.Sequence, r.ETag, r.Encryption, kms)
	})
	if err != nil {
		return err
	}
	const data = "data/00000000-0000-4000-8000-000000000001.csv.gz"
	if err := writeLines(filepath.Join(dir, data), true, n/shareByKey, func(w io.Writer, i int) {
		fmt.Fprintf(w, "%q,\"%s\",\"1024\",\"2026-11-23T19:10:05.000Z\",\"%s\",\"STANDARD\",\"false\",\"SSE-KMS\"\n", bucket, nullKey(i), nullETag)
	}); err != nil {
		return err
	}
	if err := writeManifest(dir, bucket, "kms.json", data); err != nil {
		return err
	}
	return writeLiveParquet(filepath.Join(dir, "live.parquet"), bucket, n)
}

func writeLiveParquet(path, bucket string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := parquet.NewGenericWriter[liveRow](f, parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(100_000))
	rows := make([]liveRow, 0, 1000)
	for i := range n {
		if rows = append(rows, liveRowOf(bucket, i)); len(rows) == cap(rows) || i == n-1 {
			if _, err := w.Write(rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Sync()
}
