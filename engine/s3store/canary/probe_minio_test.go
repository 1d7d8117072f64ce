package canary_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3store/canary"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// probe asks a real server, and looks with another client whether anything
// stayed behind.
func probe(t *testing.T, s *s3store.Store, c *s3.Client, o s3store.ProbeOptions) object.Capabilities {
	t.Helper()
	var err error
	if o.Facts, err = s.BucketFacts(t.Context(), o.Bucket); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	caps, err := s.Probe(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v: %+v\n%s", time.Since(start).Round(time.Millisecond), caps, strings.Join(caps.Notes, "\n"))
	nothingLeft(t, c, o.Bucket)
	return caps
}

func nothingLeft(t *testing.T, c *s3.Client, bucket string) {
	t.Helper()
	out, err := c.ListObjectVersions(context.Background(), &s3.ListObjectVersionsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range out.Versions {
		if strings.Contains(*v.Key, "canary") {
			t.Errorf("left behind: %s %s", *v.Key, *v.VersionId)
		}
	}
	for _, v := range out.DeleteMarkers {
		t.Errorf("left behind: delete marker %s %s", *v.Key, *v.VersionId)
	}
	up, err := c.ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range up.Uploads {
		t.Errorf("upload left behind: %s", *u.Key)
	}
}

func TestProbeMinIO(t *testing.T) {
	srv := realserver.StartKES(t, realserver.Options{Keys: []string{"key-a", "key-b"}})
	s := openAt(t, srv, s3store.Options{})
	c := srv.Client()
	plain := bucket(t, c, "probe-plain", false)
	versioned := bucket(t, c, "probe-versioned", false)
	if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &versioned,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	locked := bucket(t, c, "probe-locked", true)
	deflt := bucket(t, c, "probe-default-lock", true)
	if _, err := c.PutObjectLockConfiguration(t.Context(), &s3.PutObjectLockConfigurationInput{Bucket: &deflt,
		ObjectLockConfiguration: &types.ObjectLockConfiguration{ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			Rule: &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeCompliance, Days: aws.Int32(1)}}}}); err != nil {
		t.Fatal(err)
	}
	kms := object.Target{SSE: object.SSEKMS, KMSKeyID: "key-b"}
	type caps = object.Capabilities
	for _, tc := range []struct {
		name   string
		bucket string
		target object.Target
		differ func(*caps)
	}{
		{"kms", plain, kms, func(*caps) {}},
		{"versioned", versioned, kms, func(c *caps) { c.VersionsInReplies = object.Yes }},
		{"locked", locked, kms, func(c *caps) {
			c.VersionsInReplies, c.KeepsLock, c.PutRetention, c.GetRetention = object.Yes, object.Yes, object.Yes, object.Yes
		}},
		{"default lock", deflt, kms, func(c *caps) {
			c.VersionsInReplies, c.KeepsLock, c.PutRetention, c.GetRetention = object.Yes, object.Yes, object.Yes, object.Yes
			c.PutTagging = object.Unknown // it might leave a locked object
		}},
		{"sse-s3", plain, object.Target{SSE: object.SSES3}, func(c *caps) {
			c.Update, c.DSSE, c.BucketKey, c.ShownKeyID = object.Unknown, object.Unknown, object.Unknown, ""
			c.OtherKey, c.OtherKeyRoute = object.Unknown, object.RouteNone
		}},
		{"sse-c", plain, object.Target{SSE: object.SSEC, CustomerKey: customerKey(t)}, func(c *caps) {
			c.PutIfMatch = object.No // it looks at what is there with the new one's key
			c.Update, c.DSSE, c.BucketKey, c.ShownKeyID = object.Unknown, object.Unknown, object.Unknown, ""
			c.OtherKey, c.OtherKeyRoute = object.Unknown, object.RouteNone
		}},
		{"sse-c to kms", plain, object.Target{SSE: object.SSEKMS, KMSKeyID: "key-b", SourceKey: customerKey(t)}, func(*caps) {}},
		{"by the name that the store shows", plain, object.Target{SSE: object.SSEKMS, KMSKeyID: "arn:aws:kms:key-b"}, func(*caps) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// What s3-facts measured of this server.
			// Its own key is key-a, another than the target's.
			want := caps{Source: "canary", OtherKey: object.Yes, OtherKeyRoute: object.RouteSelfCopy, Encrypts: object.Yes, Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy,
				Replace: object.Yes, Multipart: object.Yes, Update: object.No,
				CopySourceIfMatch: object.Yes, PartSourceIfMatch: object.Yes, CopyIfMatch: object.No, CompleteIfMatch: object.Yes,
				PutIfMatch: object.Yes, SendIfMatch: object.Yes, SendChecksums: object.Yes, PutShowsEncryption: object.Yes, CountsTags: object.Yes,
				ListMetadata: object.Yes, CopyShowsEncryption: object.No, UploadShowsEncryption: object.No,
				CopySourceEncoding: object.EncodedOnce, PartSourceEncoding: object.EncodedOnce,
				CompleteShowsETag: object.Yes,
				KeepsTags:         object.Yes, KeepsExpires: object.No, KeepsClass: object.Yes, KeepsChecksums: object.Yes,
				PutTagging: object.Yes, PutACL: object.No, GetTagging: object.Yes, GetACL: object.Yes, GetAttributes: object.Yes,
				DSSE: object.No, BucketKey: object.No, Checksums: object.Yes, UploadChecksums: object.No, ShownKeyID: "arn:aws:kms:key-b"}
			tc.differ(&want)
			o := s3store.ProbeOptions{Bucket: tc.bucket, Prefix: "some/prefix", Target: tc.target, Everything: true}
			got := probe(t, s, c, o)
			got.Notes = nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			o.Everything = false
			job := probe(t, s, c, o)
			if differ := canary.Differences(&got, &job); len(differ) > 0 {
				t.Errorf("what the job asked: %v", differ)
			}
		})
	}
	t.Run("dsse", func(t *testing.T) {
		got := probe(t, s, c, s3store.ProbeOptions{Bucket: plain, Target: object.Target{SSE: object.DSSEKMS, KMSKeyID: "key-a"}})
		if got.Encrypts != object.Unknown || got.Route != object.RouteNone || got.EncryptedRoute != object.RouteNone || got.DSSE != object.No {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("unknown key", func(t *testing.T) {
		_, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: versioned, Target: object.Target{SSE: object.SSEKMS, KMSKeyID: "nobody"}})
		if object.ClassOf(err) != object.ClassKey {
			t.Errorf("err = %v", err)
		}
		nothingLeft(t, c, versioned)
	})
	t.Run("cancelled", func(t *testing.T) {
		for _, after := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), after, context.Canceled)
			_, err := s.Probe(ctx, s3store.ProbeOptions{Bucket: versioned, Target: kms, Facts: object.BucketFacts{Versioning: object.VersioningEnabled}})
			cancel()
			if err == nil && after <= 5*time.Millisecond { // a quick machine is through before the others
				t.Errorf("after %v: no error", after)
			}
			nothingLeft(t, c, versioned)
		}
	})
}
