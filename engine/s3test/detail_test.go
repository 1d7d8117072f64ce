package s3test_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

func TestObjectLock(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{ObjectLock: true, Versioning: "Enabled"})
	s.CreateBucket("free", s3test.BucketConfig{})
	id := s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	s.Put("free", s3test.Object{Key: "k"})
	c, ctx := client(t, s), context.Background()
	retain := func(mode types.ObjectLockRetentionMode, d time.Duration, bypass bool) string {
		_, err := c.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{Bucket: aws.String("b"), Key: aws.String("k"), BypassGovernanceRetention: &bypass,
			Retention: &types.ObjectLockRetention{Mode: mode, RetainUntilDate: aws.Time(time.Now().Add(d))}})
		return code(err)
	}
	remove := func(bypass bool) string {
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), VersionId: &id, BypassGovernanceRetention: &bypass})
		return code(err)
	}
	for i, step := range []struct{ got, want string }{
		{retain("GOVERNANCE", time.Hour, false), ""},
		{retain("GOVERNANCE", time.Minute, false), "AccessDenied"},
		{retain("GOVERNANCE", time.Minute, true), ""},
		{remove(false), "AccessDenied"},
		{retain("COMPLIANCE", time.Hour, false), ""},
		{retain("COMPLIANCE", time.Minute, true), "AccessDenied"},
		{remove(true), "AccessDenied"},
	} {
		if step.got != step.want {
			t.Errorf("step %d: %q, want %q", i, step.got, step.want)
		}
	}
	_, err := c.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{Bucket: aws.String("b"), Key: aws.String("k"), LegalHold: &types.ObjectLockLegalHold{Status: "ON"}})
	h := must[*s3.HeadObjectOutput](t)(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}))
	if err != nil || h.ObjectLockLegalHoldStatus != "ON" || h.ObjectLockMode != "COMPLIANCE" || h.ObjectLockRetainUntilDate == nil {
		t.Errorf("HEAD shows %v %v %v, %v", h.ObjectLockLegalHoldStatus, h.ObjectLockMode, h.ObjectLockRetainUntilDate, err)
	}
	// A missing permission looks like no lock.
	s.ConfigureBucket("b", func(c *s3test.BucketConfig) {
		c.Deny = []s3test.Deny{{Action: "s3:GetObjectRetention"}, {Action: "s3:GetObjectLegalHold", Keys: "k*"}}
	})
	h = must[*s3.HeadObjectOutput](t)(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}))
	if h.ObjectLockMode != "" || h.ObjectLockLegalHoldStatus != "" {
		t.Error("HEAD shows a lock that the requester may not see")
	}
	if _, err := c.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: aws.String("b"), Key: aws.String("k")}); code(err) != "AccessDenied" {
		t.Errorf("denied: %v", err)
	}
	if _, err := c.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: aws.String("free"), Key: aws.String("k")}); code(err) != "InvalidRequest" {
		t.Errorf("a bucket without locks: %v", err)
	}
	// A copy is not locked unless it is told, or the bucket has a default.
	s.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny, c.DefaultLockMode, c.DefaultLockDays = nil, "GOVERNANCE", 3 })
	must[*s3.CopyObjectOutput](t)(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k"), ServerSideEncryption: "AES256"}))
	if o, _ := s.Get("b", "k", ""); o.LockMode != "GOVERNANCE" || o.LegalHold || time.Until(o.RetainUntil) < 70*time.Hour {
		t.Errorf("default retention: %q until %v", o.LockMode, o.RetainUntil)
	}
}

func TestACLs(t *testing.T) {
	s := start(t, s3test.Config{})
	c, ctx := client(t, s), context.Background()
	for _, ownership := range []string{"", "ObjectWriter"} {
		s.CreateBucket("b", s3test.BucketConfig{Ownership: ownership})
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("x"),
			GrantRead: aws.String(`uri="http://acs.amazonaws.com/groups/global/AllUsers", id="abc"`)})
		if ownership == "" {
			if code(err) != "AccessControlListNotSupported" {
				t.Errorf("ACLs are disabled: %v", err)
			}
			continue
		}
		a := must[*s3.GetObjectAclOutput](t)(c.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: aws.String("b"), Key: aws.String("k")}))
		if len(a.Grants) != 3 || a.Grants[0].Permission != "FULL_CONTROL" || a.Grants[1].Grantee.Type != types.TypeGroup || *a.Grants[2].Grantee.ID != "abc" {
			t.Errorf("grants: %+v", a.Grants)
		}
		_, err = c.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: aws.String("b"), Key: aws.String("k"), AccessControlPolicy: &types.AccessControlPolicy{Owner: a.Owner, Grants: a.Grants[:2]}})
		if o, _ := s.Get("b", "k", ""); err != nil || len(o.Grants) != 1 || o.Grants[0].URI == "" {
			t.Errorf("after PutObjectAcl: %+v, %v", o.Grants, err)
		}
	}
}

