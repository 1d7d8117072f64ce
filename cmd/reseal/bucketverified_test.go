//go:build unix

package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// TestVerifiedShardsInABucket: what verify and plan found of a job in shards whose state lies
// in a bucket, other processes tell too. They said that nobody had verified it, and signed
// that.
func TestVerifiedShardsInABucket(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 40)
	for _, args := range [][]string{{"plan", "s3://b", "--sse", "AES256", "--job", bucketPlace, "--shards", "3"}, {"plan", "--job", bucketPlace}, {"run", "--job", bucketPlace, "--no-progress"}, {"verify", "--job", bucketPlace, "--no-dependents"}} {
		if s := listen(t, st.elsewhere(t, args...)); s.code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, s.code, s.stderr)
		}
	}
	page := listen(t, st.elsewhere(t, "report", "--job", bucketPlace, "--format", "html"))
	for _, want := range []string{"every object of the job was as wanted, and as this report says", "Estimate and outcome"} {
		if page.code != 0 || !strings.Contains(page.stdout, want) {
			t.Errorf("the page does not say %q: exit code %d: %s", want, page.code, page.stderr)
		}
	}
	_, officer := st.officer(t)
	dir := filepath.Join(t.TempDir(), "evidence")
	if s := listen(t, st.elsewhere(t, "report", "--job", bucketPlace, "--evidence", dir, "--evidence-key-file", officer)); s.code != 0 {
		t.Fatalf("evidence: exit code %d: %s", s.code, s.stderr)
	}
	var found struct {
		Made    bool
		Verdict struct{ Verified int }
	}
	if err := json.Unmarshal([]byte(fileText(t, filepath.Join(dir, "verification.json"))), &found); err != nil || !found.Made || found.Verdict.Verified != 40 {
		t.Errorf("%+v, %v", found, err)
	}
}
