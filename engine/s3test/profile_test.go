package s3test_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// raw sends a signed request that the SDK would not, and gives status and body.
func raw(t *testing.T, s *s3test.Server, method, path, body string, headers map[string]string) (int, string) {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequest(method, s.URL()+path, strings.NewReader(body)))
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	d := s3test.DefaultCredentials
	err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(context.Background(),
		aws.Credentials{AccessKeyID: d.AccessKeyID, SecretAccessKey: d.SecretAccessKey}, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	resp := must[*http.Response](t)(http.DefaultClient.Do(r))
	defer resp.Body.Close()
	b := must[[]byte](t)(io.ReadAll(resp.Body))
	return resp.StatusCode, string(b)
}

// probe is what is seen of one store.
type probe struct {
	t   *testing.T
	s   *s3test.Server
	c   *s3.Client
	key string // a KMS key as the store names it
}

func newProbe(t *testing.T, p s3test.Profile) *probe {
	s := start(t, s3test.Config{Profile: p})
	s.KMS.CreateNamedKey("mykey")
	s.CreateBucket("b", s3test.BucketConfig{})
	return &probe{t, s, client(t, s), "mykey"}
}

// plain puts an unencrypted object that has everything.
func (p *probe) plain() {
	p.s.CreateBucket("b", s3test.BucketConfig{})
	p.s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("some bytes"), Attrs: s3test.Attrs{Tags: []object.Tag{{Key: "t", Value: "v"}}, Expires: "soon"}})
}

func (p *probe) now() s3test.Object {
	o, _ := p.s.Get("b", "k", "")
	return o
}

func (p *probe) copy(change func(in *s3.CopyObjectInput)) string {
	in := &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k"), ServerSideEncryption: "aws:kms", SSEKMSKeyId: &p.key}
	if change != nil {
		change(in)
	}
	_, err := p.c.CopyObject(context.Background(), in)
	return code(err)
}

func replace(in *s3.CopyObjectInput) {
	in.MetadataDirective, in.TaggingDirective, in.Tagging = "REPLACE", "REPLACE", aws.String("t=v")
}

// outcome is the error, or what the object is under now and what HEAD says.
func (p *probe) outcome(code string) string {
	if code != "" {
		return code
	}
	h, err := p.c.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	if err != nil {
		return "HEAD " + err.Error()
	}
	return p.now().Encryption.Type.String() + "/" + string(h.ServerSideEncryption)
}

func (p *probe) multipart(change func(*s3.CompleteMultipartUploadInput)) string {
	_, err := func() (*s3.CompleteMultipartUploadOutput, error) {
		ctx, b, k := context.Background(), aws.String("b"), aws.String("k")
		up, err := p.c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k, ServerSideEncryption: "aws:kms", SSEKMSKeyId: &p.key, Tagging: aws.String("t=v")})
		if err != nil {
			return nil, err
		}
		part, err := p.c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(1), CopySource: aws.String("b/k")})
		if err != nil {
			return nil, err
		}
		in := &s3.CompleteMultipartUploadInput{Bucket: b, Key: k, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{
			Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.CopyPartResult.ETag}}}}
		if change != nil {
			change(in)
		}
		return p.c.CompleteMultipartUpload(ctx, in)
	}()
	return code(err)
}

