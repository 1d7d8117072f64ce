package job

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner/doctor"
)

// Examine asks everything that planner/doctor judges: settings, key, permissions,
// and what the endpoint does. On AWS it changes nothing unless a probe is asked for;
// any other endpoint gets throwaway objects, which are deleted again. What the probe
// saw is nil where none was asked for.
func Examine(ctx context.Context, spec Spec, policy Policy, opt ExamineOptions) (facts *doctor.Facts, seen *Probed, err error) {
	if err := cmp.Or(spec.Validate(), policy.Validate(), opt.validate()); err != nil {
		return nil, nil, err
	}
	switch {
	case spec.Target.DestFolder != "":
		return nil, nil, unusable("a download changes nothing in a store", "leave Target.Dest out to have the bucket examined")
	case spec.Source.Bucket == "" && spec.Source.Folder == "":
		return nil, nil, unusable("the manifest does not say which bucket to look at", "name the bucket")
	}
	opt.setDefaults()
	s := &session{job: &Job{Spec: spec, Policy: policy}, opt: &opt.Options, log: opt.Log, doctor: true, examine: &opt}
	if opt.ProbePrefix != "" {
		s.probed = new(Probed)
	}
	defer func() { err = withClose(err, s.Close()) }()
	if err := s.openStore(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.ownDir(ctx); err != nil {
		return nil, nil, err
	}
	k, err := s.survey(ctx)
	if err != nil {
		return nil, nil, err
	}
	f := s.facts()
	f.Endpoint = s.store.Endpoint()
	f.Probed = s.probed != nil && s.probed.Sent
	if k != nil {
		f.Key = &k.Key
	}
	if s.probed != nil && s.learnt.Caps.IsAWS() {
		for _, d := range s.probed.Missing() {
			f.Unlike = append(f.Unlike, d.String())
		}
	}
	err = s.readAround(ctx, f)
	f.Denied = s.refusals.all
	return f, s.probed, err
}

// refusals are the questions of an examination that the store did not answer.
type refusals struct {
	mu  sync.Mutex
	all []doctor.Denied
}

// goOn keeps a refusal that the store answered one question with, so that the others are
// asked all the same. What stands in the way of every question ends the examination, and whatever
// goes wrong ends a job.
func (s *session) goOn(err error) error {
	var e *object.Error
	if !s.doctor || !errors.As(err, &e) || e.HTTPStatus/100 != 4 {
		return err
	}
	switch e.Class {
	case object.ClassCredentials, object.ClassNoBucket, object.ClassThrottled, object.ClassKMSThrottled:
		return err
	}
	d := doctor.Denied{Bucket: e.Ref.Bucket, What: strings.ReplaceAll(err.Error(), "\n", "; ")}
	if e.Class == object.ClassDenied {
		d.Actions = s3store.Actions(e.Op)
	}
	s.refusals.mu.Lock()
	defer s.refusals.mu.Unlock()
	s.refusals.all = append(s.refusals.all, d)
	return nil
}

// deadAfter is an age at which no doctor can still be probing.
const deadAfter = time.Hour

// ownDir gives a session without a job a folder for the note on its throwaway
// objects, which is there for as long as they are. Others of the same bucket may
// be probing at this moment and keep theirs; what a process left that died is
// swept.
func (s *session) ownDir(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	place := sha256.Sum256([]byte(s.store.Endpoint() + " " + s.job.Spec.Source.Bucket))
	base := filepath.Join(cache, "reseal", "doctor", hex.EncodeToString(place[:8]))
	if err := os.MkdirAll(base, 0o700); err != nil {
		return unusableBecause(err, "a folder for notes on throwaway objects", "set XDG_CACHE_HOME to a folder that can be written")
	}
	if err := s.sweepAllDead(ctx, base); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(base, "probe-"); err != nil {
		return unusableBecause(err, "a folder for notes on throwaway objects", "set XDG_CACHE_HOME to a folder that can be written")
	}
	s.closers = append(s.closers, func() error {
		_ = os.Remove(s.dir) // not empty: the note is still needed
		return nil
	})
	return nil
}

func (s *session) sweepAllDead(ctx context.Context, base string) error {
	dirs, err := os.ReadDir(base)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		info, err := d.Info()
		if err != nil || time.Since(info.ModTime()) < deadAfter {
			continue
		}
		dir := filepath.Join(base, d.Name())
		if err := s.sweepDead(ctx, filepath.Join(dir, probeName)); err != nil {
			return err
		}
		_ = os.Remove(dir)
	}
	return nil
}

