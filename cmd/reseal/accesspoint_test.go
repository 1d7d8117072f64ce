package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

const (
	apARN    = "arn:aws:s3:us-east-1:111122223333:accesspoint/ap"
	apSource = "s3://" + apARN
)

// TestW9AnAccessPointAsSource: what a job does to a bucket it does through an access
// point of it, which tells none of the bucket's settings: nothing that an object has
// is lost, and what S3 does not take there is not sent.
func TestW9AnAccessPointAsSource(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 7})
	st.oldKey, st.oldFile = st.customerKey(t, "old")
	for _, where := range attributeBuckets {
		t.Run(where.name, func(t *testing.T) {
			cfg := where.cfg
			cfg.AccessPoints = []string{"ap-" + where.name}
			bucket, arn := "behind-"+where.name, apARN+"-"+where.name
			st.server.CreateBucket(bucket, cfg)
			st.everything(bucket, cfg)
			target := attributeTargets(st)[1]
			target.is.BucketKey = object.On // as on AWS where nothing is said
			before := st.server.Snapshot(bucket)
			st.server.ResetRequests()
			job := filepath.Join(t.TempDir(), "job")
			end := st.reseal(t, append([]string{"run", "s3://" + arn, "--job", job, "--no-progress", "--source-sse-c-key-file", st.oldFile}, target.args...)...)
			if end.code != 0 && end.code != 3 {
				t.Fatalf("exit code %d\n%s", end.code, end.stderr)
			}
			changes := func(o s3test.Object) bool { return fate(o, target.is, attributeWays[0], "Suspended", before) }
			st.differences(t, before, check.Expectation{Target: target.is, Operation: object.OpUndecided, Intent: only(changes)})
			done := 0
			for _, row := range st.rows(t, job) {
				if row["bucket"] != arn {
					t.Errorf("a row of %q", row["bucket"])
				}
				if row["state"] == "done" {
					done++
				}
			}
			if done == 0 {
				t.Error("nothing was done")
			}
			for _, r := range st.server.Requests() {
				if r.Code == "MethodNotAllowed" || strings.HasPrefix(r.Host, bucket) {
					t.Errorf("%s to %s: %s", r.Op, r.Host, r.Code)
				}
			}
			for _, again := range [][]string{{"run", "--job", job, "--no-progress"}, {"verify", "--job", job, "--no-progress"}, {"status", "--job", job}} {
				if then := st.reseal(t, again...); then.code != end.code && then.code != 0 {
					t.Errorf("%s: exit code %d\n%s%s", again[0], then.code, then.stdout, then.stderr)
				}
			}
		})
	}
}

// TestW9WhatAnAccessPointIsAsked: the other verbs, and the places that take none.
func TestW9WhatAnAccessPointIsAsked(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 7})
	st.server.CreateBucket("behind", s3test.BucketConfig{AccessPoints: []string{"ap"}})
	st.server.Put("behind", s3test.Object{Key: "a/k", Body: s3test.Bytes("of k")})
	st.server.Put("behind", s3test.Object{Key: "b/k", Body: s3test.Bytes("of k")})
	target := []string{"--sse", "aws:kms", "--sse-kms-key-id", st.keyB}
	if end := st.reseal(t, "audit", apSource+"/a/", "--json"); end.code != 0 || !strings.Contains(end.stdout, `"objects":1`) {
		t.Errorf("audit: exit code %d\n%s%s", end.code, end.stdout, end.stderr)
	}
	if end := st.reseal(t, append([]string{"doctor", apSource}, target...)...); end.code != 0 || !strings.Contains(end.stdout, "An access point tells no settings of its bucket") {
		t.Errorf("doctor: exit code %d\n%s%s", end.code, end.stdout, end.stderr)
	}
	var policy struct {
		Statement []struct {
			Sid      string
			Resource []string
		}
	}
	end := st.reseal(t, append([]string{"iam-policy", apSource + "/a/"}, target...)...)
	if err := json.Unmarshal([]byte(end.stdout), &policy); err != nil {
		t.Fatalf("%v: %s%s", err, end.stdout, end.stderr)
	}
	for _, s := range policy.Statement {
		for _, r := range s.Resource {
			switch {
			case s.Sid == "BucketSettings", strings.Contains(r, ":s3:") && r != apARN && r != apARN+"/object/a/*":
				t.Errorf("the policy allows %s on %s", s.Sid, r)
			}
		}
	}
	if end := st.reseal(t, "bucket-encryption", "get", apSource); end.code != 2 || !strings.Contains(end.stderr, "access point") {
		t.Errorf("bucket-encryption: exit code %d: %s", end.code, end.stderr)
	}
	for _, bad := range []string{"s3://arn:aws:s3:::behind", "s3://arn:aws:s3:us-east-1:111122223333:accesspoint", "s3://arn:aws:s3::111122223333:accesspoint/m.mrap"} {
		job := filepath.Join(t.TempDir(), "job")
		if end := st.reseal(t, append([]string{"run", bad, "--job", job, "--no-progress"}, target...)...); end.code != 2 || end.stderr == "" {
			t.Errorf("%s: exit code %d: %s", bad, end.code, end.stderr)
		}
	}
	if end := st.reseal(t, append([]string{"run", apSource, "--endpoint-url", st.server.URL(), "--job", filepath.Join(t.TempDir(), "job")}, target...)...); end.code != 2 || !strings.Contains(end.stderr, "AWS's own") {
		t.Errorf("another store's endpoint: exit code %d: %s", end.code, end.stderr)
	}
}
