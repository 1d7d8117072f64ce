package s3test_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

var old = time.Date(2022, 5, 1, 12, 0, 0, 0, time.UTC)

// full is an object with everything on it that a copy can lose.
func full(key string) s3test.Object {
	body := s3test.Bytes("all that " + key + " holds")
	return s3test.Object{Key: key, Body: body, LastModified: old, Attrs: s3test.Attrs{
		ContentType: "text/plain", CacheControl: "max-age=60", ContentDisposition: "inline", ContentEncoding: "gzip",
		ContentLanguage: "de", Expires: "Thu, 01 Dec 2033 16:00:00 GMT", Metadata: map[string]string{"a": "b"},
		Redirect: "/elsewhere", Tags: []object.Tag{{Key: "k", Value: "v"}}, StorageClass: "STANDARD_IA",
		Grants:   []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}},
		LockMode: "GOVERNANCE", RetainUntil: time.Now().Add(time.Hour).UTC().Truncate(time.Second), LegalHold: true,
		Context: "eyJhIjoiYiJ9",
	}}
}

func TestCopyLosesWhatAWSLoses(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"})
	first := s.Put("b", full("k"), s3test.Summed(full("k").Body, "SHA256"))
	out := must[*s3.CopyObjectOutput](t)(client(t, s).CopyObject(context.Background(), &s3.CopyObjectInput{
		Bucket: aws.String("b"), Key: aws.String("k"), CopySource: copySource("b", "k"), ServerSideEncryption: types.ServerSideEncryptionAes256}))
	vs := s.Snapshot("b").Find("k")
	if len(vs) != 2 || vs[1].VersionID != first || aws.ToString(out.VersionId) != vs[0].VersionID || aws.ToString(out.CopySourceVersionId) != first {
		t.Fatalf("versions %v, reply %q from %q", vs, aws.ToString(out.VersionId), aws.ToString(out.CopySourceVersionId))
	}
	got := map[string]bool{}
	c := check.Compare(before(s, "b", first), s.Snapshot("b"), check.Expectation{Target: object.Target{SSE: object.SSES3}})
	for _, d := range c.Differences {
		got[d.Field] = true
	}
	for _, f := range []string{"Redirect", "StorageClass", "Grants", "LockMode", "RetainUntil", "LegalHold"} {
		if !got[f] {
			t.Errorf("%s survived a plain copy, or nobody noticed", f)
		}
		delete(got, f)
	}
	if len(got) > 0 {
		t.Errorf("a copy keeps these: %v", got)
	}
	if c.Changed != 1 || aws.ToString(out.CopyObjectResult.ChecksumSHA256) == "" {
		t.Errorf("changed %d, checksum %v", c.Changed, out.CopyObjectResult.ChecksumSHA256)
	}
}

// before is the bucket as it was when it held one version.
func before(s *s3test.Server, bucket, version string) s3test.Bucket {
	b := s.Snapshot(bucket)
	for _, o := range b.Objects {
		if o.VersionID == version {
			o.Latest = true
			b.Objects = []s3test.Object{o}
			return b
		}
	}
	return b
}

func TestSelfCopyRule(t *testing.T) {
	s := start(t, s3test.Config{})
	for _, c := range []struct {
		name   string
		change func(in *s3.CopyObjectInput)
		cfg    s3test.BucketConfig
		want   string
	}{
		{"nothing", func(*s3.CopyObjectInput) {}, s3test.BucketConfig{}, "InvalidRequest"},
		{"same encryption, explicit", func(in *s3.CopyObjectInput) { in.ServerSideEncryption = "AES256" }, s3test.BucketConfig{}, ""},
		{"default encryption", func(*s3.CopyObjectInput) {}, s3test.BucketConfig{DefaultEncryption: object.Encryption{Type: object.SSES3}}, ""},
		{"replace", func(in *s3.CopyObjectInput) { in.MetadataDirective = "REPLACE" }, s3test.BucketConfig{}, ""},
		{"redirect", func(in *s3.CopyObjectInput) { in.WebsiteRedirectLocation = aws.String("/x") }, s3test.BucketConfig{}, ""},
		{"other class", func(in *s3.CopyObjectInput) { in.StorageClass = "STANDARD_IA" }, s3test.BucketConfig{}, ""},
		{"same class, explicit", func(in *s3.CopyObjectInput) { in.StorageClass = "STANDARD" }, s3test.BucketConfig{}, ""},
		{"made-up algorithm", func(in *s3.CopyObjectInput) { in.ServerSideEncryption = "rot13" }, s3test.BucketConfig{}, "InvalidArgument"},
		{"SSE-C over http", func(in *s3.CopyObjectInput) {
			in.SSECustomerAlgorithm, in.SSECustomerKey = aws.String("AES256"), aws.String(strings.Repeat("k", 32))
		}, s3test.BucketConfig{}, "InvalidRequest"},
	} {
		s.CreateBucket("b", c.cfg)
		s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
		in := &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k")}
		c.change(in)
		if _, err := client(t, s).CopyObject(context.Background(), in); code(err) != c.want {
			t.Errorf("%s: %q, want %q", c.name, code(err), c.want)
		}
	}
}

