package main

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/s3control"
)

// TestSubmitAsksAtATerminal: the jobs begin when the person says yes, and not otherwise.
func TestSubmitAsksAtATerminal(t *testing.T) {
	t.Parallel()
	for answer, code := range map[string]int{"y\n": 0, "n\n": 4, "\n": 4, "\x04": 4} {
		st := newStage(t, s3test.Config{Seed: 4})
		st.server.CreateBucket("docs", s3test.BucketConfig{Versioning: "Enabled"})
		st.server.CreateBucket("control", s3test.BucketConfig{})
		st.server.Put("docs", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
		ctl := s3control.New(s3control.Config{Store: st.server})
		t.Cleanup(ctl.Close)
		st.env = append(st.env, "AWS_ENDPOINT_URL_S3_CONTROL="+ctl.URL())
		job := filepath.Join(t.TempDir(), "job")
		if s := st.reseal(t, "plan", "s3://docs", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", job, "--quiet"); s.code != 0 {
			t.Fatal(s.stderr)
		}
		tty := newTerminal(t, 100)
		cmd := st.command("submit", "--job", job, "--role-arn", "arn:aws:iam::111122223333:role/batch", "--manifest-to", "s3://control", "--follow")
		cmd.Stdin, cmd.Stderr = tty.slave, tty.slave
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		tty.await(t, regexp.MustCompile(`let 1 job of S3 Batch Operations begin, on 1 object, for about 0\.25 USD\? \[y/N\] `))
		if n := len(st.server.Snapshot("docs").Objects); n != 1 {
			t.Errorf("%d versions before the answer", n)
		}
		if _, err := tty.master.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("answer %q: exit code %d, want %d: %s", answer, got, code, tty.shown())
		}
		if code == 4 {
			tty.await(t, regexp.MustCompile("--yes` lets them begin"))
		}
		_ = tty.slave.Close()
		if n := len(st.server.Snapshot("docs").Objects); (n == 2) != (code == 0) {
			t.Errorf("answer %q: %d versions", answer, n)
		}
	}
}