func TestTagsAndAttributes(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	body := s3test.Bytes("hello")
	s.Put("b", s3test.Object{Key: "k", Body: body, Attrs: s3test.Attrs{StorageClass: "GLACIER_IR"}}, s3test.Summed(body, "CRC64NVME"))
	c, ctx := client(t, s), context.Background()
	_, err := c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: aws.String("b"), Key: aws.String("k"), Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("a<b"), Value: aws.String("ü&")}}}})
	tags := must[*s3.GetObjectTaggingOutput](t)(c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: aws.String("b"), Key: aws.String("k")}))
	if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Key != "a<b" || *tags.TagSet[0].Value != "ü&" {
		t.Errorf("tags: %+v, %v", tags.TagSet, err)
	}
	h := must[*s3.HeadObjectOutput](t)(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), ChecksumMode: "ENABLED"}))
	// "hello" under CRC-64/NVME is M3eFcAZSQlc= in AWS's own examples of the SDKs.
	if aws.ToString(h.ChecksumCRC64NVME) != "M3eFcAZSQlc=" || h.ChecksumType != "FULL_OBJECT" || aws.ToInt32(h.TagCount) != 1 || h.StorageClass != "GLACIER_IR" || h.ServerSideEncryption != "" {
		t.Errorf("HEAD: %s %s %d %s %s", aws.ToString(h.ChecksumCRC64NVME), h.ChecksumType, aws.ToInt32(h.TagCount), h.StorageClass, h.ServerSideEncryption)
	}
	at := must[*s3.GetObjectAttributesOutput](t)(c.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: aws.String("b"), Key: aws.String("k"),
		ObjectAttributes: []types.ObjectAttributes{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}}))
	if *at.ObjectSize != 5 || at.ObjectParts != nil || at.StorageClass != "GLACIER_IR" || *at.Checksum.ChecksumCRC64NVME != "M3eFcAZSQlc=" {
		t.Errorf("attributes: %+v", at)
	}
	// Tags need permission to be copied, and to be counted.
	s.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = []s3test.Deny{{Action: "s3:GetObjectTagging"}} })
	if _, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k"), ServerSideEncryption: "AES256"}); code(err) != "AccessDenied" {
		t.Errorf("copy of tags without permission: %v", err)
	}
	if h := must[*s3.HeadObjectOutput](t)(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})); h.TagCount != nil {
		t.Error("tags are counted for who may not read them")
	}
}

