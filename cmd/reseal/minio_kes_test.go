package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// customer is an SSE-C key of a test, and the file that holds it.
type customer struct {
	raw  []byte
	file string
}

func newCustomer(t *testing.T, name string) customer {
	t.Helper()
	c := customer{raw: make([]byte, 32), file: filepath.Join(t.TempDir(), name)}
	r := rand.NewChaCha8([32]byte{byte(len(name)), name[0], name[len(name)-1]})
	_, _ = r.Read(c.raw)
	if err := os.WriteFile(c.file, c.raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c customer) headers() (algorithm, key, sum *string) {
	if c.raw == nil {
		return nil, nil, nil
	}
	digest := md5.Sum(c.raw)
	return aws.String("AES256"), aws.String(base64.StdEncoding.EncodeToString(c.raw)), aws.String(base64.StdEncoding.EncodeToString(digest[:]))
}

// TestRealServerEncryptions brings objects under no encryption, SSE-S3, a KMS key
// and a customer key under another KMS key, then under another customer key, then
// under SSE-S3, on MinIO with KES over TLS. Every step is verified by reading the
// bytes back; and no customer key is to be found in anything that was written.
func TestRealServerEncryptions(t *testing.T) {
	t.Parallel()
	server := realserver.StartKES(t, realserver.Options{Keys: []string{"key-a", "key-b"}})
	b := newBed(t, server, "encryptions")
	old, fresh := newCustomer(t, "old"), newCustomer(t, "fresh")
	const n = 300
	before := b.seedEncryptions(n, old)
	dir := t.TempDir()
	var printed bytes.Buffer
	for _, step := range []struct {
		name     string
		args     []string
		read     customer
		sse, key string
	}{
		{"to-key-b", []string{"--sse", "aws:kms", "--sse-kms-key-id", "key-b", "--source-sse-c-key-file", old.file}, customer{}, "aws:kms", realserver.ShownKey("key-b")},
		{"to-customer", []string{"--sse", "sse-c", "--sse-c-key-file", fresh.file}, fresh, "", ""},
		{"to-s3", []string{"--sse", "AES256", "--source-sse-c-key-file", fresh.file}, customer{}, "AES256", ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			b.T = t
			job := filepath.Join(dir, step.name)
			args := append([]string{"run", "s3://" + b.bucket, "--json", "--log-level", "debug", "--job", job}, step.args...)
			out := b.reseal(0, args...)
			printed.Write(out)
			if s := b.parse(out); s.Done != n {
				t.Fatalf("%+v, want %d done", s, n)
			}
			for i := range n {
				key := encryptionKey(i)
				is, err := b.lookUnder(key, step.read)
				if err != nil {
					t.Fatal(err)
				}
				if is.SSE != step.sse || is.Key != step.key {
					t.Fatalf("%q is under %q %q, want %q %q", key, is.SSE, is.Key, step.sse, step.key)
				}
				is.SSE, is.Key = "", ""
				if !reflect.DeepEqual(is, before[i]) {
					t.Fatalf("%q changed:\n was %.200q\n is  %.200q", key, fmt.Sprint(before[i]), fmt.Sprint(is))
				}
			}
			printed.Write(b.reseal(0, "verify", "--job", job))
			printed.Write(b.reseal(0, "report", "--job", job))
			b.nothingElse(keysOf(n))
		})
	}
	b.T = t
	for _, c := range []customer{old, fresh} {
		c.absent(t, "what was printed", printed.Bytes())
		c.absentBelow(t, dir)
	}
}

func encryptionKey(i int) string { return fmt.Sprintf("kind-%d/object %03d", i%4, i) }

func keysOf(n int) (keys []string) {
	for i := range n {
		keys = append(keys, encryptionKey(i))
	}
	return keys
}

