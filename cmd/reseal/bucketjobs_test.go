//go:build unix

package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestJobsBelowAPlace: the jobs in a bucket, a line each, and the manifest that works on
// one.
func TestJobsBelowAPlace(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 40)
	if s := answered(t, st.elsewhere(t, st.order()...)); s.code != 0 {
		t.Fatalf("run: exit code %d: %s", s.code, s.stderr)
	}
	other := "s3://state/jobs/other"
	if s := answered(t, st.elsewhere(t, "plan", "s3://b", "--sse", "AES256", "--job", other, "--shards", "3")); s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	s := answered(t, st.elsewhere(t, "jobs", "s3://state/jobs/"))
	if lines := strings.Split(strings.TrimSpace(s.stdout), "\n"); s.code != 0 || len(lines) != 3 || !strings.HasPrefix(lines[1], bucketPlace+" ") || !strings.HasPrefix(lines[2], other+" ") {
		t.Errorf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	// One that may not be read hides none of the others.
	denied := `(If (Key "jobs/one/job.json") (Error 403 AccessDenied))`
	if err := st.server.SetRules(denied); err != nil {
		t.Fatal(err)
	}
	s = answered(t, st.elsewhere(t, "jobs", "s3://state/jobs/"))
	if s.code != 0 || !strings.Contains(s.stdout, "cannot be read: GetObject on "+bucketPlace) || !strings.Contains(s.stdout, other+" ") {
		t.Errorf("one is denied: exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	if err := st.server.SetRules(""); err != nil {
		t.Fatal(err)
	}
	s = answered(t, st.elsewhere(t, "kubernetes", "--job", other, "--parallelism", "2"))
	docs := manifests(t, s.stdout)
	pod := at(t, docs[1], "spec", "template", "spec")
	args := fmt.Sprint(at(t, pod, "containers", 0, "args"))
	if s.code != 0 || args != "[run --job "+other+" --shard auto --no-progress]" || fmt.Sprint(at(t, pod, "volumes")) != "[map[emptyDir:map[] name:tmp]]" ||
		at(t, pod, "containers", 0, "env", 0, "value") != st.server.URL() || !strings.Contains(s.stdout, "arn:aws:s3:::state/jobs/other/*") {
		t.Errorf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
}