func TestReads(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("0123456789"), LastModified: old})
	s.Put("b", s3test.Object{Key: "cold", Attrs: s3test.Attrs{StorageClass: "DEEP_ARCHIVE"}})
	s.Put("b", s3test.Object{Key: "tier", Attrs: s3test.Attrs{StorageClass: "INTELLIGENT_TIERING", ArchiveTier: "ARCHIVE_ACCESS"}})
	k, _ := s.Get("b", "k", "")
	c := client(t, s)
	for _, x := range []struct {
		name   string
		in     s3.GetObjectInput
		status int
		body   string
	}{
		{"whole", s3.GetObjectInput{}, 200, "0123456789"},
		{"range", s3.GetObjectInput{Range: aws.String("bytes=2-4")}, 200, "234"},
		{"open range", s3.GetObjectInput{Range: aws.String("bytes=7-")}, 200, "789"},
		{"suffix", s3.GetObjectInput{Range: aws.String("bytes=-2")}, 200, "89"},
		{"beyond", s3.GetObjectInput{Range: aws.String("bytes=10-")}, 416, ""},
		{"if-match", s3.GetObjectInput{IfMatch: &k.ETag}, 200, "0123456789"},
		{"if-match other", s3.GetObjectInput{IfMatch: aws.String("x")}, 412, ""},
		{"if-none-match", s3.GetObjectInput{IfNoneMatch: &k.ETag}, 304, ""},
		{"modified since", s3.GetObjectInput{IfModifiedSince: aws.Time(old.Add(time.Hour))}, 304, ""},
		{"unmodified since", s3.GetObjectInput{IfUnmodifiedSince: aws.Time(old.Add(-time.Hour))}, 412, ""},
		{"archived", s3.GetObjectInput{Key: aws.String("cold")}, 403, ""},
		{"archive tier", s3.GetObjectInput{Key: aws.String("tier")}, 403, ""},
		{"nothing", s3.GetObjectInput{Key: aws.String("nothing")}, 404, ""},
	} {
		x.in.Bucket = aws.String("b")
		if x.in.Key == nil {
			x.in.Key = aws.String("k")
		}
		out, err := c.GetObject(context.Background(), &x.in)
		if status(err) != x.status {
			t.Errorf("%s: %d %v", x.name, status(err), err)
			continue
		}
		if err == nil {
			b := make([]byte, 20)
			n, _ := out.Body.Read(b)
			out.Body.Close()
			if string(b[:n]) != x.body {
				t.Errorf("%s: %q", x.name, b[:n])
			}
		}
	}
	for _, key := range []string{"cold", "tier"} {
		if _, err := c.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: aws.String("b"), Key: &key}); err != nil {
			t.Errorf("HEAD of an archived object: %v", err)
		}
		_, err := c.RestoreObject(context.Background(), &s3.RestoreObjectInput{Bucket: aws.String("b"), Key: &key, RestoreRequest: &types.RestoreRequest{Days: aws.Int32(1)}})
		if _, err2 := c.GetObject(context.Background(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: &key}); err != nil || err2 != nil {
			t.Errorf("restored: %v, %v", err, err2)
		}
	}
}

// What doctor asks of a bucket: absent by its own code, present as it was put.
func TestBucketSettings(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("plain", s3test.BucketConfig{})
	s.CreateBucket("set", s3test.BucketConfig{Region: "us-east-1", RequesterPays: true, Versioning: "Suspended", Documents: map[string]string{
		"lifecycle":    `<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>`,
		"replication":  `<ReplicationConfiguration><Role>r</Role><Rule><ID>r</ID><Status>Enabled</Status><Destination><Bucket>arn:aws:s3:::d</Bucket></Destination></Rule></ReplicationConfiguration>`,
		"notification": `<NotificationConfiguration><QueueConfiguration><Id>q</Id><Queue>arn:aws:sqs:us-east-1:1:q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>`,
		"website":      `<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>`,
	}})
	c, ctx := client(t, s), context.Background()
	for _, bucket := range []string{"plain", "set"} {
		b := &bucket
		lifecycle, e1 := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
		replication, e2 := c.GetBucketReplication(ctx, &s3.GetBucketReplicationInput{Bucket: b})
		notification, e3 := c.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: b})
		website, e4 := c.GetBucketWebsite(ctx, &s3.GetBucketWebsiteInput{Bucket: b})
		_, e5 := c.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: b})
		own := must[*s3.GetBucketOwnershipControlsOutput](t)(c.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: b}))
		if e3 != nil || code(e5) != "ObjectLockConfigurationNotFoundError" || own.OwnershipControls.Rules[0].ObjectOwnership != "BucketOwnerEnforced" {
			t.Errorf("%s: %v, %v, %+v", bucket, e3, e5, own)
		}
		if bucket == "plain" {
			if code(e1) != "NoSuchLifecycleConfiguration" || code(e2) != "ReplicationConfigurationNotFoundError" || code(e4) != "NoSuchWebsiteConfiguration" || len(notification.QueueConfigurations) != 0 {
				t.Errorf("absent settings: %v, %v, %v", e1, e2, e4)
			}
			continue
		}
		if e1 != nil || *lifecycle.Rules[0].Expiration.Days != 30 || e2 != nil || *replication.ReplicationConfiguration.Rules[0].ID != "r" ||
			len(notification.QueueConfigurations) != 1 || e4 != nil || *website.IndexDocument.Suffix != "index.html" {
			t.Errorf("settings: %v, %v, %v", e1, e2, e4)
		}
	}
	s.ConfigureBucket("plain", func(c *s3test.BucketConfig) {
		c.Deny = []s3test.Deny{{Action: "s3:GetLifecycleConfiguration"}, {Action: "s3:GetEncryptionConfiguration"}}
	})
	_, e1 := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: aws.String("plain")})
	_, e2 := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: aws.String("plain")})
	if code(e1) != "AccessDenied" || code(e2) != "AccessDenied" {
		t.Errorf("denied: %v, %v", e1, e2)
	}
}

