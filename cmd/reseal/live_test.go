package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// liveRow is a row of S3 Metadata's live inventory, as Athena's UNLOAD writes it.
type liveRow struct {
	Bucket       string            `parquet:"bucket"`
	Key          string            `parquet:"key"`
	Sequence     string            `parquet:"sequence_number"`
	VersionID    *string           `parquet:"version_id,optional"`
	DeleteMarker bool              `parquet:"is_delete_marker"`
	Size         int64             `parquet:"size"`
	Modified     time.Time         `parquet:"last_modified_date,timestamp(microsecond)"`
	ETag         string            `parquet:"e_tag"`
	Class        string            `parquet:"storage_class"`
	Multipart    bool              `parquet:"is_multipart"`
	Encryption   string            `parquet:"encryption_status"`
	BucketKey    bool              `parquet:"is_bucket_key_enabled"`
	KMSKey       *string           `parquet:"kms_key_arn,optional"`
	Checksum     *string           `parquet:"checksum_algorithm,optional"`
	Tags         map[string]string `parquet:"object_tags"`
}

// liveTable is the live inventory of a bucket, as it is now.
func liveTable(t *testing.T, b s3test.Bucket, bucket string) (rows []liveRow) {
	t.Helper()
	status := map[object.SSE]string{object.SSENone: "NOT-SSE", object.SSES3: "SSE-S3", object.SSEKMS: "SSE-KMS"}
	for _, o := range b.Objects {
		r := liveRow{Bucket: bucket, Key: o.Key, Size: o.Body.Size(), Modified: o.LastModified, ETag: o.ETag, Class: "STANDARD",
			Encryption: status[o.Encryption.Type], BucketKey: o.Encryption.BucketKey}
		if o.Encryption.KMSKeyID != "" {
			r.KMSKey = &o.Encryption.KMSKeyID
		}
		rows = append(rows, r)
	}
	return rows
}

func (st *stage) liveParquet(t *testing.T, rows []liveRow) string {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[liveRow](&b, parquet.Compression(&parquet.Snappy))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return st.file(t, "live.parquet", b.Bytes())
}

func (st *stage) liveCSV(t *testing.T, rows []liveRow) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("bucket,key,size,last_modified_date,e_tag,storage_class,encryption_status,is_bucket_key_enabled,kms_key_arn\n")
	for _, r := range rows {
		key := ""
		if r.KMSKey != nil {
			key = *r.KMSKey
		}
		fmt.Fprintf(&b, "%s,%s,%d,%s,%s,%s,%s,%t,%s\n", r.Bucket, r.Key, r.Size, r.Modified.UTC().Format("2006-01-02 15:04:05.000000 UTC"), r.ETag, r.Class, r.Encryption, r.BucketKey, key)
	}
	return st.file(t, "live.csv", []byte(b.String()))
}

// rotating is a bucket with objects under two keys, under SSE-S3 and without encryption.
func rotating(t *testing.T, each int) *stage {
	t.Helper()
	st := newAWS(t, s3test.Config{Seed: 7})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	kinds := []object.Encryption{{Type: object.SSEKMS, KMSKeyID: st.keyA}, {Type: object.SSEKMS, KMSKeyID: st.keyB}, {Type: object.SSES3}, {Type: object.SSENone}}
	for i := range each * len(kinds) {
		st.server.Put("b", s3test.Object{Key: fmt.Sprintf("k/%05d", i), Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Encryption: kinds[i%len(kinds)]}})
	}
	return st
}

