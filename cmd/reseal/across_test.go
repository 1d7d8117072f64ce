package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// twoStores are two embedded stores that know only their own credentials, and a job
// from the one to the other.
type twoStores struct {
	*stage
	from, to *s3test.Server
	args     []string
	job      string
	before   s3test.Bucket
}

const acrossSecret = "a-secret-that-no-file-may-hold"

func acrossCredentials(name string) s3test.Credentials {
	return s3test.Credentials{AccessKeyID: "AKIA" + strings.ToUpper(name), SecretAccessKey: acrossSecret + name}
}

func newTwoStores(t *testing.T) *twoStores { return newTwoStoresTo(t, s3test.AWS()) }

// newTwoStoresTo is that with a destination of another kind.
func newTwoStoresTo(t *testing.T, dest s3test.Profile) *twoStores {
	st := newStage(t, s3test.Config{Seed: 31, Credentials: []s3test.Credentials{acrossCredentials("from")}})
	to := s3test.New(s3test.Config{Profile: dest, Seed: 32, Credentials: []s3test.Credentials{acrossCredentials("to")}})
	t.Cleanup(to.Close)
	var text strings.Builder
	for _, name := range []string{"from", "to"} {
		c := acrossCredentials(name)
		fmt.Fprintf(&text, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", name, c.AccessKeyID, c.SecretAccessKey)
	}
	env := slices.DeleteFunc(st.env, func(e string) bool {
		return strings.HasPrefix(e, "AWS_ENDPOINT_URL") || strings.HasPrefix(e, "AWS_ACCESS_KEY") || strings.HasPrefix(e, "AWS_SECRET") || strings.HasPrefix(e, "AWS_SHARED")
	})
	st.env = append(env, "AWS_SHARED_CREDENTIALS_FILE="+st.file(t, "credentials", []byte(text.String())), "AWS_ENDPOINT_URL_KMS="+to.URL())
	s := &twoStores{stage: st, from: st.server, to: to, job: filepath.Join(t.TempDir(), "job")}
	key := to.KMS.CreateKey()
	st.keyB = key
	s.from.CreateBucket("b", s3test.BucketConfig{})
	to.CreateBucket("b", s3test.BucketConfig{})
	for i, size := range []int64{0, 1, 700, 5<<20 + 1, 11 << 20, 17 << 20} {
		o := fullObject(i, size)
		o.Key, o.Grants, o.Annotations, o.Redirect = fmt.Sprintf("obj-%d é+%%2F", i), nil, nil, ""
		o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyA}
		with := []s3test.PutOption{s3test.Summed(o.Body, "CRC32C")}
		if i == 4 {
			with[0] = s3test.Uploaded(o.Body, "SHA256", "COMPOSITE", 6<<20, 5<<20)
		}
		s.from.Put("b", o, with...)
	}
	s.before = s.from.Snapshot("b")
	s.args = []string{"run", "s3://b", "--dest", "s3://b/copy", "--endpoint-url", s.from.URL(), "--profile", "from", "--dest-endpoint-url", to.URL(), "--dest-profile", "to",
		"--sse", "aws:kms", "--sse-kms-key-id", key, "--job", s.job, "--no-progress", "--concurrency", "2", "--request-timeout", "2s"}
	return s
}

