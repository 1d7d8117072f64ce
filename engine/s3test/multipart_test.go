package s3test_test

import (
	"context"
	"crypto/md5"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

const mib = 1 << 20

// copyParts copies b/k onto itself in parts of these sizes.
func copyParts(t *testing.T, c *s3.Client, create *s3.CreateMultipartUploadInput, sizes []int64, change func(*s3.CompleteMultipartUploadInput)) (*s3.CompleteMultipartUploadOutput, error) {
	t.Helper()
	ctx := context.Background()
	create.Bucket, create.Key = aws.String("b"), aws.String("k")
	up := must[*s3.CreateMultipartUploadOutput](t)(c.CreateMultipartUpload(ctx, create))
	in := &s3.CompleteMultipartUploadInput{Bucket: create.Bucket, Key: create.Key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{}}
	off := int64(0)
	for i, n := range sizes {
		p := must[*s3.UploadPartCopyOutput](t)(c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: create.Bucket, Key: create.Key, UploadId: up.UploadId,
			PartNumber: aws.Int32(int32(i + 1)), CopySource: aws.String("b/k"), CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))}))
		r := p.CopyPartResult
		in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: r.ETag,
			ChecksumCRC32: r.ChecksumCRC32, ChecksumSHA256: r.ChecksumSHA256, ChecksumCRC64NVME: r.ChecksumCRC64NVME})
		off += n
	}
	if change != nil {
		change(in)
	}
	return c.CompleteMultipartUpload(ctx, in)
}

// A copy along the source's own part boundaries gives the same composite
// checksum and, under SSE-S3, the same ETag.
func TestOwnPartBoundariesKeepTheChecksum(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	body := s3test.Synthetic(7, 12*mib+3)
	sizes := []int64{5 * mib, 6 * mib, mib + 3}
	s.Put("b", s3test.Object{Key: "k", Body: body}, s3test.Uploaded(body, "SHA256", "COMPOSITE", sizes...))
	was := s.Snapshot("b")
	c := client(t, s)
	at := must[*s3.GetObjectAttributesOutput](t)(c.GetObjectAttributes(context.Background(), &s3.GetObjectAttributesInput{Bucket: aws.String("b"), Key: aws.String("k"),
		ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesObjectParts, types.ObjectAttributesChecksum}}))
	if len(at.ObjectParts.Parts) != 3 || *at.ObjectParts.Parts[1].Size != 6*mib || at.Checksum.ChecksumType != types.ChecksumTypeComposite {
		t.Fatalf("attributes: %+v", at.ObjectParts)
	}
	create := func() *s3.CreateMultipartUploadInput {
		return &s3.CreateMultipartUploadInput{ServerSideEncryption: "AES256", ChecksumAlgorithm: "SHA256", ContentType: aws.String("binary/octet-stream")}
	}
	must[*s3.CompleteMultipartUploadOutput](t)(copyParts(t, c, create(), sizes, func(in *s3.CompleteMultipartUploadInput) {
		in.MpuObjectSize = aws.Int64(body.Size())
		in.IfMatch = aws.String(was.Objects[0].ETag)
	}))
	for _, d := range check.Bucket(s, was, check.Expectation{Target: object.Target{SSE: object.SSES3}}).Differences {
		t.Error(d)
	}
	if now, _ := s.Get("b", "k", ""); now.ETag != was.Objects[0].ETag {
		t.Errorf("ETag %s became %s", was.Objects[0].ETag, now.ETag)
	}
	// Other boundaries give another checksum, and the check sees it.
	s.Put("b", was.Objects[0])
	must[*s3.CompleteMultipartUploadOutput](t)(copyParts(t, c, create(), []int64{6 * mib, 6*mib + 3}, nil))
	if ds := check.Bucket(s, was, check.Expectation{Target: object.Target{SSE: object.SSES3}}).Differences; len(ds) == 0 {
		t.Error("nobody noticed that the composite checksum changed")
	}
}