// facts are those that the session has learnt.
func (s *session) facts() *doctor.Facts {
	spec := &s.job.Spec
	read, dest := s.learnt.facts()
	f := &doctor.Facts{Bucket: s.learnt.Bucket, Prefix: spec.Source.Prefix, Settings: read, Caps: s.learnt.Caps, Through: s.learnt.through(), Target: s.target(),
		Owner: spec.Connection.ExpectedBucketOwner, Accept: s.job.Policy.losses(), CopyOnly: s.job.Policy.Operation == CopyOnly, PayerGiven: spec.Connection.RequestPayer != "", AllVersions: spec.Selection.Versions == "all"}
	if c := &spec.Target.ClientSide; c.remakes() {
		f.Reupload = c.Format
	} else if c.Given() {
		f.Rewrap = &doctor.Rewrap{Unwrap: s.job.Policy.Verify == VerifyUnwrap}
	}
	if spec.Source.Folder != "" { // what the files are is told by nobody: it is about where they go
		f.Bucket, f.Prefix, f.Settings = spec.Target.DestBucket, spec.Target.DestPrefix, *dest
	} else if dest != nil {
		f.Dest = &doctor.Dest{Bucket: spec.Target.DestBucket, Prefix: spec.Target.DestPrefix, Settings: *dest}
	}
	return f
}

// readAround reads the settings that a run does not need and others rely on, of
// the bucket that is written.
func (s *session) readAround(ctx context.Context, f *doctor.Facts) error {
	bucket := f.Bucket
	if f.Dest != nil {
		bucket = f.Dest.Bucket
	}
	var (
		enc                                   s3store.BucketEncryption
		lock                                  s3store.ObjectLock
		lifecycle                             []s3store.LifecycleRule
		replication                           []s3store.ReplicationRule
		told                                  []s3store.Notification
		lifecycleSet, replicationSet, toldSet s3store.Setting
	)
	var g errgroup.Group
	ask := func(question func() error) { g.Go(func() error { return s.goOn(question()) }) }
	ask(func() (err error) { enc, err = s.to.BucketEncryption(ctx, bucket); return err })
	ask(func() (err error) { lock, err = s.to.ObjectLock(ctx, bucket); return err })
	ask(func() (err error) { lifecycle, lifecycleSet, err = s.to.Lifecycle(ctx, bucket); return err })
	ask(func() (err error) { replication, replicationSet, err = s.to.Replication(ctx, bucket); return err })
	ask(func() (err error) { told, toldSet, err = s.to.Notifications(ctx, bucket); return err })
	ask(func() (err error) { f.RequesterPays, err = s.store.RequesterPays(ctx, f.Bucket); return err })
	ask(func() (err error) { return s.checkPermissions(ctx, f) })
	err := g.Wait()
	f.Default, f.DefaultKnown, f.LockMode = s.byItsARN(ctx, bucket, enc.Default), enc.Known, lock.Mode
	for _, r := range lifecycle {
		if r.Enabled {
			f.Lifecycle = append(f.Lifecycle, doctor.LifecycleRule{ID: r.ID, Prefix: r.Prefix, ExpireDays: r.ExpireDays, TransitionDays: r.TransitionDays,
				NoncurrentExpireDays: r.NoncurrentExpireDays, NewerNoncurrent: r.NewerNoncurrent, AbortUploadDays: r.AbortUploadDays})
		}
	}
	for _, r := range replication {
		if r.Enabled {
			f.Replication = append(f.Replication, doctor.ReplicationRule{ID: r.ID, Prefix: r.Prefix, Destination: r.Destination, KMSObjects: r.KMSObjects,
				OtherStore: r.OtherStore(), Deletions: r.Deletions})
		}
	}
	for _, n := range told {
		f.Notifications = append(f.Notifications, doctor.Notification{Target: n.Target, Copies: n.Copies})
	}
	for _, set := range []struct {
		name string
		s3store.Setting
	}{{"default encryption", enc.Setting}, {"lifecycle", lifecycleSet}, {"replication", replicationSet}, {"notifications", toldSet}} {
		if set.Denied {
			f.Unread = append(f.Unread, set.name)
		}
	}
	return err
}

