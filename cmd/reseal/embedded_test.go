package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// stage is the real binary before an embedded store, with the customer keys and
// KMS keys of its objects.
type stage struct {
	server         *s3test.Server
	binary         string
	env            []string
	dir            string
	keyA, keyB     string // KMS keys
	oldKey, newKey object.CustomerKey
	oldFile        string // the files of the customer keys
	newFile        string
}

// seldom has a process of a test, which lives for a moment, collect its garbage seldom: a
// quarter of its work. Where a test looks at its memory, it does without.
const seldom = "GOGC=400"

func newStage(t *testing.T, cfg s3test.Config) *stage {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	s := s3test.New(cfg)
	t.Cleanup(s.Close)
	st := &stage{server: s, binary: binary, dir: t.TempDir(), keyA: s.KMS.CreateKey("alias/a"), keyB: s.KMS.CreateKey("alias/b")}
	cred := s3test.DefaultCredentials
	st.env = []string{"AWS_ENDPOINT_URL=" + s.URL(), "AWS_ENDPOINT_URL_KMS=" + s.URL(), "AWS_REGION=us-east-1", "HOME=" + st.dir,
		"AWS_ACCESS_KEY_ID=" + cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + cred.SecretAccessKey,
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true", seldom}
	if cfg.TLS {
		st.env = append(st.env, "AWS_CA_BUNDLE="+st.file(t, "ca.pem", s.CAPEM()))
	}
	st.oldKey, st.oldFile = st.customerKey(t, "old")
	st.newKey, st.newFile = st.customerKey(t, "new")
	return st
}

func (st *stage) file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(st.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// customerKey makes a key that is the same in every run of the test.
func (st *stage) customerKey(t *testing.T, name string) (object.CustomerKey, string) {
	t.Helper()
	raw := sha256.Sum256([]byte("a customer key of a test: " + name))
	key, err := object.ParseCustomerKey(raw[:])
	if err != nil {
		t.Fatal(err)
	}
	return key, st.file(t, name+".key", raw[:])
}

// said is what a process of the binary printed, and how it ended.
type said struct {
	code           int
	stdout, stderr string
}

func (st *stage) command(args ...string) *exec.Cmd {
	cmd := exec.Command(st.binary, args...)
	cmd.Env = st.env
	return cmd
}

func (st *stage) reseal(t *testing.T, args ...string) said {
	t.Helper()
	return answered(t, st.command(args...))
}

// listen runs a command to its end, whatever that is, in a process of its own.
func listen(t *testing.T, cmd *exec.Cmd) (s said) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		s.code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	s.stdout, s.stderr = stdout.String(), stderr.String()
	return s
}

// rows is the report of a job by key, and by version where a key has several.
func (st *stage) rows(t *testing.T, job string) map[string]map[string]string {
	t.Helper()
	seen := map[string]bool{}
	return st.report(t, job).by(t, func(row map[string]string) string {
		id := row["key"]
		if row["version_id"] != "" && seen[id] {
			id = byVersion(row)
		}
		seen[id] = true
		return id
	})
}

// report of a job, whose state is in a folder or in the store.
func (st *stage) report(t *testing.T, job string) csvTable {
	t.Helper()
	if !strings.HasPrefix(job, "s3://") {
		return reportOf(t, job)
	}
	s := st.reseal(t, "report", "--job", job)
	if s.code != 0 {
		t.Fatalf("report: exit code %d\n%s", s.code, s.stderr)
	}
	return tableOf(t, s.stdout)
}

// differences reports every difference between a bucket and what was wanted of it.
func (st *stage) differences(t *testing.T, before s3test.Bucket, want check.Expectation) check.Checked {
	t.Helper()
	checked := check.Bucket(st.server, before, want)
	for i, d := range checked.Differences {
		if i == 12 {
			t.Errorf("and %d more differences", len(checked.Differences)-i)
			break
		}
		t.Errorf("%v", d)
	}
	return checked
}

// only is an intent: nothing may change but by these keys.
func only(change func(o s3test.Object) bool) func(s3test.Object) check.Intent {
	return func(o s3test.Object) check.Intent {
		if o.Latest && !o.DeleteMarker && change(o) {
			return check.Change
		}
		return check.Keep
	}
}

// untouched is the intent that nothing changes.
func untouched(s3test.Object) check.Intent { return check.Keep }
