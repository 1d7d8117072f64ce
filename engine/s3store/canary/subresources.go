package canary

import (
	"bytes"
	"context"
	"slices"

	"github.com/resealhq/reseal/engine/object"
)

// write is one sub-resource write. A store that does not know it takes it for a
// PutObject, and its document, of which marks is a part, is what the object then holds.
type write struct {
	name  string
	marks string
	send  func(*thing) error
	// read looks whether it did what it says, once the object is known to be whole.
	read  func(*thing) (bool, error)
	found *object.Finding
	sent  bool
	// refused is the answer that was no success; overwrote says that the object was
	// replaced by the request.
	refused   error
	overwrote bool
}

// details tries the sub-resource writes that the job may need, on an object about
// which nothing else is asked any more, or on one of its own.
//
// On a bucket that locks every new object for long, a store that takes such a
// write for a PutObject would leave a locked object behind: only the lock itself
// is tried there, which the first throwaway object has proved, and what can be read.
func (c *canary) details(ctx context.Context) error {
	on := c.direct
	if on == nil {
		var err error
		if on, _, err = c.put(ctx, "details", nil); err != nil {
			return err
		}
	}
	c.litter.unsee(on.ref.Key)
	updates := c.asksUpdate()
	if c.lockAll {
		c.note("PutObjectTagging and PutObjectAcl were not tried: this bucket locks every new object")
		if updates {
			c.caps.Update = object.No
			c.note("UpdateObjectEncryption was not tried: it refuses locked objects, and this bucket locks all")
		}
		if _, err := c.tags(ctx, on.ref); err != nil && undecided(err) {
			return err
		}
		_, err := c.acl(ctx, on)
		return err
	}
	var writes []*write
	update := &write{name: "UpdateObjectEncryption", marks: "<ObjectEncryption", found: new(object.Finding),
		send: func(t *thing) error { return c.update(ctx, t.ref) }}
	if updates {
		writes = append(writes, update)
	}
	if c.o.asks(func(k *object.Capabilities) object.Finding { return k.PutTagging }, object.ReasonTags) {
		writes = append(writes, c.tagging(ctx))
	}
	acl, err := c.acl(ctx, on)
	if err != nil {
		return err
	}
	if acl != nil {
		writes = append(writes, acl)
	}
	if err := c.tryWrites(ctx, on, writes); err != nil {
		return err
	}
	if err := c.settleACL(ctx, acl, on); err != nil {
		return err
	}
	if updates {
		return c.settleUpdate(ctx, update)
	}
	return nil
}

// tryWrites sends all of the writes to one object, and then reads it once. Where one of
// them replaced the object, those after it are known to be harmless, and those before
// it are sent again, each to an object of its own.
func (c *canary) tryWrites(ctx context.Context, on *thing, writes []*write) error {
	for i := range writes {
		if err := c.send(ctx, writes[i], on); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(writes, func(w *write) bool { return w.sent }) {
		return nil
	}
	got, err := c.get(ctx, on.ref, c.target.CustomerKey)
	if err != nil && undecided(err) {
		return err
	}
	c.litter.object(on.ref, got.ShownVersionID) // of the write that replaced it, if one did
	first := 0
	if err != nil || string(got.Body) != on.body {
		first = c.replaced(writes, got.Body)
	}
	for i := range writes {
		w := writes[i]
		if i < first {
			err = c.alone(ctx, w)
		} else if w.sent {
			err = c.readBack(ctx, w, on)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replaced finds the write whose document the object now holds. Those before it
// are in the dark: the number is that of the first that is not.
func (c *canary) replaced(writes []*write, body []byte) int {
	for i := len(writes) - 1; i >= 0; i-- {
		w := writes[i]
		if w.sent && (w.marks == "" && len(body) == 0 || w.marks != "" && bytes.Contains(body, []byte(w.marks))) {
			c.overwrote(w)
			return i
		}
	}
	return len(writes)
}

func (c *canary) overwrote(w *write) {
	w.sent, w.overwrote, *w.found = false, true, object.No
	c.note("%s answered 200 and replaced the object by the request: it is never sent to this store", w.name)
}

// send sends one write. A refusal is an answer.
func (c *canary) send(ctx context.Context, w *write, on *thing) error {
	err := c.try(ctx, func() error { return w.send(on) })
	switch {
	case err == nil:
		w.sent = true
	case undecided(err):
		return err
	default:
		w.refused = err
		c.note("%s was refused: %s", w.name, reason(err))
		*w.found = object.No
		if denied(err) {
			*w.found = object.Unknown // a permission is missing: nothing is known
		}
	}
	return nil
}

// alone sends a write to an object of its own.
func (c *canary) alone(ctx context.Context, w *write) error {
	if !w.sent {
		return nil // refused
	}
	w.sent = false
	on, _, err := c.put(ctx, "alone", nil)
	if err != nil {
		return err
	}
	if err := c.send(ctx, w, on); err != nil || !w.sent {
		return err
	}
	same, err := c.intact(ctx, on, object.CustomerKey{})
	if err != nil && undecided(err) {
		return err
	}
	if !same {
		c.overwrote(w)
		return nil
	}
	return c.readBack(ctx, w, on)
}

// readBack settles a write that left the object whole.
func (c *canary) readBack(ctx context.Context, w *write, on *thing) error {
	*w.found = object.Yes
	if w.read == nil {
		return nil
	}
	did, err := w.read(on)
	switch {
	case err != nil && undecided(err):
		return err
	case err != nil && denied(err):
		c.note("%s could not be read back: %s", w.name, reason(err))
		*w.found = object.Unknown
	default:
		*w.found = object.Found(err == nil && did)
	}
	return nil
}

func (c *canary) tagging(ctx context.Context) *write {
	return &write{name: "PutObjectTagging", marks: "<Tagging", found: &c.caps.PutTagging,
		send: func(t *thing) error { return c.s.PutTags(ctx, t.ref, otherTags) },
		read: func(t *thing) (bool, error) {
			tags, err := c.tags(ctx, t.ref)
			return slices.Equal(tags, otherTags), err
		}}
}

// settleTagging: tags that cannot be read are not known to be kept.
func (c *canary) settleTagging() {
	if c.caps.GetTagging = c.litter.tagsReadable(); c.caps.GetTagging != object.Yes {
		c.caps.KeepsTags, c.caps.CountsTags = object.Unknown, object.Unknown
	}
}
