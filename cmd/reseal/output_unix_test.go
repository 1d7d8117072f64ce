//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestOutputsFollowTheUmask: whoever may read a report is decided by the umask, and what
// a job keeps for itself is its owner's all the same.
func TestOutputsFollowTheUmask(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.put("k", s3test.Object{})
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir); s.code != 0 {
		t.Fatalf("run: exit code %d\n%s", s.code, s.stderr)
	}
	for umask, want := range map[string]os.FileMode{"027": 0o640, "077": 0o600, "022": 0o644} {
		out := filepath.Join(t.TempDir(), "report.html")
		cmd := exec.Command("sh", "-c", `umask `+umask+` && exec "$0" report --job "$1" --format html -o "$2"`, st.binary, dir, out)
		cmd.Env = st.env
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		info, err := os.Stat(out)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("umask %s: %v %v, want %v", umask, info, err, want)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", f.Name(), info.Mode(), err)
		}
	}
}
