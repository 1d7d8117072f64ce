package canary

import (
	"cmp"
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// maker makes a fresh source for a trial.
type maker func(context.Context) (*thing, error)

func routeWord(r object.Route) string {
	b, _ := r.MarshalText()
	return string(b)
}

// routes tries the ways of copying: with a plain source, with encrypted ones, and
// under another KMS key. The cheapest that works is the route; the others are worth
// knowing for objects that it would harm.
func (c *canary) routes(ctx context.Context) error {
	if !c.o.copies() {
		return nil
	}
	plain := make([]trial, 3)
	var sent trial
	var from [2]source
	var attrs [2]object.Finding
	ask := []question{
		func(q *canary, ctx context.Context) error {
			defer func() { c.subject = q.subject }()
			return q.byCopyObject(ctx, plain)
		},
		func(q *canary, ctx context.Context) error {
			defer func() { c.uploaded, attrs[0] = q.uploaded, q.attrs }()
			return q.byMultipart(ctx, &plain[2])
		},
		func(q *canary, ctx context.Context) (err error) {
			defer func() { attrs[1] = q.attrs }()
			sent, err = q.bySending(ctx)
			return err
		},
		func(q *canary, ctx context.Context) (err error) { from[0], err = q.fromEncrypted(ctx); return err },
		func(q *canary, ctx context.Context) (err error) { from[1], err = q.fromOtherKey(ctx); return err },
	}
	if err := c.together(ctx, ask...); err != nil {
		return err
	}
	if c.caps.GetAttributes = cmp.Or(attrs[0], attrs[1]); !c.asksAttributes() {
		c.caps.GetAttributes = c.o.Known.GetAttributes
	}
	c.settlePlain(plain)
	if c.unfit() {
		return nil
	}
	worked := append(plain, from[1].best)
	if c.caps.Route == object.RouteNone && from[1].best.source == nil { // no copy tells what arrives
		worked = append(worked, sent)
	}
	c.learn(worked)
	if err := c.settleEncrypted(ctx, from[0], from[1]); err != nil {
		return err
	}
	return c.extrasBySelfCopy(ctx, append(plain, from[0].best, from[1].best))
}

// byCopyObject tries CopyObject with the directives COPY, with REPLACE where there is
// something that the first does not do, and its conditions.
func (c *canary) byCopyObject(ctx context.Context, plain []trial) error {
	var err error
	if c.o.Known == nil || c.o.Everything || c.uses(object.RouteSelfCopy) {
		if plain[0], err = c.plainTrial(ctx, object.RouteSelfCopy, want{}, &c.caps.CopySourceEncoding); err != nil {
			return err
		}
	}
	known := func(k *object.Capabilities) object.Finding { return k.Replace }
	replace := func(q *canary, ctx context.Context) (err error) {
		needed := !plain[0].clean() || q.o.relies(known) || q.o.Target.StampMtime
		if !q.uses(object.RouteReplace) && !(needed && q.o.asks(known, "")) {
			return nil
		}
		plain[1], err = q.plainTrial(ctx, object.RouteReplace, want{extras: true}, &q.caps.CopySourceEncoding)
		return err
	}
	if c.chooseSubject(&plain[0]) {
		return c.together(ctx, replace, (*canary).conditions)
	}
	if err := c.together(ctx, replace); err != nil {
		return err
	}
	if c.o.Known != nil && plain[0].source == nil && plain[1].source == nil {
		c.caps.CopySourceEncoding = c.o.Known.CopySourceEncoding // nobody asked: no copy of this job goes that way
	}
	c.chooseSubject(&plain[1])
	return c.conditions(ctx)
}

// byMultipart tries an upload that copies, and where that works its particulars: no
// other question takes so many replies one after the other.
func (c *canary) byMultipart(ctx context.Context, t *trial) (err error) {
	if !c.uses(object.RouteMultipart) && !c.o.asks(func(k *object.Capabilities) object.Finding { return k.Multipart }, "") {
		k := c.o.Known // nothing is asked, and no copy of this job goes that way
		c.caps.PartSourceEncoding, c.caps.PartSourceIfMatch, c.caps.CompleteIfMatch = k.PartSourceEncoding, k.PartSourceIfMatch, k.CompleteIfMatch
		return nil
	}
	w := want{extras: true, wrongFirst: !c.o.Dest, destAbsent: c.o.Dest}
	*t, err = c.plainTrial(ctx, object.RouteMultipart, w, &c.caps.PartSourceEncoding)
	if t.source != nil {
		c.caps.CompleteIfMatch = t.wrongCondition
	}
	if err != nil || !t.works() {
		return err
	}
	c.uploaded = t.source
	return c.uploads(ctx, t.source)
}

// uses says whether the job goes that way, by what an earlier process found.
func (c *canary) uses(r object.Route) bool {
	k := c.o.Known
	return k != nil && (k.Route == r || k.EncryptedRoute == r || k.OtherKey == object.Yes && k.OtherKeyRoute == r)
}

// plainTrial copies a plain object whose key has a percent sign, and finds out how the
// store reads it. The trial is the one that went best.
func (c *canary) plainTrial(ctx context.Context, route object.Route, w want, encoding *object.SourceEncoding) (trial, error) {
	named := func(end string) maker {
		return func(ctx context.Context) (*thing, error) {
			t, _, err := c.dressed(ctx, "plain-"+routeWord(route)+end, nil)
			return t, err
		}
	}
	t, err := c.run(ctx, route, named(percentEnd), w)
	if err != nil {
		return t, err
	}
	if t.answered && t.same && *encoding == object.EncodingUnknown {
		*encoding = object.EncodedOnce
	}
	if !t.misread() {
		c.describe(&t, "a plain object")
		return t, nil
	}
	w.twice = true
	twice, err := c.run(ctx, route, named(percentEnd), w)
	if err != nil {
		return t, err
	}
	if twice.answered && twice.same {
		*encoding = object.EncodedTwice
		c.note("%s decodes the key of its source twice: keys with a percent sign are encoded twice", twice.route)
		c.describe(&twice, "a plain object")
		return twice, nil
	}
	w.twice = false
	simple, err := c.run(ctx, route, named(""), w)
	if err != nil {
		return t, err
	}
	if simple.answered && simple.same {
		// Whoever is told so plans without all such keys: one reply that was broken on its way
		// is not enough to say so.
		if again, err := c.run(ctx, route, named(percentEnd), w); err != nil || again.answered && again.same {
			*encoding = object.EncodedOnce
			return again, err
		}
		*encoding = object.EncodingBroken
		c.note("%s does not find a source whose key has a percent sign", simple.route)
	}
	c.describe(&simple, "a plain object")
	return simple, nil
}

// run makes a source and tries the route with it. Where it fails with class, redirect
// and lock in the request, it is tried without.
func (c *canary) run(ctx context.Context, route object.Route, make maker, w want) (trial, error) {
	w.extras = w.extras && c.hasExtras()
	source, err := make(ctx)
	if err != nil {
		return trial{}, err
	}
	t, err := c.tried(ctx, route, source, w)
	if err != nil || t.works() || t.misread() || !w.extras && !w.wrongFirst && !w.destAbsent {
		return t, err
	}
	w.extras, w.wrongFirst, w.destAbsent = false, false, false
	if source, err = make(ctx); err != nil {
		return t, err
	}
	bare, err := c.tried(ctx, route, source, w)
	if err == nil && bare.works() {
		bare.extrasLost = t.extras
		bare.wrongCondition = t.wrongCondition
		return bare, nil
	}
	return t, err
}

func (c *canary) hasExtras() bool { return c.dress.class != "" || c.dress.redirect || c.lock }

// settlePlain decides on the route, and on whether the store encrypts at all.
func (c *canary) settlePlain(plain []trial) {
	for i := range plain {
		if plain[i].works() {
			c.caps.Route = plain[i].route
			break
		}
	}
	if plain[1].source != nil {
		c.caps.Replace = object.Found(plain[1].works())
	}
	if plain[2].source != nil {
		c.caps.Multipart = object.Found(plain[2].works())
		if plain[2].works() {
			c.caps.CompleteShowsETag = object.Found(plain[2].replied)
		}
	}
	if c.caps.Encrypts != object.Unknown || c.caps.Source != "canary" {
		return
	}
	switch {
	case c.caps.Route != object.RouteNone:
		c.caps.Encrypts = object.Yes
	case !c.targetRefused:
		c.caps.Encrypts = object.No
	}
}

// learn draws what all working routes have in common.
func (c *canary) learn(trials []trial) {
	for i := range trials {
		t := &trials[i]
		if !t.works() {
			continue
		}
		c.caps.KeepsTags = both(c.caps.KeepsTags, t.tags)
		if t.route == object.RouteSelfCopy || c.caps.Route != object.RouteSelfCopy {
			c.caps.KeepsExpires = both(c.caps.KeepsExpires, t.expires)
		}
		if t.route == object.RouteSelfCopy || t.route == object.RouteReplace {
			c.caps.KeepsChecksums = both(c.caps.KeepsChecksums, t.checksum)
		}
		c.learnExtras(t)
		if !t.replied {
			continue // lost, or a store that answers with nothing
		}
		if t.route == object.RouteMultipart || t.route == object.RouteSend {
			c.caps.UploadShowsEncryption = both(c.caps.UploadShowsEncryption, object.Found(t.replyShows))
		} else {
			c.caps.CopyShowsEncryption = both(c.caps.CopyShowsEncryption, object.Found(t.replyShows))
		}
		if c.o.Facts.Versioning == object.VersioningEnabled {
			c.caps.VersionsInReplies = both(c.caps.VersionsInReplies, object.Found(t.replyVersion))
		}
	}
}

// learnExtras: class, redirect and lock that the request named.
func (c *canary) learnExtras(t *trial) {
	if !t.extras && !t.extrasLost {
		return
	}
	found := func(has bool) object.Finding { return object.Found(has && !t.extrasLost) }
	if c.dress.class != "" {
		c.caps.KeepsClass = both(c.caps.KeepsClass, found(object.SameClass(t.after.StorageClass, c.dress.class)))
	}
	if c.dress.redirect {
		c.caps.KeepsRedirect = both(c.caps.KeepsRedirect, found(t.after.WebsiteRedirect == canaryRedirect))
	}
	if c.lock {
		c.caps.KeepsLock = both(c.caps.KeepsLock, found(t.after.LockMode == "GOVERNANCE" && t.after.RetainUntil.Equal(t.lockUntil)))
	}
}

// extrasBySelfCopy asks for class, redirect and lock with a self-copy, where no trial
// could carry them that had to re-encrypt anyway.
func (c *canary) extrasBySelfCopy(ctx context.Context, trials []trial) error {
	if !c.hasExtras() || c.caps.Route != object.RouteSelfCopy {
		return nil
	}
	for i := range trials {
		if t := &trials[i]; t.route == object.RouteSelfCopy && (t.extras || t.extrasLost) && t.works() {
			return nil
		}
	}
	t, err := c.run(ctx, object.RouteSelfCopy, func(ctx context.Context) (*thing, error) {
		t, _, err := c.dressed(ctx, "extras", nil)
		return t, err
	}, want{extras: true})
	if err == nil && t.works() {
		c.learnExtras(&t)
	}
	return err
}
