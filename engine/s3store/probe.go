package s3store

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// ProbeOptions say what the job wants to know.
type ProbeOptions struct {
	// Bucket and Prefix that the job writes to. The throwaway objects' names begin
	// with the prefix, so that a policy for it covers them.
	Bucket, Prefix string
	// Target of the job; its SourceKey too, where sources are under SSE-C.
	Target object.Target
	// Facts of the bucket.
	Facts object.BucketFacts
	// AcceptUnproven goes on with a store that does not seem to encrypt
	// (--accept unproven-encryption). The findings are then "assumed".
	AcceptUnproven bool
	// Announce, where set, is told how the keys of all throwaway objects begin,
	// before the first one is written; see Sweep. Its error ends the probe.
	Announce func(name string) error
}

// Probe finds out what the endpoint can do.
//
// AWS hosts are known, and nothing is sent. Any other endpoint, and an AWS name
// that no certificate vouches for, is believed only after a canary: small throwaway objects, the very requests of the job, and
// everything read back: bytes, headers, tags, encryption. Sub-resources and
// UpdateObjectEncryption go to throwaway objects of their own, which a store that
// does not know them overwrites. Everything is deleted again, all versions, also
// after an error or a cancelled context; what could not be deleted is an error.
//
// On a bucket with Object Lock the throwaway objects carry at most a governance
// retention of a few seconds, which is bypassed or waited for.
//
// An error means that nothing is known: no connection, no permission to write, a
// KMS key that cannot be used. A store that does not encrypt is no error; see
// Capabilities.Encrypts and the Notes.
func (s *Store) Probe(ctx context.Context, o ProbeOptions) (caps object.Capabilities, err error) {
	if s.isProvedAWS() {
		return knownAWS(o.Target), nil
	}
	c := newCanary(s, o)
	defer func() {
		caps = *c.caps
		caps.Notes = c.notes
	}()
	if o.Announce != nil {
		if err := o.Announce(c.name); err != nil {
			return caps, err
		}
	}
	// A request that is broken off may still make an object after everything was
	// removed: once the context ends no other is sent, and the last are waited for.
	c.wanted = func() error {
		if err := ctx.Err(); err != nil {
			return FailedToSend("Probe", object.Ref{Bucket: o.Bucket}, ctx, err)
		}
		return nil
	}
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lateRequest, cancel) })()
	if err := c.prepare(asking); err != nil && len(c.litter.made) == 0 {
		return caps, err
	} else if err != nil {
		return caps, errors.Join(err, c.clean(ctx))
	}
	err = c.probe(asking)
	return caps, errors.Join(err, c.clean(ctx))
}

// knownAWS is what S3 itself does (general purpose buckets).
func knownAWS(t object.Target) object.Capabilities {
	return object.Capabilities{
		Source: "aws", Encrypts: object.Yes,
		Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy, Replace: object.Yes, Multipart: object.Yes,
		Update:            object.Yes,
		CopySourceIfMatch: object.Yes, PartSourceIfMatch: object.Yes, CopyIfMatch: object.Yes, CompleteIfMatch: object.Yes,
		ListMetadata: object.No, CopyShowsEncryption: object.Yes, UploadShowsEncryption: object.Yes,
		KeepsTags: object.Yes, KeepsLock: object.Yes, KeepsRedirect: object.Yes, KeepsExpires: object.Yes, KeepsClass: object.Yes,
		PutTagging: object.Yes, PutRetention: object.Yes, PutACL: object.Yes,
		GetTagging: object.Yes, GetACL: object.Yes, GetAttributes: object.Yes, GetRetention: object.Yes,
		DSSE: object.Yes, BucketKey: object.Yes, Checksums: object.Yes, UploadChecksums: object.Yes, VersionsInReplies: object.Yes,
		ShownKeyID: t.ShownKeyID,
	}
}

// probe asks everything, cheapest and most decisive first.
func (c *canary) probe(ctx context.Context) error {
	if err := c.madeUpAlgorithm(ctx); err != nil {
		return err
	}
	if c.caps.Encrypts == object.No && !c.o.AcceptUnproven {
		return nil
	}
	if c.o.AcceptUnproven && c.caps.Encrypts == object.No {
		c.caps.Source, c.caps.Encrypts = "assumed", object.Unknown
	}
	for _, ask := range []func(context.Context) error{c.direct, c.subResources, c.plainRoutes, c.encryptedRoute, c.particulars} {
		if err := ask(ctx); err != nil {
			return err
		}
		if c.caps.Encrypts == object.No && !c.o.AcceptUnproven {
			return nil
		}
	}
	return nil
}

