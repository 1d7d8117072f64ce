//go:build stores

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/bench/tools"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test/realserver"
	"github.com/resealhq/reseal/planner/inventory"
)

// tableStep and tableJob are what bench/tools/iceberg is told.
type tableStep struct {
	Append  []map[string]any `json:",omitempty"`
	Delete  []string         `json:",omitempty"`
	Equal   []map[string]any `json:",omitempty"`
	Rename  []string         `json:",omitempty"`
	Upgrade int              `json:",omitempty"`
}

type tableJob struct {
	Dir, URI, Warehouse, Region string
	Props                       map[string]string
	Namespace, Table, Version   string
	Partitioned                 bool
	Steps                       []tableStep
}

// writtenTable is a table, and the rows of it that Apache's library reads.
type writtenTable struct {
	Metadata string
	Snapshot int64
	Rows     []map[string]any
}

func (j *tableJob) write(t *testing.T, env ...string) (w writtenTable) {
	t.Helper()
	bin, err := tools.Build(t.Context(), "iceberg")
	if err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin)
	cmd.Stdin, cmd.Env = bytes.NewReader(in), append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if err := json.Unmarshal(out, &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestStoresTablesOnDisk: of tables that Apache's own library has written, with deletions by
// position, by vector and by value, with partitions and a column of another name, the rows
// are given out that this library reads.
func TestStoresTablesOnDisk(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 16))
		j := &tableJob{Dir: t.TempDir(), Namespace: "b_src", Table: "inventory", Version: "2", Partitioned: seed%2 == 1}
		sizes := 0
		for step := range 5 {
			var rows []map[string]any
			for i := range 20 + r.IntN(30) {
				sizes++
				rows = append(rows, map[string]any{"bucket": "src", "key": fmt.Sprintf("k/%d/ü %d", step%3, i), "size": sizes, "e_tag": fmt.Sprint("e", sizes),
					"storage_class": []string{"STANDARD", "GLACIER"}[r.IntN(2)], "encryption_status": "SSE-KMS", "kms_key_arn": "arn:aws:kms:x:1:key/k",
					"last_modified_date": "2026-11-23T01:02:03.000004", "is_bucket_key_enabled": i%2 == 0, "object_tags": []any{map[string]any{"key": "a", "value": "b"}}})
			}
			j.Steps = append(j.Steps, tableStep{Append: rows})
			var some []string
			var equal []map[string]any
			for _, row := range rows {
				switch r.IntN(6) {
				case 0:
					some = append(some, row["key"].(string))
				case 1:
					equal = append(equal, map[string]any{"bucket": "src", "key": row["key"], "storage_class": row["storage_class"]})
				}
			}
			j.Steps = append(j.Steps, tableStep{Delete: some}, tableStep{Equal: equal})
			if step == 2 && seed >= 2 {
				j.Steps = append(j.Steps, tableStep{Upgrade: 3})
			}
		}
		w := j.write(t)
		var want, got []string
		for _, row := range w.Rows {
			want = append(want, fmt.Sprintf("%v %v %v", row["key"], row["size"], row["e_tag"]))
		}
		data, err := os.ReadFile(w.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		s, err := inventory.OpenIceberg(t.Context(), inventory.Where{}, w.Metadata, data, 0, inventory.Options{TempDir: t.TempDir(), Parallel: 1})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := s.Read(t.Context(), nil, func(p object.Page) error {
			for _, o := range p.Objects {
				got = append(got, fmt.Sprintf("%s %d %s", o.Key, o.Size, o.ETag))
				if !o.Settled || o.LastModified.Year() != 2026 {
					t.Errorf("%+v", o)
				}
			}
			return nil
		}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		slices.Sort(want)
		slices.Sort(got)
		if len(want) == 0 || len(want) == sizes || !slices.Equal(got, want) || s.Snapshot() != w.Snapshot {
			t.Errorf("seed %d: %d rows of %d, want %d", seed, len(got), sizes, len(want))
		}
	}
}

