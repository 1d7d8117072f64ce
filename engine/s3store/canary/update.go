package canary

import (
	"context"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// asksUpdate: UpdateObjectEncryption leads to a named KMS key only, and in place.
func (c *canary) asksUpdate() bool {
	known := func(k *object.Capabilities) object.Finding { return k.Update }
	return c.target.SSE == object.SSEKMS && c.target.KMSKeyID != "" && (c.o.Everything ||
		!c.o.Dest && c.o.Only != object.OpCopy && c.o.Only != object.OpRewrite && c.o.asks(known, ""))
}

func (c *canary) update(ctx context.Context, ref object.Ref) error {
	t := c.target
	if strings.HasPrefix(t.ShownKeyID, "arn:") {
		t.KMSKeyID = t.ShownKeyID // the operation wants a full ARN
	}
	_, err := c.s.Update(ctx, ref, &t)
	return err
}

// settleUpdate: an object that is under the target has survived the operation, or has
// refused it. Now it is asked to do what it is for: of an object under SSE-S3.
func (c *canary) settleUpdate(ctx context.Context, w *write) error {
	c.caps.Update = object.No
	if c.o.Known != nil && !c.o.Everything { // the store still knows the operation
		c.caps.Update = object.Found(!w.overwrote && (w.refused == nil || object.ClassOf(w.refused) == object.ClassInvalid))
		return nil
	}
	if w.overwrote || w.refused != nil && object.ClassOf(w.refused) != object.ClassInvalid {
		return nil
	}
	t, _, err := c.put(ctx, "update", func(p *object.PutRequest) { p.Target = &object.Target{SSE: object.SSES3} })
	if err != nil {
		if undecided(err) {
			return err
		}
		c.note("UpdateObjectEncryption was not tried: no object under SSE-S3 can be made (%s)", reason(err))
		return nil
	}
	if err := c.try(ctx, func() error { return c.update(ctx, t.ref) }); err != nil {
		if undecided(err) {
			return err
		}
		if w.refused == nil {
			c.note("UpdateObjectEncryption was refused: %s", reason(err))
		}
		return nil
	}
	got, err := c.get(ctx, t.ref, object.CustomerKey{})
	switch {
	case err != nil && undecided(err):
		return err
	case err != nil || string(got.Body) != t.body:
		c.note("UpdateObjectEncryption answered 200 and replaced the object by the request: it is never sent to this store")
	case !c.met(got.Encryption) || got.ETag != t.etag:
		c.note("UpdateObjectEncryption answered 200 and left the object under %s", got.Encryption.Type)
	default:
		c.caps.Update = object.Yes
	}
	return nil
}