// check wants every object at the destination as it was in the source but for its
// encryption, nothing beside it, and the source as it was, only read.
func (s *twoStores) check(t *testing.T, foreign ...string) {
	t.Helper()
	now := s.to.Snapshot("b")
	if len(now.Objects) != len(s.before.Objects) {
		t.Errorf("%d objects at the destination, want %d", len(now.Objects), len(s.before.Objects))
	}
	rows := s.rows(t, s.job)
	for _, was := range s.before.Objects {
		if slices.Contains(foreign, was.Key) {
			continue
		}
		there := now.Find("copy/" + was.Key)
		if len(there) != 1 {
			t.Errorf("%q is there %d times", was.Key, len(there))
			continue
		}
		is := there[0]
		of := func(o s3test.Object) string {
			o.Tags = slices.SortedFunc(slices.Values(o.Tags), func(a, b object.Tag) int { return strings.Compare(a.Key, b.Key) })
			return fmt.Sprint(o.ContentType, o.CacheControl, o.Expires, o.Metadata, o.Tags, o.StorageClass, o.Checksum)
		}
		if !was.Body.Equal(is.Body) || of(was) != of(is) || is.Encryption.Type != object.SSEKMS || is.Encryption.KMSKeyID != s.keyB {
			t.Errorf("%q was %s\nand is %s under %+v", was.Key, of(was), of(is), is.Encryption)
		}
		if r := rows[was.Key]; r["state"] != "done" && r["state"] != "already" || r["etag_after"] != is.ETag {
			t.Errorf("the row of %q: %v", was.Key, r)
		}
	}
	for _, r := range s.from.Requests() {
		if r.Method != "GET" && r.Method != "HEAD" || strings.Contains(r.Header.Get("Authorization"), acrossCredentials("to").AccessKeyID) {
			t.Errorf("the source was sent %s %s", r.Method, r.Op)
		}
	}
	for _, r := range s.to.Requests() {
		if strings.Contains(r.Header.Get("Authorization"), acrossCredentials("from").AccessKeyID) {
			t.Errorf("the destination was sent the source's credentials: %s", r.Op)
		}
	}
	s.noSecrets(t)
}

// noSecrets looks for the secrets of both profiles in every file of the job.
func (s *twoStores) noSecrets(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(s.job, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(acrossSecret)) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestToAnotherStore: what neither store can copy goes through this client, with
// everything that it has; a second run and a verification find it.
func TestToAnotherStore(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	if end := s.reseal(t, s.args...); end.code != 0 {
		t.Fatalf("exit code %d\n%s", end.code, end.stderr)
	}
	s.check(t)
	again := slices.Clone(s.args)
	again[slices.Index(again, s.job)] = s.job + "-again"
	if end := s.reseal(t, again...); end.code != 0 {
		t.Errorf("exit code %d\n%s", end.code, end.stderr)
	}
	for key, r := range s.rows(t, s.job+"-again") {
		if r["state"] != "already" {
			t.Errorf("%q: %v", key, r)
		}
	}
	if end := s.reseal(t, "verify", "--job", s.job); end.code != 0 {
		t.Errorf("verify: exit code %d\n%s%s", end.code, end.stdout, end.stderr)
	}
	o := s3test.Object{Key: "copy/" + s.before.Objects[2].Key, Body: s3test.Bytes([]byte("other"))}
	s.to.Put("b", o)
	if end := s.reseal(t, "verify", "--job", s.job); end.code == 0 {
		t.Errorf("verify takes another object for the copy\n%s", end.stdout)
	}
}

// TestToAnotherStoreOverwritesNothing: what stands at the destination stays, whether it
// was there before or comes in the very moment.
func TestToAnotherStoreOverwritesNothing(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	foreign := []string{s.before.Objects[1].Key, s.before.Objects[2].Key, s.before.Objects[5].Key}
	theirs := func(key string) {
		s.to.Put("b", s3test.Object{Key: "copy/" + key, Body: s3test.Bytes([]byte("theirs"))})
	}
	theirs(foreign[0])
	var seen atomic.Int32
	s.to.OnRequest(func(r s3test.Request) {
		if (r.Op == "PutObject" && r.Key == "copy/"+foreign[1] || r.Op == "CompleteMultipartUpload" && r.Key == "copy/"+foreign[2]) && seen.Add(1) <= 2 {
			theirs(strings.TrimPrefix(r.Key, "copy/"))
		}
	})
	end := s.reseal(t, s.args...)
	s.to.OnRequest(nil)
	if end.code != 3 {
		t.Fatalf("exit code %d\n%s", end.code, end.stderr)
	}
	s.check(t, foreign...)
	rows, now := s.rows(t, s.job), s.to.Snapshot("b")
	for _, key := range foreign {
		if r := rows[key]; r["state"] != "left" || r["reason"] != "exists" {
			t.Errorf("%q: %v", key, r)
		}
		if there := now.Find("copy/" + key); len(there) != 1 || string(there[0].Body.ReadAll()) != "theirs" {
			t.Errorf("%q was overwritten", key)
		}
	}
	if len(now.Uploads) > 0 {
		t.Errorf("uploads are left: %+v", now.Uploads)
	}
}

// TestToAnotherStoreTakesNothingForItsOwn: a PUT is refused since another client has
// written an object of the same size there, under the same key, and the answer is lost.
func TestToAnotherStoreTakesNothingForItsOwn(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	key := s.before.Objects[2].Key
	theirs := bytes.Repeat([]byte("x"), 700)
	var seen atomic.Bool
	s.to.OnRequest(func(r s3test.Request) {
		if r.Op == "PutObject" && r.Key == "copy/"+key && seen.CompareAndSwap(false, true) {
			s.to.Put("b", s3test.Object{Key: "copy/" + key, Body: s3test.Bytes(theirs), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: s.keyB}}})
		}
	})
	if err := s.to.SetRules(`(If (And Put (Key "copy/obj-2*") (PerKey (First 1))) ReplyLost)`); err != nil {
		t.Fatal(err)
	}
	end := s.reseal(t, s.args...)
	s.to.OnRequest(nil)
	if r := s.rows(t, s.job)[key]; end.code != 3 || r["state"] != "left" || r["reason"] != "exists" {
		t.Errorf("exit code %d, %v\n%s", end.code, r, end.stderr)
	}
	if there := s.to.Snapshot("b").Find("copy/" + key); len(there) != 1 || !bytes.Equal(there[0].Body.ReadAll(), theirs) {
		t.Error("it was overwritten")
	}
}