// byItsARN is a bucket's default under the ARN of its key where it names the target's by an
// alias or a bare ID; any other stays as the bucket tells it.
func (s *session) byItsARN(ctx context.Context, bucket string, e object.Encryption) object.Encryption {
	if !e.Type.KMS() || e.KMSKeyID == "" || strings.HasPrefix(e.KMSKeyID, "arn:") && !strings.Contains(e.KMSKeyID, ":alias/") {
		return e
	}
	if k, err := s.to.ResolveKeyFor(ctx, bucket, e.KMSKeyID); err == nil && k.ARN == s.learnt.KMSKeyID {
		e.KMSKeyID = k.ARN
	}
	return e
}

// checkPermissions asks for them on the first object, where there is one.
func (s *session) checkPermissions(ctx context.Context, f *doctor.Facts) error {
	sample, err := s.sampleOf(ctx, f.Bucket, f.Prefix)
	if err != nil { // which CheckRead tells of
		s.log.Debug("the first object could not be listed", "error", err)
	}
	keys := f.Target.SourceKeys()
	if !s.learnt.twoStores(&s.job.Spec) {
		keys = append(keys, f.Target.CustomerKey)
	}
	found, err := s.store.CheckRead(ctx, sample, f.Prefix, keys...)
	if err != nil {
		return err
	}
	if f.Dest != nil && f.Dest.Bucket != f.Bucket {
		there, err := s.to.CheckRead(ctx, object.Ref{Bucket: f.Dest.Bucket}, f.Dest.Prefix)
		if err != nil {
			return err
		}
		found = append(found, there...)
	}
	for _, p := range found {
		f.Permissions = append(f.Permissions, doctor.Permission{Action: p.Action, Resource: p.Resource, Granted: p.Granted})
	}
	return nil
}

// sampleOf is the first object of a source, and has no key where there is none. Throwaway
// objects are passed over: this job's own are gone by now, whatever a listing that lags says.
func (s *session) sampleOf(ctx context.Context, bucket, prefix string) (object.Ref, error) {
	const enough = 100 // more than a canary makes
	page, err := s.store.ListPage(ctx, object.ListRequest{Bucket: bucket, Prefix: prefix, MaxKeys: enough})
	for i := range page.Objects {
		if key := page.Objects[i].Key; !object.IsThrowaway(key) {
			return object.Ref{Bucket: bucket, Key: key}, err
		}
	}
	return object.Ref{Bucket: bucket}, err
}

// beginWarning asks, while the source is being listed, what doctor would call serious.
// Whoever is about to plan something waits for it by begunWell.
func (s *session) beginWarning(ctx context.Context) {
	if s.job.Spec.Target.DestFolder != "" {
		return // nothing is written that settings are about
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	f := s.facts()
	go func() {
		defer close(done)
		s.warnSerious(ctx, f)
	}()
	s.warned = done
	s.closers = append(s.closers, func() error { cancel(); <-done; return nil })
}

// begunWell returns when the warnings are told and the throwaway objects are gone, or
// somebody interrupts.
func (s *session) begunWell(ctx context.Context) error {
	if s.warned != nil {
		select {
		case <-s.warned:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return s.tidied(ctx)
}

// warnSerious tells, at the beginning of a job, what doctor would call serious.
// What cannot be read is no reason not to run.
func (s *session) warnSerious(ctx context.Context, f *doctor.Facts) {
	// A warning is no reason to wait long for a store that hangs.
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := s.readAround(within, f)
	if ctx.Err() != nil {
		return // whoever interrupts knows why
	}
	if err != nil {
		s.log.Warn("the bucket's settings could not all be read; `reseal doctor` tells more", "error", err)
	}
	for _, found := range doctor.Examine(f) {
		if found.Level == doctor.Serious {
			s.log.Warn(found.What, "topic", found.Topic, "do", found.Do)
		}
	}
}
