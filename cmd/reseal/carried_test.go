package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestAcceptedAtTheDestination: what the destination bucket cannot take, and the
// operator has accepted to lose, is not sent along: S3 would refuse the copy.
func TestAcceptedAtTheDestination(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"})
	st.server.CreateBucket("d", s3test.BucketConfig{Ownership: "BucketOwnerEnforced"})
	precious := s3test.Object{Key: "precious", Body: s3test.Bytes("precious")}
	precious.Grants = fullObject(1, 1).Grants
	locked("GOVERNANCE", true)(&precious)
	st.server.Put("b", precious)
	job := filepath.Join(t.TempDir(), "job")
	end := st.reseal(t, "run", "s3://b", "--dest", "s3://d/", "--sse", "AES256", "--accept", "acl,lock", "--no-progress", "--job", job)
	if row := st.rows(t, job)["precious"]; end.code != 0 || row["state"] != "done" {
		t.Fatalf("exit code %d, %v\n%s", end.code, row, end.stderr)
	}
	if is := st.server.Snapshot("d").Find("precious"); len(is) != 1 || is[0].Encryption.Type != object.SSES3 || is[0].LockMode != "" || is[0].LegalHold || len(is[0].Grants) > 0 {
		t.Errorf("at the destination: %+v", is)
	}
}

// TestRetentionThatHasRunOut: it protects nothing any more, S3 shows it all the
// same, and refuses to write a date of the past.
func TestRetentionThatHasRunOut(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"auto", "copy"} {
		st := newStage(t, s3test.Config{Seed: 1})
		st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
		for _, o := range []s3test.Object{{Key: "over"}, {Key: "over, held"}} {
			o.Body, o.LockMode, o.RetainUntil, o.LegalHold = s3test.Bytes("x"), "COMPLIANCE", time.Now().Add(-time.Hour).UTC(), o.Key != "over"
			st.server.Put("b", o)
		}
		job := filepath.Join(t.TempDir(), "job")
		end := st.reseal(t, "run", "s3://b", "--operation", operation, "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--no-progress", "--job", job)
		if end.code != 0 {
			t.Errorf("--operation %s: exit code %d, %v\n%s", operation, end.code, st.rows(t, job), end.stderr)
		}
		for key, held := range map[string]bool{"over": false, "over, held": true} {
			is := st.server.Snapshot("b").Find(key)
			if now := is[0]; now.Encryption.Type != object.SSEKMS || now.LockMode != "" || now.LegalHold != held {
				t.Errorf("--operation %s: %q is under %v, lock %q, hold %v", operation, key, now.Encryption.Type, now.LockMode, now.LegalHold)
			}
		}
	}
}

// TestVersioningThatMayNotBeRead: a bucket that shows version IDs may have its
// versioning suspended, and then a copy would overwrite an older null version.
func TestVersioningThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 14})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	for _, versioning := range []string{"", "Enabled"} {
		st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = versioning })
		st.server.Put("b", s3test.Object{Key: "both", Body: s3test.Bytes("written while versioning was: " + versioning)})
	}
	st.server.Put("b", s3test.Object{Key: "one", Body: s3test.Bytes("x")})
	st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) {
		c.Versioning, c.Deny = "Suspended", []s3test.Deny{{Action: "s3:GetBucketVersioning"}}
	})
	before := st.server.Snapshot("b")
	job := filepath.Join(t.TempDir(), "job")
	end := st.reseal(t, "run", "s3://b", "--operation", "copy", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--no-progress", "--job", job)
	rows := st.rows(t, job)
	if end.code != 3 || rows["both"]["reason"] != "null-version" || rows["one"]["state"] != "done" {
		t.Errorf("exit code %d, %v\n%s", end.code, rows, end.stderr)
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA},
		Intent: only(func(o s3test.Object) bool { return o.Key == "one" })})
}
