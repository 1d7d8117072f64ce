package canary

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// An ETag that no throwaway object has.
const wrongETag = "00000000000000000000000000000000"

// subject is a copy that was answered: what it was made from, and what it made. In
// place both are one object.
type subject struct {
	route        object.Route
	source, dest *thing
}

// chooseSubject takes a CopyObject, if it was answered.
func (c *canary) chooseSubject(t *trial) bool {
	if !t.answered {
		return false
	}
	c.subject = &subject{route: t.route, source: t.source, dest: t.source}
	if t.dest != t.source.ref {
		c.subject.dest = &thing{ref: t.dest, body: t.source.body, etag: t.after.ETag, version: t.after.ShownVersionID}
	}
	return true
}

// conditions of CopyObject: the wrong ones must be refused and the right ones taken.
// One after the other, since an ignored one changes what the next is asked of.
func (c *canary) conditions(ctx context.Context) (err error) {
	if c.o.asks(func(k *object.Capabilities) object.Finding { return k.CopySourceIfMatch }, "") {
		c.caps.CopySourceIfMatch, err = c.refused(ctx, "conditions", want{sourceETag: wrongETag})
		if c.caps.CopySourceIfMatch == object.No {
			c.note("CopyObject ignores x-amz-copy-source-if-match")
		}
	}
	if err != nil {
		return err
	}
	if c.o.asks(func(k *object.Capabilities) object.Finding { return k.CopyIfMatch }, "") {
		c.caps.CopyIfMatch, err = c.copyDest(ctx)
		if c.caps.CopyIfMatch == object.No {
			c.note("CopyObject ignores If-Match or If-None-Match on the destination")
		}
	}
	return err
}

// copyDest is about the conditions on the destination: in place If-Match, elsewhere
// If-None-Match. One that does not hold, and then one that does.
func (c *canary) copyDest(ctx context.Context) (found object.Finding, err error) {
	if !c.o.Dest || c.o.Everything {
		if found, err = c.refused(ctx, "if-match", want{destETag: wrongETag}); err != nil || found != object.Yes {
			return found, err
		}
	}
	if c.o.Dest || c.o.Everything {
		absent, err := c.refused(ctx, "if-none-match", want{destAbsent: true})
		if err != nil || absent == object.No || c.o.Dest && absent != object.Yes {
			return absent, err
		}
	}
	on, err := c.onSubject(ctx, "if-match")
	if err != nil {
		return object.Unknown, err
	}
	if found, err = c.onRightCondition(ctx, on); err != nil || found != object.Unknown || on != c.subject {
		return found, err
	}
	// A subject that is under a customer key by now cannot be copied like a plain one.
	if on, err = c.newSubject(ctx, "if-match"); err != nil {
		return object.Unknown, err
	}
	return c.onRightCondition(ctx, on)
}

// onRightCondition copies under a condition that holds.
func (c *canary) onRightCondition(ctx context.Context, on *subject) (object.Finding, error) {
	w := want{destETag: on.dest.etag, dest: &on.dest.ref}
	if c.o.Dest {
		absent := c.ref("absent")
		c.litter.object(absent, "")
		w = want{destAbsent: true, dest: &absent}
	}
	t, err := c.attempt(ctx, on.route, on.source, w)
	return taken(&t), err
}

// onSubject is the subject, or a new plain object where no copy was answered. Its
// route is asked for although it may not re-encrypt.
func (c *canary) onSubject(ctx context.Context, purpose string) (*subject, error) {
	if c.subject != nil {
		return c.subject, nil
	}
	return c.newSubject(ctx, purpose)
}

func (c *canary) newSubject(ctx context.Context, purpose string) (*subject, error) {
	t, _, err := c.dressed(ctx, purpose, nil)
	return &subject{route: object.RouteReplace, source: t, dest: t}, err
}

// refused sends CopyObject under a condition that does not hold, and says whether the
// store noticed. Where the subject cannot be copied at all, a plain object is asked.
func (c *canary) refused(ctx context.Context, purpose string, w want) (object.Finding, error) {
	if c.subject != nil {
		w.dest = &c.subject.dest.ref
		t, err := c.attempt(ctx, c.subject.route, c.subject.source, w)
		if found := refusal(&t); err != nil || found != object.Unknown {
			return found, err
		}
	}
	on, err := c.newSubject(ctx, purpose)
	if err != nil {
		return object.Unknown, err
	}
	w.dest = &on.dest.ref
	t, err := c.attempt(ctx, on.route, on.source, w)
	return refusal(&t), err
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
