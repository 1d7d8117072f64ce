package s3store_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

func testDetails(t *testing.T, s *s3store.Store, c *s3.Client) {
	b := bucket(t, c, "details", true)
	ref := object.Ref{Bucket: b, Key: "k"}
	out := put(t, c, &s3.PutObjectInput{Bucket: &b, Key: &ref.Key}, "x")
	if mode, until, hold, err := s.Lock(t.Context(), ref); err != nil || mode != "" || !until.IsZero() || hold {
		t.Errorf("lock = %q %v %v, %v", mode, until, hold, err)
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	if err := s.PutLock(t.Context(), ref, "GOVERNANCE", until, true); err != nil {
		t.Fatal(err)
	}
	if mode, u, hold, err := s.Lock(t.Context(), ref); err != nil || mode != "GOVERNANCE" || !u.Equal(until) || !hold {
		t.Errorf("lock = %q %v %v, %v", mode, u, hold, err)
	}
	h, err := s.Head(t.Context(), ref, object.CustomerKey{})
	if err != nil || h.LockMode != "GOVERNANCE" || !h.RetainUntil.Equal(until) || !h.LegalHold || h.ShownVersionID != *out.VersionId {
		t.Errorf("head = %+v, %v", h, err)
	}
	if tags, err := s.Tags(t.Context(), ref); err != nil || len(tags) != 0 {
		t.Errorf("tags = %v, %v", tags, err)
	}
	want := []object.Tag{{Key: "k +-=._:/@", Value: "v+= -.:/@_"}}
	if err := s.PutTags(t.Context(), ref, want); err != nil {
		t.Fatal(err)
	}
	if tags, err := s.Tags(t.Context(), ref); err != nil || !reflect.DeepEqual(tags, want) {
		t.Errorf("tags = %v, %v", tags, err)
	}
	if g, err := s.Grants(t.Context(), ref); err != nil || g == nil || len(g) != 0 {
		t.Errorf("grants = %v, %v", g, err)
	}
	page, err := s.ListVersionsPage(t.Context(), object.ListRequest{Bucket: b})
	if err != nil || len(page.Objects) != 1 || page.Objects[0].VersionID != *out.VersionId || page.Objects[0].Noncurrent {
		t.Errorf("versions = %+v, %v", page, err)
	}
	f, err := s.BucketFacts(t.Context(), b)
	if err != nil || f.Versioning != object.VersioningEnabled || f.ObjectLock != object.Yes || f.DefaultEncryption.Type != object.SSENone {
		t.Errorf("facts = %+v, %v", f, err)
	}
	if _, err := c.PutObjectLegalHold(t.Context(), &s3.PutObjectLegalHoldInput{Bucket: &b, Key: &ref.Key,
		LegalHold: &types.ObjectLockLegalHold{Status: types.ObjectLockLegalHoldStatusOff}}); err != nil {
		t.Fatal(err)
	}
}

func testErrors(t *testing.T, s *s3store.Store, c *s3.Client, srv *realserver.Server) {
	b := bucket(t, c, "errors", false)
	ref := object.Ref{Bucket: b, Key: "k"}
	put(t, c, &s3.PutObjectInput{Bucket: &b, Key: &ref.Key}, "x")
	copyTo := func(target object.Target, etag string) error {
		_, err := s.Copy(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, SourceETag: etag, Target: &target})
		return err
	}
	ssec := object.Ref{Bucket: b, Key: "ssec"}
	key := customerKey(t)
	put(t, c, &s3.PutObjectInput{Bucket: &b, Key: &ssec.Key, SSECustomerAlgorithm: aws.String("AES256"),
		SSECustomerKey: aws.String(key.Base64()), SSECustomerKeyMD5: aws.String(key.MD5())}, "x")
	head := func(ref object.Ref, k object.CustomerKey) error { _, err := s.Head(t.Context(), ref, k); return err }
	list := func(bucket string) error {
		_, err := s.ListPage(t.Context(), object.ListRequest{Bucket: bucket})
		return err
	}
	for name, tc := range map[string]struct {
		err  error
		want object.Class
	}{
		"no such key":         {head(object.Ref{Bucket: b, Key: "nope"}, object.CustomerKey{}), object.ClassGone},
		"no such bucket":      {list("no-such-bucket-here"), object.ClassNoBucket},
		"wrong source ETag":   {copyTo(object.Target{SSE: object.SSES3}, "0123"), object.ClassChanged},
		"unknown KMS key":     {copyTo(object.Target{SSE: object.SSEKMS, KMSKeyID: "no-such-key"}, ""), object.ClassKey},
		"DSSE":                {copyTo(object.Target{SSE: object.DSSEKMS, KMSKeyID: "key-a"}, ""), object.ClassInvalid},
		"SSE-C without key":   {head(ssec, object.CustomerKey{}), object.ClassInvalid},
		"nothing to change":   {copyTo(object.Target{}, ""), object.ClassInvalid},
		"upload that is none": {func() error { _, err := s.ListParts(t.Context(), ref, aborted(t, s, ref), nil); return err }(), object.ClassNoUpload},
		"cancelled": {func() error {
			ctx, stop := context.WithCancel(t.Context())
			stop()
			_, err := s.Head(ctx, ref, key)
			return err
		}(), object.ClassCanceled},
	} {
		if object.ClassOf(tc.err) != tc.want {
			t.Errorf("%s: class %v (%v), want %v", name, object.ClassOf(tc.err), tc.err, tc.want)
		}
	}
	t.Run("bad secret", func(t *testing.T) {
		t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-wrong-wrong")
		bad, err := s3store.Open(t.Context(), s3store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = bad.Head(t.Context(), ref, object.CustomerKey{})
		if object.ClassOf(err) != object.ClassCredentials || strings.Contains(fmt.Sprint(err), "wrong-wrong") {
			t.Errorf("head: %v", err)
		}
		_, err = bad.ListPage(t.Context(), object.ListRequest{Bucket: b})
		if object.ClassOf(err) != object.ClassCredentials {
			t.Errorf("list: %v", err)
		}
	})
	t.Run("untrusted certificate", func(t *testing.T) {
		t.Setenv("AWS_CA_BUNDLE", "")
		bad, err := s3store.Open(t.Context(), s3store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = bad.Head(t.Context(), ref, object.CustomerKey{})
		if object.ClassOf(err) != object.ClassOther || !strings.Contains(fmt.Sprint(err), "--ca-bundle") {
			t.Errorf("head: %v", err)
		}
		lax, err := s3store.Open(t.Context(), s3store.Options{NoVerifySSL: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = lax.Head(t.Context(), ref, object.CustomerKey{}); err != nil {
			t.Errorf("head without verification: %v", err)
		}
		strict, err := s3store.Open(t.Context(), s3store.Options{CABundle: srv.CAFile})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = strict.Head(t.Context(), ref, object.CustomerKey{}); err != nil {
			t.Errorf("head with --ca-bundle: %v", err)
		}
	})
}

// aborted is the ID of an upload that existed.
func aborted(t *testing.T, s *s3store.Store, ref object.Ref) string {
	t.Helper()
	id, _, err := s.CreateUpload(t.Context(), &object.CopyRequest{Dest: ref})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AbortUpload(t.Context(), ref, id); err != nil {
		t.Fatal(err)
	}
	return id
}
