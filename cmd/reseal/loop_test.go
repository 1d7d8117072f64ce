package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestDestInItselfByAnotherName: a destination within the source is refused by whatever name of
// its host it is reached. Copies were copied again, each into a longer key.
func TestDestInItselfByAnotherName(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	for _, bucket := range []string{"b", "c"} {
		st.server.CreateBucket(bucket, s3test.BucketConfig{})
		st.server.Put(bucket, s3test.Object{Key: "in/k", Body: s3test.Bytes("of k")})
	}
	other := strings.Replace(st.server.URL(), "127.0.0.1", "localhost", 1)
	if other == st.server.URL() {
		t.Fatalf("the store is at %s", other)
	}
	for dest, code := range map[string]int{"s3://b/in/copies": 2, "s3://b/out": 0, "s3://c/in/copies": 0} {
		job := filepath.Join(t.TempDir(), "job")
		end := st.reseal(t, "run", "s3://b/in/", "--dest", dest, "--dest-endpoint-url", other, "--sse", "AES256", "--job", job, "--no-progress")
		if end.code != code || code == 2 && !strings.Contains(end.stderr, "one bucket") {
			t.Errorf("%s: exit code %d\n%s", dest, end.code, end.stderr)
		}
	}
	if n := len(st.server.Snapshot("b").Objects); n != 2 {
		t.Errorf("the bucket holds %d objects", n)
	}
}

// TestOneAnswerLetsNoLoopPass: a listing that fails for a moment does not tell two buckets from one.
func TestOneAnswerLetsNoLoopPass(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{Seed: 3, Rules: fmt.Sprintf("(If (And ListObjectsV2 (OnIndex %d)) (Error 503 SlowDown))", n)})
			st.server.CreateBucket("b", s3test.BucketConfig{})
			st.server.Put("b", s3test.Object{Key: "in/k", Body: s3test.Bytes("of k")})
			other := strings.Replace(st.server.URL(), "127.0.0.1", "localhost", 1)
			end := st.reseal(t, "run", "s3://b/in/", "--dest", "s3://b/in/copies", "--dest-endpoint-url", other, "--sse", "AES256", "--job", filepath.Join(t.TempDir(), "job"), "--no-progress")
			if left := len(st.server.Snapshot("b").Objects); left != 1 || end.code == 0 {
				t.Errorf("%d objects, exit code %d\n%s", left, end.code, end.stderr)
			}
		})
	}
}

// TestOneAnswerSendsNothingThroughHere: a read that fails for a moment does not show that the
// destination's credentials may not read the source, so that all bytes would go through this machine.
func TestOneAnswerSendsNothingThroughHere(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{Seed: 3, Rules: fmt.Sprintf("(If (And Get (Key \"k\") (OnIndex %d)) (Error 503 SlowDown))", n)})
			st.server.CreateBucket("b", s3test.BucketConfig{})
			st.server.CreateBucket("c", s3test.BucketConfig{})
			st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("of k")})
			job := filepath.Join(t.TempDir(), "job")
			end := st.reseal(t, "run", "s3://b", "--dest", "s3://c", "--dest-endpoint-url", st.server.URL(), "--sse", "AES256", "--job", job, "--no-progress")
			if end.code != 0 {
				return // it stopped, and can be begun again
			}
			if row := st.rows(t, job)["k"]; row["operation"] != "copy" {
				t.Errorf("%v", row)
			}
		})
	}
}

// TestTagsThatCannotBeReadAtFirst: a store that asks for fewer requests just while a job to another store is
// begun does not show that it has no tags, so that all that have some would be left.
func TestTagsThatCannotBeReadAtFirst(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"GetObjectTagging", "GetObjectAcl"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{Seed: 3, Rules: fmt.Sprintf("(If (And %s (First 12)) (Error 503 SlowDown))", op)})
			to := s3test.New(s3test.Config{Profile: s3test.MinIO()})
			t.Cleanup(to.Close)
			st.server.CreateBucket("b", s3test.BucketConfig{Ownership: "ObjectWriter"})
			to.CreateBucket("c", s3test.BucketConfig{})
			st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("of k"), Attrs: s3test.Attrs{Tags: []object.Tag{{Key: "a", Value: "b"}}}})
			job := filepath.Join(t.TempDir(), "job")
			run := []string{"run", "s3://b", "--dest", "s3://c", "--dest-endpoint-url", to.URL(), "--sse", "AES256", "--job", job, "--no-progress"}
			for range 4 {
				end := st.reseal(t, run...)
				if end.code == exitStopped {
					continue
				}
				if row := st.rows(t, job)["k"]; row["state"] != "done" {
					t.Errorf("%v", row)
				}
				return
			}
			t.Error("it never began")
		})
	}
}
