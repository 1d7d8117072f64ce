package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/folder"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/doctor"
)

// learn finds out what the buckets, the key and the endpoint allow; an existing
// job remembers it, and looks whether it is still so.
func (s *session) learn(ctx context.Context) error {
	if found, err := s.remember(); err != nil {
		return err
	} else if found {
		return s.again(ctx)
	}
	t := &s.job.Spec.Target
	if s.job.Policy.Operation == UpdateOnly && (t.SSE != object.SSEKMS || t.DestBucket != "") {
		return unusable("Policy.Operation update leads from SSE-S3 and SSE-KMS to SSE-KMS only, and in place", "use Policy.Operation auto or copy, or Target.SSE aws:kms without Target.Dest")
	}
	if _, err := s.survey(ctx); err != nil {
		return err
	}
	return cmp.Or(s.refuse(), s.lookAtDest(ctx))
}

// survey asks from the cheapest to the canary, which writes throwaway objects:
// whatever can be refused is refused before it. Where there is no job, nothing is
// refused, and an unusable key leaves the canary out.
func (s *session) survey(ctx context.Context) (*key, error) {
	at, err := s.settings(ctx)
	if err := s.goOn(err); err != nil {
		return nil, err
	}
	if s.job.Spec.Target.DestFolder != "" {
		s.learnt.Caps = folder.Capabilities()
		return nil, s.requireWrappingKey(ctx)
	}
	unanswered := err != nil
	if err := s.job.Spec.Selection.refuseAliases(ctx, s.store, s.learnt.Bucket); err != nil && !s.doctor {
		return nil, err
	}
	if !s.doctor && s.job.Spec.Target.SSE == object.SSEC && at.Facts.BlocksSSEC == object.Yes {
		return nil, unusablef("use a KMS key, or unblock SSE-C in the bucket's encryption settings", "s3://%s blocks SSE-C", at.Bucket)
	}
	k, err := s.askKey(ctx)
	if err := s.goOn(err); err != nil {
		return nil, err
	}
	if s.doctor && (unanswered || err != nil || !k.usable() && !s.doesWithoutLooking(k)) {
		return k, nil
	}
	if err := s.requireKey(k); err != nil {
		return nil, err
	}
	if err := s.requireWrappingKey(ctx); err != nil {
		return nil, err
	}
	at.Target = s.triedTarget()
	if s.learnt.Caps, err = s.ask(ctx, at); err != nil {
		s.learnt.Caps = object.Capabilities{} // half of the answers would pass for all
		if s.doctor && k != nil && k.err != nil && object.ClassOf(err) == object.ClassDenied {
			return k, nil // the key can be neither looked at nor used, which is one finding
		}
		return k, s.goOn(err)
	}
	s.learnt.ShownKeyID = firstNonEmpty(s.learnt.Caps.ShownKeyID, s.learnt.ShownKeyID)
	return k, nil
}

// settings reads those of the buckets, and says where the canary is to be sent:
// where the job writes.
func (s *session) settings(ctx context.Context) (at s3store.ProbeOptions, err error) {
	spec := &s.job.Spec
	s.asked = time.Now()
	if s.learnt.Bucket == "" {
		s.learnt.Bucket = spec.Source.Bucket
		if s.manifest != nil {
			s.learnt.Bucket = s.manifest.Bucket()
		}
	}
	if spec.Source.Folder != "" {
		s.learnt.Bucket, s.learnt.Facts = spec.Source.Folder, folder.Facts()
	} else if s.learnt.Facts, err = s.store.BucketFacts(ctx, s.learnt.Bucket); err != nil {
		return at, err
	}
	if err := s.relate(ctx); err != nil {
		return at, err
	}
	at = s3store.ProbeOptions{Bucket: s.learnt.Bucket, Prefix: spec.Source.Prefix, Facts: s.learnt.Facts,
		Class: spec.copiesClass(), Everything: s.doctor, AllVersions: spec.Selection.Versions == "all", AcceptUnproven: s.job.Policy.Accepts(AcceptUnproven),
		Sends: s.job.Policy.Operation == RewriteOnly || spec.Target.ClientSide.remakes() || s.learnt.through()}
	if spec.Target.DestFolder != "" {
		there := folder.Facts()
		s.learnt.Dest = &there
		return at, nil
	}
	if t := &spec.Target; t.DestBucket != "" {
		at.Bucket, at.Prefix, at.Dest = t.DestBucket, t.DestPrefix, true
		there, err := s.to.BucketFacts(ctx, at.Bucket)
		if err != nil {
			return at, err
		}
		at.Facts, s.learnt.Dest = there, &there
	}
	return at, nil
}

