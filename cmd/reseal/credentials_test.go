package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// fetchesCredentials lets processes fetch their credentials from the server, and gives what issues
// the nth of them there, for hours.
func (st *stage) fetchesCredentials() (issue func(n int) (accessKeyID string)) {
	st.env = slices.DeleteFunc(st.env, func(e string) bool {
		return strings.HasPrefix(e, "AWS_ACCESS_KEY_ID=") || strings.HasPrefix(e, "AWS_SECRET_ACCESS_KEY=")
	})
	st.env = append(st.env, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+st.server.CredentialsURL())
	return func(n int) string {
		c := s3test.Credentials{AccessKeyID: fmt.Sprintf("ASIAROTATED%09d", n), SecretAccessKey: fmt.Sprintf("secret-of-session-%d", n), SessionToken: fmt.Sprintf("token-of-session-%d", n)}
		st.server.Issue(c, time.Now().Add(6*time.Hour))
		return c.AccessKeyID
	}
}

// TestCredentialsExpireAndRotate takes the credentials away in the middle of a
// run, twice: once new ones are there at once, once only after a while. The run
// pauses, fetches them, and goes on; nobody has to do anything.
func TestCredentialsExpireAndRotate(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 5})
	before := st.fillDocs(1500)
	issue := st.fetchesCredentials()
	job := filepath.Join(st.dir, "job")
	current := issue(1)
	var copies atomic.Int32
	expired := make(chan struct{})
	st.server.OnReply(func(r s3test.Request) {
		if r.Op != "CopyObject" || !strings.HasPrefix(r.Key, "docs/") {
			return
		}
		switch copies.Add(1) {
		case 300:
			st.server.ExpireCredentials(current)
			current = issue(2)
		case 800:
			st.server.ExpireCredentials(current)
			close(expired)
		}
	})
	ended := make(chan said, 1)
	go func() {
		ended <- st.reseal(t, "run", "s3://docs", "--sse", "AES256", "--job", job, "--concurrency", "8", "--no-progress", "--json")
	}()
	select {
	case <-expired:
	case s := <-ended:
		t.Fatalf("the run ended early: exit code %d\n%s", s.code, s.stderr)
	}
	st.awaitStatus(t, job, "waiting for credentials")
	issue(3)
	s := <-ended
	if s.code != 0 || !strings.Contains(s.stdout, `"done":1500,"already":0,"left":0,"failed":0`) || !strings.Contains(s.stdout, `"resumed":false`) {
		t.Fatalf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSES3}})
	st.keepsSecret(t, job, s, "secret-of-session", "token-of-session")
}

// TestKeyDisabledInTheMiddle: a few refusals stop the run, the message names the
// key, and once it is enabled again the same command finishes.
func TestKeyDisabledInTheMiddle(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 6})
	before := st.fillDocs(1200)
	job := filepath.Join(st.dir, "job")
	var copies, refused atomic.Int32
	st.server.OnReply(func(r s3test.Request) {
		if r.Op != "CopyObject" || !strings.HasPrefix(r.Key, "docs/") {
			return
		}
		if r.Status == 400 {
			refused.Add(1)
		}
		if copies.Add(1) == 200 {
			st.server.KMS.SetKeyState(st.keyA, kms.Disabled)
		}
	})
	args := []string{"run", "s3://docs", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--operation", "copy", "--job", job, "--concurrency", "8", "--no-progress", "--json"}
	s := st.reseal(t, args...)
	if s.code != exitStopped || !strings.Contains(s.stderr, st.keyA) || !strings.Contains(s.stderr, "KMS.DisabledException") {
		t.Errorf("exit code %d; the message has to name %s\n%s", s.code, st.keyA, s.stderr)
	}
	if n := refused.Load(); n == 0 || n > 24 {
		t.Errorf("%d requests were sent under a disabled key", n)
	}
	if strings.Contains(s.stdout, `"failed":0`) == false {
		t.Errorf("the key's trouble became the objects' failure: %s", s.stdout)
	}
	st.server.KMS.SetKeyState(st.keyA, kms.Enabled)
	if s = st.reseal(t, args...); s.code != 0 || !strings.Contains(s.stdout, `"done":1200`) {
		t.Errorf("enabled again: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA}})
}

// TestStatusWhileItRuns asks from another process.
func TestStatusWhileItRuns(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 7})
	st.fillDocs(4000)
	st.server.SetLimits(s3test.Limits{Requests: 150})
	if err := st.server.SetRules(`(If (And Copy (Key "docs/*") (Every 40)) Failed)`); err != nil {
		t.Fatal(err)
	}
	job := filepath.Join(st.dir, "job")
	cmd := st.command("run", "s3://docs", "--sse", "AES256", "--job", job, "--no-progress", "--window", "00:00-24:00", "--max-requests-per-second", "1000")
	ended := make(chan said, 1)
	go func() { ended <- listen(t, cmd) }()
	// The rate and why it is no higher; when it will end; the errors; the window.
	st.awaitStatus(t, job, "requests/s of", "S3 asked for fewer requests", "ETA ", "throttled", "transient", "00:00-24:00", "in flight")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if s := <-ended; s.code != exitInterrupted {
		t.Errorf("exit code %d\n%s", s.code, s.stderr)
	}
}

