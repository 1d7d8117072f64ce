package canary

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// rewrite: PutObject with a condition, as a rewrite sends it. Whatever was not seen
// to work is No: unknown is what jobs of older reseals say.
func (c *canary) rewrite(ctx context.Context) error {
	known := func(k *object.Capabilities) object.Finding { return k.PutIfMatch }
	c.caps.PutIfMatch = object.No
	if c.targetRefused || c.o.Only == object.OpUpdate || c.o.Only == object.OpCopy || !c.o.asks(known, "") {
		return nil
	}
	// Over a plain object, as the job writes over one that is not under the target:
	// MinIO looks at what is there with the customer key of what is to come.
	over, _, err := c.dressed(ctx, "put-condition", nil)
	if err != nil {
		return err
	}
	found, err := c.putConditions(ctx, over)
	if found == object.Yes {
		c.caps.PutIfMatch = object.Yes
	} else if err == nil {
		c.note("PutObject does not do what its If-Match or If-None-Match says: a concurrent write could be overwritten")
	}
	return err
}

// putConditions: wrong ones are refused, right ones taken, and an object that was
// deleted meanwhile is not brought back.
func (c *canary) putConditions(ctx context.Context, thing *thing) (object.Finding, error) {
	found := object.Unknown
	if c.o.Dest || c.o.Everything {
		over, err := c.putOver(ctx, thing, want{destAbsent: true})
		if own, oerr := c.own(ctx, over); err == nil && (own != nil || oerr != nil) {
			if err = oerr; err == nil {
				over, err = c.putOver(ctx, own, want{destAbsent: true})
			}
		}
		if err != nil || over != object.Yes {
			return over, err
		}
		_, _, err = c.put(ctx, "absent", func(p *object.PutRequest) { p.Target, p.DestAbsent = &c.target, true })
		if err != nil {
			return refusedAsWrong(err)
		}
		found = object.Yes
	}
	if c.o.Dest { // it sends no other
		return found, nil
	}
	wrong, err := c.putOver(ctx, thing, want{destETag: wrongETag})
	if err != nil || wrong != object.Yes {
		return wrong, err
	}
	if right, err := c.putRightly(ctx, thing); err != nil || right != object.Yes {
		return right, err
	}
	gone, err := c.deleted(ctx, thing)
	if err != nil {
		return object.Unknown, err
	}
	return c.putOver(ctx, gone, want{destETag: gone.etag})
}

// own is a throwaway object under the target, where one under none did not show what a condition
// does: MinIO looks at what is there with the customer key of what is to come, and refuses the
// request where that is not what it is under. It overwrites neither.
func (c *canary) own(ctx context.Context, found object.Finding) (*thing, error) {
	if found != object.Unknown || c.target.SSE != object.SSEC {
		return nil, nil
	}
	one, _, err := c.put(ctx, "own", func(p *object.PutRequest) { p.Target = &c.target })
	switch {
	case err == nil:
		return one, nil
	case undecided(err):
		return nil, err
	}
	return nil, nil
}

// absentOver is a try of If-None-Match: * by that route over the source, or, where that shows
// nothing, over an object of its own.
func (c *canary) absentOver(ctx context.Context, route object.Route, source *thing) (trial, error) {
	t, err := c.attempt(ctx, route, source, want{destAbsent: true, dest: &source.ref})
	if err != nil {
		return t, err
	}
	own, err := c.own(ctx, refusal(&t))
	if own == nil || err != nil {
		return t, err
	}
	return c.attempt(ctx, route, source, want{destAbsent: true, dest: &own.ref})
}

// putRightly writes over a thing on a condition that holds, and says whether that was
// done under the target.
func (c *canary) putRightly(ctx context.Context, thing *thing) (object.Finding, error) {
	refused, err := c.putOver(ctx, thing, want{destETag: thing.etag})
	switch {
	case err != nil || refused != object.No: // it was not answered
		return object.No, err
	case thing.shown.Type != object.SSEUnknown: // else a lost reply, or one that tells nothing
		return object.Found(c.met(thing.shown)), nil
	}
	h, err := c.head(ctx, thing.ref, c.target.CustomerKey)
	thing.etag = h.ETag
	return object.Found(err == nil && c.met(h.Encryption)), err
}

// putOver writes other bytes over a thing on a condition: Yes where the store refuses
// because the condition does not hold, No where it writes.
func (c *canary) putOver(ctx context.Context, over *thing, w want) (object.Finding, error) {
	body := over.body + "again\n"
	t := trial{source: over, dest: over.ref}
	rep, err := c.once(ctx, &t, func() (object.CopyReply, error) {
		p := c.putRequest(over.ref, body)
		c.dress.on(p)
		p.Target, p.DestETag, p.DestAbsent = &c.target, w.destETag, w.destAbsent
		return c.s.Put(ctx, p)
	})
	if err != nil {
		return refusedAsWrong(err)
	}
	over.wrote(rep)
	over.body = body
	c.litter.object(over.ref, rep.VersionID)
	return object.No, nil
}

// refusedAsWrong: did the store refuse because of the condition?
func refusedAsWrong(err error) (object.Finding, error) {
	switch class := object.ClassOf(err); {
	case class == object.ClassChanged, class == object.ClassGone:
		return object.Yes, nil
	case undecided(err):
		return object.Unknown, err
	}
	return object.Unknown, nil
}

// deleted is a key that nothing is at: where versions are kept the thing's, whose
// current version is then a delete marker, which a store may look at in another way.
func (c *canary) deleted(ctx context.Context, thing *thing) (*thing, error) {
	if !c.versioned() {
		t, _ := c.throwaway("deleted", nil)
		t.etag = wrongETag
		return t, nil
	}
	c.litter.unsee(thing.ref.Key)
	return thing, c.remove(ctx, thing.ref, false)
}