func TestCompleteConditions(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	c := client(t, s)
	for _, test := range []struct {
		name   string
		sizes  []int64
		change func(in *s3.CompleteMultipartUploadInput)
		want   string
	}{
		{"plain", []int64{5 * mib, 5 * mib}, nil, ""},
		{"if-match of an overwritten object", []int64{5 * mib}, func(in *s3.CompleteMultipartUploadInput) {
			in.IfMatch = aws.String("old")
		}, "PreconditionFailed"},
		{"if-none-match", []int64{5 * mib}, func(in *s3.CompleteMultipartUploadInput) { in.IfNoneMatch = aws.String("*") }, "PreconditionFailed"},
		{"if-match of a deleted object", []int64{5 * mib}, func(in *s3.CompleteMultipartUploadInput) {
			s.Remove("b", "k", "")
			in.IfMatch = aws.String("old")
		}, "NoSuchKey"},
		{"wrong size", []int64{5 * mib}, func(in *s3.CompleteMultipartUploadInput) { in.MpuObjectSize = aws.Int64(1) }, "InvalidRequest"},
		{"small part", []int64{4 * mib, 6 * mib}, nil, "EntityTooSmall"},
		{"wrong order", []int64{5 * mib, 5 * mib}, func(in *s3.CompleteMultipartUploadInput) {
			p := in.MultipartUpload.Parts
			p[0], p[1] = p[1], p[0]
		}, "InvalidPartOrder"},
		{"wrong ETag", []int64{5 * mib}, func(in *s3.CompleteMultipartUploadInput) { in.MultipartUpload.Parts[0].ETag = aws.String("x") }, "InvalidPart"},
		{"no such upload", []int64{5 * mib}, func(in *s3.CompleteMultipartUploadInput) { in.UploadId = aws.String("x") }, "NoSuchUpload"},
	} {
		s.Put("b", s3test.Object{Key: "k", Body: s3test.Synthetic(1, 10*mib)})
		if _, err := copyParts(t, c, &s3.CreateMultipartUploadInput{}, test.sizes, test.change); code(err) != test.want {
			t.Errorf("%s: %q, want %q", test.name, code(err), test.want)
		}
	}
}

func TestSixGiB(t *testing.T) {
	s := start(t, s3test.Config{})
	key := s.KMS.CreateKey()
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Synthetic(3, 6<<30)})
	was := s.Snapshot("b")
	sizes := []int64{3 << 30, 3 << 30}
	must[*s3.CompleteMultipartUploadOutput](t)(copyParts(t, client(t, s), &s3.CreateMultipartUploadInput{ServerSideEncryption: "aws:kms", SSEKMSKeyId: &key}, sizes, nil))
	for _, d := range check.Bucket(s, was, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: key}}).Differences {
		t.Error(d)
	}
}

func TestPartsAndUploadsAreListed(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Synthetic(1, 50*mib)})
	c, ctx := client(t, s), context.Background()
	up := must[*s3.CreateMultipartUploadOutput](t)(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("b"), Key: aws.String("k")}))
	for i := range 7 {
		must[*s3.UploadPartCopyOutput](t)(c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: aws.String("b"), Key: aws.String("k"), UploadId: up.UploadId,
			PartNumber: aws.Int32(int32(i + 1)), CopySource: aws.String("b/k"), CopySourceRange: aws.String("bytes=0-5242879")}))
	}
	n := 0
	p := s3.NewListPartsPaginator(c, &s3.ListPartsInput{Bucket: aws.String("b"), Key: aws.String("k"), UploadId: up.UploadId, MaxParts: aws.Int32(3)})
	for p.HasMorePages() {
		for _, part := range must[*s3.ListPartsOutput](t)(p.NextPage(ctx)).Parts {
			if n++; int(*part.PartNumber) != n || *part.Size != 5*mib {
				t.Errorf("part %d is %d of %d bytes", n, *part.PartNumber, *part.Size)
			}
		}
	}
	if n != 7 {
		t.Errorf("%d parts of 7", n)
	}
	if us := must[*s3.ListMultipartUploadsOutput](t)(c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String("b")})).Uploads; len(us) != 1 || *us[0].Key != "k" {
		t.Errorf("uploads: %v", us)
	}
	must[*s3.AbortMultipartUploadOutput](t)(c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String("b"), Key: aws.String("k"), UploadId: up.UploadId}))
	if us := s.Snapshot("b").Uploads; len(us) != 0 {
		t.Errorf("left after abort: %v", us)
	}
}

func TestSyntheticSlicesAreTheStream(t *testing.T) {
	whole := s3test.Synthetic(9, 1000).ReadAll()
	for _, c := range [][2]int64{{0, 1000}, {1, 998}, {7, 1}, {8, 8}, {999, 1}, {13, 501}} {
		if got := s3test.Synthetic(9, 1000).Slice(c[0], c[1]).ReadAll(); string(got) != string(whole[c[0]:c[0]+c[1]]) {
			t.Errorf("slice %v differs", c)
		}
	}
	a := s3test.Concat(s3test.Synthetic(9, 1000).Slice(0, 333), s3test.Synthetic(9, 1000).Slice(333, 667))
	if !a.Equal(s3test.Bytes(whole)) || a.Equal(s3test.Synthetic(8, 1000)) {
		t.Error("equality is not that of the bytes")
	}
	if fmt.Sprintf("%x", md5.Sum(whole)) != fmt.Sprintf("%x", md5.Sum(a.ReadAll())) {
		t.Error("parts do not add up")
	}
}