// TestToAnotherAccount: both ends are one store, and the destination's credentials may
// read the source: then nothing goes through this client.
func TestToAnotherAccount(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	s.from.CreateBucket("there", s3test.BucketConfig{})
	args := slices.Clone(s.args)
	for i, a := range args {
		switch a {
		case s.to.URL():
			args[i] = s.from.URL()
		case "to":
			args[i] = "from"
		case "s3://b/copy":
			args[i] = "s3://there/copy"
		case s.keyB:
			args[i] = s.keyA
		}
	}
	s.env = append(s.env, "AWS_ENDPOINT_URL_KMS="+s.from.URL())
	if end := s.reseal(t, args...); end.code != 0 {
		t.Fatalf("exit code %d\n%s", end.code, end.stderr)
	}
	for key, r := range s.rows(t, s.job) {
		if r["state"] != "done" || r["operation"] == "rewrite" {
			t.Errorf("%q: %v", key, r)
		}
	}
}

// TestToAnotherStoreGrants: grants name accounts that the other store does not know.
func TestToAnotherStoreGrants(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	s.from.CreateBucket("granted", s3test.BucketConfig{Ownership: "ObjectWriter"})
	s.to.CreateBucket("granted", s3test.BucketConfig{Ownership: "ObjectWriter"})
	s.from.Put("granted", s3test.Object{Key: "k", Body: s3test.Bytes([]byte("text")), Attrs: s3test.Attrs{Grants: fullObject(1, 1).Grants}})
	args := strings.Split(strings.NewReplacer("s3://b/copy", "s3://granted/copy", "s3://b", "s3://granted").Replace(strings.Join(s.args, "\n")), "\n")
	end := s.reseal(t, args...)
	if r := s.rows(t, s.job)["k"]; end.code != 3 || r["state"] != "left" || r["reason"] != "acl" {
		t.Errorf("exit code %d, %v\n%s", end.code, r, end.stderr)
	}
	if end := s.reseal(t, append(args, "--accept", "acl", "--retry-failed")...); end.code != 0 {
		t.Errorf("exit code %d, %v\n%s", end.code, s.rows(t, s.job)["k"], end.stderr)
	}
}

