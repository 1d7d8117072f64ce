package canary

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// bySending writes an object by an upload whose part comes from here, as a rewrite in
// parts does, and asks about its conditions and checksums. Whatever was not seen to work
// is No.
func (c *canary) bySending(ctx context.Context) (t trial, err error) {
	known := func(k *object.Capabilities) object.Finding { return k.SendIfMatch }
	relied := c.o.relies(known) || c.o.relies(func(k *object.Capabilities) object.Finding { return k.SendChecksums })
	if c.targetRefused || !relied && !(c.o.Sends && c.o.asks(known, "")) {
		return t, nil
	}
	c.caps.SendIfMatch, c.caps.SendChecksums = object.No, object.No
	make := func(ctx context.Context) (*thing, error) {
		made, _, err := c.dressed(ctx, "send", nil)
		return made, err
	}
	w := want{extras: true, wrongFirst: !c.o.Dest, destAbsent: c.o.Dest, sums: c.dress.checksum}
	if t, err = c.run(ctx, object.RouteSend, make, w); err == nil && !t.works() && w.sums {
		w.sums = false
		t, err = c.run(ctx, object.RouteSend, make, w)
	}
	if err != nil {
		return t, err
	}
	c.describe(&t, "an object")
	if !t.works() {
		return t, nil
	}
	c.caps.SendChecksums = object.Found(t.sums && t.after.ChecksumType == object.Composite)
	guarded := t.wrongCondition
	if c.o.Dest || c.o.Everything {
		over, err := c.absentOver(ctx, object.RouteSend, t.source)
		if err != nil {
			return t, err
		}
		guarded = refusal(&over)
		if !c.o.Dest {
			guarded = both(guarded, t.wrongCondition)
		}
	}
	if guarded == object.Yes && !c.o.Dest {
		gone := beside(t.source.ref)
		c.litter.object(gone, "")
		brought, err := c.attempt(ctx, object.RouteSend, t.source, want{destETag: wrongETag, dest: &gone})
		if err != nil {
			return t, err
		}
		if brought.answered {
			guarded = object.No
		}
	}
	c.caps.SendIfMatch = object.Found(guarded == object.Yes)
	if guarded != object.Yes {
		c.note("an upload of sent parts does not do what its If-Match or If-None-Match says: a concurrent write could be overwritten")
	}
	if c.asksAttributes() && c.caps.SendChecksums == object.Yes {
		c.attrs, err = c.attributes(ctx, t.source.ref, c.sentKey(&t))
	}
	return t, err
}

// sentKey opens the trial's source: what was sent has taken its place, unless the job
// writes elsewhere.
func (c *canary) sentKey(t *trial) object.CustomerKey {
	if t.dest == t.source.ref {
		return c.target.CustomerKey
	}
	return object.CustomerKey{}
}
