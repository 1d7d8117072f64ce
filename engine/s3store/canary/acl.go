package canary

import (
	"context"
	"errors"
	"slices"

	"github.com/resealhq/reseal/engine/object"
)

// acl asks for one grant more than the owner's own; nil where there is nothing to ask. That ACLs are
// disabled is not believed of a store that is asked at all: SeaweedFS says so of each bucket that nobody
// has asked about, and takes ACLs there.
func (c *canary) acl(ctx context.Context, on *thing) (*write, error) {
	known := func(k *object.Capabilities) object.Finding { return k.PutACL }
	if !c.o.asks(known, object.ReasonACL) {
		if c.o.Known != nil {
			c.caps.GetACL = c.o.Known.GetACL // nothing depends on it where none can be written
		}
		return nil, c.canned(ctx, on, !c.lockAll && c.o.Known != nil && c.o.Known.CannedACL != object.No && c.o.Known.GetACL == object.Yes)
	}
	disabled := c.o.Facts.ACLsDisabled == object.Yes
	if disabled && !c.lockAll {
		if err := c.canned(ctx, on, true); err != nil {
			return nil, err
		}
		switch {
		case c.caps.CannedACL == object.Yes:
			c.note("the bucket says that ACLs are disabled, and took one")
			disabled = false
		case c.caps.CannedACL == object.No && !c.o.Dest && (c.o.Known == nil || c.o.Known.GetACL != object.Yes):
			return nil, nil // no object has any
		}
	}
	if disabled && c.o.Known != nil {
		c.caps.PutACL = c.o.Known.PutACL // what the store does where they are not
	}
	owner := ""
	err := c.try(ctx, func() (err error) { owner, err = c.s.Owner(ctx, on.ref); return err })
	switch {
	case err != nil && undecided(err):
		return nil, err
	case err != nil && denied(err):
		c.note("GetObjectAcl was refused: %s", reason(err))
		return nil, nil
	case err != nil:
		c.caps.GetACL = object.No
		return nil, nil
	}
	c.caps.GetACL = object.Yes
	if disabled {
		return nil, nil
	}
	if owner == "" {
		c.note("GetObjectAcl names no owner: grants were not tried")
		c.caps.PutACL = object.No
		return nil, nil
	}
	grants := []object.Grant{{ID: owner, Permission: "FULL_CONTROL"}, {ID: owner, Permission: "READ_ACP"}}
	return &write{name: "PutObjectAcl", found: &c.caps.PutACL,
		send: func(t *thing) error { return c.s.PutGrants(ctx, t.ref, grants) },
		read: func(t *thing) (bool, error) { return c.granted(ctx, t.ref, grants[1]) }}, nil
}

// granted says whether the ACL of an object has a grant.
func (c *canary) granted(ctx context.Context, ref object.Ref, grant object.Grant) (found bool, err error) {
	err = c.try(ctx, func() error {
		got, err := c.s.Grants(ctx, ref)
		found = slices.Contains(got, grant)
		return err
	})
	return found, err
}

// settleACL: a store that takes no grants may have a word for some, unless it knows no such request, or
// says that ACLs are disabled.
func (c *canary) settleACL(ctx context.Context, w *write, on *thing) error {
	if w == nil || w.overwrote || c.caps.PutACL != object.No || c.caps.CannedACL != object.Unknown {
		return nil
	}
	e, _ := errors.AsType[*object.Error](w.refused)
	if e != nil && (e.Class == object.ClassUnsupported || e.Code == "AccessControlListNotSupported") {
		c.caps.CannedACL = object.No
		return nil
	}
	return c.canned(ctx, on, true)
}

// canned finds out, where that is asked, whether the store takes an ACL that S3 has a word for. The
// throwaway object is then one that whoever has an account may read, until it is removed.
func (c *canary) canned(ctx context.Context, on *thing, asked bool) error {
	if !asked || on == nil {
		return nil
	}
	err := c.try(ctx, func() error { return c.s.PutCannedACL(ctx, on.ref, "authenticated-read") })
	took := false
	if err == nil {
		took, err = c.granted(ctx, on.ref, object.Grant{URI: authenticated, Permission: "READ"})
	}
	switch {
	case err != nil && undecided(err):
		return err
	case err != nil && denied(err): // nothing is known
	default:
		c.caps.CannedACL = object.Found(err == nil && took)
	}
	return nil
}

// authenticated is whoever has an account at the store.
const authenticated = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