// TestDoctorOfTwoStores: it says how the objects will go and what each end needs, from
// questions to each end by its own credentials.
func TestDoctorOfTwoStores(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	i := slices.Index(s.args, "--job")
	args := s.args[1:i]
	end := s.reseal(t, append([]string{"doctor"}, args...)...)
	if !strings.Contains(strings.Join(strings.Fields(end.stdout), " "), "all bytes go through this machine") {
		t.Errorf("exit code %d\n%s%s", end.code, end.stdout, end.stderr)
	}
	for _, r := range s.from.Requests() {
		if r.Method != "GET" && r.Method != "HEAD" {
			t.Errorf("the source was sent %s", r.Op)
		}
	}
	for side, not := range map[string]string{"source": "s3:PutObject", "dest": "ReadObjects"} {
		end := s.reseal(t, append([]string{"iam-policy", "--end", side}, args...)...)
		if end.code != 0 || strings.Contains(end.stdout, not) || !strings.Contains(end.stdout, "s3:GetObject") {
			t.Errorf("%s: exit code %d\n%s%s", side, end.code, end.stdout, end.stderr)
		}
	}
	if end := s.reseal(t, append([]string{"iam-policy"}, args...)...); end.code != 2 || !strings.Contains(end.stderr, "--end") {
		t.Errorf("exit code %d\n%s", end.code, end.stderr)
	}
}

// TestToAnotherStoreRefusals: one clear sentence, and nothing touched.
func TestToAnotherStoreRefusals(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	without := func(args []string, flag string) []string {
		i := slices.Index(args, flag)
		return slices.Delete(slices.Clone(args), i, i+2)
	}
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"no --dest":        {without(s.args, "--dest"), "--dest"},
		"copies only":      {append(slices.Clone(s.args), "--operation", "copy"), "--operation auto"},
		"an unknown user":  {append(without(s.args, "--dest-profile"), "--dest-profile", "nobody"), "nobody"},
		"wrong at the end": {without(s.args, "--dest-profile"), ""},
	} {
		end := s.reseal(t, tc.args...)
		if end.code != 2 && end.code != 1 || !strings.Contains(end.stderr, tc.says) {
			t.Errorf("%s: exit code %d\n%s", name, end.code, end.stderr)
		}
		if strings.Contains(end.stderr, acrossSecret) {
			t.Errorf("%s: a secret is told: %s", name, end.stderr)
		}
	}
	if n := len(s.to.Snapshot("b").Objects); n > 0 {
		t.Errorf("%d objects were written", n)
	}
}

// TestExpiresToAnotherStore: what another store than AWS may not keep is left by name, or
// accepted by it.
func TestExpiresToAnotherStore(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	s.from.Put("b", s3test.Object{Key: "web", Body: s3test.Bytes("web"), Attrs: s3test.Attrs{Expires: "0"}})
	if end := s.reseal(t, s.args...); end.code != 3 {
		t.Fatalf("exit code %d\n%s", end.code, end.stderr)
	}
	s.check(t)
	if row := s.rows(t, s.job)["web"]; row["state"] != "left" || row["reason"] != "expires" || len(s.to.Snapshot("b").Find("copy/web")) > 0 {
		t.Errorf("its row: %v", row)
	}
	if end := s.reseal(t, "run", "--job", s.job, "--retry-failed", "--accept", "expires", "--no-progress"); end.code != 0 || len(s.to.Snapshot("b").Find("copy/web")) != 1 {
		t.Fatalf("accepted: exit code %d\n%s", end.code, end.stderr)
	}
}
