package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestVersionsOfABucketThatForgot: a bucket that says it keeps no versions may hold some
// from before, on stores other than AWS. A key that one of them needs is needed, and a
// listing of versions that is denied leaves that open.
func TestVersionsOfABucketThatForgot(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	st.putUnder("k", st.keyA)
	st.putUnder("k", st.keyB)
	st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "" })
	if s := st.reseal(t, "who-needs", st.keyA, "s3://b", "--quiet"); s.code != 3 {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = []s3test.Deny{{Action: "s3:ListBucketVersions"}} })
	if s := st.reseal(t, "who-needs", st.keyA, "s3://b", "--quiet"); s.code != 1 || !strings.Contains(s.stdout, "s3:ListBucketVersions") {
		t.Errorf("denied: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = nil })
	if err := st.server.SetRules(`(If ListObjectVersions (Error 501 NotImplemented ""))`); err != nil {
		t.Fatal(err)
	}
	if s := st.reseal(t, "who-needs", st.keyA, "s3://b", "--quiet"); s.code != 0 {
		t.Errorf("a store that has no versions: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}

// TestDependentsOfNow: what a job leaves depending on another key is looked for as the
// bucket is by then, also on AWS: it may keep versions since.
func TestDependentsOfNow(t *testing.T) {
	t.Parallel()
	onTwoStores(t, func(t *testing.T, _ string, st *stage) {
		st.server.CreateBucket("b", s3test.BucketConfig{})
		st.putUnder("k", st.keyA)
		job := filepath.Join(st.dir, "job")
		if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", job, "--quiet"); s.code != 0 {
			t.Fatalf("exit code %d\n%s", s.code, s.stderr)
		}
		st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
		st.putUnder("other", st.keyA)
		st.putUnder("other", st.keyB)
		if s := st.reseal(t, "verify", "--job", job, "--json", "--quiet"); !strings.Contains(s.stdout, `"kms_key_id":"`+st.keyA) {
			t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
		}
	})
}

func (st *stage) putUnder(key, kmsKey string) { st.put(key, under(kmsKey)) }

func under(kmsKey string) s3test.Object {
	return s3test.Object{Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: kmsKey}}}
}
