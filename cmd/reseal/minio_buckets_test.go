package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestAnAccountOnRealServer rotates the key of forty buckets in one job: some keep
// versions, one locks them, one cannot be listed. Before it the old key is needed by as many
// versions as a loop over HEAD counts. After it, after a prune, and after the bucket that
// was left out, nothing needs it; the key is deleted, and every object can be read.
func TestAnAccountOnRealServer(t *testing.T) {
	t.Parallel()
	server := realserver.StartKES(t, realserver.Options{Keys: []string{"key-a", "key-b"}})
	a := &account{server: server}
	a.fill(t)
	want := a.versionsUnder("key-a")
	root := a.beds[0]
	root.T = t
	if got := a.needed(root, 3, "key-a"); got != want || want == 0 {
		t.Errorf("before: needed by %d versions, a loop counts %d", got, want)
	}

	job := filepath.Join(t.TempDir(), "job")
	to := []string{"--sse", "aws:kms", "--sse-kms-key-id", "key-b"}
	limited := *root
	limited.env = a.withoutListing(t, a.closed())
	out := limited.reseal(3, append([]string{"run", "--all-buckets", "--job", job, "--json"}, to...)...)
	if s := root.parse(out); s.Planned != accountObjects*(len(a.beds)-1) || s.Done+s.Already != s.Planned || s.Remaining+s.Left+s.Failed != 0 {
		t.Fatalf("%s", out)
	}
	var status struct {
		Unread []struct{ Bucket string } `json:"unread"`
		Shards []struct{ State string }  `json:"shards"`
	}
	if err := json.Unmarshal(root.reseal(0, "status", "--job", job, "--json"), &status); err != nil {
		t.Fatal(err)
	}
	if len(status.Unread) != 1 || status.Unread[0].Bucket != a.closed() || len(status.Shards) != len(a.beds)-1 {
		t.Fatalf("%+v", status)
	}
	a.oneReport(t, root, job)
	root.reseal(1, "verify", "--job", job) // one bucket was not looked at
	second := filepath.Join(t.TempDir(), "second")
	root.summary(append([]string{"s3://" + a.closed(), "--job", second}, to...)...)
	root.reseal(0, "verify", "--job", second)
	root.reseal(0, "prune", "--job", second, "--yes")

	root.reseal(3, "prune", "--job", job, "--yes") // the locked ones stay
	left := a.versionsUnder("key-a")
	if got := a.needed(root, 3, "key-a"); got != left || left != accountOld {
		t.Errorf("while versions are locked: needed by %d, counted %d, want %d", got, left, accountOld)
		a.tellVersions(t, "key-a")
	}
	a.unlock(t)
	root.reseal(0, "prune", "--job", job, "--yes")
	if got := a.needed(root, 0, "key-a"); got != 0 || a.versionsUnder("key-a") != 0 {
		t.Errorf("after: needed by %d versions", got)
	}
	if err := server.DeleteKey(t.Context(), "key-a"); err != nil {
		t.Fatal(err)
	}
	a.readsAll(t)
}

const (
	accountBuckets = 40
	accountObjects = 4 // in each bucket, half of them under the old key
	accountOld     = accountObjects / 2
)

// account is many buckets on one server.
type account struct {
	server *realserver.Server
	beds   []*bed
}

func (a *account) closed() string { return a.beds[accountBuckets-1].bucket }

