package s3store

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/patience"
)

// Permission is one that a job needs, and whether it is there.
type Permission struct {
	// Action is the IAM action; Resource what it is needed on.
	Action   string
	Resource string
	// Granted is Unknown where no harmless request could tell.
	Granted object.Finding
	// Err is the refusal.
	Err error
}

// CheckRead asks for the permissions that can be asked for without changing or
// charging much: each is one request that reads. sample is an object of the
// bucket, with an empty key where none is at hand; then only the bucket's own
// permissions are asked for. prefix is the one that is to be listed, since a
// policy may allow no other; one of keys may open an SSE-C sample.
//
// Writing is not tried out: on AWS no request is without effect, and elsewhere
// the canary has written already.
func (s *Store) CheckRead(ctx context.Context, sample object.Ref, prefix string, keys ...object.CustomerKey) ([]Permission, error) {
	bucket := object.Ref{Bucket: sample.Bucket}
	checks := []check{
		{"s3:ListBucket", bucket, func() error {
			_, err := s.ListPage(ctx, object.ListRequest{Bucket: sample.Bucket, Prefix: prefix, MaxKeys: 1})
			return err
		}},
		{"s3:ListBucketVersions", bucket, func() error {
			_, err := s.ListVersionsPage(ctx, object.ListRequest{Bucket: sample.Bucket, Prefix: prefix, MaxKeys: 1})
			return err
		}},
		{"s3:GetBucketVersioning", bucket, func() error { return s.ask(ctx, "GetBucketVersioning", bucket, "versioning") }},
		{"s3:GetEncryptionConfiguration", bucket, func() error { return s.ask(ctx, "GetBucketEncryption", bucket, "encryption") }},
		{"s3:GetBucketOwnershipControls", bucket, func() error { return s.ask(ctx, "GetBucketOwnershipControls", bucket, "ownershipControls") }},
		{"s3:GetBucketObjectLockConfiguration", bucket, func() error { return s.ask(ctx, "GetObjectLockConfiguration", bucket, "object-lock") }},
		{"s3:GetLifecycleConfiguration", bucket, func() error { return s.ask(ctx, "GetBucketLifecycleConfiguration", bucket, "lifecycle") }},
		{"s3:GetReplicationConfiguration", bucket, func() error { return s.ask(ctx, "GetBucketReplication", bucket, "replication") }},
		{"s3:GetBucketNotification", bucket, func() error { return s.ask(ctx, "GetBucketNotificationConfiguration", bucket, "notification") }},
		{"s3:GetBucketWebsite", bucket, func() error { return s.ask(ctx, "GetBucketWebsite", bucket, "website") }},
	}
	if object.IsAccessPoint(sample.Bucket) {
		checks = checks[:2] // it tells no settings
	}
	if sample.Key != "" {
		key := s.opens(ctx, sample, keys)
		checks = append(checks, check{"s3:GetObject", sample, func() error { _, err := s.Head(ctx, sample, key); return err }})
		checks = append(checks, s.detailChecks(ctx, sample)...)
		checks = append(checks, s.annotationChecks(ctx, sample)...)
		checks = append(checks, check{"s3:GetObjectAttributes", sample, func() error { _, _, _, err := s.attributes(ctx, sample, key); return err }})
	}
	return s.askAll(ctx, checks)
}

// opens finds the customer key that opens the sample; none where it wants none, or no given
// one. A wrong key is refused as a permission that is missing is, and no key at all as one that
// is there.
func (s *Store) opens(ctx context.Context, sample object.Ref, keys []object.CustomerKey) object.CustomerKey {
	for _, key := range keys {
		if key.IsZero() {
			continue
		}
		err := patience.Try(ctx, sample.Bucket, func() error { _, err := s.Head(ctx, sample, key); return err })
		if err == nil {
			return key
		}
	}
	return object.CustomerKey{}
}

// CheckDetails asks for the permissions without which a HEAD shows an object as
// if it had no tags, no retention and no legal hold, and for the one to read its
// grants. sample is an object that exists: for a key that does not, S3 refuses
// without s3:ListBucket whatever else is granted.
func (s *Store) CheckDetails(ctx context.Context, sample object.Ref) ([]Permission, error) {
	return s.askAll(ctx, s.detailChecks(ctx, sample))
}

// detailChecks name the actions for a version where the sample is one.
func (s *Store) detailChecks(ctx context.Context, sample object.Ref) []check {
	tagging, acl := "s3:GetObjectTagging", "s3:GetObjectAcl"
	if sample.VersionID != "" {
		tagging, acl = "s3:GetObjectVersionTagging", "s3:GetObjectVersionAcl"
	}
	return []check{
		{tagging, sample, func() error { _, err := s.Tags(ctx, sample); return err }},
		{acl, sample, func() error { _, err := s.Grants(ctx, sample); return err }},
		{"s3:GetObjectRetention", sample, func() error { return s.ask(ctx, "GetObjectRetention", sample, "retention") }},
		{"s3:GetObjectLegalHold", sample, func() error { return s.ask(ctx, "GetObjectLegalHold", sample, "legal-hold") }},
	}
}

// annotationChecks name one that no object has: S3 tells a missing annotation from a
// missing permission. Nobody but AWS is asked.
func (s *Store) annotationChecks(ctx context.Context, sample object.Ref) []check {
	if !s.aws {
		return nil
	}
	return []check{
		{"s3:ListObjectAnnotations", sample, func() error { _, err := s.Annotations(ctx, sample); return err }},
		{"s3:GetObjectAnnotation", sample, func() error { _, err := s.Annotation(ctx, sample, "reseal-no-such-annotation"); return err }},
	}
}

// check is a harmless request that needs a permission.
type check struct {
	action string
	ref    object.Ref
	ask    func() error
}

// askAll makes all checks at the same time, and each again whose answer is lost.
func (s *Store) askAll(ctx context.Context, checks []check) ([]Permission, error) {
	out := make([]Permission, len(checks))
	var g errgroup.Group
	for i, c := range checks {
		p := &out[i]
		p.Action, p.Resource = c.action, s.inPartition(arnOf(c.ref))
		g.Go(func() error {
			alone, err := s.answered(ctx, c.ref.Bucket, func() error { return patience.Try(ctx, c.ref.Bucket, c.ask) })
			if inBetween(err) && !alone {
				return err // the store is away
			}
			p.Granted, p.Err = granted(err)
			if p.Granted == object.Unknown {
				return p.Err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// granted reads an answer: anything but a refusal for want of permission shows
// that it is there, or that the store knows no such thing. Its error is either
// the refusal, or, with Unknown, one that answers nothing.
func granted(err error) (object.Finding, error) {
	var e *object.Error
	switch {
	case err == nil:
		return object.Yes, nil
	case !errors.As(err, &e), e.HTTPStatus == 0, e.Class == object.ClassCredentials, e.Class == object.ClassNoBucket:
		return object.Unknown, err
	case e.Class == object.ClassDenied:
		return object.No, err
	case e.Class == object.ClassUnsupported, e.Class == object.ClassThrottled, e.Class == object.ClassTransient, e.Class == object.ClassKMSAway:
		return object.Unknown, nil
	}
	return object.Yes, nil
}

// ask sends a reading request whose answer does not matter beyond its error.
func (s *Store) ask(ctx context.Context, op string, ref object.Ref, sub string) error {
	r := newRequest(op, http.MethodGet, ref)
	if ref.Key != "" {
		r.version()
	}
	r.query.Set(sub, "")
	_, err := s.call(ctx, r)
	return err
}