// probes are the rows of the table of stores; each runs on a fresh object.
var probes = []struct {
	name string
	run  func(p *probe) string
}{
	{"self-copy", func(p *probe) string { return p.outcome(p.copy(nil)) }},
	{"self-copy with REPLACE", func(p *probe) string { return p.outcome(p.copy(replace)) }},
	{"copy of an encrypted source", func(p *probe) string {
		p.s.Modify("b", "k", "", func(a *s3test.Attrs) {
			a.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: "mykey"}
		})
		return p.copy(replace)
	}},
	{"multipart", func(p *probe) string { return p.outcome(p.multipart(nil)) }},
	{"made-up algorithm", func(p *probe) string {
		return p.outcome(p.copy(func(in *s3.CopyObjectInput) { replace(in); in.ServerSideEncryption, in.SSEKMSKeyId = "rot13", nil }))
	}},
	{"unknown key", func(p *probe) string {
		return p.outcome(p.copy(func(in *s3.CopyObjectInput) { replace(in); in.SSEKMSKeyId = aws.String("nope") }))
	}},
	{"wrong copy-source-if-match", func(p *probe) string {
		return p.copy(func(in *s3.CopyObjectInput) { replace(in); in.CopySourceIfMatch = aws.String("x") })
	}},
	{"wrong If-Match on copy", func(p *probe) string {
		return p.copy(func(in *s3.CopyObjectInput) { replace(in); in.IfMatch = aws.String("x") })
	}},
	{"wrong If-Match on Complete", func(p *probe) string {
		return p.multipart(func(in *s3.CompleteMultipartUploadInput) { in.IfMatch = aws.String("x") })
	}},
	{"tags after REPLACE", func(p *probe) string {
		if e := p.copy(replace); e != "" {
			return e
		}
		return []string{"lost", "kept"}[len(p.now().Tags)]
	}},
	{"update", func(p *probe) string {
		raw(p.t, p.s, "PUT", "/b/k?encryption", "<ObjectEncryption/>", nil)
		if string(p.now().Body.ReadAll()) == "<ObjectEncryption/>" {
			return "destroyed"
		}
		return "refused"
	}},
	{"unknown sub-resource", func(p *probe) string {
		raw(p.t, p.s, "PUT", "/b/k?whatever", "x", nil)
		if p.now().Body.Size() == 1 {
			return "destroyed"
		}
		return "refused"
	}},
	{"GET bucket encryption", func(p *probe) string {
		_, body := raw(p.t, p.s, "GET", "/b?encryption", "", nil)
		for _, root := range []string{"ServerSideEncryptionConfiguration xmlns", "ListBucketResult", "<Code>NotImplemented", "<Code>ServerSideEncryptionConfigurationNotFoundError"} {
			if strings.Contains(body, root) {
				return strings.TrimPrefix(strings.TrimSuffix(root, " xmlns"), "<Code>")
			}
		}
		return body
	}},
	{"DELETE bucket encryption", func(p *probe) string {
		p.s.Remove("b", "k", "")
		raw(p.t, p.s, "DELETE", "/b?encryption", "", nil)
		if p.s.HasBucket("b") {
			return "bucket there"
		}
		return "bucket deleted"
	}},
	{"ETag", func(p *probe) string {
		_, body := raw(p.t, p.s, "GET", "/b?list-type=2", "", nil)
		if strings.Contains(body, "<ETag>&quot;") {
			return "quoted"
		}
		return "unquoted"
	}},
	{"list order", func(p *probe) string {
		for _, k := range []string{"a", "a-", "a/1", "a/2", "a/3", "b"} {
			p.s.Put("b", s3test.Object{Key: k})
		}
		p.s.Remove("b", "k", "")
		var got []string
		in := &s3.ListObjectsV2Input{Bucket: aws.String("b"), MaxKeys: aws.Int32(3)}
		pages := ""
		for {
			o := must[*s3.ListObjectsV2Output](p.t)(p.c.ListObjectsV2(context.Background(), in))
			if len(o.Contents) == 0 {
				pages = " and an empty page"
			}
			for _, x := range o.Contents {
				got = append(got, *x.Key)
			}
			if !*o.IsTruncated {
				return strings.Join(got, " ") + pages
			}
			in.ContinuationToken = o.NextContinuationToken
		}
	}},
	{"encoding-type", func(p *probe) string {
		p.s.Put("b", s3test.Object{Key: "a b"})
		o := must[*s3.ListObjectsV2Output](p.t)(p.c.ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: aws.String("b"), EncodingType: "url"}))
		return *o.Contents[0].Key + " " + string(o.EncodingType)
	}},
}