// TestWindowOpens begins outside its window, which opens within a minute; what is
// planned for then is done then.
func TestWindowOpens(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 8})
	before := st.fillDocs(50)
	job := filepath.Join(st.dir, "job")
	// The window opens at the next full minute. Close before it there is no time to
	// see the job wait: then the one after it has to do.
	opens := time.Now().UTC().Add(10 * time.Second).Truncate(time.Minute).Add(time.Minute)
	var early atomic.Int32
	st.server.OnRequest(func(r s3test.Request) {
		if r.Op == "CopyObject" && strings.HasPrefix(r.Key, "docs/") && time.Now().Before(opens) {
			early.Add(1)
		}
	})
	window := opens.Format("15:04") + "-" + opens.Add(10*time.Minute).Format("15:04")
	ended := make(chan said, 1)
	go func() {
		ended <- st.reseal(t, "run", "s3://docs", "--sse", "AES256", "--job", job, "--no-progress", "--json", "--window", window, "--time-zone", "UTC")
	}()
	st.awaitStatus(t, job, "outside the window "+window, "opens "+opens.Format("2006-01-02T15:04"))
	s := <-ended
	if s.code != 0 || !strings.Contains(s.stdout, `"done":50`) {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	if early.Load() > 0 {
		t.Errorf("%d copies came before the window opened", early.Load())
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSES3}})
}

// fillDocs makes a versioned bucket of n small objects under no encryption.
func (st *stage) fillDocs(n int) s3test.Bucket {
	st.server.CreateBucket("docs", s3test.BucketConfig{Versioning: "Enabled"})
	st.server.Fill("docs", n, func(i int) string { return fmt.Sprintf("docs/%06d", i) }, s3test.Bytes("a document"),
		s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}})
	return st.server.Snapshot("docs")
}

// awaitStatus asks for the job's status until it has told everything that is
// wanted, at the same time or one after the other.
func (st *stage) awaitStatus(t *testing.T, job string, wanted ...string) {
	t.Helper()
	timeout := time.After(90 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var last said
	for {
		select {
		case <-timeout:
			t.Fatalf("status never told %q; at last:\n%s%s", wanted, last.stdout, last.stderr)
		case <-tick.C:
			last = st.reseal(t, "status", "--job", job)
			wanted = slices.DeleteFunc(wanted, func(w string) bool { return strings.Contains(last.stdout, w) })
			if len(wanted) == 0 {
				return
			}
		}
	}
}

// keepsSecret looks for secrets in everything that the job wrote and said.
func (st *stage) keepsSecret(t *testing.T, job string, s said, secrets ...string) {
	t.Helper()
	texts := map[string]string{"standard output": s.stdout, "standard error": s.stderr}
	err := filepath.WalkDir(job, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		texts[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %q…", where, secret)
			}
		}
	}
}