func TestCopyConditions(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	v1 := s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("one"), LastModified: old})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("two"), LastModified: old.Add(time.Hour)})
	s.Put("b", s3test.Object{Key: "gone", Body: s3test.Bytes("x")})
	marker := s.Put("b", s3test.Object{Key: "gone", DeleteMarker: true})
	s.Put("b", s3test.Object{Key: "cold", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{StorageClass: "GLACIER"}})
	s.Put("b", s3test.Object{Key: "thawed", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{StorageClass: "GLACIER", Restore: `ongoing-request="false"`}})
	s.Put("b", s3test.Object{Key: "big", Body: s3test.Synthetic(1, 5368709121)})
	s.Put("b", s3test.Object{Key: "limit", Body: s3test.Synthetic(1, 5368709120)})
	k, _ := s.Get("b", "k", "")
	type in = s3.CopyObjectInput
	for _, c := range []struct {
		name   string
		change func(i *in)
		want   string
	}{
		{"source if-match", func(i *in) { i.CopySourceIfMatch = aws.String(`"` + k.ETag + `"`) }, ""},
		{"source if-match wrong", func(i *in) { i.CopySourceIfMatch = aws.String(`"no"`) }, "PreconditionFailed"},
		{"source if-none-match equal", func(i *in) { i.CopySourceIfNoneMatch = &k.ETag }, "PreconditionFailed"},
		{"source if-none-match other", func(i *in) { i.CopySourceIfNoneMatch = aws.String("no") }, ""},
		{"source unmodified since before", func(i *in) { i.CopySourceIfUnmodifiedSince = &old }, "PreconditionFailed"},
		{"source if-match overrules unmodified", func(i *in) { i.CopySourceIfUnmodifiedSince, i.CopySourceIfMatch = &old, &k.ETag }, ""},
		{"source modified since later", func(i *in) { i.CopySourceIfModifiedSince = aws.Time(old.Add(2 * time.Hour)) }, "PreconditionFailed"},
		{"if-match", func(i *in) { i.Key, i.IfMatch = aws.String("k"), aws.String(`"`+k.ETag+`"`) }, ""},
		{"if-match wrong", func(i *in) { i.Key, i.IfMatch = aws.String("limit"), aws.String("no") }, "PreconditionFailed"},
		{"if-match on nothing", func(i *in) { i.Key, i.IfMatch = aws.String("nothing"), aws.String("no") }, "NoSuchKey"},
		{"if-match on a delete marker", func(i *in) { i.Key, i.IfMatch = aws.String("gone"), aws.String("no") }, "NoSuchKey"},
		{"if-none-match on something", func(i *in) { i.Key, i.IfNoneMatch = aws.String("limit"), aws.String("*") }, "PreconditionFailed"},
		{"if-none-match on nothing", func(i *in) { i.IfNoneMatch = aws.String("*") }, ""},
		{"version", func(i *in) { i.CopySource = aws.String("b/k?versionId=" + v1) }, ""},
		{"malformed version", func(i *in) { i.CopySource = aws.String("b/k?versionId=nope") }, "InvalidArgument"},
		{"no such version", func(i *in) { i.CopySource = aws.String("b/k?versionId=v0123456789abcdef0123456789abcde") }, "NoSuchVersion"},
		{"no such key", func(i *in) { i.CopySource = aws.String("b/nothing") }, "NoSuchKey"},
		{"no such bucket", func(i *in) { i.CopySource = aws.String("c/k") }, "NoSuchBucket"},
		{"delete marker", func(i *in) { i.CopySource = aws.String("b/gone") }, "NoSuchKey"},
		{"delete marker by ID", func(i *in) { i.CopySource = aws.String("b/gone?versionId=" + marker) }, "InvalidRequest"},
		{"archived", func(i *in) { i.CopySource = aws.String("b/cold") }, "InvalidObjectState"},
		{"restored", func(i *in) { i.CopySource = aws.String("b/thawed") }, ""},
		{"5 GiB and a byte", func(i *in) { i.CopySource = aws.String("b/big") }, "InvalidRequest"},
		{"5 GiB", func(i *in) { i.CopySource = aws.String("b/limit") }, ""},
		{"owner", func(i *in) { i.ExpectedBucketOwner = aws.String("111122223333") }, ""},
		{"other owner", func(i *in) { i.ExpectedBucketOwner = aws.String("999999999999") }, "AccessDenied"},
		{"other source owner", func(i *in) { i.ExpectedSourceBucketOwner = aws.String("999999999999") }, "AccessDenied"},
	} {
		s.Remove("b", "dest", "")
		i := &in{Bucket: aws.String("b"), Key: aws.String("dest"), CopySource: aws.String("b/k"), ServerSideEncryption: "AES256"}
		c.change(i)
		if _, err := client(t, s).CopyObject(context.Background(), i); code(err) != c.want {
			t.Errorf("%s: %q, want %q", c.name, code(err), c.want)
		}
		if d, ok := s.Get("b", "dest", ""); ok && c.name == "version" && string(d.Body.ReadAll()) != "one" {
			t.Errorf("copied %q of the first version", d.Body.ReadAll())
		}
	}
}

func TestSuspendedAndNullVersions(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("null")})
	copyK := func(source string) string {
		out := must[*s3.CopyObjectOutput](t)(client(t, s).CopyObject(context.Background(), &s3.CopyObjectInput{
			Bucket: aws.String("b"), Key: aws.String("k"), CopySource: &source, ServerSideEncryption: "AES256"}))
		return aws.ToString(out.VersionId)
	}
	ids := func() string {
		var v []string
		for _, o := range s.Snapshot("b").Find("k") {
			v = append(v, o.VersionID)
		}
		return strings.Join(v, " ")
	}
	if id := copyK("b/k"); id != "" || ids() != "null" {
		t.Errorf("off: %q, then %q", id, ids())
	}
	s.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
	v2 := copyK("b/k?versionId=null")
	if ids() != v2+" null" {
		t.Errorf("enabled: %q", ids())
	}
	s.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Suspended" })
	if id := copyK("b/k"); id != "null" || ids() != "null "+v2 {
		t.Errorf("suspended: %q, then %q", id, ids())
	}
}
