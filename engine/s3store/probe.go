package s3store

import (
	"context"
	"errors"
	"net/http"
	"strings"

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
}

// Probe finds out what the endpoint can do.
//
// AWS hosts are known, and nothing is sent. Any other endpoint is believed only
// after a canary: small throwaway objects, the very requests of the job, and
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
	if s.aws {
		return knownAWS(o.Target), nil
	}
	c := newCanary(s, o)
	c.caps.Source = "canary"
	if err := c.prepare(ctx); err != nil && len(c.made) == 0 {
		return c.caps, err
	} else if err != nil {
		return c.caps, errors.Join(err, c.clean(ctx))
	}
	err = c.probe(ctx)
	return c.caps, errors.Join(err, c.clean(ctx))
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
		DSSE: object.Yes, BucketKey: object.Yes, Checksums: object.Yes, VersionsInReplies: object.Yes,
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
	for _, ask := range []func(context.Context) error{
		c.direct, c.subResources, c.plainRoutes, c.encryptedRoute, c.conditions, c.uploadConditions,
		c.update, c.listMetadata, c.redirect, c.class, c.features, c.locks,
	} {
		if err := ask(ctx); err != nil {
			return err
		}
		if c.caps.Encrypts == object.No && !c.o.AcceptUnproven {
			return nil
		}
	}
	return nil
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
		c.refused = true
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

// update tries UpdateObjectEncryption on a throwaway object, where the job could
// use it.
func (c *canary) update(ctx context.Context) error {
	if c.target.SSE != object.SSEKMS || c.target.KMSKeyID == "" {
		return nil
	}
	c.caps.Update = object.No
	if c.lockAll {
		c.note("UpdateObjectEncryption was not tried: it refuses locked objects, and this bucket locks all")
		return nil
	}
	ref, err := c.put(ctx, "update", func(r *request) { r.encrypt(&object.Target{SSE: object.SSES3}) })
	if err != nil {
		if undecided(err) {
			return err
		}
		c.note("UpdateObjectEncryption was not tried: no object under SSE-S3 can be made (%s)", reason(err))
		return nil
	}
	before, err := c.head(ctx, ref, object.CustomerKey{})
	if err != nil {
		return err
	}
	t := c.target
	if strings.HasPrefix(t.ShownKeyID, "arn:") {
		t.KMSKeyID = t.ShownKeyID // the operation wants a full ARN
	}
	err = c.try(ctx, func() error { _, err := c.s.Update(ctx, ref, &t); return err })
	if err != nil {
		if undecided(err) {
			return err
		}
		c.note("UpdateObjectEncryption was refused: %s", reason(err))
		return nil
	}
	same, err := c.intact(ctx, ref, object.CustomerKey{})
	if err != nil && undecided(err) {
		return err
	}
	if !same {
		c.note("UpdateObjectEncryption answered 200 and replaced the object by the request: it is never sent to this store")
		return nil
	}
	after, err := c.head(ctx, ref, object.CustomerKey{})
	if err != nil {
		return err
	}
	if !c.met(after.Encryption) || after.ETag != before.ETag {
		c.note("UpdateObjectEncryption answered 200 and left the object under %s", after.Encryption.Type)
		return nil
	}
	c.caps.Update = object.Yes
	return nil
}

// listMetadata: a listing with metadata=true tells every row's encryption.
func (c *canary) listMetadata(ctx context.Context) error {
	sources := []struct {
		purpose string
		target  *object.Target
	}{{"list-plain", nil}, {"list-encrypted", &c.target}}
	want := map[string]object.Encryption{}
	for _, src := range sources {
		if src.target != nil && src.target.SSE == object.SSEC {
			src.target = &object.Target{SSE: object.SSES3} // no row can settle which customer key it is
		}
		ref, err := c.put(ctx, src.purpose, func(r *request) { r.encrypt(src.target) })
		if err != nil {
			if undecided(err) {
				return err
			}
			continue
		}
		h, err := c.head(ctx, ref, object.CustomerKey{})
		if err != nil {
			return err
		}
		want[ref.Key] = h.Encryption
	}
	told, err := c.rowsTell(ctx, want, c.s.ListPage)
	if err != nil {
		return err
	}
	if told && c.o.Facts.Versioning == object.VersioningEnabled {
		if told, err = c.rowsTell(ctx, want, c.s.ListVersionsPage); err != nil {
			return err
		}
	}
	encrypted := false
	for _, e := range want {
		encrypted = encrypted || e.Type != object.SSENone
	}
	c.caps.ListMetadata = object.Found(told && encrypted)
	return nil
}

func (c *canary) rowsTell(ctx context.Context, want map[string]object.Encryption,
	list func(context.Context, object.ListRequest) (object.ListReply, error)) (bool, error) {
	var rep object.ListReply
	err := c.try(ctx, func() (err error) {
		rep, err = list(ctx, object.ListRequest{Bucket: c.o.Bucket, Prefix: c.name, Metadata: true})
		return err
	})
	if err != nil {
		if undecided(err) {
			return false, err
		}
		return false, nil
	}
	told := 0
	for _, o := range rep.Objects {
		if e, asked := want[o.Key]; asked && o.Settled && o.Encryption == e {
			told++
		}
	}
	return told == len(want), nil
}

