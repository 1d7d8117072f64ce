package check_test

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

// perfect copies with everything resent, as a careful program would.
func perfect(t *testing.T, s *s3test.Server, key string) {
	t.Helper()
	o, _ := s.Get("b", key, "")
	in := &s3.CopyObjectInput{Bucket: aws.String("b"), Key: &key, CopySource: aws.String("b/" + key), ServerSideEncryption: "AES256",
		StorageClass: types.StorageClass(o.StorageClass), GrantRead: aws.String(`uri="http://acs.amazonaws.com/groups/global/AllUsers"`)}
	if o.Redirect != "" {
		in.WebsiteRedirectLocation = &o.Redirect
	}
	if o.LockMode != "" {
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockMode(o.LockMode), &o.RetainUntil
	}
	if o.LegalHold {
		in.ObjectLockLegalHoldStatus = "ON"
	}
	if _, err := client(t, s).CopyObject(context.Background(), in); err != nil {
		t.Fatal(err)
	}
}

// locked is a bucket in which an object can have everything.
func locked(t *testing.T) (*s3test.Server, s3test.Bucket) {
	s := start(t)
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"})
	s.Put("b", full("a"))
	s.Put("b", full("b"))
	return s, s.Snapshot("b")
}

var toS3 = check.Expectation{Target: object.Target{SSE: object.SSES3}}

func TestCheckAcceptsAPerfectCopy(t *testing.T) {
	s, was := locked(t)
	perfect(t, s, "a")
	perfect(t, s, "b")
	c := check.Bucket(s, was, toS3)
	for _, d := range c.Differences {
		t.Error(d)
	}
	if c.Changed != 2 || c.Extra != 0 {
		t.Errorf("%+v", c)
	}
	perfect(t, s, "a") // a second copy, as after a crash
	want := toS3
	if c := check.Bucket(s, was, want); len(c.Differences) != 1 || c.Extra != 1 {
		t.Errorf("an extra version: %+v", c)
	}
	want.Extra = 1
	if c := check.Bucket(s, was, want); len(c.Differences) != 0 {
		t.Errorf("an allowed extra version: %v", c.Differences)
	}
}

