package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestKeysLikeVersions: UploadPartCopy of Ceph takes such a key for a version of another object, whose bytes
// it would copy. An object whose key is that of a version that is there stays as it is.
func TestKeysLikeVersions(t *testing.T) {
	t.Parallel()
	for _, versioning := range []string{"", "Enabled"} {
		t.Run("versioning "+versioning, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{Profile: s3test.Ceph20(), TLS: true, Seed: 1})
			st.server.CreateBucket("b", s3test.BucketConfig{Versioning: versioning})
			arn := st.server.KMS.CreateNamedKey("named-key")
			st.server.Put("b", s3test.Object{Key: "a", Body: s3test.Bytes("the bytes of a.")})
			a, _ := st.server.Get("b", "a", "")
			stays := map[string]bool{"a?versionId=" + a.VersionID: true, "a?VersionID=" + a.VersionID + "&b=c": true, "a?versionId=": true}
			for key := range stays {
				o := s3test.Object{Key: key, Body: s3test.Bytes("what others say")} // as long, so that only its bytes tell
				o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: arn}
				st.server.Put("b", o)
			}
			for _, key := range []string{"b?versionId=null", "?versionId=null", "a?versionId", "a?x=1"} {
				st.server.Put("b", s3test.Object{Key: key, Body: s3test.Bytes(key)})
			}
			before := st.server.Snapshot("b")
			key, file := st.customerKey(t, "key")
			job := filepath.Join(t.TempDir(), "job")
			s := st.reseal(t, "run", "s3://b", "--sse", "sse-c", "--sse-c-key-file", file, "--no-progress", "--job", job)
			rows := st.rows(t, job)
			if s.code != exitSome || rows["a"]["state"] != "done" || rows["a?x=1"]["state"] != "done" {
				t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
			}
			for key := range stays {
				if row := rows[key]; row["state"] != "left" || row["reason"] != "wrong-source" || !strings.Contains(row["message"], "as s3://b/a") {
					t.Errorf("%s: %v", key, row)
				}
			}
			st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEC, CustomerKey: key}, Operation: object.OpMultipart,
				Intent: only(func(o s3test.Object) bool { return rows[o.Key]["state"] == "done" })})
		})
	}
}

// TestCephKeepsChecksums: copies of Ceph have no checksum. One that an object has is sent again with its
// bytes, or the object stays as it is and says so.
func TestCephKeepsChecksums(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Profile: s3test.Ceph20(), Seed: 1})
	key := "named-key"
	st.server.KMS.CreateNamedKey(key)
	for _, accepted := range []bool{false, true} {
		bucket := fmt.Sprint("b-", accepted)
		st.server.CreateBucket(bucket, s3test.BucketConfig{})
		for i, size := range []int64{0, 500, 3 << 20} {
			body := s3test.Synthetic(uint64(i), size)
			st.server.Put(bucket, s3test.Object{Key: fmt.Sprint("with ", i), Body: body}, s3test.Summed(body, "CRC32"))
			st.server.Put(bucket, s3test.Object{Key: fmt.Sprint("without ", i), Body: body})
		}
		job := filepath.Join(t.TempDir(), "job")
		args := []string{"run", "s3://" + bucket, "--sse", "aws:kms", "--sse-kms-key-id", key, "--no-progress", "--job", job}
		if accepted {
			args = append(args, "--accept", "concurrent-writes")
		}
		if s := st.reseal(t, args...); s.code != 0 {
			t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
		}
		for k, row := range st.rows(t, job) {
			o, _ := st.server.Get(bucket, k, "")
			if row["state"] != "done" || strings.HasPrefix(k, "with ") != (o.Checksum.Algorithm == "CRC32") {
				t.Errorf("%s %s: %v, %+v", bucket, k, row, o.Checksum)
			}
		}
	}
}

// Where the loss of checksums is accepted, the bytes are compared by what was read before the copy.
func TestCephReadsWhatHasNoChecksum(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Profile: s3test.Ceph20(), Seed: 1})
	st.server.KMS.CreateNamedKey("named-key")
	st.server.CreateBucket("b", s3test.BucketConfig{})
	for i := range 4 {
		body := s3test.Synthetic(uint64(i), 500)
		st.server.Put("b", s3test.Object{Key: fmt.Sprint("k", i), Body: body}, s3test.Summed(body, "CRC32"))
	}
	job := filepath.Join(t.TempDir(), "job")
	s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", "named-key", "--operation", "copy", "--verify", "read",
		"--accept", "concurrent-writes,composite-checksum", "--no-progress", "--job", job)
	for k, row := range st.rows(t, job) {
		if row["state"] != "done" || row["operation"] != "copy" {
			t.Errorf("%s: %v", k, row)
		}
	}
	if s.code != 0 {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}
