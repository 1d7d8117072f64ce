package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestRealServerRewritesAnySize: MinIO gives copied parts no checksums. Read and sent
// again, objects of any size keep theirs, composite ones included, and everything else.
func TestRealServerRewritesAnySize(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	b := newBed(t, server, "any-size")
	const mib = 1 << 20
	keys := b.seedSums(map[string][]int64{"empty": {0}, "small": {mib}, "one CRC": {24*mib + 7}, "two parts": {9 * mib, 8*mib + 3}, "three small parts": {5 * mib, 5 * mib, 1}})
	before := b.look(keys)
	sums := map[string]string{}
	for _, k := range keys {
		sums[k] = b.sum(k)
	}
	job := filepath.Join(t.TempDir(), "job")
	s := b.summary("s3://"+b.bucket, "--job", job, "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0], "--operation", "rewrite", "--max-bandwidth", "200MiB")
	if s.Done != len(keys) || s.Operations["rewrite"] != len(keys) || s.Requests["part"] != 2+2+3 || s.Requests["put"] != 2 {
		t.Errorf("%+v\n%v", s, b.rows(job))
	}
	b.sameBut(before, b.look(keys), "aws:kms", realserver.ShownKey(server.Keys[0]))
	for _, k := range keys {
		if now := b.sum(k); now != sums[k] {
			t.Errorf("the checksum of %q was %s and is %s", k, sums[k], now)
		}
	}
	b.reseal(0, "verify", "--job", job)
	b.nothingElse(keys)
}

// seedSums puts objects with checksums: of one part by PutObject, of more by an upload.
func (b *bed) seedSums(objects map[string][]int64) (keys []string) {
	for key, sizes := range objects {
		keys = append(keys, key)
		var size int64
		for _, n := range sizes {
			size += n
		}
		body := s3test.Synthetic(uint64(size), size).ReadAll()
		if len(sizes) == 1 {
			_, err := b.client.PutObject(b.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: bytes.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
				ContentType: aws.String("text/x-sum"), Metadata: map[string]string{"who": key}, Tagging: aws.String("a=b")})
			if err != nil {
				b.Fatal(err)
			}
			continue
		}
		up, err := b.client.CreateMultipartUpload(b.Context(), &s3.CreateMultipartUploadInput{Bucket: &b.bucket, Key: &key, ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
			ContentType: aws.String("text/x-sum"), Metadata: map[string]string{"who": key}, Tagging: aws.String("a=b")})
		if err != nil {
			b.Fatal(err)
		}
		var done []types.CompletedPart
		for i, n := range sizes {
			number := aws.Int32(int32(i + 1))
			p, err := b.client.UploadPart(b.Context(), &s3.UploadPartInput{Bucket: &b.bucket, Key: &key, UploadId: up.UploadId, PartNumber: number,
				Body: bytes.NewReader(body[:n]), ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
			if err != nil {
				b.Fatal(err)
			}
			body = body[n:]
			done = append(done, types.CompletedPart{PartNumber: number, ETag: p.ETag, ChecksumSHA256: p.ChecksumSHA256})
		}
		if _, err := b.client.CompleteMultipartUpload(b.Context(), &s3.CompleteMultipartUploadInput{Bucket: &b.bucket, Key: &key, UploadId: up.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: done}}); err != nil {
			b.Fatal(err)
		}
	}
	return keys
}

// sum is what HEAD shows of an object's checksum.
func (b *bed) sum(key string) string {
	h, err := b.client.HeadObject(b.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		b.Fatal(err)
	}
	return fmt.Sprint(h.ChecksumType, aws.ToString(h.ChecksumSHA256), aws.ToString(h.ChecksumCRC32C))
}

// TestRealServerToAnotherStore copies from MinIO to a store that knows other
// credentials, with checksums, tags and metadata.
func TestRealServerToAnotherStore(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	b := newBed(t, server, "source")
	const mib = 1 << 20
	keys := b.seedSums(map[string][]int64{"empty": {0}, "small": {mib}, "one CRC": {17*mib + 7}, "two parts": {9 * mib, 8*mib + 3}})
	to := s3test.New(s3test.Config{Credentials: []s3test.Credentials{acrossCredentials("to")}})
	t.Cleanup(to.Close)
	to.CreateBucket("there", s3test.BucketConfig{})
	key := to.KMS.CreateKey()
	c := acrossCredentials("to")
	profiles := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("[to]\naws_access_key_id = %s\naws_secret_access_key = %s\n", c.AccessKeyID, c.SecretAccessKey)
	if err := os.WriteFile(profiles, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b.env = []string{"AWS_SHARED_CREDENTIALS_FILE=" + profiles, "AWS_ENDPOINT_URL_KMS=" + to.URL(), "AWS_REGION=us-east-1"}
	job := filepath.Join(t.TempDir(), "job")
	s := b.summary("s3://"+b.bucket, "--dest", "s3://there", "--dest-endpoint-url", to.URL(), "--dest-profile", "to", "--job", job, "--sse", "aws:kms", "--sse-kms-key-id", key)
	if s.Done != len(keys) || s.Operations["rewrite"] != len(keys) {
		t.Errorf("%+v\n%v", s, b.rows(job))
	}
	now := to.Snapshot("there")
	for k, was := range b.look(keys) {
		there := now.Find(k)
		if len(there) != 1 {
			t.Fatalf("%q is there %d times", k, len(there))
		}
		is := there[0]
		if !bytes.Equal(is.Body.ReadAll(), []byte(was.Body)) || is.ContentType != "text/x-sum" || is.Metadata["who"] != k || len(is.Tags) != 1 || is.Encryption.KMSKeyID != key {
			t.Errorf("%q is %+v", k, is.Attrs)
		}
		if sum := b.sum(k); !strings.Contains(sum, is.Checksum.Value) || !strings.HasPrefix(sum, is.Checksum.Type) {
			t.Errorf("the checksum of %q was %s and is %+v", k, sum, is.Checksum)
		}
	}
	b.reseal(0, "verify", "--job", job)
	b.nothingElse(keys)
}