// TestStoresTables plans from a table of a real catalog, which wants requests signed for S3
// Tables: what the key column and the deletions leave is what is done, and a job stays with
// the snapshot that it began with.
func TestStoresTables(t *testing.T) {
	server := realserver.StartSeaweedFS(t, realserver.Options{Keys: []string{"key-a", "key-b"}, Tables: true})
	b := newBed(t, server, "tables")
	b.tableBucket(t, "metadata")
	const each = 30
	var rows []map[string]any
	for i := range 2 * each {
		key := fmt.Sprintf("k%03d", i)
		out, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: strings.NewReader(key),
			ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: &server.Keys[i%2]})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, map[string]any{"bucket": b.bucket, "key": key, "size": len(key), "e_tag": strings.Trim(*out.ETag, `"`), "storage_class": "STANDARD",
			"encryption_status": "SSE-KMS", "is_bucket_key_enabled": false, "kms_key_arn": aws.ToString(out.SSEKMSKeyId)})
	}
	ghost := func(key string) map[string]any { // under the old key, and long gone
		return map[string]any{"bucket": b.bucket, "key": key, "size": 1, "e_tag": "x", "storage_class": "STANDARD", "encryption_status": "SSE-KMS", "is_bucket_key_enabled": false, "kms_key_arn": rows[0]["kms_key_arn"]}
	}
	const arn = "arn:aws:s3tables:us-east-1:111122223333:bucket/metadata"
	j := &tableJob{URI: server.Tables, Warehouse: arn, Region: "us-east-1", Namespace: "b_tables", Table: "inventory", Version: "2",
		Props: map[string]string{"s3.endpoint": server.Endpoint, "s3.access-key-id": realserver.AccessKey, "s3.secret-access-key": realserver.SecretKey, "s3.region": "us-east-1"},
		Steps: []tableStep{{Append: append([]map[string]any{ghost("ghost/1"), ghost("ghost/2")}, rows[:each]...)}, {Delete: []string{"ghost/1"}},
			{Equal: []map[string]any{{"bucket": b.bucket, "key": "ghost/2"}}}, {Append: append([]map[string]any{ghost("ghost/3")}, rows[each:]...)}, {Upgrade: 3}, {Delete: []string{"ghost/3"}}}}
	w := j.write(t, "AWS_ACCESS_KEY_ID="+realserver.AccessKey, "AWS_SECRET_ACCESS_KEY="+realserver.SecretKey, "AWS_REGION=us-east-1", "AWS_CA_BUNDLE="+server.CAFile)
	if len(w.Rows) != 2*each {
		t.Fatalf("the library reads %d rows of %s: %v", len(w.Rows), w.Metadata, w.Rows)
	}
	b.env = append(b.env, "AWS_ENDPOINT_URL_S3TABLES="+server.Tables)
	uri := "s3tables://" + arn + "/b_tables/inventory"
	var audit struct {
		Objects int
		By      []struct {
			Key     string `json:"kms_key_id"`
			Objects int
		} `json:"by_encryption"`
	}
	if err := json.Unmarshal(b.reseal(0, "audit", "--manifest", uri, "--json", "--quiet"), &audit); err != nil {
		t.Fatal(err)
	}
	if audit.Objects != 2*each || len(audit.By) != 2 || audit.By[0].Objects != each {
		t.Errorf("%+v", audit)
	}
	b.reseal(2, "audit", "--manifest", uri+"s")
	b.reseal(2, "audit", "--manifest", "s3tables://metadata/inventory")
	dir := filepath.Join(t.TempDir(), "job")
	b.reseal(0, "plan", "--manifest", uri, "--only-encryption", "sse-kms="+server.Keys[0], "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[1], "--job", dir, "--limit", "10")
	job := fileText(t, filepath.Join(dir, "job.json"))
	if !strings.Contains(job, fmt.Sprintf("?snapshot=%d", w.Snapshot)) {
		t.Errorf("the job does not name its snapshot: %s", job)
	}
	s := b.summary("--manifest", uri, "--only-encryption", "sse-kms="+server.Keys[0], "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[1], "--job", dir+"2")
	if s.Planned != each || s.Done != each {
		t.Errorf("%+v", s)
	}
	for i := range 2 * each {
		h, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: aws.String(fmt.Sprintf("k%03d", i))})
		if err != nil || aws.ToString(h.SSEKMSKeyId) != rows[1]["kms_key_arn"] {
			t.Errorf("k%03d: %v, %v", i, h, err)
		}
	}
}

// tableBucket makes one by the API of S3 Tables.
func (b *bed) tableBucket(t *testing.T, name string) {
	t.Helper()
	body := fmt.Sprintf(`{"name":%q}`, name)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, b.server.Endpoint+"/buckets", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: realserver.AccessKey, SecretAccessKey: realserver.SecretKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "s3tables", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := b.client.Options().HTTPClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
}