func TestRequesterPaysAndRegions(t *testing.T) {
	other := s3test.Credentials{AccessKeyID: "OTHER", SecretAccessKey: "other", Account: "999999999999"}
	s := start(t, s3test.Config{})
	s.AddCredentials(other)
	s.CreateBucket("b", s3test.BucketConfig{RequesterPays: true})
	s.CreateBucket("eu", s3test.BucketConfig{Region: "eu-central-1"})
	s.Put("b", s3test.Object{Key: "k"})
	c := client(t, s, func(o *s3.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "OTHER", SecretAccessKey: "other"}, nil
		})
	})
	in := &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}
	if _, err := c.HeadObject(context.Background(), in); status(err) != http.StatusForbidden {
		t.Errorf("nobody pays: %v", err)
	}
	in.RequestPayer = types.RequestPayerRequester
	if h, err := c.HeadObject(context.Background(), in); err != nil || h.RequestCharged != "requester" {
		t.Errorf("the requester pays: %v", err)
	}
	if _, err := c.ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: aws.String("eu")}); code(err) != "AuthorizationHeaderMalformed" {
		t.Errorf("wrong region: %v", err)
	}
	if l := must[*s3.GetBucketLocationOutput](t)(c.GetBucketLocation(context.Background(), &s3.GetBucketLocationInput{Bucket: aws.String("eu")})); l.LocationConstraint != "eu-central-1" {
		t.Errorf("location %q", l.LocationConstraint)
	}
}

func TestDelete(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	v := s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
	c, ctx := client(t, s), context.Background()
	d := must[*s3.DeleteObjectOutput](t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}))
	if !aws.ToBool(d.DeleteMarker) || len(s.Snapshot("b").Objects) != 2 {
		t.Errorf("%+v", d)
	}
	if _, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}); status(err) != 404 {
		t.Errorf("current delete marker: %v", err)
	}
	if _, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), VersionId: d.VersionId}); status(err) != 405 {
		t.Errorf("named delete marker: %v", err)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("b")}); code(err) != "BucketNotEmpty" {
		t.Errorf("%v", err)
	}
	must[*s3.DeleteObjectsOutput](t)(c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String("b"), Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: aws.String("k"), VersionId: &v}, {Key: aws.String("k"), VersionId: d.VersionId}, {Key: aws.String("none"), VersionId: &v}}}}))
	if n := len(s.Snapshot("b").Objects); n != 0 {
		t.Errorf("%d versions left", n)
	}
}

// TestLocksNeedTheirPermission: to write an object with a lock takes the permission for
// the lock too, by whichever request.
func TestLocksNeedTheirPermission(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for _, c := range []struct {
		denied string
		in     s3.PutObjectInput
	}{
		{"s3:PutObjectRetention", s3.PutObjectInput{ObjectLockMode: "GOVERNANCE", ObjectLockRetainUntilDate: &until}},
		{"s3:PutObjectLegalHold", s3.PutObjectInput{ObjectLockLegalHoldStatus: "ON"}},
	} {
		s := start(t, s3test.Config{})
		s.CreateBucket("b", s3test.BucketConfig{ObjectLock: true, Versioning: "Enabled", Deny: []s3test.Deny{{Action: c.denied}}})
		c.in.Bucket, c.in.Key = aws.String("b"), aws.String("k")
		_, err := client(t, s).PutObject(t.Context(), &c.in)
		var e smithy.APIError
		if _, there := s.Get("b", "k", ""); !errors.As(err, &e) || e.ErrorCode() != "AccessDenied" || there {
			t.Errorf("%s denied: %v, written %v", c.denied, err, there)
		}
		s.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = nil })
		if _, err := client(t, s).PutObject(t.Context(), &c.in); err != nil {
			t.Error(err)
		}
	}
}