// copiesClass is the storage class that copies will be in, as far as the specification tells.
func (s *Spec) copiesClass() string {
	if only := s.Selection.OnlyStorageClass; s.Target.StorageClass == "" && len(only) == 1 {
		return only[0]
	}
	return s.Target.StorageClass
}

// key is what KMS tells of the target's key; nil where there is no KMS to ask, or
// no key in the target.
type key struct {
	doctor.Key
	err error // why it could not be asked
	// elsewhere is set where the key is in another region than the bucket that is
	// written to, so that no request under it can succeed.
	elsewhere error
}

func (k *key) usable() bool { return k == nil || k.err == nil && k.Enabled }

// askKey asks KMS about the target's key, and makes its name a full ARN.
func (s *session) askKey(ctx context.Context) (*key, error) {
	t := &s.job.Spec.Target
	if !t.SSE.KMS() {
		return nil, nil
	}
	k, err := s.to.ResolveKeyFor(ctx, firstNonEmpty(t.DestBucket, s.learnt.Bucket), t.keyName())
	switch class := object.ClassOf(err); {
	case errors.Is(err, s3store.ErrNoKMS):
		s.learnt.KeyUnresolved = planner.KeyNoKMS
		return nil, nil
	case class == object.ClassCredentials, class == object.ClassUnreachable, class == object.ClassCanceled:
		return nil, err
	case err != nil:
		if class == object.ClassDenied {
			s.learnt.KeyUnresolved = planner.KeyDenied
		}
		return &key{Key: doctor.Key{Problem: err.Error()}, err: err}, nil
	}
	s.learnt.ShownKeyID = k.ARN
	if !t.KMSDefaultKey {
		s.learnt.KMSKeyID = k.ARN
	}
	s.learnt.KeyStoreRate = k.Ceiling()
	out := &key{Key: doctor.Key{ARN: k.ARN, State: k.State, Region: k.Region, Enabled: k.Enabled, Symmetric: k.Symmetric,
		Store: firstNonEmpty(k.CustomStore, k.Origin), StoreRate: k.Ceiling(), DefaultRate: int(keyStoreShare(k.Ceiling()))}}
	if out.elsewhere = s.to.KeyElsewhere(ctx, firstNonEmpty(t.DestBucket, s.learnt.Bucket), k); object.ClassOf(out.elsewhere) == object.ClassKey {
		return out, nil
	}
	return out, out.elsewhere
}

func (t *Target) keyName() string {
	if t.KMSDefaultKey {
		return "alias/aws/s3"
	}
	return t.KMSKeyID
}

// doesWithoutLooking says whether the job can do without DescribeKey, which is refused: a
// store shows the ARN that ends in the key's ID, and only an update needs the whole ARN.
func (s *session) doesWithoutLooking(k *key) bool {
	t := &s.job.Spec.Target
	return object.ClassOf(k.err) == object.ClassDenied && !t.KMSDefaultKey && !strings.Contains(t.KMSKeyID, "alias/")
}

// requireKey insists that the key can be used. Where no KMS can be asked the canary
// shows what the store makes of the name.
func (s *session) requireKey(k *key) error {
	t := &s.job.Spec.Target
	switch {
	case s.doctor || k == nil:
		return nil
	case s.doesWithoutLooking(k):
		s.log.Warn("the KMS key cannot be looked at; grant kms:DescribeKey to have it checked", "key", t.KMSKeyID)
		return nil
	case k.err != nil:
		return k.err
	case k.elsewhere != nil:
		return unusableBecause(k.elsewhere, "the KMS key of Target.KMSKeyID is not in the bucket's region", "nothing was touched")
	case !k.Enabled:
		return fmt.Errorf("the KMS key %s is %s; enable it, or name another one", k.ARN, k.State)
	case !k.Symmetric:
		return fmt.Errorf("the KMS key %s is no symmetric encryption key; name one that is", k.ARN)
	}
	return nil
}

// requireWrappingKey insists that the KMS key that is to wrap can be used. No store
// stands in for KMS here.
func (s *session) requireWrappingKey(ctx context.Context) error {
	c := &s.job.Spec.Target.ClientSide
	if s.doctor || !c.Given() {
		return nil
	}
	if _, err := s.wrappingKMS(); err != nil || c.KMSKeyID == "" {
		return err
	}
	err := s.wrappingKeyUsable(ctx)
	if object.ClassOf(err) == object.ClassDenied {
		s.log.Warn("the KMS key cannot be looked at; grant kms:DescribeKey to have it checked", "key", c.KMSKeyID)
		return nil
	}
	return err
}

