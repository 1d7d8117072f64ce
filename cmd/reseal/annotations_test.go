package main

import (
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// An event hold arrives with its duration by each operation of AWS, and never as the
// date that it shows at the moment. A store of which nobody knows that it takes one
// leaves the object, by name.
func TestL8EventHoldsAreKept(t *testing.T) {
	t.Parallel()
	held := func(st *stage) s3test.Bucket {
		st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
		for key, hold := range map[string]s3test.EventHold{"days": {On: true, Days: 30}, "years": {On: true, Years: 2}, "none": {}} {
			o := s3test.Object{Key: key, Body: s3test.Bytes("of " + key)}
			o.Encryption.Type = object.SSES3
			if hold.On {
				o.LockMode, o.EventHold = "GOVERNANCE", hold
			}
			st.server.Put("b", o)
		}
		return st.server.Snapshot("b")
	}
	args := func(st *stage, job string) []string {
		return []string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--operation", "copy", "--no-progress", "--job", job}
	}
	for name, with := range map[string][]string{"copy": nil, "parts": inParts} {
		t.Run(name, func(t *testing.T) {
			st := newAWS(t, s3test.Config{Seed: 8})
			before := held(st)
			job := filepath.Join(t.TempDir(), "job")
			if end := st.reseal(t, append(args(st, job), with...)...); end.code != 0 {
				t.Fatalf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
			}
			st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA, BucketKey: object.On}})
			for _, op := range []string{"CopyObject", "CreateMultipartUpload"} {
				for _, r := range st.server.Requests(op) {
					if r.Key != "none" && (r.Header.Get("X-Amz-Object-Lock-Event-Hold") != "ON" || r.Header.Get("X-Amz-Object-Lock-Retain-Until-Date") != "") {
						t.Errorf("%s of %s: %v", op, r.Key, r.Header)
					}
				}
			}
		})
	}
	t.Run("another store", func(t *testing.T) {
		st := newStage(t, s3test.Config{Seed: 8})
		before := held(st)
		job := filepath.Join(t.TempDir(), "job")
		if end := st.reseal(t, args(st, job)...); end.code != 3 {
			t.Fatalf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
		}
		st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA},
			Intent: only(func(o s3test.Object) bool { return o.Key == "none" })})
		for key, row := range st.rows(t, job) {
			if key != "none" && row["reason"] != "event-hold" {
				t.Errorf("%s is %s because of %q: %s", key, row["state"], row["reason"], row["message"])
			}
		}
		if end := st.reseal(t, append(args(st, job+"-accepted"), "--accept", "event-hold")...); end.code != 0 {
			t.Errorf("accepted: exit code %d\n%s", end.code, end.stderr)
		}
	})
}

// annotated fills a bucket with an object that has annotations, one that has none and,
// where the bucket can hold such, locked ones.
func annotated(st *stage, cfg s3test.BucketConfig) {
	st.server.CreateBucket("b", cfg)
	notes := map[string]string{"note": "of somebody", "a name/ü?&=": "<Error><Code>not one</Code></Error>", "long": strings.Repeat("é", 100_000)}
	for _, key := range []string{"with", "without", "held", "retained"} {
		o := s3test.Object{Key: key, Body: s3test.Bytes("of " + key)}
		o.Encryption.Type, o.Annotations = object.SSES3, notes
		switch key {
		case "without":
			o.Annotations = nil
		case "held":
			o.LegalHold = cfg.ObjectLock
		case "retained":
			if cfg.ObjectLock {
				locked("COMPLIANCE", true)(&o)
			}
		}
		st.server.Put("b", o)
	}
}