// particulars need the routes, and not one another.
func (c *canary) particulars(ctx context.Context) error {
	return c.together(ctx, (*canary).conditions, (*canary).update, (*canary).listMetadata, (*canary).redirect, (*canary).class,
		(*canary).features, (*canary).locks)
}

// madeUpAlgorithm: a store that takes an encryption that does not exist does not
// look at what it is asked for.
func (c *canary) madeUpAlgorithm(ctx context.Context) error {
	_, err := c.put(ctx, "algorithm", func(r *request) { r.set("X-Amz-Server-Side-Encryption", "reseal-made-up") })
	switch {
	case err == nil:
		c.caps.Encrypts = object.No
		c.note("PutObject with an encryption that does not exist answered 200: this store does not encrypt")
	case undecided(err):
		return err
	case object.ClassOf(err) == object.ClassDenied:
		return c.mayWrite(ctx)
	}
	return nil
}

// mayWrite tells a missing permission to write from a refusal of the
// algorithm that came as 403.
func (c *canary) mayWrite(ctx context.Context) error {
	_, err := c.put(ctx, "write", nil)
	return err
}

// direct writes an object under the target and reads it back, which shows
// whether the store does the wanted encryption, and how it names the key.
func (c *canary) direct(ctx context.Context) error {
	ref, err := c.put(ctx, "direct", func(r *request) { r.encrypt(&c.target) })
	if err != nil {
		if undecided(err) {
			return err
		}
		if c.target.SSE == object.DSSEKMS {
			c.caps.DSSE = object.No
		}
		c.targetRefused = true
		c.note("PutObject under %s was refused: %s", c.target.SSE, reason(err))
		return nil
	}
	h, err := c.head(ctx, ref, c.target.CustomerKey)
	if err != nil {
		if undecided(err) {
			return err
		}
		c.note("HeadObject after PutObject under %s failed: %s", c.target.SSE, reason(err))
		return nil
	}
	if h.Encryption.Type != c.target.SSE {
		c.note("PutObject under %s answered 200, and HeadObject shows %s", c.target.SSE, h.Encryption.Type)
		return nil
	}
	c.shownKey(h.Encryption.KMSKeyID)
	if c.target.SSE == object.SSEC {
		return c.keyIsNeeded(ctx, ref)
	}
	if c.met(h.Encryption) && c.caps.Encrypts == object.Unknown && c.caps.Source == "canary" {
		c.caps.Encrypts = object.Yes
	}
	return nil
}

// shownKey takes the store's name for the target's key, unless it is plainly
// another key.
func (c *canary) shownKey(shown string) {
	if !c.target.SSE.KMS() || shown == "" {
		return
	}
	asked := c.target.KMSKeyID
	if asked == "" || isAlias(asked) || object.SameKMSKey(asked, shown) {
		c.caps.ShownKeyID, c.target.ShownKeyID = shown, shown
		return
	}
	c.note("asked for the key %s, the store shows %s", asked, shown)
}

// keyIsNeeded: under SSE-C nothing may be read without the key. Some stores take
// the key, and give the object to everybody.
func (c *canary) keyIsNeeded(ctx context.Context, ref object.Ref) error {
	same, err := c.intact(ctx, ref, object.CustomerKey{})
	switch {
	case err == nil && same:
		c.caps.Encrypts = object.No
		c.note("an object under SSE-C can be read without its key: this store does not encrypt it")
	case err != nil && undecided(err):
		return err
	case c.caps.Encrypts == object.Unknown && c.caps.Source == "canary":
		c.caps.Encrypts = object.Yes
	}
	return nil
}

// reason is a refusal in short.
func reason(err error) string {
	var e *object.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if e.Code != "" {
		return e.Code
	}
	if e.HTTPStatus != 0 {
		return http.StatusText(e.HTTPStatus)
	}
	return e.Message
}

// both is what two observations of one ability say together: one No is a No, and
// nothing observed says nothing.
func both(a, b object.Finding) object.Finding {
	switch {
	case a == object.No || b == object.No:
		return object.No
	case a == object.Unknown:
		return b
	case b == object.Unknown:
		return a
	}
	return object.Yes
}
