package s3test_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
	testkms "github.com/resealhq/reseal/engine/s3test/kms"
)

func TestKMSKeys(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	arn := s.KMS.CreateKey("alias/mine")
	id := arn[strings.LastIndex(arn, "/")+1:]
	c := client(t, s)
	for _, test := range []struct {
		name  string
		key   *string
		state testkms.State
		want  string
		shown string
	}{
		{"ARN", &arn, testkms.Enabled, "", arn},
		{"ID", &id, testkms.Enabled, "", arn},
		{"alias", aws.String("alias/mine"), testkms.Enabled, "", arn},
		{"none", nil, testkms.Enabled, "", s.KMS.DefaultKeyARN()},
		{"unknown", aws.String("nope"), testkms.Enabled, "KMS.NotFoundException", ""},
		{"disabled", &arn, testkms.Disabled, "KMS.DisabledException", ""},
		{"pending deletion", &arn, testkms.PendingDeletion, "KMS.KMSInvalidStateException", ""},
		{"wrong usage", &arn, testkms.WrongUsage, "KMS.InvalidKeyUsageException", ""},
		{"denied", &arn, testkms.Denied, "AccessDenied", ""},
	} {
		s.KMS.SetKeyState(arn, test.state)
		out, err := c.CopyObject(context.Background(), &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k"),
			ServerSideEncryption: "aws:kms", SSEKMSKeyId: test.key, BucketKeyEnabled: aws.Bool(true)})
		if code(err) != test.want {
			t.Errorf("%s: %q, want %q", test.name, code(err), test.want)
		}
		if err == nil {
			h := must[*s3.HeadObjectOutput](t)(c.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}))
			if aws.ToString(out.SSEKMSKeyId) != test.shown || aws.ToString(h.SSEKMSKeyId) != test.shown || !aws.ToBool(h.BucketKeyEnabled) {
				t.Errorf("%s: shown as %q and %q", test.name, aws.ToString(out.SSEKMSKeyId), aws.ToString(h.SSEKMSKeyId))
			}
		}
	}
	// A source under an unusable key cannot be copied.
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: arn}}})
	s.KMS.SetKeyState(arn, testkms.Disabled)
	if _, err := c.CopyObject(context.Background(), &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k"), ServerSideEncryption: "AES256"}); code(err) != "KMS.DisabledException" {
		t.Errorf("source under a disabled key: %v", err)
	}
	if _, err := c.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}); err != nil {
		t.Errorf("HEAD needs no key: %v", err)
	}
}

func TestKMSEndpoint(t *testing.T) {
	s := start(t, s3test.Config{})
	arn := s.KMS.CreateKey("alias/mine")
	c := kms.New(kms.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(s3test.DefaultCredentials.AccessKeyID, s3test.DefaultCredentials.SecretAccessKey, "")})
	out := must[*kms.DescribeKeyOutput](t)(c.DescribeKey(context.Background(), &kms.DescribeKeyInput{KeyId: aws.String("alias/mine")}))
	if *out.KeyMetadata.Arn != arn || !out.KeyMetadata.Enabled {
		t.Errorf("described as %+v", out.KeyMetadata)
	}
	if _, err := c.DescribeKey(context.Background(), &kms.DescribeKeyInput{KeyId: aws.String("nope")}); code(err) != "NotFoundException" {
		t.Errorf("unknown key: %v", err)
	}
	al := must[*kms.ListAliasesOutput](t)(c.ListAliases(context.Background(), &kms.ListAliasesInput{}))
	if len(al.Aliases) != 2 {
		t.Errorf("aliases: %v", al.Aliases)
	}
	s.KMS.SetKeyState(arn, testkms.Denied)
	if _, err := c.DescribeKey(context.Background(), &kms.DescribeKeyInput{KeyId: &arn}); code(err) != "AccessDeniedException" {
		t.Errorf("denied key: %v", err)
	}
}

