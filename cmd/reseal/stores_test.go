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

// dangerous are the writes of sub-resources that a store may take for something
// else, and what proves them: the same request for a throwaway object.
var dangerous = []string{"PutObjectTagging", "PutObjectAcl", "PutObjectRetention", "PutObjectLegalHold", "UpdateObjectEncryption"}

// TestEveryStore runs the same job against every store that was measured, and
// against every single difference from AWS. The job ends with each object as
// wanted or left as it was, or is refused with all as it was. What the run says
// is done is done, and what such stores misread is never sent for an object of
// the user.
func TestEveryStore(t *testing.T) {
	t.Parallel()
	atOnce := newPool(t, 4)
	for i, p := range slices.Concat(s3test.Stores(), s3test.Quirks()) {
		for _, bucket := range []attributeBucket{attributeBuckets[0], attributeBuckets[1], attributeBuckets[3]} {
			if p.NoVersioning && bucket.cfg.Versioning != "" || i >= len(s3test.Stores()) && bucket.name == "enabled" {
				continue // a single difference is shown by the bucket with locks as well
			}
			for _, way := range []struct {
				name string
				args []string
			}{{"auto", nil}, {"update", []string{"--operation", "update"}}, {"parts", inParts}, {"sent", sentInParts}, {"strict", []string{"--guard", "strict", "--verify", "read"}}} {
				atOnce.run(fmt.Sprintf("%s/%s/%s", cell(p.Name), bucket.name, way.name), func(t *testing.T) { anyStore(t, p, bucket.cfg, way.args) })
			}
		}
	}
	atOnce.wait()
}

func anyStore(t *testing.T, p s3test.Profile, cfg s3test.BucketConfig, args []string) {
	st := newStage(t, s3test.Config{Profile: p, Seed: 3})
	st.server.CreateBucket("b", cfg)
	key, arn := st.keyB, st.keyB
	if p.KeyAsGiven || p.KeyMinIO { // stores with keys of their own, and no KMS to ask
		key = "named-key"
		arn = st.server.KMS.CreateNamedKey(key)
		st.env = slices.DeleteFunc(st.env, func(e string) bool { return strings.HasPrefix(e, "AWS_ENDPOINT_URL_KMS=") })
	}
	for i, source := range []object.Encryption{{Type: object.SSENone}, {Type: object.SSES3}, {Type: object.SSEKMS, KMSKeyID: st.keyA}, {Type: object.SSEKMS, KMSKeyID: st.keyB}} {
		if source.Type != object.SSENone && p.Encryption != s3test.EncryptAWS {
			continue // nothing can be under it there
		}
		for _, size := range []int64{0, 500 + int64(i)} {
			o := fullObject(i, size)
			o.Key, o.Encryption = fmt.Sprintf("k%d-%d", i, size), source
			if cfg.Ownership == "" || p.NoACL {
				o.Grants = nil
			}
			if p.DropsExpires || p.DropsHeaders && slices.Contains(args, "rewrite") {
				o.Expires = "" // no object there can have one, since PutObject does not take it
			}
			if p.DropsHeaders {
				o.CacheControl, o.ContentLanguage, o.ContentEncoding = "", "", ""
			}
			if cfg.ObjectLock && i == 1 {
				locked("GOVERNANCE", size > 0)(&o)
			}
			st.server.Put("b", o)
		}
	}
	before := st.server.Snapshot("b")
	job := filepath.Join(t.TempDir(), "job")
	all := append([]string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", key, "--no-progress", "--job", job}, args...)
	end := st.reseal(t, all...)
	st.sentNothingDangerous(t, p)
	done := map[string]bool{}
	switch end.code {
	case 2:
	case 0, 3:
		states := map[string]int{}
		for k, row := range st.rows(t, job) {
			states[row["state"]]++
			done[k] = row["state"] == "done"
			if row["state"] == "failed" {
				t.Logf("%q failed: %v", k, row)
			}
		}
		t.Logf("exit code %d: %v", end.code, states)
	default:
		t.Logf("exit code %d: %s", end.code, end.stderr)
	}
	if end.code != 0 {
		t.Logf("%s", end.stderr)
	}
	target := object.Target{SSE: object.SSEKMS, KMSKeyID: arn}
	operation := object.OpUndecided
	if p.SelfCopyInPlace {
		operation = object.OpCopy
	}
	st.differences(t, before, check.Expectation{Target: target, Operation: operation, Intent: only(func(o s3test.Object) bool { return done[o.Key] })})
}

// sentNothingDangerous looks at everything that went over the wire.
func (st *stage) sentNothingDangerous(t *testing.T, p s3test.Profile) {
	t.Helper()
	proved := map[string]bool{}
	for _, r := range st.server.Requests() {
		throwaway := strings.Contains(r.Key, ".reseal-canary-")
		switch {
		case r.Op == "DeleteBucketEncryption", r.Op == "DeleteBucket", r.Op == "CreateBucket":
			t.Errorf("%s was sent", r.Op)
		case slices.Contains(dangerous, r.Op) && throwaway:
			proved[r.Op] = true
		case slices.Contains(dangerous, r.Op) && (!proved[r.Op] || slices.Contains(p.ForeignObject, r.Sub)):
			t.Errorf("%s was sent for %q, which this store takes for something else", r.Op, r.Key)
		case r.Op == "PutObject" && !throwaway && r.Header.Get("If-Match") == "":
			t.Errorf("PutObject was sent for %q without a condition", r.Key)
		case (r.Op == "DeleteObject" || r.Op == "DeleteObjects") && !throwaway && r.Key != "":
			t.Errorf("%s was sent for %q", r.Op, r.Key)
		case r.Op == "Unknown" && !throwaway:
			t.Errorf("an unknown request was sent: %s %q %v", r.Method, r.Key, r.Query)
		}
	}
}