// What each store is to answer, in the order of probes.
var stores = map[string][]string{
	"AWS": {"sse-kms/aws:kms", "sse-kms/aws:kms", "", "sse-kms/aws:kms", "InvalidArgument", "KMS.NotFoundException",
		"PreconditionFailed", "PreconditionFailed", "PreconditionFailed", "kept", "refused", "refused",
		"ServerSideEncryptionConfiguration", "bucket there", "quoted", "a a- a/1 a/2 a/3 b", "a+b url"},
	"MinIO": {"sse-kms/aws:kms", "sse-kms/aws:kms", "", "sse-kms/aws:kms", "InvalidArgument", "kms:KeyNotFound",
		"PreconditionFailed", "", "PreconditionFailed", "kept", "destroyed", "destroyed",
		"ServerSideEncryptionConfigurationNotFoundError", "bucket there", "quoted", "a a- a/1 a/2 a/3 b and an empty page", "a+b url"},
	"Ceph16": {"InvalidRequest", "none/", "NotImplemented", "sse-kms/aws:kms", "InvalidArgument", "InvalidAccessKeyId",
		"", "", "", "lost", "destroyed", "destroyed",
		"ListBucketResult", "bucket deleted", "unquoted", "a a- a/1 a/2 a/3 b", "a+b url"},
	"Versitygw": {"InvalidRequest", "none/", "", "none/", "none/", "none/",
		"PreconditionFailed", "", "PreconditionFailed", "kept", "destroyed", "destroyed",
		"NotImplemented", "bucket there", "quoted", "a a- a/1 a/2 a/3 b and an empty page", "a b "},
	"SeaweedFS": {"InvalidRequest", "none/", "", "none/", "none/", "none/",
		"", "", "", "kept", "destroyed", "destroyed",
		"ListBucketResult", "bucket deleted", "unquoted", "a a- a/1 a/2 a/3 b", "a b "},
	"Ceph20": {"InvalidRequest", "sse-kms/aws:kms", "", "sse-kms/aws:kms", "InvalidArgument", "InvalidArgument",
		"PreconditionFailed", "", "PreconditionFailed", "kept", "destroyed", "destroyed",
		"ServerSideEncryptionConfigurationNotFoundError", "bucket there", "quoted", "a a- a/1 a/2 a/3 b", "a+b url"},
	"SeaweedFS2026": {"InvalidRequest", "sse-kms/aws:kms", "", "sse-kms/aws:kms", "InvalidArgument", "KMS.NotFoundException",
		"PreconditionFailed", "PreconditionFailed", "PreconditionFailed", "kept", "destroyed", "destroyed",
		"ServerSideEncryptionConfigurationNotFoundError", "bucket there", "quoted", "a a- a/1 a/2 a/3 b", "a+b url"},
	"GoFakeS3": {"none/aws:kms", "none/aws:kms", "", "MissingContentLength", "none/rot13", "none/aws:kms",
		"", "", "MissingContentLength", "kept", "destroyed", "destroyed",
		"ListBucketResult", "bucket deleted", "quoted", "a a- a/1 a/2 a/3 b and an empty page", "a b "},
	"S3rver": {"InvalidRequest", "none/", "", "NotImplemented", "none/", "none/",
		"", "", "NotImplemented", "kept", "refused", "destroyed",
		"NotImplemented", "bucket there", "quoted", "a/1 a/2 a/3 b", "a+b url"},
}

func TestStoresAnswerAsMeasured(t *testing.T) {
	for _, p := range s3test.Stores() {
		t.Run(p.Name, func(t *testing.T) {
			pr := newProbe(t, p)
			for i, probe := range probes {
				pr.plain()
				if got := probe.run(pr); got != stores[p.Name][i] {
					t.Errorf("%s: %q, want %q", probe.name, got, stores[p.Name][i])
				}
			}
		})
	}
}

func TestProfilesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range append(s3test.Stores(), s3test.Quirks()...) {
		if seen[p.Name] {
			t.Errorf("two profiles are called %q", p.Name)
		}
		seen[p.Name] = true
		if got, ok := s3test.ProfileNamed(p.Name); !ok || got.Name != p.Name {
			t.Errorf("%q is not found", p.Name)
		}
	}
	if _, ok := s3test.ProfileNamed("none such"); ok {
		t.Error("a profile that does not exist was found")
	}
}

func TestMetadataListing(t *testing.T) {
	s := start(t, s3test.Config{Profile: s3test.MinIO()})
	s.KMS.CreateNamedKey("mykey")
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "plain", Attrs: s3test.Attrs{Metadata: map[string]string{"a": "b"}, Tags: []object.Tag{{Key: "k", Value: "v w"}}}})
	s.Put("b", s3test.Object{Key: "sealed", Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:aws:kms:mykey"}}})
	_, with := raw(t, s, "GET", "/b?list-type=2&metadata=true", "", nil)
	_, without := raw(t, s, "GET", "/b?list-type=2", "", nil)
	for _, want := range []string{"<X-Amz-Meta-A>b</X-Amz-Meta-A>", "<UserTags>k=v%20w</UserTags>", "<X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id>arn:aws:kms:mykey<"} {
		if !strings.Contains(with, want) || strings.Contains(without, want) {
			t.Errorf("%s in the listing with metadata: %s", want, with)
		}
	}
	if strings.Count(with, "<X-Amz-Server-Side-Encryption>") != 1 {
		t.Error("a plain object shows an encryption")
	}
}
