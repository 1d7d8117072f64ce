package main

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// inventoryReport is a report in bucket inv about bucket docs.
type inventoryReport struct {
	format string
	schema string
	files  [][]byte
	// break one of them
	wrongMD5, missing bool
	noChecksum        bool // S3 writes manifest.checksum last
}

const (
	inventoryConfig = "reports/docs/daily/"
	inventorySchema = "Bucket, Key, Size, ETag, EncryptionStatus"
)

// store puts the report of a time into the bucket inv.
func (st *stage) store(folder string, r inventoryReport) (uri string) {
	type file struct {
		Key  string `json:"key"`
		Size int    `json:"size"`
		MD5  string `json:"MD5checksum"`
	}
	put := func(key string, body []byte) {
		st.server.Put("inv", s3test.Object{Key: key, Body: s3test.Bytes(string(body))})
	}
	var files []file
	for i, data := range r.files {
		sum := md5.Sum(data)
		f := file{fmt.Sprintf("%sdata/%s-%d.%s", inventoryConfig, folder, i, r.format), len(data), hex.EncodeToString(sum[:])}
		last := i == len(r.files)-1
		if !last || !r.missing {
			put(f.Key, data)
		}
		if last && r.wrongMD5 {
			f.MD5 = strings.Repeat("0", 32)
		}
		files = append(files, f)
	}
	m, _ := json.Marshal(map[string]any{"sourceBucket": "docs", "destinationBucket": "arn:aws:s3:::inv", "version": "2016-11-30",
		"creationTimestamp": "1514944800000", "fileFormat": r.format, "fileSchema": r.schema, "files": files})
	uri = inventoryConfig + folder + "/manifest.json"
	put(uri, m)
	if !r.noChecksum {
		sum := md5.Sum(m)
		put(inventoryConfig+folder+"/manifest.checksum", []byte(hex.EncodeToString(sum[:])))
	}
	return "s3://inv/" + uri
}

// inventoryLines is a CSV file with the objects of docs, ending in more.
func inventoryLines(objects []s3test.Object, more ...string) []byte {
	var lines []string
	status := map[object.SSE]string{object.SSENone: "NOT-SSE", object.SSES3: "SSE-S3", object.SSEKMS: "SSE-KMS", object.DSSEKMS: "DSSE-KMS", object.SSEC: "SSE-C"}
	for _, o := range objects {
		lines = append(lines, fmt.Sprintf(`"docs","%s","%d","%s","%s"`, url.QueryEscape(o.Key), o.Body.Size(), o.ETag, status[o.Encryption.Type]))
	}
	return gzipped(strings.Join(append(lines, more...), "\n") + "\n")
}

func gzipped(text string) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return buf.Bytes()
}

