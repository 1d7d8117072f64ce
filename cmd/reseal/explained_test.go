package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestExplainNamesWhatReportsName: whatever a report names is found by that name, by explain
// and in the evidence.
func TestExplainNamesWhatReportsName(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	for _, name := range []string{"..dots", "...", "a/b", " a", "s3:/x"} {
		f.write(t, name, []byte(name))
	}
	f.mustRun(t, 0, f.up...)
	_, key := f.officer(t)
	folder := filepath.Join(f.dir, "evidence")
	f.mustRun(t, 0, "report", "--job", f.job, "--evidence", folder, "--evidence-key-file", key)
	for _, name := range []string{"..dots", "...", "a/b", " a", "s3:/x"} {
		path := f.from + "/" + name
		f.mustRun(t, 0, "explain", "--job", f.job, path)
		if s := f.mustRun(t, 0, "explain", "--proof", folder, path); strings.Count(s.stdout, "\n") != 1 {
			t.Errorf("%s: the proof is %q", path, s.stdout)
		}
	}
	for _, none := range []string{f.from, f.from + "/..", f.from + "/a", f.from + "/a/b/", f.from + "x/a/b"} {
		f.mustRun(t, 2, "explain", "--job", f.job, none)
		f.mustRun(t, 2, "explain", "--proof", folder, none)
	}
}

// TestExplainThroughAnAccessPoint: its rows are named by its ARN, which has a slash. The run
// names no verb that takes none.
func TestExplainThroughAnAccessPoint(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 7})
	st.server.CreateBucket("behind", s3test.BucketConfig{AccessPoints: []string{"ap"}})
	st.server.Put("behind", s3test.Object{Key: "a/k", Body: s3test.Bytes("of k")})
	job := filepath.Join(t.TempDir(), "job")
	run := st.reseal(t, "run", apSource, "--job", job, "--no-progress", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB)
	if run.code != 0 || strings.Contains(run.stdout, "bucket-encryption") {
		t.Errorf("run: exit code %d\n%s%s", run.code, run.stdout, run.stderr)
	}
	if end := st.reseal(t, "explain", "--job", job, apSource+"/a/k"); end.code != 0 || !strings.Contains(end.stdout, "sse-kms") {
		t.Errorf("explain: exit code %d\n%s%s", end.code, end.stdout, end.stderr)
	}
}
