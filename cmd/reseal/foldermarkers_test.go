package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// folderMarkers stores objects whose keys end with a slash, as consoles and file systems over
// S3 make them, with and without bytes, under each encryption.
func folderMarkers(t *testing.T, seed uint64, underSSEC bool) (st *stage, before s3test.Bucket) {
	t.Helper()
	st = newStage(t, s3test.Config{TLS: true, Profile: s3test.MinIO(), Seed: seed})
	st.env = slices.DeleteFunc(st.env, func(e string) bool { return strings.HasPrefix(e, "AWS_ENDPOINT_URL_KMS=") }) // it has a KMS that none can ask
	st.server.KMS.CreateNamedKey("key-a")
	st.server.KMS.CreateNamedKey("key-b")
	st.server.CreateBucket("b", s3test.BucketConfig{})
	for name, e := range map[string]object.Encryption{
		"none": {}, "s3": {Type: object.SSES3}, "kms": {Type: object.SSEKMS, KMSKeyID: "arn:aws:kms:key-a"},
	} {
		for key, body := range map[string]string{name + "/": "", name + "/with/bytes/": "bytes of " + name} {
			o := s3test.Object{Key: key, Body: s3test.Bytes(body)}
			o.Encryption, o.Metadata, o.Tags = e, map[string]string{"of": name}, []object.Tag{{Key: "a", Value: "b"}}
			st.server.Put("b", o)
		}
	}
	if underSSEC {
		st.server.Put("b", s3test.Object{Key: "ssec/", Body: s3test.Bytes("customer's")}, s3test.CustomerKey(st.oldKey))
	}
	return st, st.server.Snapshot("b")
}

// TestFolderMarkersOfMinIO: a HEAD of MinIO shows what is encrypted, and has a key that ends with
// a slash, under a sealed ETag, which alone its conditions know. All else shows it opened.
func TestFolderMarkersOfMinIO(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"by the row": nil,
		"inspected":  {"--inspect", "always"},
		"unlooked":   {"--inspect", "never"},
		"by head":    {"--verify", "head"},
		"read":       {"--verify", "read"},
		"rewrite":    {"--operation", "rewrite"},
	} {
		t.Run(name, func(t *testing.T) {
			st, before := folderMarkers(t, 5, false)
			job := filepath.Join(t.TempDir(), "job")
			end := st.reseal(t, append([]string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", "key-b", "--no-progress", "--job", job}, args...)...)
			if end.code != 0 {
				t.Fatalf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
			}
			st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: "arn:aws:kms:key-b"}})
			for key, row := range st.rows(t, job) {
				now, _ := st.server.Get("b", key, "")
				if row["state"] != "done" || row["message"] != "" || row["etag_after"] != now.ETag {
					t.Errorf("%s is %s with the ETag %s, and has %s: %s", key, row["state"], row["etag_after"], now.ETag, row["message"])
				}
			}
			if end := st.reseal(t, "verify", "--job", job, "--no-progress"); end.code != 0 {
				t.Errorf("verify: exit code %d\n%s%s", end.code, end.stdout, end.stderr)
			}
		})
	}
}

// What it takes no upload in parts of goes another way, or is left with one that helps.
func TestFolderMarkersGoByNoUpload(t *testing.T) {
	t.Parallel()
	st, before := folderMarkers(t, 6, true)
	job := filepath.Join(t.TempDir(), "job")
	args := []string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", "key-b", "--source-sse-c-key-file", st.oldFile, "--no-progress", "--job", job}
	if end := st.reseal(t, append(args, "--operation", "copy")...); end.code != 3 {
		t.Fatalf("exit code %d\n%s", end.code, end.stderr)
	}
	for key, row := range st.rows(t, job) {
		if row["state"] != "left" || row["reason"] != "concurrent-writes" {
			t.Errorf("%s is %s (%s): %s", key, row["state"], row["reason"], row["message"])
		}
	}
	if end := st.reseal(t, append(args, "--operation", "auto", "--accept", "concurrent-writes", "--retry-failed")...); end.code != 0 {
		t.Fatalf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: "arn:aws:kms:key-b"}})
}

// Where no other copy was seen to do it, as between customer keys on MinIO, it is left.
func TestFolderMarkersThatOnlyAnUploadCopies(t *testing.T) {
	t.Parallel()
	profile := s3test.MinIO()
	profile.CopyIgnoresSSE = true
	st := newStage(t, s3test.Config{TLS: true, Profile: profile, Seed: 8})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Put("b", s3test.Object{Key: "d/", Body: s3test.Bytes("")}, s3test.CustomerKey(st.oldKey))
	st.server.Put("b", s3test.Object{Key: "d/o", Body: s3test.Bytes("o")}, s3test.CustomerKey(st.oldKey))
	job := filepath.Join(t.TempDir(), "job")
	end := st.reseal(t, "run", "s3://b", "--sse", "sse-c", "--sse-c-key-file", st.newFile, "--source-sse-c-key-file", st.oldFile, "--no-progress", "--job", job)
	rows := st.rows(t, job)
	if r := rows["d/"]; end.code != 3 || r["state"] != "left" || r["reason"] != "unsupported" || !strings.Contains(r["message"], "ends with a slash") || rows["d/o"]["state"] != "done" {
		t.Errorf("exit code %d\n%s%v", end.code, end.stderr, rows)
	}
}