func (a *account) fill(t *testing.T) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(8)
	for i := range accountBuckets {
		b := &bed{T: t, server: a.server, client: a.server.Client(), bucket: fmt.Sprintf("account-%02d", i), binary: binary}
		a.beds = append(a.beds, b)
		g.Go(func() error { return a.fillOne(b, i) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// fillOne: every third bucket keeps versions, and the last but one locks them for an hour.
func (a *account) fillOne(b *bed, i int) error {
	locked := i == accountBuckets-2
	if _, err := b.client.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: &b.bucket, ObjectLockEnabledForBucket: aws.Bool(locked)}); err != nil {
		return err
	}
	if i%3 == 0 && !locked {
		if _, err := b.client.PutBucketVersioning(b.Context(), &s3.PutBucketVersioningInput{Bucket: &b.bucket,
			VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
			return err
		}
	}
	until := time.Now().Add(time.Hour)
	for n := range accountObjects {
		in := &s3.PutObjectInput{Bucket: &b.bucket, Key: aws.String(fmt.Sprintf("k%02d", n)), Body: strings.NewReader(b.bucket + fmt.Sprint(n)),
			ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: &a.server.Keys[n%2]}
		if locked {
			in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockModeGovernance, &until
		}
		if _, err := b.client.PutObject(b.Context(), in); err != nil {
			return err
		}
	}
	return nil
}

// unlock ends the retention of every version in the bucket that locks them.
func (a *account) unlock(t *testing.T) {
	t.Helper()
	b := a.beds[accountBuckets-2]
	list, err := b.client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &b.bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list.Versions {
		if _, err := b.client.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{Bucket: &b.bucket, Key: v.Key, VersionId: v.VersionId,
			BypassGovernanceRetention: aws.Bool(true), Retention: &types.ObjectLockRetention{}}); err != nil {
			t.Fatal(err)
		}
	}
}

func (a *account) versionsUnder(key string) (n int) {
	for _, b := range a.beds {
		n += b.versionsUnder(key)
	}
	return n
}

// tellVersions logs the versions that are under a key.
func (a *account) tellVersions(t *testing.T, key string) {
	t.Helper()
	for _, b := range a.beds {
		b.eachVersionUnder(key, func(v types.ObjectVersion) {
			t.Logf("%s/%s?%s: latest %v, modified %v", b.bucket, *v.Key, *v.VersionId, *v.IsLatest, *v.LastModified)
		})
	}
}

// needed is how many versions need a key, by who-needs over the whole account.
func (a *account) needed(b *bed, code int, key string) (n int) {
	b.Helper()
	var answer struct{ Sources []neededHere }
	out := b.reseal(code, "who-needs", key, "--all-buckets", "--json")
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Sources) != len(a.beds) {
		b.Fatalf("%v: %s", err, out)
	}
	for _, s := range answer.Sources {
		n += s.Current.Objects + s.Noncurrent.Objects
	}
	return n
}

// withoutListing is the environment of a login that may do anything but list one bucket.
func (a *account) withoutListing(t *testing.T, bucket string) []string {
	t.Helper()
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::*"},`+
		`{"Effect":"Deny","Action":["s3:ListBucket","s3:ListBucketVersions"],"Resource":["arn:aws:s3:::%s"]}]}`, bucket)
	o := a.server.Client().Options()
	client := sts.New(sts.Options{BaseEndpoint: o.BaseEndpoint, Region: o.Region, HTTPClient: o.HTTPClient, Credentials: o.Credentials})
	out, err := client.AssumeRole(t.Context(), &sts.AssumeRoleInput{Policy: &policy,
		RoleArn: aws.String("arn:aws:iam::111122223333:role/any"), RoleSessionName: aws.String("account")})
	if err != nil {
		t.Fatal(err)
	}
	return []string{"AWS_ACCESS_KEY_ID=" + *out.Credentials.AccessKeyId, "AWS_SECRET_ACCESS_KEY=" + *out.Credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN=" + *out.Credentials.SessionToken}
}

// oneReport checks that the job has one report with a row for every object of every bucket
// that it took.
func (a *account) oneReport(t *testing.T, b *bed, job string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.csv")
	b.reseal(0, "report", "--job", job, "-o", file)
	perBucket := map[string]int{}
	for _, row := range tableIn(t, file) {
		perBucket[row["bucket"]]++
	}
	for _, b := range a.beds {
		if want := map[bool]int{true: accountObjects}[b.bucket != a.closed()]; perBucket[b.bucket] != want {
			t.Errorf("%s has %d rows, want %d", b.bucket, perBucket[b.bucket], want)
		}
	}
}

// readsAll reads every object, and every version that is left of one.
func (a *account) readsAll(t *testing.T) {
	t.Helper()
	for _, b := range a.beds {
		list, err := b.client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &b.bucket})
		if err != nil || len(list.Versions) < accountObjects {
			t.Fatalf("%s: %d versions, %v", b.bucket, len(list.Versions), err)
		}
		for _, v := range list.Versions {
			out, err := b.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.bucket, Key: v.Key, VersionId: v.VersionId})
			if err != nil {
				t.Fatalf("%s/%s?%s: %v", b.bucket, *v.Key, *v.VersionId, err)
			}
			out.Body.Close()
		}
		for n := range accountObjects {
			key := fmt.Sprintf("k%02d", n)
			out, err := b.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.bucket, Key: &key})
			if err != nil {
				t.Fatalf("%s/%s: %v", b.bucket, key, err)
			}
			body, err := io.ReadAll(out.Body)
			out.Body.Close()
			if want := b.bucket + fmt.Sprint(n); err != nil || string(body) != want {
				t.Fatalf("%s/%s: %q, %v, want %q", b.bucket, key, body, err, want)
			}
		}
	}
}