// wrappingKMS is the KMS that is asked about data keys; nil where there is none and
// none is needed. Where more than a ReEncrypt is asked of it, data keys travel.
func (s *session) wrappingKMS() (*s3store.KMSWraps, error) {
	c := &s.job.Spec.Target.ClientSide
	k, err := s.store.KMSWraps()
	switch {
	case err != nil && c.asksKMS():
		return nil, unusableBecause(err, "ClientSide.KMSKeyID names a KMS key, and no KMS can be asked", "set AWS_ENDPOINT_URL_KMS. Nothing was touched")
	case err != nil:
		return nil, nil
	case k.Encrypted():
		return k, nil
	case c.remakes() && (c.asksKMS() || c.SourceKeyFile == "" && c.KeyFile == ""), c.asksKMS() && (c.KeyFile != "" || c.SourceKeyFile != "" || s.job.Policy.Verify == VerifyUnwrap):
		return nil, unusable("data keys would travel between KMS and this process unencrypted", "give AWS_ENDPOINT_URL_KMS an https endpoint. Nothing was touched")
	case !c.asksKMS():
		return nil, nil
	}
	return k, nil
}

// wrappingKeyUsable asks KMS about the key that is to wrap.
func (s *session) wrappingKeyUsable(ctx context.Context) error {
	id := s.job.Spec.Target.ClientSide.KMSKeyID
	k, err := s.store.ResolveKey(ctx, id)
	switch {
	case err != nil:
		return err
	case !k.Enabled:
		return &object.Error{Class: object.ClassKey, Op: "DescribeKey", Message: "the KMS key " + k.ARN + " is " + k.State, Hint: "enable it, or name another one"}
	case !k.Symmetric:
		return &object.Error{Class: object.ClassKey, Op: "DescribeKey", Message: "the KMS key " + k.ARN + " is no symmetric encryption key", Hint: "name one that is"}
	}
	return nil
}

func firstNonEmpty(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// writes is the bucket that the job writes to, and its settings.
func (s *session) writes() (bucket string, facts *object.BucketFacts) {
	if s.learnt.Dest != nil {
		return s.job.Spec.Target.DestBucket, s.learnt.Dest
	}
	return s.learnt.Bucket, &s.learnt.Facts
}

// refuse turns down a store that cannot be trusted with the job.
func (s *session) refuse() error {
	caps, p := &s.learnt.Caps, &s.job.Policy
	bucket, facts := s.writes()
	where := "s3://" + bucket
	if e := s.to.Endpoint(); e != "" {
		where += " at " + e
	}
	saw := strings.Join(caps.Notes, "; ")
	if saw != "" {
		saw = ". It was seen: " + saw
	}
	if err := s.refuseThrough(where); err != nil {
		return err
	}
	switch {
	case caps.Encrypts == object.No:
		return unusablef("nothing of yours was touched. In a test against a mock, Policy.Accept unproven-encryption goes on all the same"+saw, "the store of %s does not encrypt", where)
	case p.Operation == UpdateOnly && caps.Update != object.Yes:
		return unusablef("use Policy.Operation auto or copy. Nothing of yours was touched"+saw, "the store of %s was not seen to do UpdateObjectEncryption", where)
	case caps.Encrypts == object.Unknown && caps.Source == "canary":
		return unusablef("nothing of yours was touched. Examine tells what the store does"+saw, "the store of %s was not seen to encrypt under %s", where, s.job.Spec.Target.SSE)
	case caps.Route == object.RouteNone && caps.EncryptedRoute == object.RouteNone && caps.Update != object.Yes && caps.PutIfMatch != object.Yes && caps.SendIfMatch != object.Yes:
		return unusablef("nothing of yours was touched. Examine tells what was tried"+saw, "no operation re-encrypts in the store of %s", where)
	case caps.Unguarded() && !facts.KeepsAll() && !p.Accepts(AcceptConcurrentWrites):
		return unusablef("see to it that nobody else writes there while the job runs, and say so with Policy.Accept concurrent-writes. Nothing of yours was touched"+saw,
			"the store of %s honours no condition, and the bucket keeps no versions, so a write of somebody else could be lost", where)
	}
	return nil
}