// seedEncryptions puts n objects under four encryptions, with tags, metadata and
// headers, and tells what they are.
func (b *bed) seedEncryptions(n int, old customer) []thing {
	b.Helper()
	things := make([]thing, n)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range n {
		g.Go(func() error {
			in := seedObject(b.bucket, i*60+1+i, encryptionKey(i))
			var under customer
			switch i % 4 {
			case 1:
				in.ServerSideEncryption = types.ServerSideEncryptionAes256
			case 2:
				in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, aws.String("key-a")
			case 3:
				under = old
				in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = old.headers()
			}
			if _, err := b.client.PutObject(b.Context(), in); err != nil {
				return err
			}
			t, err := b.lookUnder(encryptionKey(i), under)
			t.SSE, t.Key = "", ""
			things[i] = t
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return things
}

// lookUnder reads one object with everything, under a customer key if there is
// one; and insists that without it there is nothing to read.
func (b *bed) lookUnder(key string, c customer) (t thing, err error) {
	get := &s3.GetObjectInput{Bucket: &b.bucket, Key: &key}
	if c.raw != nil {
		if reply, err := b.client.GetObject(b.Context(), get); err == nil {
			_ = reply.Body.Close()
			return t, fmt.Errorf("%q can be read without its customer key", key)
		}
		get.SSECustomerAlgorithm, get.SSECustomerKey, get.SSECustomerKeyMD5 = c.headers()
	}
	got, err := b.client.GetObject(b.Context(), get)
	if err != nil {
		return t, fmt.Errorf("GET %q: %w", key, err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		return t, err
	}
	tags, err := b.client.GetObjectTagging(b.Context(), &s3.GetObjectTaggingInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		return t, err
	}
	return thingOf(string(body), got, tags.TagSet), nil
}

// absent insists that nothing that a person could mistake for the key is there.
func (c customer) absent(t *testing.T, where string, data []byte) {
	t.Helper()
	b64 := base64.StdEncoding.EncodeToString(c.raw)
	for form, text := range map[string]string{"raw": string(c.raw), "hex": hex.EncodeToString(c.raw), "HEX": strings.ToUpper(hex.EncodeToString(c.raw)),
		"base64": strings.TrimRight(b64, "="), "base64url": strings.TrimRight(base64.URLEncoding.EncodeToString(c.raw), "=")} {
		if bytes.Contains(data, []byte(text)) {
			t.Errorf("%s holds the customer key in %s", where, form)
		}
	}
}

func (c customer) absentBelow(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		c.absent(t, path, data)
		return nil
	})
	if err != nil || files < 9 {
		t.Errorf("looked into %d files: %v", files, err)
	}
}

// TestRealServerLargeObject copies a 300 MiB object in parts, with everything on
// it, through a SIGKILL in the middle: finished parts are not copied again, and no
// upload stays behind.
func TestRealServerLargeObject(t *testing.T) {
	t.Parallel()
	server := realserver.StartKES(t, realserver.Options{Keys: []string{"key-a", "key-b"}})
	b := newBed(t, server, "large")
	const key, size, part, inFlight = "films/a large one.bin", 300 << 20, 10 << 20, 4
	sum := b.seedLarge(key, size)
	before, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: aws.String(key)})
	if err != nil {
		t.Fatal(err)
	}
	job := filepath.Join(t.TempDir(), "job")
	cmd := b.command("run", "s3://"+b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", "key-b", "--job", job,
		"--multipart-threshold", "64MiB", "--part-size", "10MiB", "--max-bandwidth", "100MiB", "--concurrency", fmt.Sprint(inFlight))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	finished := b.waitForParts(key, 8)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	finished = max(finished, b.waitForParts(key, finished)) // those whose answer nobody heard
	s := b.summary("--job", job)
	if s.Done != 1 || s.Operations["multipart"] != 1 {
		t.Fatalf("%+v, want one multipart copy done", s)
	}
	total := size / part
	t.Logf("%d of %d parts were finished at the kill; %d part requests in all", finished, total, s.Requests["part"])
	if s.Requests["part"] > total+inFlight {
		t.Errorf("%d part requests for %d parts: finished parts were copied again", s.Requests["part"], total)
	}
	b.nothingElse([]string{key})
	b.sameLarge(key, before, sum)
}

// seedLarge uploads an object in parts, with everything on it, and returns the
// MD5 of its bytes.
func (b *bed) seedLarge(key string, size int) string {
	b.Helper()
	ctx := b.Context()
	up, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b.bucket, Key: &key,
		Metadata: map[string]string{"director": "nobody", "x-amz-key-v2": "not really"}, Tagging: aws.String("genre=noir&year=1946"),
		ContentType: aws.String("video/x-large"), CacheControl: aws.String("no-store"), ContentDisposition: aws.String("inline"),
		ContentLanguage: aws.String("fr"), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String("key-a")})
	if err != nil {
		b.Fatal(err)
	}
	hash := md5.New()
	var parts []types.CompletedPart
	const chunk = 30 << 20
	body := make([]byte, chunk)
	for n := range size / chunk {
		_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(body)
		_, _ = hash.Write(body)
		reply, err := b.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &b.bucket, Key: &key, UploadId: up.UploadId,
			PartNumber: aws.Int32(int32(n + 1)), Body: bytes.NewReader(body)})
		if err != nil {
			b.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: reply.ETag, PartNumber: aws.Int32(int32(n + 1))})
	}
	if _, err := b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b.bucket, Key: &key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}); err != nil {
		b.Fatal(err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// waitForParts waits until the upload of key has that many finished parts, and
// tells how many it has.
func (b *bed) waitForParts(key string, wanted int) int {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for {
		uploads, err := b.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &b.bucket, Prefix: &key})
		if err != nil {
			b.Fatal(err)
		}
		for _, u := range uploads.Uploads {
			parts, err := b.client.ListParts(ctx, &s3.ListPartsInput{Bucket: &b.bucket, Key: u.Key, UploadId: u.UploadId})
			if err == nil && len(parts.Parts) >= wanted {
				return len(parts.Parts)
			}
		}
	}
}

// sameLarge compares the object with what it was.
func (b *bed) sameLarge(key string, before *s3.HeadObjectOutput, sum string) {
	b.Helper()
	got, err := b.client.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		b.Fatal(err)
	}
	defer got.Body.Close()
	hash := md5.New()
	if _, err := io.Copy(hash, got.Body); err != nil {
		b.Fatal(err)
	}
	if now := hex.EncodeToString(hash.Sum(nil)); now != sum {
		b.Errorf("the bytes have the MD5 %s, had %s", now, sum)
	}
	if shown := realserver.ShownKey("key-b"); aws.ToString(got.SSEKMSKeyId) != shown {
		b.Errorf("under %s, want %s", aws.ToString(got.SSEKMSKeyId), shown)
	}
	tags, err := b.client.GetObjectTagging(b.Context(), &s3.GetObjectTaggingInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		b.Fatal(err)
	}
	is := thingOf("", got, tags.TagSet)
	was := thing{Metadata: before.Metadata, Tags: map[string]string{"genre": "noir", "year": "1946"}, Class: string(before.StorageClass),
		SSE: is.SSE, Key: is.Key, Headers: [6]string{aws.ToString(before.ContentType), aws.ToString(before.CacheControl), aws.ToString(before.ContentDisposition),
			aws.ToString(before.ContentEncoding), aws.ToString(before.ContentLanguage), aws.ToString(before.ExpiresString)}}
	if !reflect.DeepEqual(is, was) {
		b.Errorf("the object has\n %v, had\n %v", is, was)
	}
}
