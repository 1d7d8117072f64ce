package canary

import (
	"context"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// uploads are the particulars of multipart copies; source is what one has copied.
func (c *canary) uploads(ctx context.Context, source *thing) error {
	relied := c.o.relies(func(k *object.Capabilities) object.Finding { return k.PartSourceIfMatch })
	if c.o.Dest || relied || c.caps.CompleteIfMatch != object.Yes {
		if err := c.partSource(ctx, source); err != nil {
			return err
		}
	}
	if c.o.Dest || c.o.Everything {
		if err := c.completeAbsent(ctx, source); err != nil {
			return err
		}
	}
	last := func(q *canary, ctx context.Context) error { return q.lastUpload(ctx, source) }
	if !c.asksAttributes() || !c.asksSums() && !c.o.Everything {
		return c.together(ctx, last)
	}
	attrs := object.Unknown
	err := c.together(ctx, last, func(q *canary, ctx context.Context) (err error) {
		attrs, err = q.attributes(ctx, source.ref, q.target.CustomerKey)
		return err
	})
	if c.caps.UploadChecksums == object.Yes || c.o.Everything {
		c.attrs = attrs
	}
	return err
}

// asksAttributes: they are only read, and sizes that do not add up are not believed, so
// that an earlier process's answer will do.
func (c *canary) asksAttributes() bool { return c.o.Known == nil || c.o.Everything }

// asksSums: does the job want to know whether an upload can have a composite checksum?
func (c *canary) asksSums() bool {
	return c.caps.Checksums == object.Yes && c.o.asks(func(k *object.Capabilities) object.Finding { return k.UploadChecksums }, object.ReasonComposite)
}

// partSource: where Complete guards the object itself, a source that changed is
// noticed there.
func (c *canary) partSource(ctx context.Context, source *thing) error {
	t, err := c.attempt(ctx, object.RouteMultipart, source, want{sourceETag: wrongETag, dest: &source.ref})
	if err == nil && refusal(&t) == object.Unknown { // for its encryption, as it may be
		if source, _, err = c.dressed(ctx, "part-condition", nil); err != nil {
			return err
		}
		t, err = c.attempt(ctx, object.RouteMultipart, source, want{sourceETag: wrongETag, dest: &source.ref})
	}
	c.caps.PartSourceIfMatch = refusal(&t)
	if c.caps.PartSourceIfMatch == object.No {
		c.note("UploadPartCopy ignores x-amz-copy-source-if-match")
	}
	return err
}

// completeAbsent: Complete with If-None-Match: * over an object that is there. That
// the same condition is taken where it holds the multipart trial has shown, if the job
// writes elsewhere.
func (c *canary) completeAbsent(ctx context.Context, source *thing) error {
	t, err := c.absentOver(ctx, object.RouteMultipart, source)
	switch found := refusal(&t); {
	case c.o.Dest:
		c.caps.CompleteIfMatch = found
	case found == object.No:
		c.caps.CompleteIfMatch = object.No
	}
	if c.caps.CompleteIfMatch == object.No {
		c.note("CompleteMultipartUpload ignores If-Match or If-None-Match: a concurrent write could be overwritten")
	}
	return err
}

// lastUpload asks two things of one upload: whether Complete with If-Match brings an
// object back that others have deleted meanwhile, and whether an upload whose parts
// are copied can have a composite checksum.
func (c *canary) lastUpload(ctx context.Context, source *thing) error {
	sums := c.asksSums()
	deleted := !c.o.Dest && c.caps.CompleteIfMatch == object.Yes
	if !sums && !deleted {
		return nil
	}
	if sums {
		c.caps.UploadChecksums = object.No
	}
	t, u, err := c.lastBegun(ctx, source, sums)
	if err != nil && !undecided(err) { // the object is encrypted by now, which may be why
		if source, _, err = c.dressed(ctx, "upload", nil); err != nil {
			return err
		}
		t, u, err = c.lastBegun(ctx, source, sums)
	}
	if err != nil && !undecided(err) && sums && deleted { // for the checksum
		sums = false
		t, u, err = c.lastBegun(ctx, source, false)
	}
	if err != nil {
		if undecided(err) {
			return err
		}
		return nil
	}
	if deleted {
		if err := c.completeDeleted(ctx, t, u); err != nil {
			return err
		}
	}
	if sums && u.Parts[0].Checksum != "" && t.wrongCondition != object.No {
		return c.completeComposite(ctx, t, u)
	}
	if c.caps.UploadChecksums == object.No {
		c.note("an upload of copied parts cannot have a composite checksum")
	}
	return nil
}

// lastBegun begins an upload to where nothing is.
func (c *canary) lastBegun(ctx context.Context, source *thing, sums bool) (*trial, *object.CompleteRequest, error) {
	t := &trial{route: object.RouteMultipart, source: source, dest: beside(source.ref)}
	c.litter.object(t.dest, "")
	req := c.copyRequest(t)
	if sums {
		req.ChecksumAlgorithm, req.ChecksumType = sumOfParts, object.Composite
	}
	u, err := c.beginUpload(ctx, t, req)
	return t, u, err
}

// completeDeleted sends an If-Match to where nothing is.
func (c *canary) completeDeleted(ctx context.Context, t *trial, u *object.CompleteRequest) error {
	_, err := c.completeWrongly(ctx, t, u)
	if err == nil && t.wrongCondition == object.No {
		c.caps.CompleteIfMatch = object.No
		c.note("CompleteMultipartUpload with If-Match brings an object back that was deleted meanwhile")
	}
	return err
}

func (c *canary) completeComposite(ctx context.Context, t *trial, u *object.CompleteRequest) error {
	rep, err := c.completeUpload(ctx, t, u)
	if err != nil {
		if undecided(err) {
			return err
		}
		c.note("an upload of copied parts cannot have a composite checksum: %s", reason(err))
		return nil
	}
	if strings.HasSuffix(rep.Checksum, "-1") && c.met(rep.Encryption) {
		c.caps.UploadChecksums = object.Yes // as composite ones end in the number of parts
		return nil
	}
	after, err := c.head(ctx, t.dest, c.target.CustomerKey)
	if err != nil {
		return err
	}
	c.caps.UploadChecksums = object.Found(after.ChecksumType == object.Composite && c.met(after.Encryption))
	return nil
}

// attributesAnyway asks for what only multipart copies need, for a person, where none
// worked.
func (c *canary) attributesAnyway(ctx context.Context) error {
	if !c.o.Everything || c.uploaded != nil {
		return nil
	}
	t, _, err := c.put(ctx, "attributes", nil)
	if err != nil {
		return err
	}
	c.caps.GetAttributes, err = c.attributes(ctx, t.ref, object.CustomerKey{})
	return err
}

func (c *canary) attributes(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.Finding, error) {
	err := c.try(ctx, func() error { return c.s.Attributes(ctx, ref, key) })
	switch {
	case err == nil:
		return object.Yes, nil
	case undecided(err):
		return object.Unknown, err
	case !denied(err):
		return object.No, nil
	}
	return object.Unknown, nil
}
