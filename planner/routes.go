package planner

import (
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// routes are the ways in which the object could be re-encrypted here, in the order
// of preference that the second table above Choose states; they are appended to those
// given.
func (c *Chooser) routes(routes []object.Route, o *object.Object) []object.Route {
	rewrites := c.mayRewrite(o)
	add := func(r object.Route, is bool) {
		if is && !slices.Contains(routes, r) {
			routes = append(routes, r)
		}
	}
	if c.Operation == RewriteOnly {
		sends := c.maySend(o)
		add(object.RouteSend, sends && c.inParts(o))
		add(object.RouteRewrite, rewrites)
		add(object.RouteSend, sends)
		return routes
	}
	var some [2]object.Route
	copies, inParts := c.copies(some[:0], o)
	if unguarded := !c.Caps.Guarded(object.RouteSelfCopy) && c.mustGuard(); unguarded {
		add(object.RouteRewrite, rewrites && o.Size <= RewriteThreshold)
		add(object.RouteMultipart, inParts)
		add(object.RouteRewrite, rewrites)
	}
	add(object.RouteMultipart, inParts && c.MultipartThreshold > 0 && o.Size >= c.MultipartThreshold)
	for _, r := range copies {
		add(r, true)
	}
	add(object.RouteMultipart, inParts)
	add(object.RouteRewrite, rewrites)
	if c.Operation == RewrapOnly { // it changes the metadata, which that route copies
		routes = slices.DeleteFunc(routes, func(r object.Route) bool { return r == object.RouteSelfCopy })
	}
	return routes
}

// copies are the self-copies that re-encrypt the object, and whether a multipart
// copy does; they are appended to those given. A dearer way than the cheapest that
// works is among them unless the canary saw it fail.
func (c *Chooser) copies(self []object.Route, o *object.Object) (_ []object.Route, inParts bool) {
	base := c.baseRoute(o)
	if base == object.RouteNone {
		return self, false
	}
	percent := strings.Contains(o.Key, "%") // in a key that the store may read in its own way
	if o.Size <= MaxCopySize && !(percent && c.Caps.CopySourceEncoding == object.EncodingBroken) {
		if base == object.RouteSelfCopy {
			self = append(self, object.RouteSelfCopy)
		}
		if base == object.RouteReplace || base == object.RouteSelfCopy && c.Caps.Replace != object.No {
			self = append(self, object.RouteReplace)
		}
	}
	if percent && c.Caps.PartSourceEncoding == object.EncodingBroken {
		return self, false
	}
	return self, c.Caps.Multipart != object.No || base == object.RouteMultipart
}

// baseRoute is the cheapest copy that re-encrypts such an object: a store may copy
// plain objects in one way, encrypted ones in another, and from another KMS key in
// none, though it answers 200.
func (c *Chooser) baseRoute(o *object.Object) object.Route {
	switch {
	case o.Encryption.Type == object.SSENone:
		return c.Caps.Route
	case c.Caps.OtherKey == object.No && c.Target.UnderOtherKey(o.Encryption):
		return object.RouteNone
	case c.Caps.OtherKey == object.Yes && c.Target.UnderOtherKey(o.Encryption):
		return c.Caps.OtherKeyRoute
	}
	return c.Caps.EncryptedRoute
}

// mayRewrite says whether the object can go through this process: it is guarded
// there or not done at all.
func (c *Chooser) mayRewrite(o *object.Object) bool {
	return c.Caps.Guarded(object.RouteRewrite) && c.Operation != CopyOnly && c.Operation != UpdateOnly &&
		o.Size <= MaxRewriteSize && c.comparesOld(o)
}

// maySend is mayRewrite in parts. Nobody is sent that way who did not ask for it.
func (c *Chooser) maySend(o *object.Object) bool {
	return c.Caps.Guarded(object.RouteSend) && c.Operation == RewriteOnly && c.comparesOld(o)
}

// comparesOld says whether the store can compare the ETag of what is there when new
// bytes take its place: MinIO looks at it with the customer key of what is to come.
// Elsewhere nothing is there.
func (c *Chooser) comparesOld(o *object.Object) bool {
	return c.Caps.IsAWS() || c.Dest != nil || c.Target.SSE != object.SSEC && o.Encryption.Type != object.SSEC
}

// mustGuard says whether a route on which a write of somebody else could be
// overwritten is out of the question, or at least a loss. Where the store guards
// none, a bucket that keeps every version loses nothing for good.
func (c *Chooser) mustGuard() bool {
	dest := &c.Facts
	if c.Dest != nil {
		dest = c.Dest
	}
	switch {
	case c.Strict:
		return true
	case c.accepts(AcceptConcurrent), c.Caps.PutIfMatch == object.Unknown: // nobody asked: a job of an older reseal
		return false
	}
	return !dest.KeepsAll() || len(c.Caps.GuardedRoutes()) > 0
}

// certainlyLost says whether the row alone shows a loss by the route that is not
// accepted.
func (c *Chooser) certainlyLost(o *object.Object, r object.Route) bool {
	lost, _ := c.losses(o, nil, r)
	return len(c.unaccepted(lost)) > 0
}

// chooseRoute is rows 12 to 14 of the truth table.
func (c *Chooser) chooseRoute(o *object.Object, a *object.Attributes, routes []object.Route) object.Choice {
	best := -1
	var bestLosses []loss
	accepted := object.RouteNone
	for i, r := range routes {
		lost, untold := c.losses(o, a, r)
		if untold {
			return undecided
		}
		if len(lost) == 0 { // 12
			return c.by(r, o, a)
		}
		open := c.unaccepted(lost)
		if len(open) == 0 && accepted == object.RouteNone {
			accepted = r
		}
		if best < 0 || len(open) < len(bestLosses) {
			best, bestLosses = i, open
		}
	}
	if accepted != object.RouteNone { // 13
		return c.by(accepted, o, a)
	}
	return leave(bestLosses[0].reason, bestLosses[0].message) // 14
}

func (c *Chooser) by(r object.Route, o *object.Object, a *object.Attributes) object.Choice {
	if c.Operation == RewrapOnly {
		return object.Choice{Operation: object.OpRewrap, Route: r, SourceParts: r == object.RouteMultipart && c.compositeToKeep(o, a) == object.Yes}
	}
	switch r {
	case object.RouteMultipart:
		return object.Choice{Operation: object.OpMultipart, SourceParts: c.compositeToKeep(o, a) == object.Yes}
	case object.RouteRewrite:
		return object.Choice{Operation: object.OpRewrite}
	case object.RouteSend:
		return object.Choice{Operation: object.OpRewrite, Route: r, SourceParts: c.compositeToKeep(o, a) == object.Yes}
	}
	return object.Choice{Operation: object.OpCopy, Route: r}
}

func (c *Chooser) unaccepted(lost []loss) []loss {
	var open []loss
	for _, l := range lost {
		if !c.accepts(l.reason) {
			open = append(open, l)
		}
	}
	return open
}
