package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// keysSent are the fingerprints of the customer keys that a store was sent.
func keysSent(s *s3test.Server) map[string]bool {
	sent := map[string]bool{}
	for _, r := range s.Requests() {
		for name, value := range r.Header {
			if strings.HasSuffix(name, "-Customer-Key-Md5") {
				sent[value[0]] = true
			}
		}
	}
	return sent
}

// TestAcrossKeepsCustomerKeysApart: of a job to another store neither learns the customer keys
// of the other, also where what stands at the destination, or in the source, wants a key that
// was not given. What stands there is left for that.
func TestAcrossKeepsCustomerKeysApart(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{TLS: true, Seed: 41})
	for name, profile := range map[string]s3test.Profile{"AWS": s3test.AWS(), "MinIO": s3test.MinIO()} {
		to := s3test.New(s3test.Config{TLS: true, Seed: 42, Profile: profile})
		t.Cleanup(to.Close)
		st.env = append(st.env, "AWS_CA_BUNDLE="+st.file(t, "both.pem", slices.Concat(st.server.CAPEM(), to.CAPEM())))
		bucket := strings.ToLower(name)
		st.server.CreateBucket(bucket, s3test.BucketConfig{})
		to.CreateBucket(bucket, s3test.BucketConfig{})
		one, oneFile := st.customerKey(t, name+"one")
		two, twoFile := st.customerKey(t, name+"two")
		unknown, _ := st.customerKey(t, name+"unknown")
		for i, key := range []object.CustomerKey{one, two, unknown, one, two} {
			st.server.Put(bucket, s3test.Object{Key: fmt.Sprint("k", i), Body: s3test.Bytes("bytes")}, s3test.CustomerKey(key))
		}
		to.Put(bucket, s3test.Object{Key: "k3", Body: s3test.Bytes("bytes")}, s3test.CustomerKey(unknown))
		to.Put(bucket, s3test.Object{Key: "k4", Body: s3test.Bytes("bytes")}, s3test.CustomerKey(two))
		st.server.ResetRequests()
		job := filepath.Join(st.dir, name)
		keys := []string{"--job", job, "--no-progress", "--sse-c-key-file", st.newFile, "--source-sse-c-key-file", oneFile, "--source-sse-c-key-file", twoFile}
		end := st.reseal(t, append([]string{"run", "s3://" + bucket, "--sse", "sse-c", "--dest", "s3://" + bucket, "--dest-endpoint-url", to.URL()}, keys...)...)
		want := map[string]string{"k0": "done ", "k1": "done ", "k2": "left missing-key", "k3": "left exists", "k4": "left exists"}
		for key, row := range st.rows(t, job) {
			if is := row["state"] + " " + row["reason"]; is != want[key] {
				t.Errorf("%s: %s is %s, want %s: %s", name, key, is, want[key], row["message"])
			}
		}
		if end.code != 3 {
			t.Errorf("%s: exit code %d\n%s", name, end.code, end.stderr)
		}
		if end := st.reseal(t, append([]string{"verify"}, keys...)...); !strings.Contains(end.stdout, "verified  2") {
			t.Errorf("%s: verify: exit code %d\n%s%s", name, end.code, end.stdout, end.stderr)
		}
		if sent := keysSent(st.server); sent[st.newKey.MD5()] || !sent[one.MD5()] || !sent[two.MD5()] {
			t.Errorf("%s: the source was sent %v", name, sent)
		}
		if sent := keysSent(to); len(sent) != 1 || !sent[st.newKey.MD5()] {
			t.Errorf("%s: the destination was sent %v, want %s alone", name, sent, st.newKey.MD5())
		}
	}
}

// TestAcrossAsksWithTheKeyOfTheFirst: what the source tells of an object is asked with the key that the
// first one is under, of all that were given.
func TestAcrossAsksWithTheKeyOfTheFirst(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{TLS: true, Seed: 43})
	to := s3test.New(s3test.Config{TLS: true, Seed: 44, Profile: s3test.AWS()})
	t.Cleanup(to.Close)
	st.env = append(st.env, "AWS_CA_BUNDLE="+st.file(t, "both.pem", slices.Concat(st.server.CAPEM(), to.CAPEM())))
	st.server.CreateBucket("b", s3test.BucketConfig{})
	to.CreateBucket("b", s3test.BucketConfig{})
	_, oneFile := st.customerKey(t, "one")
	two, twoFile := st.customerKey(t, "two")
	st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("bytes")}, s3test.CustomerKey(two))
	end := st.reseal(t, "run", "s3://b", "--job", filepath.Join(st.dir, "job"), "--no-progress", "--sse", "sse-s3", "--dest", "s3://b",
		"--dest-endpoint-url", to.URL(), "--source-sse-c-key-file", oneFile, "--source-sse-c-key-file", twoFile)
	if end.code != 0 {
		t.Errorf("exit code %d\n%s", end.code, end.stderr)
	}
	asked := st.server.Requests("GetObjectAttributes")
	if len(asked) == 0 {
		t.Error("nothing was asked")
	}
	for _, r := range asked {
		if r.Status != 200 {
			t.Errorf("it was asked without the key that opens it: %d, %v", r.Status, r.Header)
		}
	}
}
