package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestNoOutputOverAJob: what a job keeps in its directory is not written over, by whatever
// path; a file of another name may lie there.
func TestNoOutputOverAJob(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	dir := filepath.Join(t.TempDir(), "job")
	st.does(t, "run", "s3://b", "--sse", "AES256", "--job", dir, "--no-progress")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(t.TempDir(), "below")
	if err := os.Symlink(dir+"/checkpoint", below); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "submit"), 0o700); err != nil { // as a submission makes it
		t.Fatal(err)
	}
	for _, name := range []string{dir + "/job.json", link + "/job.json", dir + "/checkpoint/db/CURRENT", dir + "/checkpoint/new.csv", dir + "/run.json", dir + "/submit/0001.csv", dir + "/../job/history.jsonl", below + "/../job.json"} {
		for _, args := range [][]string{{"report", "--job", dir, "-o", name}, {"verify", "--job", dir, "-o", name}, {"audit", "s3://b", "-o", name}, {"run", "--job", dir, "--events", name}} {
			if end := st.reseal(t, args...); end.code != exitUnusable {
				t.Errorf("%s -o %s: exit code %d\n%s", args[0], name, end.code, end.stderr)
			}
		}
	}
	second := filepath.Join(t.TempDir(), "events")
	if err := os.Link(filepath.Join(dir, "job.json"), second); err != nil {
		t.Fatal(err)
	}
	if end := st.reseal(t, "run", "--job", dir, "--events", second); end.code != exitUnusable {
		t.Errorf("a second name: exit code %d\n%s", end.code, end.stderr)
	}
	st.does(t, "report", "--job", dir, "-o", second) // takes the place of that name alone
	st.does(t, "status", "--job", dir)
	st.does(t, "report", "--job", dir, "-o", dir+"/report.csv")
	st.does(t, "report", "--job", dir, "-o", filepath.Join(t.TempDir(), "job.json"))
}
