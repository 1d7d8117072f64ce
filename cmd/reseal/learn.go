package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// learn finds out what the buckets, the key and the endpoint allow; an existing
// job remembers it. The order is from the cheapest to the canary, which writes
// throwaway objects: whatever can be refused is refused before it.
func (s *session) learn(ctx context.Context) error {
	if found, err := s.remember(); err != nil || found {
		return err
	}
	spec := &s.order.spec
	if s.order.consent.Operation == "update" && (spec.Target.SSE != object.SSEKMS || spec.Target.DestBucket != "") {
		return unusable("--operation update leads from SSE-S3 and SSE-KMS to SSE-KMS only, and in place", "use --operation auto or copy, or --sse aws:kms without --dest")
	}
	s.learnt.Bucket = spec.Source.Bucket
	if s.manifest != nil {
		s.learnt.Bucket = s.manifest.Bucket()
	}
	var err error
	if s.learnt.Facts, err = s.store.BucketFacts(ctx, s.learnt.Bucket); err != nil {
		return err
	}
	writes := &s.learnt.Facts
	at := s3store.ProbeOptions{Bucket: s.learnt.Bucket, Prefix: spec.Source.Prefix}
	if t := &spec.Target; t.DestBucket != "" {
		facts, err := s.store.BucketFacts(ctx, t.DestBucket)
		if err != nil {
			return err
		}
		s.learnt.Dest, writes = &facts, &facts
		at.Bucket, at.Prefix = t.DestBucket, t.DestPrefix
	}
	if spec.Target.SSE == object.SSEC && writes.BlocksSSEC == object.Yes {
		return unusablef("use a KMS key, or unblock SSE-C in the bucket's encryption settings", "s3://%s blocks SSE-C", at.Bucket)
	}
	if err := s.resolveKey(ctx); err != nil {
		return err
	}
	at.Facts, at.Target, at.AcceptUnproven = *writes, s.target(), s.order.consent.accepted("unproven-encryption")
	if s.learnt.Caps, err = s.probe(ctx, at); err != nil {
		return err
	}
	s.learnt.ShownKeyID = firstNonEmpty(s.learnt.Caps.ShownKeyID, s.learnt.ShownKeyID)
	return s.refuse(at.Bucket, writes)
}

func firstNonEmpty(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// resolveKey makes the target's key a full ARN, and insists that it can be used.
// Where no KMS can be asked the canary shows what the store makes of the name.
func (s *session) resolveKey(ctx context.Context) error {
	t := &s.order.spec.Target
	if !t.SSE.KMS() {
		return nil
	}
	name := t.KMSKeyID
	if t.KMSDefaultKey {
		name = "alias/aws/s3"
	}
	key, err := s.store.ResolveKey(ctx, name)
	switch class := object.ClassOf(err); {
	case errors.Is(err, s3store.ErrNoKMS):
		return nil
	case class == object.ClassDenied && !t.KMSDefaultKey && !strings.Contains(name, "alias/"):
		// A store shows the ARN that ends in this ID, so the job can do without
		// DescribeKey; only an update needs the whole ARN.
		s.log.Warn("the KMS key cannot be looked at; grant kms:DescribeKey to have it checked", "key", name)
		return nil
	case err != nil:
		return err
	case !key.Enabled:
		return fmt.Errorf("the KMS key %s is %s; enable it, or name another one", key.ARN, key.State)
	case !key.Symmetric:
		return fmt.Errorf("the KMS key %s is no symmetric encryption key; name one that is", key.ARN)
	}
	s.learnt.ShownKeyID = key.ARN
	if !t.KMSDefaultKey {
		s.learnt.KMSKeyID = key.ARN
	}
	return nil
}

// refuse turns down a store that cannot be trusted with the job.
func (s *session) refuse(bucket string, facts *object.BucketFacts) error {
	caps, c := &s.learnt.Caps, &s.order.consent
	where := "s3://" + bucket
	if e := s.store.Endpoint(); e != "" {
		where += " at " + e
	}
	saw := strings.Join(caps.Notes, "; ")
	if saw != "" {
		saw = ". It was seen: " + saw
	}
	switch {
	case caps.Encrypts == object.No:
		return unusablef("nothing of yours was touched. In a test against a mock, --accept unproven-encryption goes on all the same"+saw, "the store of %s does not encrypt", where)
	case c.Operation == "update" && caps.Update != object.Yes:
		return unusablef("use --operation auto or copy. Nothing of yours was touched"+saw, "the store of %s was not seen to do UpdateObjectEncryption", where)
	case caps.Encrypts == object.Unknown && caps.Source == "canary":
		return unusablef("nothing of yours was touched. `reseal doctor` tells what the store does"+saw, "the store of %s was not seen to encrypt under %s", where, s.order.spec.Target.SSE)
	case caps.Route == object.RouteNone && caps.EncryptedRoute == object.RouteNone && caps.Update != object.Yes:
		return unusablef("nothing of yours was touched. `reseal doctor` tells what was tried"+saw, "no operation re-encrypts in the store of %s", where)
	case unguarded(caps) && facts.Versioning != object.VersioningEnabled && !c.accepted("concurrent-writes"):
		return unusablef("see to it that nobody else writes there while the job runs, and say so with --accept concurrent-writes. Nothing of yours was touched"+saw,
			"the store of %s honours no condition, and the bucket keeps no versions, so a write of somebody else could be lost", where)
	}
	return nil
}

// unguarded says whether no request of the job's route could notice that
// somebody else wrote the object meanwhile.
func unguarded(caps *object.Capabilities) bool {
	guards := map[object.Route][2]object.Finding{
		object.RouteSelfCopy:  {caps.CopySourceIfMatch, caps.CopyIfMatch},
		object.RouteReplace:   {caps.CopySourceIfMatch, caps.CopyIfMatch},
		object.RouteMultipart: {caps.PartSourceIfMatch, caps.CompleteIfMatch},
	}
	for _, route := range []object.Route{caps.Route, caps.EncryptedRoute} {
		if g, used := guards[route]; used && g[0] != object.Yes && g[1] != object.Yes {
			return true
		}
	}
	return false
}
