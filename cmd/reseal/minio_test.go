package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// bed is a bucket of a real MinIO, and the real binary.
type bed struct {
	*testing.T
	server *realserver.Server
	client *s3.Client
	bucket string
	binary string
	env    []string // more of it, and what counts
	// mayDelete: others delete objects, so that delete markers of them are right.
	mayDelete bool
}

// build gives the program that people run, once for all tests: this test binary, which under
// this name is nothing but the program (see TestMain), so that nothing is linked twice.
var build = sync.OnceValues(func() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "reseal-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "reseal")
	return path, os.Symlink(self, path)
})

func newBed(t *testing.T, server *realserver.Server, bucket string) *bed {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{T: t, server: server, client: server.Client(), bucket: bucket, binary: binary}
	if _, err := b.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	return b
}

// command is the binary in an environment that holds the server and nothing
// else of this machine.
func (b *bed) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.binary, args...)
	cmd.Env = append(b.server.Env(), "HOME="+os.TempDir(), "PATH="+os.Getenv("PATH"),
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, seldom)
	cmd.Env = append(cmd.Env, b.env...)
	return cmd
}

// reseal runs the binary and insists on its exit code; it returns stdout.
func (b *bed) reseal(code int, args ...string) []byte {
	b.Helper()
	s := answered(b.T, b.command(args...))
	if s.code != code {
		b.Fatalf("reseal %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), s.code, code, s.stdout, s.stderr)
	}
	return []byte(s.stdout)
}

// runSummary is what the command line promises of `run --json`.
type runSummary struct {
	Job        string         `json:"job"`
	Resumed    bool           `json:"resumed"`
	Planned    int            `json:"planned"`
	Done       int            `json:"done"`
	Already    int            `json:"already"`
	Left       int            `json:"left"`
	Failed     int            `json:"failed"`
	Remaining  int            `json:"remaining"`
	Bytes      int64          `json:"bytes"`
	Operations map[string]int `json:"operations"`
	Requests   map[string]int `json:"requests"`
	Seconds    float64        `json:"seconds"`
	Complete   bool           `json:"complete"`
}

// summary runs `run --json` to its end and checks that the counters add up.
func (b *bed) summary(args ...string) runSummary {
	b.Helper()
	return b.parse(b.reseal(0, append([]string{"run", "--json"}, args...)...))
}

func (b *bed) parse(stdout []byte) runSummary {
	b.Helper()
	var s runSummary
	dec := json.NewDecoder(bytes.NewReader(stdout))
	if err := dec.Decode(&s); err != nil {
		b.Fatalf("run --json printed %q: %v", stdout, err)
	}
	if s.Planned != s.Done+s.Already+s.Left+s.Failed+s.Remaining {
		b.Errorf("the counters do not add up: %+v", s)
	}
	return s
}

// rows is the report, by key. A key with two rows is an error.
func (b *bed) rows(job string) map[string]map[string]string {
	b.Helper()
	return reportOf(b.T, job).by(b.T, byKey)
}

const reportColumns = "bucket,key,version_id,state,operation,reason,error_code,http_status,message,size,etag_before,etag_after," +
	"sse_before,kms_key_before,sse_after,kms_key_after,new_version_id,attempts,request_id,finished_at,client_side_before,client_side_after"

// oddKeys are keys that naive clients break on. A server need not take all.
func oddKeys() []string {
	keys := []string{
		"a b", " leading", "trailing ", "a  b", "a+b", "+", "a%b", "a%2Fb", "a%252Fb", "%", "%20", "100%",
		"caf\u00e9", "cafe\u0301", "日本語/キー", "emoji/🦭", "a//b", "/leading", "//", "it's", `say "hi"`, "<&>", "a&amp;b", "a=b&c=d",
		"a?versionId=1", "a#frag", "a;b", "a:b", "a,b", "a@b", "a!b", "a$b", "a*b", "a(b)", "a[b]", "a{b}", "a|b", "a^b", "a`b", "a~b", `a\b`,
		"dir/", "dir/sub/", "tab\there", "line\nbreak", "ctl\x01", "..a", "a..", "a/../b", "./a", "a.", "-", "_", "~", "\u00a0nbsp", "\ufeffbom", "\uffff",
	}
	long := strings.Repeat(strings.Repeat("k", 99)+"/", 10) // 1000 bytes, segments that file systems take
	return append(keys, long[:999]+"z")
}

// seed fills the bucket with n objects, among them every odd key that the server
// takes, zero-byte objects, tags, metadata and content headers. It returns the
// keys.
func (b *bed) seed(n int) []string {
	b.Helper()
	var (
		mu      sync.Mutex
		keys    []string
		refused []string
	)
	put := func(ctx context.Context, i int, key string) error {
		_, err := b.client.PutObject(ctx, seedObject(b.bucket, i, key))
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			refused = append(refused, key)
			return err
		}
		keys = append(keys, key)
		return nil
	}
	for i, key := range oddKeys() { // one after the other: some shut others out
		_ = put(b.Context(), i, key)
	}
	var g errgroup.Group
	g.SetLimit(16)
	for i := len(keys); i < n; i++ {
		g.Go(func() error { return put(b.Context(), i, fmt.Sprintf("data/%02d/object-%05d.bin", i%23, i)) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	listed := b.list()
	renamed := slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(listed, k) })
	b.Logf("%d objects; the server takes no such key as %q, and stores %q under another one", len(listed), refused, renamed)
	if len(refused)+len(renamed) > 12 {
		b.Errorf("the server refused %d odd keys: the test shows too little", len(refused)+len(renamed))
	}
	return listed
}

// list is the keys of the bucket as they are listed.
func (b *bed) list() (keys []string) {
	b.Helper()
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.bucket, EncodingType: types.EncodingTypeUrl})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, b.decoded(*o.Key, page.EncodingType))
		}
	}
	return keys
}

// decoded is a key of a listing: a store need not encode, and says so.
func (b *bed) decoded(key string, encoding types.EncodingType) string {
	b.Helper()
	if encoding != types.EncodingTypeUrl {
		return key
	}
	key, err := url.QueryUnescape(key)
	if err != nil {
		b.Fatal(err)
	}
	return key
}

// seedObject is the i-th object: what it has depends on i alone.
func seedObject(bucket string, i int, key string) *s3.PutObjectInput {
	body := make([]byte, 0, 2048)
	if i%10 != 0 && !strings.HasSuffix(key, "/") { // every tenth is empty
		r := rand.New(rand.NewPCG(uint64(i), 1))
		for range 1 + r.IntN(2000) {
			body = append(body, byte(r.Uint32()))
		}
	}
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}
	if i%3 == 0 {
		in.Metadata = map[string]string{"owner": fmt.Sprint("user-", i), "note": "two words; a=b"}
	}
	if i%4 == 0 {
		in.Tagging = aws.String(url.Values{"project": {fmt.Sprint("p", i%7)}, "two words": {"a + b"}}.Encode())
	}
	if i%5 == 0 {
		in.ContentType, in.CacheControl = aws.String("text/x-odd; charset=utf-8"), aws.String("max-age=60")
		in.ContentDisposition, in.ContentLanguage = aws.String(`attachment; filename="x y.txt"`), aws.String("de")
	}
	if i%15 == 0 {
		in.ContentEncoding = aws.String("gzip")
	}
	return in
}
