package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// seeded is the size of the real-server tests.
const seeded = 1500

// TestRealServerKeepsEverything brings a bucket of odd keys from nothing to
// SSE-S3 and on to a KMS key, and compares everything that its objects have.
func TestRealServerKeepsEverything(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	b := newBed(t, server, "odd-keys")
	keys := b.seed(seeded)
	before := b.look(keys)
	shown := realserver.ShownKey(server.Keys[0])
	dir, unguarded := t.TempDir(), []string{"--accept", "concurrent-writes"}
	for _, step := range []struct {
		job      string
		args     []string
		accept   []string
		sse, key string
		report   map[string]string
	}{
		{"s3", []string{"--sse", "AES256"}, unguarded, "AES256", "", map[string]string{"sse_before": "none", "sse_after": "sse-s3", "kms_key_after": ""}},
		{"kms", []string{"--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0]}, unguarded, "aws:kms", shown,
			map[string]string{"sse_before": "sse-s3", "sse_after": "sse-kms", "kms_key_after": shown}},
		{"guarded", []string{"--sse", "AES256"}, nil, "AES256", "", map[string]string{"sse_before": "sse-kms", "sse_after": "sse-s3", "kms_key_before": shown}},
	} {
		job := filepath.Join(dir, step.job)
		s := b.summary(slices.Concat([]string{"s3://" + b.bucket, "--job", job}, step.args, step.accept)...)
		if s.Planned != len(keys) || s.Done != len(keys) || !s.Complete || s.Resumed {
			for k, row := range b.rows(job) {
				if row["state"] != "done" {
					t.Logf("%q: %v", k, row)
				}
			}
			t.Fatalf("%s: %+v, want %d done", step.job, s, len(keys))
		}
		b.sameBut(before, b.look(keys), step.sse, step.key)
		b.nothingElse(keys)
		b.checkRows(job, keys, before, step.report)
		// Nor has anybody written such an object since, as its other ETag may make believe.
		if v := string(b.reseal(0, "verify", "--json", "--no-dependents", "--job", job)); !strings.Contains(v, fmt.Sprintf(`"verified":%d`, len(keys))) {
			t.Errorf("verify: %s", v)
		}
		// A new job over the same bucket has nothing to do and sends no copy.
		again := b.summary(append([]string{"s3://" + b.bucket, "--job", job + "-again"}, step.args...)...)
		if again.Already != len(keys) || again.Done != 0 || again.Requests["copy"] != 0 {
			t.Errorf("a new job over the finished bucket: %+v, want all already and no copy", again)
		}
	}
}

// checkRows wants one row an object, done, with what the bucket held before.
func (b *bed) checkRows(job string, keys []string, before map[string]thing, want map[string]string) {
	b.Helper()
	rows := b.rows(job)
	if len(rows) != len(keys) {
		b.Errorf("%d rows for %d objects", len(rows), len(keys))
	}
	var bytes int64
	for _, k := range keys {
		row := rows[k]
		bytes += int64(len(before[k].Body))
		if row["state"] != "done" || row["bucket"] != b.bucket || row["etag_after"] == "" {
			b.Errorf("the row of %q: %v", k, row)
		}
		for column, value := range want {
			if row[column] != value {
				b.Fatalf("%s of %q is %q, want %q", column, k, row[column], value)
			}
		}
	}
	s := b.parse(b.reseal(0, "run", "--json", "--job", job))
	if s.Bytes != bytes || !s.Resumed {
		b.Errorf("run again on a finished job: %+v, want %d bytes and resumed", s, bytes)
	}
}

// TestRealServerKilled kills the real process with SIGKILL at five random
// moments of a run over a versioned bucket. Afterwards every object is
// encrypted, has exactly one new version (or one more where a request was in
// flight at a kill), and exactly one row.
func TestRealServerKilled(t *testing.T) {
	t.Parallel()
	b, keys, before := newSeededBed(t, badNight)
	server := b.server
	const inFlight, kills = 16, 5
	job := filepath.Join(t.TempDir(), "job")
	args := []string{"run", "s3://" + b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0], "--job", job, "--concurrency", "16"}
	for n := range kills {
		b.killDuring(n, args, job)
	}
	s := b.summary("--job", job)
	if s.Planned != len(keys) || s.Done != len(keys) || !s.Complete || !s.Resumed {
		t.Errorf("after the kills: %+v, want %d done", s, len(keys))
	}
	shown := realserver.ShownKey(server.Keys[0])
	b.sameBut(before, b.look(keys), "aws:kms", shown)
	b.checkRows(job, keys, before, map[string]string{"sse_before": "none", "sse_after": "sse-kms", "kms_key_after": shown})
	rows, extra := b.rows(job), 0
	for key, versions := range b.nothingElse(keys) {
		if strings.HasSuffix(key, "/") {
			continue // MinIO keeps no versions of these; sameBut has looked at them
		}
		switch {
		case len(versions) < 2:
			t.Errorf("%q has no new version", key)
		case len(versions) > 2:
			extra += len(versions) - 2
		}
		if got := rows[key]["new_version_id"]; got != *versions[0].VersionId {
			t.Errorf("%q: the report names version %q, the newest is %q", key, got, *versions[0].VersionId)
		}
	}
	t.Logf("%d versions more than objects: requests that were in flight at one of %d kills and whose answer nobody heard", extra, kills)
	if extra > kills*inFlight {
		t.Errorf("%d extra versions, and at most %d requests were in flight at the kills", extra, kills*inFlight)
	}
}

// killDuring starts the run and kills it at a random moment; the process must
// have been at work then. Between kills the report holds a row for every planned
// object already.
func (b *bed) killDuring(n int, args []string, job string) {
	b.Helper()
	cmd := b.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// The store is looked at first, and what a killed canary left is waited for; the
	// process is at work once it tells of itself.
	pid := strconv.Itoa(cmd.Process.Pid)
	for range 6000 {
		if live, err := os.ReadFile(filepath.Join(job, "status.json")); err == nil && strings.Contains(string(live), pid) || len(ended) > 0 {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	delay := time.Duration(30+rand.IntN(200)) * time.Millisecond
	timer := time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := <-ended
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		b.Fatalf("kill %d after %v: the process had ended by itself: %v\n%s", n, delay, err, stderr.String())
	}
	b.Logf("kill %d after %v", n, delay)
}