func TestDefaultEncryption(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	arn := s.KMS.CreateKey()
	c, ctx := client(t, s), context.Background()
	if e := must[*s3.GetBucketEncryptionOutput](t)(c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: aws.String("b")})); e.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm != "AES256" {
		t.Errorf("AWS's own default: %+v", e)
	}
	put := func(o *s3.PutObjectInput) *s3.PutObjectOutput {
		o.Bucket, o.Key, o.Body = aws.String("b"), aws.String("k"), strings.NewReader("x")
		return must[*s3.PutObjectOutput](t)(c.PutObject(ctx, o))
	}
	if o := put(&s3.PutObjectInput{}); o.ServerSideEncryption != "AES256" {
		t.Errorf("without configuration: %q", o.ServerSideEncryption)
	}
	must[*s3.PutBucketEncryptionOutput](t)(c.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: aws.String("b"), ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
		Rules: []types.ServerSideEncryptionRule{{BucketKeyEnabled: aws.Bool(true), BlockedEncryptionTypes: &types.BlockedEncryptionTypes{EncryptionType: []types.EncryptionType{"SSE-C"}},
			ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: "aws:kms", KMSMasterKeyID: &arn}}}}}))
	if o := put(&s3.PutObjectInput{}); o.ServerSideEncryption != "aws:kms" || aws.ToString(o.SSEKMSKeyId) != arn || !aws.ToBool(o.BucketKeyEnabled) {
		t.Errorf("with a default: %+v", o)
	}
	if o := put(&s3.PutObjectInput{ServerSideEncryption: "aws:kms:dsse", BucketKeyEnabled: aws.Bool(true)}); o.ServerSideEncryption != "aws:kms:dsse" || aws.ToBool(o.BucketKeyEnabled) {
		t.Errorf("DSSE has no bucket key: %+v", o)
	}
	e := must[*s3.GetBucketEncryptionOutput](t)(c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: aws.String("b")}))
	r := e.ServerSideEncryptionConfiguration.Rules[0]
	if *r.ApplyServerSideEncryptionByDefault.KMSMasterKeyID != arn || r.BlockedEncryptionTypes == nil || r.BlockedEncryptionTypes.EncryptionType[0] != "SSE-C" {
		t.Errorf("read back: %+v", r)
	}
	must[*s3.DeleteBucketEncryptionOutput](t)(c.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: aws.String("b")}))
	if !s.HasBucket("b") {
		t.Error("the bucket is gone")
	}
}

func TestCustomerKeys(t *testing.T) {
	s := start(t, s3test.Config{TLS: true})
	s.CreateBucket("b", s3test.BucketConfig{})
	one, two := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("1", 32))), base64.StdEncoding.EncodeToString([]byte(strings.Repeat("2", 32)))
	k1 := must[object.CustomerKey](t)(object.ParseCustomerKey([]byte(one)))
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("secret")}, s3test.CustomerKey(k1))
	s.Put("b", s3test.Object{Key: "plain", Body: s3test.Bytes("x")})
	c, ctx := client(t, s), context.Background()
	head := func(key, with string) int {
		in := &s3.HeadObjectInput{Bucket: aws.String("b"), Key: &key}
		if with != "" {
			in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = aws.String("AES256"), &with, keyMD5(with)
		}
		_, err := c.HeadObject(ctx, in)
		return status(err)
	}
	for _, h := range []struct {
		key, with string
		want      int
	}{{"k", one, 200}, {"k", "", 400}, {"k", two, 403}, {"plain", "", 200}, {"plain", one, 400}} {
		if got := head(h.key, h.with); got != h.want {
			t.Errorf("HEAD %s with %.1q: %d, want %d", h.key, h.with, got, h.want)
		}
	}
	cp := func(sourceKey, newKey string) string {
		in := &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k")}
		if sourceKey != "" {
			in.CopySourceSSECustomerAlgorithm, in.CopySourceSSECustomerKey, in.CopySourceSSECustomerKeyMD5 = aws.String("AES256"), &sourceKey, keyMD5(sourceKey)
		}
		if newKey != "" {
			in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = aws.String("AES256"), &newKey, keyMD5(newKey)
		} else {
			in.ServerSideEncryption = "AES256"
		}
		_, err := c.CopyObject(ctx, in)
		return code(err)
	}
	for _, x := range []struct{ from, to, want string }{{"", two, "InvalidRequest"}, {two, two, "AccessDenied"}, {one, two, ""}, {two, "", ""}, {two, "", "InvalidRequest"}} {
		if got := cp(x.from, x.to); got != x.want {
			t.Errorf("copy %.1q → %.1q: %q, want %q", x.from, x.to, got, x.want)
		}
	}
	s.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.BlockSSEC = true })
	if got := cp("", one); got != "AccessDenied" { // the source is under SSE-S3 by now
		t.Errorf("blocked: %q", got)
	}
	for _, r := range s.Requests() {
		for name := range r.Header {
			if strings.HasSuffix(strings.ToLower(name), "customer-key") {
				t.Fatalf("the log of requests holds %s", name)
			}
		}
	}
}

