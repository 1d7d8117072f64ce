package s3store

import (
	"context"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

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
	if err != nil {
		return err
	}
	return c.uploadChecksums(ctx)
}

// uploadChecksums: can an upload whose parts are copied have a composite checksum?
func (c *canary) uploadChecksums(ctx context.Context) error {
	if c.caps.Checksums != object.Yes || c.caps.Multipart != object.Yes {
		return nil
	}
	h, err := c.plain(ctx, "upload-checksum")
	if err != nil {
		return err
	}
	req := c.copyRequest(object.RouteMultipart, h, want{})
	req.ChecksumAlgorithm, req.ChecksumType = "CRC32", "COMPOSITE"
	err = c.try(ctx, func() error { _, _, err := c.multipart(ctx, req, h.Size); return err })
	if err != nil && undecided(err) {
		return err
	}
	c.caps.UploadChecksums = object.No
	if err == nil {
		after, err := c.head(ctx, h.Ref, c.target.CustomerKey)
		if err != nil {
			return err
		}
		c.caps.UploadChecksums = object.Found(after.ChecksumType == "COMPOSITE" && c.met(after.Encryption))
	}
	if c.caps.UploadChecksums == object.No {
		c.note("an upload of copied parts cannot have a composite checksum")
	}
	return nil
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
