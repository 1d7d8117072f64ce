package s3store

import (
	"context"
	"slices"

	"github.com/resealhq/reseal/engine/object"
)

// subResources tries every sub-resource write on a throwaway object of its own,
// before any other use: a store that does not know it takes it for a PutObject.
//
// On a bucket that locks every new object for long, a store that takes such a
// write for a PutObject would leave a locked object behind: only the lock itself
// is tried there, which the first throwaway object has proved.
func (c *canary) subResources(ctx context.Context) error {
	ask := []question{(*canary).tagging, (*canary).attributes}
	if c.lockAll {
		c.note("PutObjectTagging and PutObjectAcl were not tried: this bucket locks every new object")
		ask[0] = (*canary).readTagging
	} else if c.o.Facts.ACLsDisabled != object.Yes {
		ask = append(ask, (*canary).acl)
	}
	if c.lock {
		ask = append(ask, (*canary).retention)
	}
	return c.together(ctx, ask...)
}

// wrote sends a sub-resource write to a new throwaway object and says whether
// the object is still what it was.
func (c *canary) wrote(ctx context.Context, purpose, name string, write func(object.Ref) error) (object.Ref, object.Finding, error) {
	ref, err := c.put(ctx, purpose, nil)
	if err != nil {
		return ref, object.Unknown, err
	}
	if err := c.try(ctx, func() error { return write(ref) }); err != nil {
		if undecided(err) {
			return ref, object.Unknown, err
		}
		c.note("%s was refused: %s", name, reason(err))
		if object.ClassOf(err) == object.ClassDenied {
			return ref, object.Unknown, nil // a permission is missing: nothing is known
		}
		return ref, object.No, nil
	}
	same, err := c.intact(ctx, ref, object.CustomerKey{})
	if err != nil && undecided(err) {
		return ref, object.Unknown, err
	}
	if !same {
		c.note("%s answered 200 and replaced the object by the request: it is never sent to this store", name)
	}
	return ref, object.Found(same), nil
}

func (c *canary) tagging(ctx context.Context) error {
	ref, found, err := c.wrote(ctx, "tagging", "PutObjectTagging", func(ref object.Ref) error {
		return c.s.PutTags(ctx, ref, canaryTags)
	})
	if err != nil {
		return err
	}
	var tags []object.Tag
	err = c.try(ctx, func() (err error) { tags, err = c.s.Tags(ctx, ref); return err })
	switch {
	case err != nil && undecided(err):
		return err
	case err != nil && object.ClassOf(err) == object.ClassDenied:
		c.note("GetObjectTagging was refused: %s", reason(err))
		c.caps.PutTagging = object.Unknown // cannot be read back
		return nil
	case found == object.Yes:
		c.caps.PutTagging = object.Found(err == nil && slices.Equal(tags, canaryTags))
	default:
		c.caps.PutTagging = found
	}
	c.caps.GetTagging = object.Found(err == nil)
	return nil
}

// readTagging asks for the tags of an object that was put with some.
func (c *canary) readTagging(ctx context.Context) error {
	ref, err := c.put(ctx, "tagged", func(r *request) { r.set("X-Amz-Tagging", taggingHeader(canaryTags)) })
	if err != nil {
		if undecided(err) {
			return err
		}
		return nil
	}
	err = c.try(ctx, func() error { _, err := c.s.Tags(ctx, ref); return err })
	if err != nil && undecided(err) {
		return err
	}
	if object.ClassOf(err) != object.ClassDenied {
		c.caps.GetTagging = object.Found(err == nil)
	}
	return nil
}

// acl asks for one grant more than the owner's own.
func (c *canary) acl(ctx context.Context) error {
	ref, err := c.put(ctx, "acl-read", nil)
	if err != nil {
		return err
	}
	owner, known, err := c.owner(ctx, ref)
	if err != nil {
		return err
	}
	c.caps.GetACL = known
	if known != object.Yes {
		return nil
	}
	if owner == "" {
		c.note("GetObjectAcl names no owner: grants were not tried")
		c.caps.PutACL = object.No
		return nil
	}
	grants := []object.Grant{{ID: owner, Permission: "FULL_CONTROL"}, {ID: owner, Permission: "READ_ACP"}}
	ref, found, err := c.wrote(ctx, "acl", "PutObjectAcl", func(ref object.Ref) error { return c.s.PutGrants(ctx, ref, grants) })
	if err != nil {
		return err
	}
	c.caps.PutACL = found
	if found != object.Yes {
		return nil
	}
	got, err := c.s.Grants(ctx, ref)
	if err != nil && undecided(err) {
		return err
	}
	c.caps.PutACL = object.Found(err == nil && slices.Contains(got, grants[1]))
	return nil
}

// owner reads an ACL's owner.
func (c *canary) owner(ctx context.Context, ref object.Ref) (string, object.Finding, error) {
	var doc accessControl
	err := c.try(ctx, func() (err error) { doc, err = c.s.accessControl(ctx, ref); return err })
	switch {
	case err == nil:
		return doc.Owner.ID, object.Yes, nil
	case undecided(err):
		return "", object.Unknown, err
	case object.ClassOf(err) == object.ClassDenied:
		c.note("GetObjectAcl was refused: %s", reason(err))
		return "", object.Unknown, nil
	}
	return "", object.No, nil
}

func (c *canary) attributes(ctx context.Context) error {
	ref, err := c.put(ctx, "attributes", nil)
	if err != nil {
		return err
	}
	err = c.try(ctx, func() error { _, _, _, err := c.s.attributes(ctx, ref, object.CustomerKey{}); return err })
	switch {
	case err == nil:
		c.caps.GetAttributes = object.Yes
	case undecided(err):
		return err
	case object.ClassOf(err) != object.ClassDenied:
		c.caps.GetAttributes = object.No
	}
	return nil
}

// retention locks a throwaway object for a few seconds, with a legal hold, which
// is taken off again at once.
func (c *canary) retention(ctx context.Context) error {
	until := c.until()
	ref, found, err := c.wrote(ctx, "retention", "PutObjectRetention", func(ref object.Ref) error {
		c.litter.hold(ref, true)
		return c.s.PutLock(ctx, ref, "GOVERNANCE", until, true)
	})
	if err != nil {
		return err
	}
	if found == object.No {
		c.litter.hold(ref, false) // nothing holds what was overwritten or refused
	}
	mode, shown, hold, err := c.s.Lock(ctx, ref)
	switch {
	case err != nil && undecided(err):
		return err
	case err != nil && object.ClassOf(err) == object.ClassDenied:
		c.note("GetObjectRetention or GetObjectLegalHold was refused: %s", reason(err))
		c.caps.PutRetention = object.Unknown
		return nil
	}
	c.caps.GetRetention = object.Found(err == nil)
	c.caps.PutRetention = found
	if found == object.Yes {
		c.caps.PutRetention = object.Found(err == nil && mode == "GOVERNANCE" && shown.Equal(until) && hold)
	}
	return nil
}
