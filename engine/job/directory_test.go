package job

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// bench is an embedded store in the environment, as an AWS account would be, with
// a bucket "b" of n objects and a key.
type bench struct {
	*s3test.Server
	spec Spec
	dir  string
}

func newBench(t *testing.T, cfg s3test.Config, b s3test.BucketConfig, n int) *bench {
	t.Helper()
	s := s3test.New(cfg)
	t.Cleanup(s.Close)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": s.URL(), "AWS_REGION": "us-east-1",
		"AWS_ACCESS_KEY_ID": s3test.DefaultCredentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": s3test.DefaultCredentials.SecretAccessKey,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	s.CreateBucket("b", b)
	for i := range n {
		s.Put("b", s3test.Object{Key: string(rune('a'+i%26)) + strings.Repeat("x", i/26), Body: s3test.Bytes("body")})
	}
	return &bench{s, Spec{Source: Source{Bucket: "b"}, Target: Target{SSE: object.SSES3}}, filepath.Join(t.TempDir(), "job")}
}

func (b *bench) create(t *testing.T, p Policy) *Job {
	t.Helper()
	j, err := Create(b.dir, b.spec, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// planned is a job that was planned and not run.
func (b *bench) planned(t *testing.T, p Policy) *Job {
	t.Helper()
	j := b.create(t, p)
	if _, err := j.Plan(t.Context(), PlanOptions{}); err != nil {
		t.Fatal(err)
	}
	return j
}

func wantUnusable(t *testing.T, err error, parts ...string) {
	t.Helper()
	var u *UnusableError
	if !errors.As(err, &u) {
		t.Fatalf("error %v, want an *UnusableError", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q does not mention %q", err, p)
		}
	}
}

func edit(t *testing.T, path, old, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s holds no %q", path, old)
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte(old), []byte(text), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestM2EditedPolicy: a policy is believed only as it was recorded, and a word that
// nobody knows never means the default, with a digest or without.
func TestM2EditedPolicy(t *testing.T) {
	for _, c := range []struct{ name, old, text, want string }{
		{"unknown guard", `"strict"`, `"strIct"`, `unknown word "strIct"`},
		{"unknown proof", `"verify": "read"`, `"verify": "raed"`, `unknown word "raed"`},
		{"unknown loss", `"tags"`, `"tgas"`, `unknown word "tgas"`},
		{"another guard", `"strict"`, `"auto"`, "was edited"},
		{"another size", `"part_size": 6291456`, `"part_size": 5242880`, "was edited"},
		{"a field that nobody knows", `"guard"`, `"gaurd"`, "unknown field"},
	} {
		for _, older := range []bool{false, true} {
			if older && strings.HasPrefix(c.name, "another") {
				continue // an older reseal recorded nothing to compare with
			}
			t.Run(c.name, func(t *testing.T) {
				b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 1)
				j := b.planned(t, Policy{Guard: GuardStrict, Verify: VerifyRead, Accept: []Acceptance{AcceptTags}, PartSize: 6 << 20})
				path := j.path(fileName)
				if older {
					edit(t, path, `"how_digest"`, `"not_known_then"`)
				}
				if _, err := Open(b.dir); err != nil {
					t.Fatalf("before the edit: %v", err)
				}
				edit(t, path, c.old, c.text)
				_, err := Open(b.dir)
				wantUnusable(t, err, path, c.want)
			})
		}
	}
}

// TestM2PolicyGivenAgain: it replaces the recorded one, which stays in the file with
// its time, and holds for the next process.
func TestM2PolicyGivenAgain(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 1)
	b.planned(t, Policy{Guard: GuardStrict})
	if _, err := b.create(t, Policy{Guard: GuardAuto, Accept: []Acceptance{AcceptTags}}).Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	j, err := Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	if j.Policy.Guard != GuardAuto || !j.Policy.Accepts(AcceptTags) {
		t.Errorf("the job recorded %+v", j.Policy)
	}
	f, err := readFile(j.path(fileName))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Earlier) != 1 || f.Earlier[0].Policy.Guard != GuardStrict || f.Since.IsZero() || f.Earlier[0].Since.IsZero() {
		t.Errorf("the earlier policy: %+v", f.Earlier)
	}
}

// TestS3ForeignDirectory: what others may write is refused, and a link in it is not
// followed.
func TestS3ForeignDirectory(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 1)
	j := b.planned(t, Policy{})
	if info, err := os.Stat(b.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("the job directory: %v %v, want mode 0700", info, err)
	}
	victim := filepath.Join(t.TempDir(), "victim")
	whole := func() {
		t.Helper()
		if data, err := os.ReadFile(victim); err != nil || string(data) != "mine" {
			t.Errorf("the file that a link leads to holds %q, %v", data, err)
		}
	}
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o720, 0o702, 0o777} {
		if err := os.Chmod(b.dir, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(b.dir)
		wantUnusable(t, err, b.dir)
		_, err = Create(b.dir, b.spec, Policy{})
		wantUnusable(t, err, b.dir)
	}
	if err := os.Chmod(b.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, j.path(statusName)+".new"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	whole()
	for _, name := range []string{logName, fileName} {
		kept := j.path(name) + ".kept"
		if err := errors.Join(os.Rename(j.path(name), kept), os.Symlink(victim, j.path(name))); err != nil {
			t.Fatal(err)
		}
		again, err := Open(b.dir)
		if err == nil {
			_, err = again.Run(t.Context(), Options{})
		}
		wantUnusable(t, err)
		whole()
		if err := os.Rename(kept, j.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(j.path(logName)), syscall.Mkfifo(j.path(logName), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := j.Run(t.Context(), Options{}) // and does not wait for a reader
	wantUnusable(t, err, logName)
}

// TestM16ClaimedFirst: of two that begin a job in one directory the second is
// refused before it asks the store anything, and a claim without a job is given
// back.
func TestM16ClaimedFirst(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 1)
	first := b.create(t, Policy{})
	_, err := Create(b.dir, b.spec, Policy{})
	wantUnusable(t, err, "another process is beginning a job", b.dir)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.dir); err == nil {
		t.Error("the directory of no job is still there")
	}
	second := b.create(t, Policy{})
	if _, err := second.Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(second.path(claimName)); err == nil {
		t.Error("the claim outlived the beginning")
	}
	if _, err := Create(b.dir, b.spec, Policy{}); err != nil {
		t.Errorf("the same job again: %v", err)
	}
	// A process that died leaves the file, and no lock.
	b.dir += "2"
	if err := errors.Join(os.Mkdir(b.dir, 0o700), os.WriteFile(filepath.Join(b.dir, claimName), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.create(t, Policy{}).Run(t.Context(), Options{}); err != nil {
		t.Error(err)
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o700); err != nil {
		t.Fatal(err)
	}
	err := filepath.Walk(to, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestALinkToNowhere: a job directory on a disk that is not mounted is said to be that.
func TestALinkToNowhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "job")
	if err := os.Symlink("away", dir); err != nil {
		t.Fatal(err)
	}
	_, err := checkWritable(dir)
	if err == nil || !strings.Contains(err.Error(), dir+" is a link to away, which is not there") {
		t.Error(err)
	}
}
