//go:build unix

package main

import (
	"slices"
	"strings"
	"testing"
)

// TestHowAJobInABucketIsReached: each verb finds a job in a bucket by the flags by which it
// was begun, where no environment names the endpoint, and takes them for no directory.
func TestHowAJobInABucketIsReached(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 3)
	st.env = slices.DeleteFunc(st.env, func(e string) bool { return strings.HasPrefix(e, "AWS_ENDPOINT_URL=") })
	there := []string{"--endpoint-url", st.server.URL(), "--region", "us-east-1", "--path-style"}
	s := answered(t, st.elsewhere(t, slices.Concat([]string{"plan"}, st.order()[1:8], []string{"--shards", "2", "--no-progress"}, there)...))
	if s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	hinted := func(after, text string) {
		t.Helper()
		_, hint, found := strings.Cut(text, after)
		if hint, _, _ = strings.Cut(hint, "`"); !found {
			t.Fatalf("no hint after %q: %s", after, text)
		}
		hint, _, _ = strings.Cut(hint, "  ") // what it does follows
		args := strings.Fields(strings.TrimPrefix(strings.TrimSpace(hint), "reseal "))
		if s := answered(t, st.elsewhere(t, args...)); s.code != 0 {
			t.Errorf("%v: exit code %d: %s", args, s.code, s.stderr)
		}
	}
	hinted("listed to its end yet. `", s.stdout)
	s = answered(t, st.elsewhere(t, slices.Concat([]string{"run", "--job", bucketPlace, "--no-progress", "--lease-duration", "1s"}, there)...))
	if s.code != 0 {
		t.Fatalf("run: exit code %d: %s", s.code, s.stderr)
	}
	_, next, _ := strings.Cut(s.stdout, "next:")
	for _, verb := range []string{"verify", "report", "bucket-encryption"} {
		at := strings.Index(next, "reseal "+verb)
		if at < 0 {
			t.Fatalf("no hint at %s: %s", verb, s.stdout)
		}
		line, _, _ := strings.Cut(next[at:], "\n")
		hinted("", line)
	}
	for _, args := range [][]string{{"status"}, {"report"}, {"explain", "s3://b/000/00000"}, {"verify", "--no-dependents"}, {"prune"}, {"kubernetes"}} {
		if s := answered(t, st.elsewhere(t, slices.Concat(args, []string{"--job", bucketPlace}, there)...)); s.code != 0 {
			t.Errorf("%v: exit code %d: %s%s", args, s.code, s.stdout, s.stderr)
		}
	}
	if s := answered(t, st.elsewhere(t, slices.Concat([]string{"set", "--pause", "--job", bucketPlace}, there)...)); s.code != 2 || !strings.Contains(s.stderr, "no process is at work") {
		t.Errorf("set: exit code %d: %s", s.code, s.stderr)
	}
	if s := answered(t, st.elsewhere(t, slices.Concat([]string{"jobs", "s3://state/jobs"}, there)...)); s.code != 0 || !strings.Contains(s.stdout, bucketPlace) {
		t.Errorf("jobs: exit code %d: %s%s", s.code, s.stdout, s.stderr)
	}
	for _, args := range [][]string{{"status", "--job", st.dir}, {"jobs", st.dir}} {
		if s := answered(t, st.elsewhere(t, append(args, there...)...)); s.code != 2 || !strings.Contains(s.stderr, "no place in a bucket") {
			t.Errorf("%v: exit code %d: %s", args, s.code, s.stderr)
		}
	}
}