// redirect: is a website redirect kept that the request names?
func (c *canary) redirect(ctx context.Context) error {
	for _, route := range c.routesInUse() {
		ref, err := c.put(ctx, "redirect", func(r *request) { r.set("X-Amz-Website-Redirect-Location", canaryRedirect) })
		if err != nil {
			if undecided(err) {
				return err
			}
			return nil
		}
		h, err := c.head(ctx, ref, object.CustomerKey{})
		if err != nil || h.WebsiteRedirect == "" {
			return err // a store that keeps no redirects has none to lose
		}
		t, err := c.attempt(ctx, route, h, want{})
		if err != nil {
			return err
		}
		if t.answered {
			c.caps.KeepsRedirect = both(c.caps.KeepsRedirect, kept(h.WebsiteRedirect, t.after.WebsiteRedirect))
		}
	}
	if c.caps.KeepsRedirect == object.No {
		c.note("a copy loses the website redirect, also where the request names it")
	}
	return nil
}

// class: is a storage class kept that the request names?
func (c *canary) class(ctx context.Context) error {
	for _, class := range []string{"STANDARD_IA", "REDUCED_REDUNDANCY"} {
		ref, err := c.put(ctx, "class", func(r *request) { r.set("X-Amz-Storage-Class", class) })
		if err != nil {
			if undecided(err) {
				return err
			}
			continue
		}
		h, err := c.head(ctx, ref, object.CustomerKey{})
		if err != nil {
			return err
		}
		if object.SameClass(h.StorageClass, "STANDARD") {
			continue // a store that keeps no such class has none to lose
		}
		kept := object.Unknown
		for _, route := range c.routesInUse() {
			t, err := c.attempt(ctx, route, h, want{class: class})
			if err != nil {
				return err
			}
			if t.answered {
				kept = both(kept, object.Found(object.SameClass(t.after.StorageClass, class)))
			}
		}
		c.caps.KeepsClass = kept
		return nil
	}
	return nil
}

// features are single questions to PutObject and HeadObject.
func (c *canary) features(ctx context.Context) error {
	if c.target.SSE.KMS() {
		dsse := object.Target{SSE: object.DSSEKMS, KMSKeyID: c.target.KMSKeyID}
		found, err := c.shows(ctx, "dsse", func(r *request) { r.encrypt(&dsse) },
			func(h *object.Head) bool { return h.Encryption.Type == object.DSSEKMS })
		if err != nil {
			return err
		}
		c.caps.DSSE = found
		bucketKey := object.Target{SSE: object.SSEKMS, KMSKeyID: c.target.KMSKeyID, BucketKey: object.On}
		found, err = c.shows(ctx, "bucket-key", func(r *request) { r.encrypt(&bucketKey) },
			func(h *object.Head) bool { return h.Encryption.BucketKey })
		if err != nil {
			return err
		}
		c.caps.BucketKey = found
	}
	sum := ""
	found, err := c.shows(ctx, "checksum", func(r *request) {
		sum = crc32Of(r.body)
		r.set("X-Amz-Checksum-Crc32", sum)
	}, func(h *object.Head) bool { return h.Checksums["CRC32"] == sum })
	c.caps.Checksums = found
	return err
}

// shows says whether an object put with more is shown as it should be.
func (c *canary) shows(ctx context.Context, purpose string, more func(*request), as func(*object.Head) bool) (object.Finding, error) {
	ref, err := c.put(ctx, purpose, more)
	if err == nil {
		var h object.Head
		if h, err = c.head(ctx, ref, object.CustomerKey{}); err == nil {
			return object.Found(as(&h)), nil
		}
	}
	if undecided(err) {
		return object.Unknown, err
	}
	return object.No, nil
}

// conditions of CopyObject: the wrong ones must be refused and the right ones
// taken.
func (c *canary) conditions(ctx context.Context) error {
	route := c.caps.Route
	if route != object.RouteSelfCopy {
		route = object.RouteReplace // asked for although it may not re-encrypt: --dest and others may use it
	}
	h, err := c.plain(ctx, "conditions")
	if err != nil {
		return err
	}
	const wrong = "00000000000000000000000000000000"
	refused := func(w want) (object.Finding, error) {
		t, err := c.attempt(ctx, route, h, w)
		return refusal(&t), err
	}
	if c.caps.CopySourceIfMatch, err = refused(want{sourceETag: wrong}); err != nil {
		return err
	}
	if c.caps.CopySourceIfMatch == object.No {
		c.note("CopyObject ignores x-amz-copy-source-if-match")
	}
	// The copy above may have happened, so the source is looked at again each time.
	if h, err = c.plain(ctx, "if-match"); err != nil {
		return err
	}
	if c.caps.CopyIfMatch, err = refused(want{destETag: wrong}); err != nil {
		return err
	}
	if c.caps.CopyIfMatch == object.Yes {
		absent, err := refused(want{destAbsent: true})
		if err != nil {
			return err
		}
		c.caps.CopyIfMatch = both(c.caps.CopyIfMatch, absent)
	}
	if c.caps.CopyIfMatch == object.No {
		c.note("CopyObject ignores If-Match or If-None-Match on the destination")
	}
	if c.caps.CopyIfMatch == object.Yes {
		t, err := c.attempt(ctx, route, h, want{destETag: h.ETag})
		if err != nil {
			return err
		}
		c.caps.CopyIfMatch = taken(&t)
	}
	return nil
}

// locks: on a bucket that can hold them, does a copy that carries a lock make a
// locked object?
func (c *canary) locks(ctx context.Context) error {
	if !c.lock {
		return nil
	}
	kept := object.Unknown
	for _, route := range c.routesInUse() {
		h, err := c.plain(ctx, "lock-"+routeWord(route))
		if err != nil {
			return err
		}
		until := c.until()
		t, err := c.attempt(ctx, route, h, want{lockUntil: until})
		if err != nil {
			return err
		}
		if t.answered {
			kept = both(kept, object.Found(t.after.LockMode == "GOVERNANCE" && t.after.RetainUntil.Equal(until)))
		}
	}
	c.caps.KeepsLock = kept
	if kept == object.No {
		c.note("a copy does not take the Object Lock that the request names")
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
