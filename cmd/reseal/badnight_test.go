package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/badproxy"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// badNight is how many objects a real server behind a misbehaving proxy has.
const badNight = 2000

// TestRealServerBehindBadProxy runs a job on a real MinIO through a proxy that
// does whatever a network and an overloaded store do, kills the process with
// SIGKILL now and then, and wants every object right, once, and truly reported.
func TestRealServerBehindBadProxy(t *testing.T) {
	t.Parallel()
	b, keys, before := newSeededBed(t, badNight)
	server := b.server
	bad := badproxy.Config{Server: server.Endpoint, Seed: 7, Share: 0.04, BurstEvery: 600, Burst: 120 * time.Millisecond,
		Faults: []badproxy.Fault{badproxy.ResetBefore, badproxy.ResetAfter, badproxy.StallBefore,
			badproxy.StallAfter, badproxy.Truncated, badproxy.Empty, badproxy.ErrorIn200}}
	proxy := startProxy(t, bad)
	const inFlight, kills = 32, 4
	job := filepath.Join(t.TempDir(), "job")
	args := []string{"run", "s3://" + b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0], "--job", job, "--json",
		"--no-progress", "--concurrency", fmt.Sprint(inFlight), "--request-timeout", "2s"}
	for n := range kills {
		b.killAfter(proxy, 150+75*n, args)
	}
	stdout, stderr, code := b.through(proxy, args)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	counts := proxy.Counts()
	s := b.parse(stdout)
	if s.Planned != len(keys) || s.Done+s.Already != len(keys) || !s.Complete || !s.Resumed {
		t.Errorf("after the night: %+v, want %d done", s, len(keys))
	}
	shown := realserver.ShownKey(server.Keys[0])
	b.sameBut(before, b.look(keys), "aws:kms", shown)
	b.checkRows(job, keys, before, map[string]string{"sse_before": "none", "sse_after": "sse-kms", "kms_key_after": shown})
	extra := b.newestReported(job, keys)
	t.Logf("%d copies for %d objects, %d versions too many; the proxy: %v", s.Requests["copy"]+s.Requests["put"], len(keys), extra, counts)
	for _, f := range append(bad.Faults, badproxy.SlowDown, badproxy.SlowDownFor) {
		if counts[f] == 0 {
			t.Errorf("the proxy never did %q: the test shows too little", f)
		}
	}
	if extra > kills*inFlight {
		t.Errorf("%d versions too many, and at most %d requests were in flight at the kills", extra, kills*inFlight)
	}
	// The process counts what it sends, but for what its kills have cut off.
	// A copy whose outcome was not durable at a kill is found as wanted and not sent
	// again, and its count died with the process.
	lost := 2 * kills * inFlight
	sent := s.Requests["copy"] + s.Requests["put"]
	if seen := proxy.Passed(http.MethodPut); sent < len(keys)-lost || sent > seen+counts[badproxy.SlowDown]+counts[badproxy.SlowDownFor]+counts[badproxy.ResetBefore]+counts[badproxy.StallBefore]+counts[badproxy.ErrorIn200] {
		t.Errorf("%d copies counted; the server saw %d", sent, seen)
	}
}

// TestRealServerRestarted kills the server itself in the middle of a run: the run
// says that it waits, and goes on by itself when the server is there again.
func TestRealServerRestarted(t *testing.T) {
	t.Parallel()
	b, keys, before := newSeededBed(t, 2000)
	server := b.server
	job := filepath.Join(t.TempDir(), "job")
	cmd := b.command("run", "s3://"+b.bucket, "--sse", "AES256", "--job", job, "--json", "--no-progress", "--concurrency", "8")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	b.await(ended, "some objects done", func() bool { return b.status(job).Done > 50 })
	server.Kill()
	b.await(ended, "status says that the run waits", func() bool {
		return strings.Contains(string(b.reseal(0, "status", "--job", job)), "waiting for the store")
	})
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	if s := b.parse(stdout.Bytes()); s.Done != len(keys) || s.Resumed {
		t.Errorf("%+v, want %d done by one process", s, len(keys))
	}
	if log, err := os.ReadFile(filepath.Join(job, "reseal.log")); err != nil || !strings.Contains(string(log), "waiting") {
		t.Errorf("the log does not tell of the wait: %v", err)
	}
	b.client = server.Client()
	b.sameBut(before, b.look(keys), "AES256", "")
	b.checkRows(job, keys, before, map[string]string{"sse_after": "sse-s3"})
	if extra := b.newestReported(job, keys); extra > 8 {
		t.Errorf("%d versions too many, and 8 requests were in flight at the kill", extra)
	}
}

func startProxy(t *testing.T, cfg badproxy.Config) *badproxy.Proxy {
	t.Helper()
	p, err := badproxy.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func (b *bed) version() {
	b.Helper()
	if _, err := b.client.PutBucketVersioning(b.Context(), &s3.PutBucketVersioningInput{Bucket: &b.bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		b.Fatal(err)
	}
}

// behind points a command at the proxy.
func behind(p *badproxy.Proxy, cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL_S3="+p.URL) // the last one counts
	return cmd
}

// through runs the binary behind the proxy to its end.
func (b *bed) through(p *badproxy.Proxy, args []string) (stdout, stderr []byte, code int) {
	b.Helper()
	s := answered(b.T, behind(p, b.command(args...)))
	return []byte(s.stdout), []byte(s.stderr), s.code
}

// killAfter kills the process once it has sent n copies.
func (b *bed) killAfter(p *badproxy.Proxy, n int, args []string) {
	b.Helper()
	cmd := behind(p, b.command(args...))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	var copies atomic.Int32 // by CopyObject or by reading and writing again
	p.Watch(func(r *http.Request) {
		if r.Method == http.MethodPut && !strings.Contains(r.URL.Path, ".reseal-canary-") && int(copies.Add(1)) == n {
			_ = cmd.Process.Kill()
		}
	})
	defer p.Watch(nil)
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		b.Fatalf("after %d copies: the process should have died at %d: %v\n%s", copies.Load(), n, err, stderr.String())
	}
}

// newestReported wants the report to name the newest version of every object,
// and returns how many versions there are beside one old and one new each.
func (b *bed) newestReported(job string, keys []string) (extra int) {
	b.Helper()
	rows := b.rows(job)
	for key, versions := range b.nothingElse(keys) {
		if strings.HasSuffix(key, "/") {
			continue // MinIO keeps no versions of these
		}
		if len(versions) < 2 {
			b.Errorf("%q has no new version", key)
		}
		extra += max(0, len(versions)-2)
		if got := rows[key]["new_version_id"]; got != *versions[0].VersionId {
			b.Errorf("%q: the report names version %q, the newest is %q (%d)", key, got, *versions[0].VersionId, len(versions))
		}
	}
	return extra
}

// status is `status --json`, at any time of the job.
func (b *bed) status(job string) runSummary {
	b.Helper()
	cmd := b.command("status", "--json", "--job", job)
	out, err := cmd.Output()
	if err != nil {
		return runSummary{} // not yet begun
	}
	return b.parse(out)
}

// await asks every 100 ms until the condition holds, or the process has ended.
func (b *bed) await(ended <-chan error, what string, holds func() bool) {
	b.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for {
		select {
		case err := <-ended:
			b.Fatalf("the process ended before this: %s (%v)", what, err)
		case <-timeout:
			b.Fatalf("within a minute this was not so: %s", what)
		case <-tick.C:
			if holds() {
				return
			}
		}
	}
}
