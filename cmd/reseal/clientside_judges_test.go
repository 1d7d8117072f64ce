//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resealhq/reseal/bench/tools"
	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// TestClientSideJudges: plain objects from nothing to 100 MiB come under version 3, and
// AWS's own client reads them by its default policy, which takes nothing less. The
// process holds no more than it should, whatever its workers are.
func TestClientSideJudges(t *testing.T) {
	t.Parallel()
	judge, err := tools.Build(t.Context(), "s3ec")
	if err != nil {
		t.Fatal(err)
	}
	w := newSealed(t, s3test.Config{Seed: 10, TLS: true}, s3test.BucketConfig{})
	const mib = 1 << 20
	sizes := []int64{0, 1, 16, 5 * mib, 100 * mib}
	if n, err := strconv.ParseInt(os.Getenv("RESEAL_JUDGE_BYTES"), 10, 64); err == nil { // one more, which AWS's client holds in memory
		sizes = append(sizes, n)
	}
	for i, size := range sizes {
		w.server.Put(sealedBucket, s3test.Object{Key: fmt.Sprint("read-", size), Body: s3test.Synthetic(uint64(i), size)})
	}
	for i := range 4 {
		w.server.Put(sealedBucket, s3test.Object{Key: fmt.Sprint("beside-", i), Body: s3test.Synthetic(uint64(10+i), 20*mib+int64(i))})
	}
	cmd := w.command("run", "s3://"+sealedBucket, "--client-side", "v3", "--cse-kms-key-id", w.keyB, "--cse-context", `{"who":"Zoë Müller"}`,
		"--job", filepath.Join(w.dir, "job"), "--concurrency", "8", "--no-progress")
	cmd.Env = slices.DeleteFunc(slices.Clone(cmd.Env), func(e string) bool { return e == seldom })
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// What rusage tells of a child may be its parent's, from before the exec.
	var peak atomic.Int64
	w.server.OnReply(func(s3test.Request) { peak.Store(max(peak.Load(), highWater(cmd.Process.Pid))) })
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	w.server.OnReply(nil)
	t.Logf("peak RSS %d kB", peak.Load())
	if peak.Load() == 0 || peak.Load() > 150_000 {
		t.Errorf("it took %d kB", peak.Load())
	}
	d := s3test.DefaultCredentials
	for i, size := range sizes {
		get := exec.Command(judge, "get", "-s3", w.server.URL(), "-kms", w.server.URL(), "-bucket", sealedBucket, "-key", fmt.Sprint("read-", size),
			"-access-key", d.AccessKeyID, "-secret", d.SecretAccessKey, "-client", "v4", "-strict", "-kms-key", w.keyB, "-context", `{"who":"Zoë Müller"}`)
		get.Env = append(os.Environ(), append(w.env, "SSL_CERT_FILE="+filepath.Join(w.dir, "ca.pem"))...)
		var stderr bytes.Buffer
		text, want := sha256.New(), sha256.New()
		get.Stdout, get.Stderr = text, &stderr
		if _, err := io.Copy(want, s3test.Synthetic(uint64(i), size).Reader()); err != nil {
			t.Fatal(err)
		}
		if err := get.Run(); err != nil {
			t.Errorf("%d bytes: %v\n%s", size, err, stderr.Bytes())
		} else if !bytes.Equal(text.Sum(nil), want.Sum(nil)) {
			t.Errorf("of %d bytes the client reads others", size)
		}
	}
}

// highWater is the peak of a process's memory so far, in kB.
func highWater(pid int) (kb int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		_, _ = fmt.Sscan(rest, &kb)
	}
	return kb
}

// TestClientSideOfJudges: what AWS's clients have written, also in their old ways, comes
// up to version 3 with the entries of its context, and their client of today reads it by
// its default policy.
func TestClientSideOfJudges(t *testing.T) {
	t.Parallel()
	judge, err := tools.Build(t.Context(), "s3ec")
	if err != nil {
		t.Fatal(err)
	}
	w := newSealed(t, s3test.Config{Seed: 11, TLS: true}, s3test.BucketConfig{})
	run := func(do, key string, text []byte, flags ...string) []byte {
		return w.judge(judge, do, key, text, flags...)
	}
	text := bytes.Repeat([]byte("as the judges wrote it. "), 500)
	me := `{"who":"me"}`
	for key, flags := range map[string][]string{"v4 gcm": {"-client", "v4", "-suite", "gcm", "-context", me}, "v3 gcm": {"-client", "v3", "-suite", "gcm", "-context", me},
		"v1 kms": {"-client", "v1", "-wrap", "kms", "-context", me}, "v1 cbc": {"-client", "v1", "-wrap", "kms", "-content", "cbc", "-context", me},
		"v1 file": {"-client", "v1", "-context", me, "-instruction"}} {
		run("put", key, text, append(flags, "-kms-key", w.keyA)...)
	}
	sum := w.remake("job", 3, "--client-side", "v3", "--cse-kms-key-id", w.keyB, "--accept", "unauthenticated,instruction-gap")
	if sum.Done != 5 || sum.Left != 1 {
		t.Errorf("%+v", sum)
	}
	rows := w.rows(t, filepath.Join(w.dir, "job"))
	if r := rows["v1 file"+cse.InstructionSuffix]; r["reason"] != "instruction-file" {
		t.Errorf("the instruction file: %v", r)
	}
	w.server.KMS.SetKeyState(w.keyA, kms.Disabled)
	for key, r := range rows {
		if key == "v1 file"+cse.InstructionSuffix {
			continue
		}
		context := me
		if e := w.envelope(key); e.Format != cse.V3 || e.InFile || len(e.Entries()) == 0 {
			context = "{}"
			t.Logf("%s (%s): %s %v", key, r["client_side_before"], e, e.Entries())
		}
		if got := run("get", key, nil, "-client", "v4", "-strict", "-kms-key", w.keyB, "-context", context); !bytes.Equal(got, text) {
			t.Errorf("%s: the client reads %d other bytes", key, len(got))
		}
	}
}
