package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestL6NothingElseThanACopy: where only a copy is allowed, the object that was copied
// in vain has failed, and those after it are left.
func TestL6NothingElseThanACopy(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Profile: s3test.SeaweedFS2026(), Seed: 5})
	st.env = slices.DeleteFunc(st.env, func(e string) bool { return strings.HasPrefix(e, "AWS_ENDPOINT_URL_KMS=") })
	st.server.KMS.CreateNamedKey("old-key")
	st.server.KMS.CreateNamedKey("new-key")
	st.server.CreateBucket("b", s3test.BucketConfig{})
	for i := range 9 {
		st.server.Put("b", s3test.Object{Key: fmt.Sprint("k", i), Body: s3test.Bytes("of k"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: "old-key"}}})
	}
	job := filepath.Join(t.TempDir(), "job")
	end := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", "new-key", "--operation", "copy", "--concurrency", "1", "--no-progress", "--job", job)
	states := map[string]int{}
	for k, row := range st.rows(t, job) {
		states[row["state"]]++
		if row["state"] == "failed" && row["error_code"] == "" && row["reason"] != "unproved" {
			t.Errorf("%s failed as %q: %s", k, row["reason"], row["message"])
		}
	}
	if end.code != 3 || states["failed"] != 1 || states["left"] != 8 {
		t.Errorf("exit code %d, %v\n%s", end.code, states, end.stderr)
	}
}

// TestL6CopiesThatKeepTheOldKey: on a store that answers 200 to a copy and leaves the
// object under the KMS key that it was under, the first object shows it, and all such
// objects are read and written again. Nothing is called done on a reply's word.
func TestL6CopiesThatKeepTheOldKey(t *testing.T) {
	t.Parallel()
	for _, versioning := range []string{"", "Enabled"} {
		for _, verify := range []string{"auto", "response"} {
			t.Run(versioning+verify, func(t *testing.T) {
				st := newStage(t, s3test.Config{Profile: s3test.SeaweedFS2026(), Seed: 5})
				st.server.KMS.CreateNamedKey("old-key")
				st.server.KMS.CreateNamedKey("new-key")
				st.env = slices.DeleteFunc(st.env, func(e string) bool { return strings.HasPrefix(e, "AWS_ENDPOINT_URL_KMS=") })
				st.server.CreateBucket("b", s3test.BucketConfig{Versioning: versioning})
				for i := range 40 {
					o := s3test.Object{Key: fmt.Sprintf("k%02d", i), Body: s3test.Bytes(fmt.Sprint("of ", i))}
					o.Metadata = map[string]string{"n": fmt.Sprint(i)}
					o.Tags = []object.Tag{{Key: "n", Value: fmt.Sprint(i)}}
					o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: "old-key"}
					if i%4 == 0 {
						o.Encryption = object.Encryption{Type: object.SSES3}
					}
					st.server.Put("b", o)
				}
				before := st.server.Snapshot("b")
				job := filepath.Join(t.TempDir(), "job")
				end := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", "new-key", "--verify", verify, "--concurrency", "4", "--no-progress", "--job", job)
				if end.code != 0 {
					t.Fatalf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
				}
				kept := 0 // versions that the copies made that showed it
				for _, d := range check.Bucket(st.server, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: "new-key"}, Extra: 4}).Differences {
					if versioning == "" || d.Field != "encryption" || before.Find(d.Key)[0].VersionID == d.VersionID {
						t.Error(d)
					}
					kept++
				}
				copies, rewritten := 0, 0
				for _, r := range st.server.Requests("CopyObject") {
					if o := before.Find(r.Key); o != nil && o[0].Encryption.Type == object.SSEKMS {
						copies++
					}
				}
				if versioning != "" && kept != copies {
					t.Errorf("%d copies, and %d versions of them", copies, kept)
				}
				told := 0
				for k, row := range st.rows(t, job) {
					if strings.Contains(row["message"], "one more old version") {
						told++
					}
					if row["operation"] == "rewrite" && strings.Contains(row["message"], "the old KMS key") {
						rewritten++
					} else if row["sse_before"] != "sse-s3" {
						t.Errorf("%s: %s by %q: %s", k, row["state"], row["operation"], row["message"])
					}
				}
				if left := map[bool]int{versioning != "": copies}[true]; told != left { // else nothing is left
					t.Errorf("%d copies left an old version, and %d rows tell it", left, told)
				}
				if copies == 0 || copies > 4 || rewritten != 30 {
					t.Errorf("%d copies of 30 such objects, %d rewritten", copies, rewritten)
				}
				if n := strings.Count(end.stderr, "copies keep the KMS key"); n != 1 {
					t.Errorf("it is told %d times:\n%s", n, end.stderr)
				}
			})
		}
	}
}
