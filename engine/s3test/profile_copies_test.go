package s3test_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// SeaweedFS leaves the source's KMS key on a copy to another, and answers 200;
// two copies by way of SSE-S3 do what one does not.
func TestSeaweedFSKeepsTheKMSKey(t *testing.T) {
	p := newProbe(t, s3test.SeaweedFS2026())
	p.s.KMS.CreateNamedKey("other")
	p.plain()
	p.s.Modify("b", "k", "", func(a *s3test.Attrs) { a.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: "mykey"} })
	toOther := func(in *s3.CopyObjectInput) { replace(in); in.SSEKMSKeyId = aws.String("other") }
	if e := p.copy(toOther); e != "" || p.now().Encryption.KMSKeyID != "mykey" {
		t.Errorf("%q, and the object is under %+v", e, p.now().Encryption)
	}
	if e := p.multipart(nil); e != "NotImplemented" {
		t.Errorf("a part of what is under KMS: %q", e)
	}
	toS3 := func(in *s3.CopyObjectInput) { replace(in); in.ServerSideEncryption, in.SSEKMSKeyId = "AES256", nil }
	if e := p.copy(toS3) + p.copy(toOther); e != "" || p.now().Encryption.KMSKeyID != "other" {
		t.Errorf("in two steps: %q, and the object is under %+v", e, p.now().Encryption)
	}
}

// Ceph 16 decodes the source of a part twice: another key's bytes, or its end.
func TestCephDecodesPartsTwice(t *testing.T) {
	p := newProbe(t, s3test.Ceph16())
	p.s.Put("b", s3test.Object{Key: "x%41", Body: s3test.Bytes("the right one")})
	p.s.Put("b", s3test.Object{Key: "xA", Body: s3test.Bytes("another")})
	p.s.Put("b", s3test.Object{Key: "50% off", Body: s3test.Bytes("sale")})
	ctx := context.Background()
	part := func(source string) error {
		up := must[*s3.CreateMultipartUploadOutput](t)(p.c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("b"), Key: aws.String("d")}))
		_, err := p.c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: aws.String("b"), Key: aws.String("d"), UploadId: up.UploadId, PartNumber: aws.Int32(1), CopySource: &source})
		return err
	}
	if err := part("b/x%2541"); err != nil {
		t.Fatal(err)
	}
	uploads := p.s.Snapshot("b").Uploads
	if len(uploads) != 1 || uploads[0].Parts[0].Size != int64(len("another")) {
		t.Errorf("copied %+v", uploads)
	}
	if err := part("b/x%252541"); err != nil {
		t.Errorf("encoded twice: %v", err)
	}
	if err := part("b/50%25%20off"); err == nil || code(err) != "" && strings.Contains(err.Error(), "StatusCode: 500") {
		t.Errorf("a name that cannot be decoded again: %v", err)
	}
}

// Ceph 16 completes an upload and tells no ETag.
func TestCephTellsNoETag(t *testing.T) {
	p := newProbe(t, s3test.Ceph16())
	p.plain()
	etag := "not asked"
	ctx := context.Background()
	b, k := aws.String("b"), aws.String("k")
	up := must[*s3.CreateMultipartUploadOutput](t)(p.c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k}))
	part := must[*s3.UploadPartCopyOutput](t)(p.c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(1), CopySource: aws.String("b/k")}))
	body := `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>` + *part.CopyPartResult.ETag + `</ETag></Part></CompleteMultipartUpload>`
	status, reply := raw(t, p.s, "POST", "/b/k?uploadId="+*up.UploadId, body, nil)
	if _, rest, ok := strings.Cut(reply, "<ETag>"); ok {
		etag, _, _ = strings.Cut(rest, "</ETag>")
	}
	if status != 200 || etag != "" || !strings.HasSuffix(p.now().ETag, "-1") {
		t.Errorf("%d, ETag %q, and the object has %q", status, etag, p.now().ETag)
	}
}
