package s3store

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// An ETag that no throwaway object has.
const wrongETag = "00000000000000000000000000000000"

// conditions: the wrong ones must be refused and the right ones taken.
func (c *canary) conditions(ctx context.Context) error {
	ask := []question{(*canary).copySource, (*canary).copyDest}
	if c.caps.Multipart == object.Yes {
		ask = append(ask, (*canary).partSource, (*canary).complete)
	}
	return c.together(ctx, ask...)
}

// conditional is the route of a copy that carries conditions.
func (c *canary) conditional() object.Route {
	if c.caps.Route == object.RouteSelfCopy {
		return object.RouteSelfCopy
	}
	return object.RouteReplace // asked for although it may not re-encrypt: --dest and others may use it
}

// refused makes an object, copies it by a route under a condition that does not
// hold, and says whether the store noticed.
func (c *canary) refused(ctx context.Context, purpose string, route object.Route, w want) (object.Head, object.Finding, error) {
	h, err := c.plain(ctx, purpose)
	if err != nil {
		return h, object.Unknown, err
	}
	t, err := c.attempt(ctx, route, h, w)
	return h, refusal(&t), err
}

func (c *canary) copySource(ctx context.Context) (err error) {
	_, c.caps.CopySourceIfMatch, err = c.refused(ctx, "conditions", c.conditional(), want{sourceETag: wrongETag})
	if c.caps.CopySourceIfMatch == object.No {
		c.note("CopyObject ignores x-amz-copy-source-if-match")
	}
	return err
}

func (c *canary) copyDest(ctx context.Context) (err error) {
	c.caps.CopyIfMatch, err = c.dest(ctx, "if-match", c.conditional())
	if c.caps.CopyIfMatch == object.No {
		c.note("CopyObject ignores If-Match or If-None-Match on the destination")
	}
	return err
}

func (c *canary) partSource(ctx context.Context) (err error) {
	_, c.caps.PartSourceIfMatch, err = c.refused(ctx, "part-condition", object.RouteMultipart, want{sourceETag: wrongETag})
	if c.caps.PartSourceIfMatch == object.No {
		c.note("UploadPartCopy ignores x-amz-copy-source-if-match")
	}
	return err
}

func (c *canary) complete(ctx context.Context) (err error) {
	c.caps.CompleteIfMatch, err = c.dest(ctx, "complete-condition", object.RouteMultipart)
	if c.caps.CompleteIfMatch == object.No {
		c.note("CompleteMultipartUpload ignores If-Match: a concurrent write could be overwritten")
	}
	return err
}

// dest is about the conditions on the destination: If-Match and If-None-Match that
// do not hold, and then an If-Match that does, on an object that was left alone.
func (c *canary) dest(ctx context.Context, purpose string, route object.Route) (object.Finding, error) {
	var h object.Head
	var match, absent object.Finding
	err := c.together(ctx,
		func(c *canary, ctx context.Context) (err error) {
			h, match, err = c.refused(ctx, purpose, route, want{destETag: wrongETag})
			return err
		},
		func(c *canary, ctx context.Context) (err error) {
			_, absent, err = c.refused(ctx, purpose, route, want{destAbsent: true})
			return err
		})
	switch {
	case err != nil || match == object.Unknown:
		return object.Unknown, err
	case match == object.No || absent == object.No:
		return object.No, nil
	}
	t, err := c.attempt(ctx, route, h, want{destETag: h.ETag})
	return taken(&t), err
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