// Each thing that can go wrong is found, and nothing else is.
func TestCheckFindsDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(s *s3test.Server)
		field  string
		accept object.Reason
	}{
		{"not encrypted", func(s *s3test.Server) {
			s.Modify("b", "a", "", func(a *s3test.Attrs) { a.Encryption = object.Encryption{Type: object.SSENone} })
		}, "encryption", ""},
		{"other key", func(s *s3test.Server) {
			s.Modify("b", "a", "", func(a *s3test.Attrs) { a.Encryption = object.Encryption{Type: object.SSEKMS} })
		}, "encryption", ""},
		{"tag", func(s *s3test.Server) { s.Modify("b", "a", "", func(a *s3test.Attrs) { a.Tags = nil }) }, "Tags", object.ReasonTags},
		{"metadata", func(s *s3test.Server) {
			s.Modify("b", "a", "", func(a *s3test.Attrs) { a.Metadata = map[string]string{"a": "c"} })
		}, "Metadata", object.ReasonMetadata},
		{"header", func(s *s3test.Server) { s.Modify("b", "a", "", func(a *s3test.Attrs) { a.CacheControl = "" }) }, "CacheControl", ""},
		{"Expires", func(s *s3test.Server) { s.Modify("b", "a", "", func(a *s3test.Attrs) { a.Expires = "" }) }, "Expires", object.ReasonMetadata},
		{"class", func(s *s3test.Server) { s.Modify("b", "a", "", func(a *s3test.Attrs) { a.StorageClass = "" }) }, "StorageClass", ""},
		{"grants", func(s *s3test.Server) { s.Modify("b", "a", "", func(a *s3test.Attrs) { a.Grants = nil }) }, "Grants", object.ReasonACL},
		{"redirect", func(s *s3test.Server) { s.Modify("b", "a", "", func(a *s3test.Attrs) { a.Redirect = "" }) }, "Redirect", object.ReasonRedirect},
		{"hold", func(s *s3test.Server) { s.Modify("b", "a", "", func(a *s3test.Attrs) { a.LegalHold = false }) }, "LegalHold", object.ReasonLock},
		{"retention", func(s *s3test.Server) {
			s.Modify("b", "a", "", func(a *s3test.Attrs) { a.RetainUntil = a.RetainUntil.Add(-time.Minute) })
		}, "RetainUntil", object.ReasonLock},
		{"context", func(s *s3test.Server) { s.Modify("b", "a", "", func(a *s3test.Attrs) { a.Context = "x" }) }, "", ""},
		{"current version gone", func(s *s3test.Server) { s.Remove("b", "a", "") }, "encryption", ""},
		{"key gone", func(s *s3test.Server) { s.Remove("b", "a", ""); s.Remove("b", "a", "") }, "version", ""},
		{"key appeared", func(s *s3test.Server) { s.Put("b", s3test.Object{Key: "c"}) }, "key", ""},
		{"other bytes", func(s *s3test.Server) {
			o, _ := s.Get("b", "a", "")
			s.Remove("b", "a", "")
			o.Body = s3test.Bytes("zzz")
			s.Put("b", o)
		}, "bytes", ""},
		{"delete marker", func(s *s3test.Server) { s.Put("b", s3test.Object{Key: "a", DeleteMarker: true}) }, "DeleteMarker", ""},
		{"settings", func(s *s3test.Server) {
			s.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Suspended" })
		}, "bucket settings", ""},
		{"upload left behind", func(s *s3test.Server) {
			client(t, s).CreateMultipartUpload(context.Background(), &s3.CreateMultipartUploadInput{Bucket: aws.String("b"), Key: aws.String("a")})
		}, "upload", ""},
		{"old version changed", func(s *s3test.Server) {
			vs := s.Snapshot("b").Find("a")
			s.Modify("b", "a", vs[1].VersionID, func(a *s3test.Attrs) { a.ContentType = "x" })
		}, "ContentType", ""},
	} {
		s, was := locked(t)
		perfect(t, s, "a")
		perfect(t, s, "b")
		c.damage(s)
		got := check.Bucket(s, was, toS3).Differences
		found := c.field == ""
		for _, d := range got {
			found = found || d.Field == c.field
			if d.Key != "" && d.Key != "a" && d.Key != "c" || !strings.Contains(d.String(), d.Field) {
				t.Errorf("%s: %v", c.name, d)
			}
		}
		if !found || c.field == "" && len(got) > 0 {
			t.Errorf("%s: %v", c.name, got)
		}
		if c.accept != "" {
			want := toS3
			want.Accept = []object.Reason{c.accept}
			if ds := check.Bucket(s, was, want).Differences; len(ds) != 0 {
				t.Errorf("%s, accepted: %v", c.name, ds)
			}
		}
	}
}

func TestCheckOfWhatWasKept(t *testing.T) {
	s := start(t)
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "a", Body: s3test.Bytes("x")})
	was := s.Snapshot("b")
	intent := func(i check.Intent) check.Expectation {
		return check.Expectation{Target: object.Target{SSE: object.SSES3}, Intent: func(s3test.Object) check.Intent { return i }}
	}
	count := func(i check.Intent) int { return len(check.Bucket(s, was, intent(i)).Differences) }
	if count(check.Change) != 1 || count(check.MayChange) != 0 || count(check.Keep) != 0 {
		t.Error("an untouched object")
	}
	perfectPlain(t, s)
	if count(check.Change) != 0 || count(check.MayChange) != 0 || count(check.Keep) == 0 || count(check.Ignore) != 0 {
		t.Error("a changed object")
	}
	s.Put("b", s3test.Object{Key: "a", Body: s3test.Bytes("y")})
	if count(check.Change) == 0 || count(check.MayChange) == 0 || count(check.Ignore) != 0 {
		t.Error("an overwritten object")
	}
	s.CreateBucket("c", s3test.BucketConfig{})
	if c := check.Compare(was, s3test.Bucket{Name: "b"}, intent(check.Keep)); len(c.Differences) != 1 {
		t.Errorf("a deleted bucket: %v", c.Differences)
	}
}

func perfectPlain(t *testing.T, s *s3test.Server) {
	t.Helper()
	_, err := client(t, s).CopyObject(context.Background(), &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("a"),
		CopySource: aws.String("b/a"), ServerSideEncryption: "AES256"})
	if err != nil {
		t.Fatal(err)
	}
}
