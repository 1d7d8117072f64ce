package s3store

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/patience"
)

// BucketFacts reads the settings that decide which calls every object needs. A
// setting that the store does not tell, or that may not be read, is Unknown, and
// Unknown makes the careful call. Only a bucket that cannot be used at all, or a
// request that did not come through, is an error.
func (s *Store) BucketFacts(ctx context.Context, bucket string) (object.BucketFacts, error) {
	var f object.BucketFacts
	a, err := s.Address(ctx, bucket)
	if err != nil {
		return f, err
	}
	f.Region = a.Region
	var g errgroup.Group
	g.Go(func() (err error) { f.Versioning, f.KeepsNoneOfSome, err = s.versioning(ctx, bucket); return err })
	g.Go(func() (err error) { f.ACLsDisabled, err = s.aclsDisabled(ctx, bucket); return err })
	g.Go(func() error {
		lock, err := s.ObjectLock(ctx, bucket)
		f.ObjectLock, f.LockRule = lock.Enabled, lock.rule()
		return err
	})
	g.Go(func() error {
		web, err := s.Website(ctx, bucket)
		if web.Known {
			f.Website = object.Found(web.Present)
		}
		return err
	})
	g.Go(func() error {
		enc, err := s.BucketEncryption(ctx, bucket)
		f.DefaultEncryption, f.BlocksSSEC = enc.Default, enc.BlocksSSEC
		return err
	})
	return f, g.Wait()
}

// setting reads one configuration document of a bucket into v. absent are the
// codes that mean "there is none".
func (s *Store) setting(ctx context.Context, op, bucket, sub, root string, v any, absent ...string) (found bool, told Setting, err error) {
	return s.settingPage(ctx, op, bucket, sub, nil, root, v, absent...)
}

// settingPage is setting with more in the query, for one that comes in pages.
func (s *Store) settingPage(ctx context.Context, op, bucket, sub string, query map[string]string, root string, v any, absent ...string) (found bool, told Setting, err error) {
	if object.IsAccessPoint(bucket) {
		return false, Setting{}, nil
	}
	alone, err := s.answered(ctx, bucket, func() (err error) {
		found, told, err = s.settingOnce(ctx, op, bucket, sub, query, root, v, absent...)
		return err
	})
	if alone {
		return false, Setting{}, nil
	}
	return found, told, err
}

// answered asks a second time where something in between the store gave an answer, and the store is
// there: it has come back, or what stands in front of it knows no such question, and answers that alone.
func (s *Store) answered(ctx context.Context, bucket string, ask func() error) (alone bool, err error) {
	if err = ask(); !inBetween(err) || s.Answers(ctx, bucket) != nil {
		return false, err
	}
	err = ask()
	return inBetween(err) && s.Answers(ctx, bucket) == nil, err
}

func inBetween(err error) bool {
	e, _ := errors.AsType[*object.Error](err)
	return e != nil && e.InBetween()
}

func (s *Store) settingOnce(ctx context.Context, op, bucket, sub string, query map[string]string, root string, v any, absent ...string) (found bool, told Setting, err error) {
	err = patience.Try(ctx, bucket, func() error {
		r := newRequest(op, http.MethodGet, object.Ref{Bucket: bucket})
		r.query.Set(sub, "")
		for name, value := range query {
			r.query.Set(name, value)
		}
		rep, err := s.call(ctx, r)
		if err != nil {
			return err
		}
		return decode(r, rep, root, v)
	})
	if err == nil {
		return true, Setting{Known: true, Present: true}, nil
	}
	var e *object.Error
	if !errors.As(err, &e) || e.NotSent {
		return false, Setting{}, err // nobody was asked
	}
	for _, code := range absent {
		if e.Code == code {
			return false, Setting{Known: true}, nil
		}
	}
	switch e.Class {
	case object.ClassDenied:
		return false, Setting{Denied: true}, nil
	case object.ClassUnsupported:
		return false, Setting{Unsupported: true}, nil
	case object.ClassInvalid, object.ClassGone, object.ClassOther:
		return false, Setting{}, nil
	case object.ClassTransient, object.ClassKMSAway:
		// An empty 200, or a 500 at a request that the server does not expect, is an
		// answer of sorts: it does not tell. A lost connection is not one, nor what a proxy
		// says of it.
		if e.HTTPStatus != 0 && !e.InBetween() {
			return false, Setting{}, nil
		}
	}
	return false, Setting{}, err
}

// Versioning is whether a bucket keeps versions at this moment.
func (s *Store) Versioning(ctx context.Context, bucket string) (object.Versioning, error) {
	v, _, err := s.versioning(ctx, bucket)
	return v, err
}

// versioning says too whether none are kept of some keys: MinIO can be told so.
func (s *Store) versioning(ctx context.Context, bucket string) (v object.Versioning, except bool, err error) {
	var doc struct {
		Status           string
		ExcludedPrefixes []struct{}
		ExcludeFolders   bool
	}
	_, told, err := s.setting(ctx, "GetBucketVersioning", bucket, "versioning", "VersioningConfiguration", &doc)
	switch {
	case err != nil || !told.Known:
		return object.VersioningUnknown, false, err
	case strings.EqualFold(doc.Status, "Enabled"):
		return object.VersioningEnabled, len(doc.ExcludedPrefixes) > 0 || doc.ExcludeFolders, nil
	case strings.EqualFold(doc.Status, "Suspended"):
		return object.VersioningSuspended, false, nil
	case doc.Status == "", strings.EqualFold(doc.Status, "Disabled"):
		return object.VersioningOff, false, nil
	}
	return object.VersioningUnknown, false, nil // a word that is not S3's
}

func (s *Store) aclsDisabled(ctx context.Context, bucket string) (object.Finding, error) {
	o, err := s.Ownership(ctx, bucket)
	if err != nil || o == "" {
		return object.Unknown, err
	}
	return object.Found(o == "BucketOwnerEnforced"), nil
}
