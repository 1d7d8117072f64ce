package s3store

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

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

// uploadConditions are those of a multipart copy.
func (c *canary) uploadConditions(ctx context.Context) error {
	if c.caps.Multipart != object.Yes {
		return nil
	}
	const wrong = "00000000000000000000000000000000"
	h, err := c.plain(ctx, "part-condition")
	if err != nil {
		return err
	}
	t, err := c.attempt(ctx, object.RouteMultipart, h, want{sourceETag: wrong})
	if err != nil {
		return err
	}
	c.caps.PartSourceIfMatch = refusal(&t)
	if c.caps.PartSourceIfMatch == object.No {
		c.note("UploadPartCopy ignores x-amz-copy-source-if-match")
	}
	for _, w := range []want{{destETag: wrong}, {destAbsent: true}} {
		if h, err = c.plain(ctx, "complete-condition"); err != nil {
			return err
		}
		if t, err = c.attempt(ctx, object.RouteMultipart, h, w); err != nil {
			return err
		}
		c.caps.CompleteIfMatch = both(c.caps.CompleteIfMatch, refusal(&t))
	}
	if c.caps.CompleteIfMatch == object.No {
		c.note("CompleteMultipartUpload ignores If-Match: a concurrent write could be overwritten")
	}
	if c.caps.CompleteIfMatch == object.Yes { // and the right one is taken
		if t, err = c.attempt(ctx, object.RouteMultipart, h, want{destETag: h.ETag}); err != nil {
			return err
		}
		c.caps.CompleteIfMatch = taken(&t)
	}
	return nil
}

// taken is what a trial on the right condition says: one that is refused as if it
// did not hold is as bad as one that is ignored, and any other refusal is about
// something else.
func taken(t *trial) object.Finding {
	switch {
	case t.answered:
		return object.Yes
	case object.ClassOf(t.err) == object.ClassChanged:
		return object.No
	}
	return object.Unknown
}

// refusal is what a trial on a wrong condition says.
func refusal(t *trial) object.Finding {
	switch {
	case t.answered:
		return object.No
	case object.ClassOf(t.err) == object.ClassChanged:
		return object.Yes
	}
	return object.Unknown
}
