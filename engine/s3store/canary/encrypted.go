package canary

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// source is what is known of copying from one kind of encrypted object.
type source struct {
	under *object.Target
	made  bool // such an object can be made here
	// noKey: it could, and its key cannot be used today.
	noKey bool
	route object.Route
	best  trial
}

// fromEncrypted finds the cheapest way that works with an encrypted source: the first
// kind, other than the target, that this store can make.
func (c *canary) fromEncrypted(ctx context.Context) (source, error) {
	kinds := []object.Target{{SSE: object.SSES3}}
	switch {
	case c.target.SSE == object.SSES3:
		kinds[0] = object.Target{SSE: object.SSEKMS, KMSKeyID: c.o.OtherKey}
	case !c.target.SSE.KMS():
		kinds = append(kinds, object.Target{SSE: object.SSEKMS, KMSKeyID: c.o.OtherKey})
	}
	noKey := false
	for _, kind := range kinds {
		s, err := c.cheapestFrom(ctx, &kind, want{extras: true}, func(e object.Encryption) bool { return e.Type == kind.SSE })
		if err != nil || s.made {
			return s, err
		}
		noKey = noKey || s.noKey
	}
	return source{noKey: noKey}, nil
}

// fromOtherKey does that with an object under another KMS key than the target's: some
// stores answer 200 and keep the old key.
func (c *canary) fromOtherKey(ctx context.Context) (source, error) {
	if !c.target.SSE.KMS() || c.target.KMSKeyID == "" && c.o.OtherKey == "" {
		return source{}, nil
	}
	if k := c.o.Known; k != nil && !c.o.Everything && k.OtherKey == object.No {
		return source{}, nil
	}
	other := &object.Target{SSE: object.SSEKMS, KMSKeyID: c.o.OtherKey}
	return c.cheapestFrom(ctx, other, want{}, func(e object.Encryption) bool {
		return e.Type == object.SSEKMS && e.KMSKeyID != "" && !c.met(e) && !object.SameKMSKey(c.target.KMSKeyID, e.KMSKeyID)
	})
}

// cheapestFrom tries the routes, cheapest first, with a source under t that the store
// shows as it should be.
func (c *canary) cheapestFrom(ctx context.Context, t *object.Target, w want, is func(object.Encryption) bool) (source, error) {
	s := source{under: t}
	purpose := "encrypted-"
	if c.kindOf(t) == otherKey {
		purpose = "other-key-"
	}
	for route := object.RouteSelfCopy; route <= object.RouteMultipart; route++ {
		if c.o.Known != nil && !c.o.Everything && !c.uses(route) {
			continue
		}
		ok, failed := true, error(nil)
		tr, err := c.run(ctx, route, func(ctx context.Context) (*thing, error) {
			var one *thing
			one, ok, failed = c.sourceUnder(ctx, t, purpose+routeWord(route), is)
			if failed == nil && !ok {
				failed = errNotMade
			}
			return one, failed
		}, w)
		switch {
		case failed == errNotMade:
			return s, nil // cannot be made here
		case failed == errNoKey:
			s.noKey = true
			return s, nil
		case err != nil:
			return s, err
		}
		s.made = true
		c.describe(&tr, "an object under "+c.kindOf(t))
		if tr.works() {
			s.route, s.best = route, tr
			return s, nil
		}
	}
	return s, nil
}

// errNotMade: a source of that kind cannot be made. errNoKey: not as long as its key cannot be used.
var (
	errNotMade = &object.Error{Class: object.ClassUnsupported, Op: "Probe", Message: "no such source"}
	errNoKey   = &object.Error{Class: object.ClassUnsupported, Op: "Probe", Message: "the key of such a source cannot be used"}
)

// sourceUnder makes an encrypted source, and makes sure that it is one.
func (c *canary) sourceUnder(ctx context.Context, t *object.Target, purpose string, is func(object.Encryption) bool) (*thing, bool, error) {
	one, rep, err := c.dressed(ctx, purpose, t)
	switch {
	case object.ClassOf(err) == object.ClassKey:
		return one, false, errNoKey
	case err != nil && undecided(err):
		return one, false, err
	case err != nil:
		return one, false, nil
	}
	if is(rep.Encryption) {
		return one, true, nil
	}
	h, err := c.head(ctx, one.ref, t.CustomerKey)
	if err != nil {
		if undecided(err) {
			return one, false, err
		}
		return one, false, nil
	}
	return one, is(h.Encryption), nil
}

const otherKey = "another KMS key"

func (c *canary) kindOf(t *object.Target) string {
	switch {
	case t.SSE == object.SSEKMS && c.target.SSE.KMS() && t != &c.target:
		return otherKey
	case t.SSE == object.SSEC:
		return "SSE-C"
	}
	return t.SSE.String()
}

// settleEncrypted decides on the route for encrypted sources. Where no other could be
// made, an object that is under the target already is copied.
//
// What an earlier process saw stands where the key of a source cannot be used any more: that is no other
// store, and objects under that key fail by themselves.
func (c *canary) settleEncrypted(ctx context.Context, any, other source) (err error) {
	stands := any.noKey && c.o.Known != nil
	if other.noKey && c.o.Known != nil {
		c.caps.OtherKey, c.caps.OtherKeyRoute = c.o.Known.OtherKey, c.o.Known.OtherKeyRoute
	}
	if other.made {
		c.caps.OtherKey, c.caps.OtherKeyRoute = object.Found(other.route != object.RouteNone), other.route
		if other.route == object.RouteNone {
			c.note("no copy brings an object from another KMS key under the target's: such objects have to be rewritten")
		}
	}
	if any.best.extras && any.route < c.caps.Route {
		// A class or redirect of its own made a copy onto itself legal.
		of := any.under
		if any, err = c.cheapestFrom(ctx, of, want{}, func(e object.Encryption) bool { return e.Type == of.SSE }); err != nil {
			return err
		}
	}
	if !any.made {
		any = other
	}
	if !any.made && c.target.SSE != object.SSEC && !c.targetRefused {
		any, err = c.cheapestFrom(ctx, &c.target, want{}, c.met)
		if err != nil {
			return err
		}
	}
	c.caps.EncryptedRoute = any.route
	c.learn([]trial{any.best})
	switch {
	case stands:
		c.caps.EncryptedRoute = c.o.Known.EncryptedRoute
	case !any.made:
		c.caps.EncryptedRoute = c.unproved()
	}
	if c.target.SourceKey.IsZero() {
		return nil
	}
	under := object.Target{SSE: object.SSEC, CustomerKey: c.target.SourceKey}
	ssec, err := c.cheapestFrom(ctx, &under, want{sourceKey: true}, func(e object.Encryption) bool { return e.Type == object.SSEC })
	if err != nil {
		return err
	}
	c.learn([]trial{ssec.best})
	if ssec.route == object.RouteNone {
		c.note("no route re-encrypts an object that is under SSE-C")
	} else if ssec.route > c.caps.EncryptedRoute {
		c.caps.EncryptedRoute = ssec.route
	}
	return nil
}

// unproved is the route for encrypted sources where none could be made to try
// one: the most thorough that works with plain ones. Whatever it does is looked
// at object by object.
func (c *canary) unproved() object.Route {
	found := c.caps.Route
	if found != object.RouteNone && c.caps.Source == "canary" {
		if c.caps.Multipart == object.Yes {
			found = object.RouteMultipart
		}
		c.note("no encrypted object could be made here to try a copy of one: %s is taken, as for plain objects", found)
	}
	return found
}
