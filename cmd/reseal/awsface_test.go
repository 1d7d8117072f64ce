package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/awsface"
	"github.com/resealhq/reseal/engine/s3test/check"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// newAWS is a stage that the binary takes for AWS itself.
func newAWS(t *testing.T, cfg s3test.Config) *stage {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f, err := awsface.Start(cfg, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	st := &stage{server: f.Store, binary: binary, dir: dir, keyA: f.Store.KMS.CreateKey("alias/a"), keyB: f.Store.KMS.CreateKey("alias/b")}
	st.env = append(f.Env(os.Environ()), "HOME="+dir, "XDG_CACHE_HOME="+dir)
	return st
}

// The key is another account's, or the role may not update: what an update cannot do
// a copy does, and the report says why it was one.
func TestW1AnUpdateThatIsRefusedIsACopy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key  kms.KeyOptions
		deny []s3test.Deny
	}{
		"key of another account": {key: kms.KeyOptions{Account: "999988887777"}},
		"permission missing":     {deny: []s3test.Deny{{Action: "s3:UpdateObjectEncryption"}}},
	} {
		t.Run(name, func(t *testing.T) {
			st := newAWS(t, s3test.Config{Seed: 1})
			key := st.server.KMS.CreateKeyWith(c.key)
			st.server.CreateBucket("b", s3test.BucketConfig{Deny: c.deny})
			for _, k := range []string{"1", "2", "3", "4"} {
				o := s3test.Object{Key: k, Body: s3test.Bytes("of " + k)}
				o.Encryption.Type = object.SSES3
				st.server.Put("b", o)
			}
			before := st.server.Snapshot("b")
			job := filepath.Join(t.TempDir(), "job")
			target := []string{"s3://b", "--sse", "aws:kms", "--sse-kms-key-id", key}
			end := st.reseal(t, append(append([]string{"run"}, target...), "--no-progress", "--job", job)...)
			if end.code != 0 {
				t.Fatalf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
			}
			st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: key, BucketKey: object.On}})
			for k, row := range st.rows(t, job) {
				if row["operation"] != "copy" || !strings.Contains(row["message"], "UpdateObjectEncryption was refused") {
					t.Errorf("%s: %s by %q: %s", k, row["state"], row["operation"], row["message"])
				}
			}
			if !strings.Contains(end.stderr, "UpdateObjectEncryption was refused") {
				t.Errorf("the log does not tell it: %s", end.stderr)
			}
			only := st.reseal(t, append(append([]string{"run"}, target[:4]...), st.keyB, "--operation", "update", "--no-progress", "--job", job+"-only")...)
			if name == "permission missing" && only.code != 3 {
				t.Errorf("--operation update: exit code %d, want 3", only.code)
			}
		})
	}
}

// S3 answers 501 to the two conditions of a copy: another guarded route is taken.
func TestA3ACopyWithTwoConditions(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	for _, k := range []string{"1", "2", "3", "4"} {
		st.server.Put("b", s3test.Object{Key: k, Body: s3test.Bytes("of " + k)})
	}
	if err := st.server.SetRules(`(If Copy (Error 501 NotImplemented "We don't accept the provided value of If-Match header for this API"))`); err != nil {
		t.Fatal(err)
	}
	before := st.server.Snapshot("b")
	job := filepath.Join(t.TempDir(), "job")
	end := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--no-progress", "--job", job)
	if end.code != 0 {
		t.Fatalf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA, BucketKey: object.On}})
	for k, row := range st.rows(t, job) {
		if row["operation"] == "copy" || !strings.Contains(row["message"], "If-Match") {
			t.Errorf("%s: %s by %q: %s", k, row["state"], row["operation"], row["message"])
		}
	}
	for _, op := range []string{"PutObject", "CompleteMultipartUpload"} {
		for _, r := range st.server.Requests(op) {
			if r.Header.Get("If-Match") == "" {
				t.Errorf("%s of %s has no condition", op, r.Key)
			}
		}
	}
}

// TestW2AKeyOfAnotherRegion: no request under it can succeed, so plan and run refuse
// it before the job freezes it.
func TestW2AKeyOfAnotherRegion(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 2})
	key := st.server.KMS.CreateKeyWith(kms.KeyOptions{Region: "eu-west-1"})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("of k")})
	for _, verb := range []string{"plan", "run"} {
		job := filepath.Join(t.TempDir(), "job")
		end := st.reseal(t, verb, "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", key, "--no-progress", "--job", job)
		if end.code != 2 || !strings.Contains(end.stderr, "eu-west-1") || !strings.Contains(end.stderr, "us-east-1") {
			t.Errorf("%s: exit code %d: %s", verb, end.code, end.stderr)
		}
		if _, err := os.Stat(filepath.Join(job, "job.json")); err == nil {
			t.Errorf("%s has frozen the key", verb)
		}
	}
}

// TestW11AKeyInAKeyStore: doctor names what the key store takes, and every run of the
// job keeps below it, the later ones by what was frozen.
func TestW11AKeyInAKeyStore(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 2})
	key := st.server.KMS.CreateKeyWith(kms.KeyOptions{Origin: "EXTERNAL_KEY_STORE", CustomKeyStoreID: "cks-7"})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("of k")})
	target := []string{"s3://b", "--sse", "aws:kms", "--sse-kms-key-id", key}
	said := st.reseal(t, append([]string{"doctor"}, target...)...)
	if said.code != 0 || !strings.Contains(said.stdout, "the key store cks-7, which takes 1800 requests a second") || !strings.Contains(said.stdout, "at most 1620 a second") {
		t.Errorf("doctor: exit code %d\n%s%s", said.code, said.stdout, said.stderr)
	}
	if own := st.reseal(t, "doctor", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB); strings.Contains(own.stdout, "key store") {
		t.Errorf("of a key of KMS's own: %s", own.stdout)
	}
	job := filepath.Join(t.TempDir(), "job")
	for i, args := range [][]string{append([]string{"plan", "--job", job}, target...), {"run", "--job", job}, {"run", "--job", job, "--max-kms-requests-per-second", "50"}} {
		if end := st.reseal(t, append(args, "--no-progress")...); end.code != 0 {
			t.Fatalf("%s: exit code %d: %s", args[0], end.code, end.stderr)
		}
		log, err := os.ReadFile(filepath.Join(job, "reseal.log"))
		if told := strings.Count(string(log), "per_second=1620"); err != nil || told != min(i+1, 2) {
			t.Errorf("after %v the log tells it %d times, %v: %s", args, told, err, log)
		}
	}
}