// foreignParquet has a row of another bucket as the second of its third group.
func foreignParquet(t *testing.T) []byte {
	t.Helper()
	type row struct {
		Bucket string `parquet:"bucket"`
		Key    string `parquet:"key"`
		Size   int64  `parquet:"size"`
	}
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[row](&buf, parquet.MaxRowsPerRowGroup(4))
	for i := range 12 {
		r := row{"docs", fmt.Sprintf("a/%06d", i), 1}
		if i == 9 {
			r.Bucket = "payroll"
		}
		if _, err := w.Write([]row{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestBrokenInventories gives the binary every broken report: exit code 2, the
// place named, and nothing is touched, neither by plan nor by run.
func TestBrokenInventories(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 5})
	st.server.CreateBucket("docs", s3test.BucketConfig{})
	st.server.CreateBucket("inv", s3test.BucketConfig{})
	st.server.Fill("docs", 12, func(i int) string { return fmt.Sprintf("a/%06d", i) }, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}})
	objects := st.server.Snapshot("docs").Objects
	good := inventoryLines(objects)
	long := gzipped(strings.Repeat(`"docs","a/000001","1","","NOT-SSE"`+"\n", 50_000))
	for i, test := range []struct {
		name string
		r    inventoryReport
		says []string
	}{
		{"wrong MD5", inventoryReport{files: [][]byte{good, good}, wrongMD5: true}, []string{"-1.CSV", "MD5"}},
		{"truncated gzip", inventoryReport{files: [][]byte{good, long[:len(long)*2/3]}}, []string{"-1.CSV", "line ", "truncated"}},
		{"missing file", inventoryReport{files: [][]byte{good, good}, missing: true}, []string{"-1.CSV", "missing"}},
		{"unknown column", inventoryReport{files: [][]byte{good}, schema: "Bucket, Key, Size, ETag, Colour"}, []string{"Colour", "not known"}},
		{"foreign bucket", inventoryReport{files: [][]byte{good, inventoryLines(objects, `"payroll","k","1","","SSE-S3"`)}}, []string{"-1.CSV", "line 13", `"payroll"`}},
		{"foreign bucket in Parquet", inventoryReport{files: [][]byte{foreignParquet(t)}, format: "Parquet"}, []string{"-0.Parquet", "row group 3, row 2", `"payroll"`}},
		{"no list of files", inventoryReport{}, []string{"manifest.json", "no inventory manifest"}},
	} {
		test.r.format, test.r.schema = or(test.r.format, "CSV"), or(test.r.schema, inventorySchema)
		uri := st.store(fmt.Sprintf("2026-11-%02dT01-00Z", i+1), test.r)
		before := st.server.Snapshot("docs")
		for _, verb := range []string{"plan", "run"} {
			job := filepath.Join(st.dir, "broken")
			s := st.reseal(t, verb, "--manifest", uri, "--sse", "AES256", "--job", job)
			if s.code != 2 {
				t.Errorf("%s: %s ended with %d: %s", test.name, verb, s.code, s.stderr)
			}
			for _, word := range append(test.says, "inv/") {
				if !strings.Contains(s.stderr, word) {
					t.Errorf("%s: %s does not say %q: %s", test.name, verb, word, s.stderr)
				}
			}
			if left, _ := filepath.Glob(job); left != nil {
				t.Errorf("%s: %s left a job behind", test.name, verb)
			}
		}
		st.differences(t, before, check.Expectation{Intent: untouched})
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// TestNewestInventory: of the reports below a folder the newest complete one is
// taken, and a resumed job stays with it.
func TestNewestInventory(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 5})
	st.server.CreateBucket("docs", s3test.BucketConfig{})
	st.server.CreateBucket("inv", s3test.BucketConfig{})
	st.server.Fill("docs", 30, func(i int) string { return fmt.Sprintf("a/%06d", i) }, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}})
	objects := st.server.Snapshot("docs").Objects
	report := func(n int) inventoryReport {
		return inventoryReport{format: "CSV", schema: inventorySchema, files: [][]byte{inventoryLines(objects[:n/2]), inventoryLines(objects[n/2 : n])}}
	}
	st.store("2026-11-01T01-00Z", report(10))
	st.store("2026-11-08T01-00Z", report(20))
	unfinished := report(30)
	unfinished.noChecksum = true
	st.store("2026-11-15T01-00Z", unfinished)
	st.server.Put("inv", s3test.Object{Key: inventoryConfig + "hive/dt=2026-11-15-01-00/symlink.txt", Body: s3test.Bytes("s3://inv/x")})
	job := filepath.Join(st.dir, "job")
	s := st.reseal(t, "plan", "--manifest", "s3://inv/"+inventoryConfig, "--sse", "AES256", "--job", job, "--json")
	if s.code != 0 || !strings.Contains(s.stdout, `"objects":20`) {
		t.Fatalf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	st.store("2026-11-22T01-00Z", report(30))
	if s = st.reseal(t, "run", "--job", job, "--json"); s.code != 0 || !strings.Contains(s.stdout, `"planned":20,"done":20`) {
		t.Fatalf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	if s = st.reseal(t, "run", "--manifest", "s3://inv/"+inventoryConfig, "--sse", "AES256", "--job", job+"2", "--json"); s.code != 0 ||
		!strings.Contains(s.stdout, `"planned":30,"done":10,"already":20`) {
		t.Fatalf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	// Rows that lie by now cost nothing but a second look.
	if s = st.reseal(t, "plan", "--manifest", "s3://inv/"+inventoryConfig+"2026-11-01T01-00Z/manifest.json", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB,
		"--operation", "copy", "--job", job+"3"); s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
}

// TestRowsThatWentStale: of a plan made from a report, objects that are gone are
// left by name, changed ones are done as they are now, and none is guessed.
func TestRowsThatWentStale(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 5})
	st.server.CreateBucket("docs", s3test.BucketConfig{})
	st.server.CreateBucket("inv", s3test.BucketConfig{})
	st.server.Fill("docs", 40, func(i int) string { return fmt.Sprintf("a/%06d", i) }, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}})
	uri := st.store("2026-11-01T01-00Z", inventoryReport{format: "CSV", schema: inventorySchema, files: [][]byte{inventoryLines(st.server.Snapshot("docs").Objects)}})
	job := filepath.Join(st.dir, "job")
	if s := st.reseal(t, "plan", "--manifest", uri, "--sse", "AES256", "--job", job); s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	key := func(i int) string { return fmt.Sprintf("a/%06d", i) }
	replace := func(i int, o s3test.Object) {
		for _, old := range st.server.Snapshot("docs").Find(key(i)) {
			st.server.Remove("docs", key(i), old.VersionID)
		}
		if o.Key = key(i); o.Body != nil {
			st.server.Put("docs", o)
		}
	}
	replace(3, s3test.Object{})
	replace(4, s3test.Object{})
	replace(5, s3test.Object{Body: s3test.Bytes("newer and longer"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}}})
	replace(6, s3test.Object{Body: s3test.Bytes("newer, encrypted"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
	replace(7, s3test.Object{Body: s3test.Bytes("newer, archived"), Attrs: s3test.Attrs{StorageClass: "GLACIER", Encryption: object.Encryption{Type: object.SSENone}}})
	before := st.server.Snapshot("docs")
	s := st.reseal(t, "run", "--job", job, "--json")
	if s.code != 3 || !strings.Contains(s.stdout, `"planned":40,"done":36,"already":1,"left":3,"failed":0`) {
		t.Errorf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	rows := st.rows(t, job)
	// Whether another client or a copy of the job has brought 6 under the target, nobody can tell.
	for i, want := range map[int]string{3: "left gone", 4: "left gone", 5: "done ", 6: "already in-doubt", 7: "left archived", 8: "done "} {
		if r := rows[key(i)]; r["state"]+" "+r["reason"] != want {
			t.Errorf("%s: %s %s, want %s", key(i), r["state"], r["reason"], want)
		}
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSES3},
		Intent: only(func(o s3test.Object) bool { return !slices.Contains([]string{key(6), key(7)}, o.Key) })})
}
