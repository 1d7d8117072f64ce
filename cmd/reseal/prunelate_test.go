//go:build unix

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestAPruneWhoseCredentialsCameLate: deletions had their turn, and waited for credentials. By
// when those were there another process had the job, which may have found what they would take
// to be needed. None is sent.
func TestAPruneWhoseCredentialsCameLate(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 400)
	if s := answered(t, st.elsewhere(t, st.order()...)); s.code != 0 {
		t.Fatalf("run: exit code %d: %s", s.code, s.stderr)
	}
	st.server.SetLatency(map[string]time.Duration{"HeadObject": 50 * time.Millisecond})
	// They last for two seconds, and from the first deletion on fresh ones come when somebody
	// says so.
	dir := t.TempDir()
	asked, given := filepath.Join(dir, "asked"), filepath.Join(dir, "given")
	script := fmt.Sprintf(`#!/bin/sh
if [ -e %[2]s.late ]; then
	: > %[1]s
	while [ ! -e %[2]s ]; do sleep 0.05; done
fi
echo '{"Version":1,"AccessKeyId":"%[3]s","SecretAccessKey":"%[4]s","Expiration":"'$(cat %[2]s.until)'"}'
`, asked, given, s3test.DefaultCredentials.AccessKeyID, s3test.DefaultCredentials.SecretAccessKey)
	until := func(at time.Time) {
		file := given + ".until"
		if err := cmp.Or(os.WriteFile(file+".new", []byte(at.UTC().Format(time.RFC3339Nano)), 0o600), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"fetch": script, "config": "[default]\ncredential_process = " + filepath.Join(dir, "fetch") + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	until(time.Now().Add(2 * time.Second))
	var begun sync.Once
	st.server.OnRequest(func(q s3test.Request) {
		if q.Op == "DeleteObject" {
			begun.Do(func() { _ = os.WriteFile(given+".late", nil, 0o600) })
		}
	})
	prune := st.elsewhere(t, "prune", "--job", bucketPlace, "--yes", "--json", "--lease-duration", "1s", "--concurrency", "8")
	prune.Env = append(prune.Env, "PATH="+os.Getenv("PATH"), "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_CONFIG_FILE="+filepath.Join(dir, "config"))
	var said bytes.Buffer
	prune.Stdout, prune.Stderr = &said, &said
	if err := prune.Start(); err != nil {
		t.Fatal(err)
	}
	defer prune.Process.Kill() //nolint:errcheck // it may have ended
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(asked); err == nil {
			break
		}
		until(time.Now().Add(2 * time.Second))
		if time.Now().After(deadline) {
			t.Fatalf("it asks for no fresh credentials: %s", said.String())
		}
	}
	time.Sleep(1500 * time.Millisecond) // the lease cannot be renewed meanwhile, and has passed
	st.server.Put("state", s3test.Object{Key: "jobs/one/lease", Body: s3test.Bytes(`{"epoch":99,"owner":"another","host":"there","pid":7,"ttl_seconds":60,"beat":1}`)})
	deleted := st.server.Count("DeleteObject")
	until(time.Now().Add(time.Hour))
	if err := os.WriteFile(given, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := prune.Wait()
	if code := prune.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), "another process has taken the job over") || strings.Contains(said.String(), "disk") {
		t.Errorf("it ended with %v: %s", err, said.String())
	}
	if n := st.server.Count("DeleteObject"); deleted == 0 || n != deleted {
		t.Errorf("%d versions were deleted before, and %d after another had the job", deleted, n-deleted)
	}
}