// TestLiveInventoryAsksNothing: audit and who-needs from an export of the live inventory send
// no HEAD at all, and a plan none but those of the one object that shows what may be read;
// which objects are meant its key column decides. After the run the key is not needed.
func TestLiveInventoryAsksNothing(t *testing.T) {
	t.Parallel()
	const each = 500
	for _, form := range []string{"Parquet", "CSV"} {
		t.Run(form, func(t *testing.T) {
			st := rotating(t, each)
			write := map[string]func(*testing.T, []liveRow) string{"Parquet": st.liveParquet, "CSV": st.liveCSV}[form]
			table := write(t, liveTable(t, st.server.Snapshot("b"), "b"))
			var heads atomic.Int32
			st.server.OnRequest(func(r s3test.Request) {
				if r.Op == "HeadObject" {
					heads.Add(1)
				}
			})
			var audit struct {
				ByEncryption []struct {
					Encryption string `json:"encryption"`
					KMSKeyID   string `json:"kms_key_id"`
					Objects    int    `json:"objects"`
				} `json:"by_encryption"`
			}
			st.jsonOf(t, &audit, 0, "audit", "--manifest", table, "--json", "--quiet")
			if len(audit.ByEncryption) != 4 {
				t.Errorf("%+v", audit)
			}
			for _, row := range audit.ByEncryption {
				if row.Objects != each {
					t.Errorf("%+v", row)
				}
			}
			var answer struct{ Sources []neededHere }
			st.jsonOf(t, &answer, 3, "who-needs", st.keyA, "--manifest", table, "--json", "--quiet")
			if answer.Sources[0].Current.Objects != each || heads.Load() != 0 {
				t.Errorf("%+v, after %d HEADs", answer, heads.Load())
			}
			dir := filepath.Join(t.TempDir(), "job")
			args := []string{"--manifest", table, "--only-encryption", "sse-kms=" + st.keyA, "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", dir}
			var plan struct{ Total struct{ Objects int } }
			st.jsonOf(t, &plan, 0, append([]string{"plan", "--json", "--no-progress"}, args...)...)
			if plan.Total.Objects != each || heads.Load() > 2 {
				t.Errorf("%d planned, after %d HEADs", plan.Total.Objects, heads.Load())
			}
			if s := st.reseal(t, "run", "--job", dir, "--no-progress"); s.code != 0 {
				t.Errorf("run: exit code %d\n%s", s.code, s.stderr)
			}
			if s := st.reseal(t, "who-needs", st.keyA, "s3://b", "--quiet"); s.code != 0 {
				t.Errorf("who-needs: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
			}
			for _, o := range st.server.Snapshot("b").Objects {
				if o.Encryption.KMSKeyID == st.keyA {
					t.Errorf("%s is under the old key", o.Key)
				}
			}
		})
	}
}

func (st *stage) jsonOf(t *testing.T, into any, code int, args ...string) {
	t.Helper()
	s := st.reseal(t, args...)
	if s.code != code {
		t.Fatalf("%v: exit code %d, want %d\n%s%s", args, s.code, code, s.stdout, s.stderr)
	}
	if err := json.Unmarshal([]byte(s.stdout), into); err != nil {
		t.Fatal(err)
	}
}

// TestLiveInventoryThatIsOld: a row that is older than its object is found out by the
// condition that every operation is sent on; the object is looked at, and keeps its newer
// bytes. One that the row calls as wanted, and that is not any more, verify names.
func TestLiveInventoryThatIsOld(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"auto", "copy", "rewrite"} {
		t.Run(operation, func(t *testing.T) {
			st := rotating(t, 3)
			table := st.liveParquet(t, liveTable(t, st.server.Snapshot("b"), "b"))
			under := func(key string, e object.Encryption) {
				st.server.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("newer"), Attrs: s3test.Attrs{Encryption: e}})
			}
			under("k/00000", object.Encryption{Type: object.SSENone})                   // was under the old key
			under("k/00004", object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyB}) // is as wanted by now
			under("k/00001", object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyA}) // was as wanted
			st.server.Remove("b", "k/00008", "null")                                    // is gone
			dir := filepath.Join(t.TempDir(), "job")
			s := st.reseal(t, "run", "--manifest", table, "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--bucket-key", "off", "--operation", operation,
				"--job", dir, "--no-progress")
			if s.code != 0 && s.code != 3 {
				t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
			}
			file := filepath.Join(t.TempDir(), "report.csv")
			if r := st.reseal(t, "report", "--job", dir, "-o", file); r.code != 0 {
				t.Fatal(r.stderr)
			}
			rows := tableIn(t, file).by(t, byKey)
			for key, state := range map[string]string{"k/00000": "done", "k/00004": "already", "k/00002": "done", "k/00003": "done"} {
				if rows[key]["state"] != state {
					t.Errorf("%s: %v, want %s", key, rows[key], state)
				}
			}
			if state := rows["k/00008"]["state"]; state == "done" || state == "already" {
				t.Errorf("one that is gone: %v", rows["k/00008"])
			}
			for _, o := range st.server.Snapshot("b").Objects {
				newer := o.Key == "k/00000" || o.Key == "k/00001" || o.Key == "k/00004"
				if want := map[bool]int64{true: 5, false: 1}[newer]; o.Body.Size() != want {
					t.Errorf("%s has %d bytes, want %d", o.Key, o.Body.Size(), want)
				}
				if o.Encryption.KMSKeyID != st.keyB && o.Key != "k/00001" {
					t.Errorf("%s is under %+v", o.Key, o.Encryption)
				}
			}
			v := st.reseal(t, "verify", "--job", dir, "--json", "--quiet")
			if v.code != 3 || !strings.Contains(v.stdout, "k/00001") {
				t.Errorf("verify: exit code %d\n%s", v.code, v.stdout)
			}
		})
	}
}