// TestL8AnnotationsAreNotLost: one CopyObject takes annotations along. After a copy in
// parts and a rewrite they are written again, before any lock; where that may not or
// cannot be, the object is left by name, unless that is accepted. No other store is
// asked.
func TestL8AnnotationsAreNotLost(t *testing.T) {
	t.Parallel()
	versioned, rewrite := s3test.BucketConfig{Versioning: "Enabled"}, []string{"--operation", "rewrite"}
	lock := s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}
	byRule := lock
	byRule.DefaultLockMode, byRule.DefaultLockDays = "GOVERNANCE", 1
	having := []string{"with", "held", "retained"}
	all := append([]string{"without"}, having...)
	atOnce := newPool(t, 4)
	for _, tc := range []annotationCase{
		{name: "copy", args: []string{"--operation", "copy"}, cfg: versioned},
		{name: "parts", args: inParts, cfg: versioned},
		{name: "rewrite", args: rewrite, cfg: versioned},
		{name: "sent in parts", args: sentInParts, cfg: versioned},
		{name: "sent in parts, locks", args: sentInParts, cfg: lock},
		{name: "sent in parts, no versions", args: sentInParts},
		{name: "parts, no versions", args: inParts},
		{name: "rewrite, no versions", args: rewrite},
		{name: "parts, locks", args: inParts, cfg: lock},
		{name: "rewrite, locks", args: rewrite, cfg: lock},
		{name: "parts, a rule locks them", args: inParts, cfg: byRule, left: having},
		{name: "rewrite, a rule locks them", args: rewrite, cfg: byRule, left: having},
		{name: "SSE-C has none", args: inParts, sse: "sse-c", left: having},
		{name: "nobody may list", args: inParts, deny: "s3:ListObjectAnnotations", left: all},
		{name: "nobody may read", args: inParts, deny: "s3:GetObjectAnnotation", left: having},
		{name: "nobody may write", args: rewrite, deny: "s3:PutObjectAnnotation", left: having},
		{name: "accepted", args: append([]string{"--accept", "annotations"}, inParts...), cfg: versioned},
	} {
		atOnce.run(tc.name, tc.run)
	}
	atOnce.run("another store", func(t *testing.T) {
		st := newStage(t, s3test.Config{Seed: 9})
		annotated(st, versioned)
		job := filepath.Join(t.TempDir(), "job")
		end := st.reseal(t, append([]string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--no-progress", "--job", job}, inParts...)...)
		if end.code != 0 {
			t.Errorf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
		}
		for _, op := range []string{"ListObjectAnnotations", "GetObjectAnnotation", "PutObjectAnnotation"} {
			if n := st.server.Count(op); n != 0 {
				t.Errorf("%d requests %s were sent to a store that nobody knows to understand them", n, op)
			}
		}
	})
	atOnce.wait()
}

// annotationCase is one run over annotated objects.
type annotationCase struct {
	name string
	args []string
	cfg  s3test.BucketConfig
	deny string
	sse  string
	left []string // keys
}

func (tc annotationCase) run(t *testing.T) {
	st := newAWS(t, s3test.Config{Seed: 9})
	if tc.deny != "" {
		tc.cfg.Deny = []s3test.Deny{{Action: tc.deny}}
	}
	annotated(st, tc.cfg)
	before := st.server.Snapshot("b")
	target, args := object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA, BucketKey: object.On}, []string{"--sse", "aws:kms", "--sse-kms-key-id", st.keyA}
	if tc.sse == "sse-c" {
		st.newKey, st.newFile = st.customerKey(t, "new")
		target, args = object.Target{SSE: object.SSEC, CustomerKey: st.newKey}, []string{"--sse", "sse-c", "--sse-c-key-file", st.newFile}
	}
	job := filepath.Join(t.TempDir(), "job")
	end := st.reseal(t, slices.Concat([]string{"run", "s3://b", "--no-progress", "--job", job}, args, tc.args)...)
	rows, want := st.rows(t, job), 0
	if len(tc.left) > 0 {
		want = 3
	}
	if end.code != want {
		t.Fatalf("exit code %d, want %d\n%s%v", end.code, want, end.stderr, rows)
	}
	for key, row := range rows {
		if left := row["state"] == "left"; left != slices.Contains(tc.left, key) || left && row["reason"] != "annotations" {
			t.Errorf("%s is %s because of %q: %s", key, row["state"], row["reason"], row["message"])
		}
	}
	if tc.name == "accepted" {
		if n := st.server.Count("ListObjectAnnotations"); n > 1 { // one look whether it is allowed
			t.Errorf("they may go, and were asked for %d times", n)
		}
		return
	}
	st.differences(t, before, check.Expectation{Target: target, Intent: only(func(o s3test.Object) bool { return !slices.Contains(tc.left, o.Key) })})
}

// TestL8AProcessDiesBeforeTheAnnotations: killed at the copy's effect, at any
// annotation's, at the lock's, in a bucket that keeps nothing else of what it had: the
// next process finds the object half done and finishes it.
func TestL8AProcessDiesBeforeTheAnnotations(t *testing.T) {
	t.Parallel()
	rewrite := []string{"--operation", "rewrite"}
	lock := s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}
	atOnce := newPool(t, 4)
	for _, tc := range []struct {
		name, op string
		nth      int32 // of those requests
		args     []string
		cfg      s3test.BucketConfig
	}{
		{name: "parts/complete", op: "CompleteMultipartUpload", nth: 1, args: inParts},
		{name: "parts/annotation", op: "PutObjectAnnotation", nth: 3, args: inParts}, // the first only asks whether it may be written
		{name: "parts/lock", op: "PutObjectLegalHold", nth: 1, args: inParts, cfg: lock},
		{name: "rewrite/put", op: "PutObject", nth: 1, args: rewrite},
		{name: "rewrite/annotation", op: "PutObjectAnnotation", nth: 2, args: rewrite},
		{name: "sent in parts/complete", op: "CompleteMultipartUpload", nth: 1, args: sentInParts},
		{name: "sent in parts/annotation", op: "PutObjectAnnotation", nth: 2, args: sentInParts},
		{name: "rewrite/retention", op: "PutObjectRetention", nth: 1, args: rewrite, cfg: lock},
	} {
		atOnce.run(tc.name, func(t *testing.T) {
			st := newAWS(t, s3test.Config{Seed: 9})
			annotated(st, tc.cfg)
			before := st.server.Snapshot("b")
			args := slices.Concat([]string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--no-progress", "--concurrency", "1",
				"--job", filepath.Join(t.TempDir(), "job")}, tc.args)
			st.dieAtEffect(t, tc.op, tc.nth, args...)
			if end := st.reseal(t, args...); end.code != 0 {
				t.Fatalf("exit code %d\n%s", end.code, end.stderr)
			}
			st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA, BucketKey: object.On}})
		})
	}
	atOnce.wait()
}

// dieAtEffect runs the binary and kills it when the nth such request has had its effect
// and nobody has heard of it.
func (st *stage) dieAtEffect(t *testing.T, op string, nth int32, args ...string) {
	t.Helper()
	cmd := st.command(args...)
	var seen atomic.Int32
	gone := make(chan struct{})
	st.server.OnEffect(func(r s3test.Request) {
		if r.Op == op && r.Key != "" && !strings.Contains(r.Key, "canary") && seen.Add(1) == nth {
			_ = cmd.Process.Kill()
			<-gone
		}
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	close(gone)
	st.server.OnEffect(nil)
	if err == nil || seen.Load() < nth {
		t.Fatalf("the process saw no %s and ended by itself: %v", op, err)
	}
}