func keyMD5(key string) *string {
	raw, _ := base64.StdEncoding.DecodeString(key)
	sum := md5.Sum(raw)
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

// status is the HTTP status of an SDK error; 200 for none.
func status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	var r interface{ HTTPStatusCode() int }
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

func TestUpdateObjectEncryption(t *testing.T) {
	s := start(t, s3test.Config{})
	a, b := s.KMS.CreateKey(), s.KMS.CreateKey("alias/b")
	enc := func(e object.Encryption, change ...func(o *s3test.Object)) s3test.Object {
		o := s3test.Object{Key: "k", Body: s3test.Bytes("bytes"), LastModified: old, Attrs: s3test.Attrs{Encryption: e, StorageClass: "GLACIER"}}
		for _, f := range change {
			f(&o)
		}
		return o
	}
	s3enc, kmsenc := object.Encryption{Type: object.SSES3}, object.Encryption{Type: object.SSEKMS, KMSKeyID: a}
	lock := func(o *s3test.Object) { o.LockMode, o.RetainUntil = "GOVERNANCE", time.Now().Add(time.Hour) }
	hold := func(o *s3test.Object) { o.LegalHold = true }
	for _, test := range []struct {
		name string
		o    s3test.Object
		key  string
		want string
	}{
		{"SSE-S3", enc(s3enc), b, ""},
		{"SSE-KMS", enc(kmsenc), b, ""},
		{"SSE-KMS, same key, bucket key on", enc(kmsenc), a, ""},
		{"plain", enc(object.Encryption{Type: object.SSENone}), b, "InvalidRequest"},
		{"DSSE", enc(object.Encryption{Type: object.DSSEKMS, KMSKeyID: a}), b, "InvalidRequest"},
		{"SSE-C", enc(object.Encryption{Type: object.SSEC}), b, "InvalidRequest"},
		{"key ID", enc(s3enc), b[strings.LastIndex(b, "/")+1:], "InvalidRequest"},
		{"alias", enc(s3enc), "alias/b", "InvalidRequest"},
		{"foreign account", enc(s3enc), "arn:aws:kms:us-east-1:999999999999:key/x", "AccessDenied"},
		{"unknown key", enc(s3enc), "arn:aws:kms:us-east-1:111122223333:key/x", "KMS.NotFoundException"},
		{"locked", enc(s3enc, lock), b, "AccessDenied"},
		{"held", enc(s3enc, hold), b, "AccessDenied"},
	} {
		s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
		s.Put("b", test.o)
		was := s.Snapshot("b")
		_, err := client(t, s).UpdateObjectEncryption(context.Background(), &s3.UpdateObjectEncryptionInput{Bucket: aws.String("b"), Key: aws.String("k"),
			ObjectEncryption: &types.ObjectEncryptionMemberSSEKMS{Value: types.SSEKMSEncryption{KMSKeyArn: &test.key, BucketKeyEnabled: aws.Bool(true)}}})
		if code(err) != test.want {
			t.Errorf("%s: %q, want %q", test.name, code(err), test.want)
		}
		intent := check.Change
		if test.want != "" {
			intent = check.Keep
		}
		for _, d := range check.Bucket(s, was, check.Expectation{Operation: object.OpUpdate, Intent: func(s3test.Object) check.Intent { return intent },
			Target: object.Target{SSE: object.SSEKMS, KMSKeyID: test.key, BucketKey: object.On}}).Differences {
			t.Errorf("%s: %v", test.name, d)
		}
	}
	// A noncurrent version is named by its ID, and stays noncurrent.
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	v1 := s.Put("b", enc(s3enc))
	s.Put("b", enc(s3enc))
	must[*s3.UpdateObjectEncryptionOutput](t)(client(t, s).UpdateObjectEncryption(context.Background(), &s3.UpdateObjectEncryptionInput{Bucket: aws.String("b"), Key: aws.String("k"), VersionId: &v1,
		ObjectEncryption: &types.ObjectEncryptionMemberSSEKMS{Value: types.SSEKMSEncryption{KMSKeyArn: &b}}}))
	vs := s.Snapshot("b").Find("k")
	if len(vs) != 2 || vs[0].Encryption.Type != object.SSES3 || vs[1].Encryption.KMSKeyID != b || vs[1].Encryption.BucketKey {
		t.Errorf("versions: %+v, %+v", vs[0].Encryption, vs[1].Encryption)
	}
}
