package canary

import (
	"context"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// underTarget writes an object under the target, with everything on that an object
// can have, and reads it back. That shows whether the store does the wanted
// encryption, how it names the key, and what there is that a copy could lose.
func (c *canary) underTarget(ctx context.Context) (object.Finding, error) {
	t, rep, err := c.fullDress(ctx)
	if err != nil {
		if undecided(err) {
			return object.Unknown, err
		}
		if c.target.SSE == object.DSSEKMS {
			c.caps.DSSE = object.No
		}
		c.targetRefused, c.kept = true, plainAttributes
		c.note("PutObject under %s was refused: %s", c.target.SSE, reason(err))
		return object.Unknown, nil
	}
	c.direct = t
	got, err := c.getShown(ctx, t.ref, c.target.CustomerKey)
	if err != nil {
		if undecided(err) || denied(err) {
			return object.Unknown, err
		}
		c.note("GetObject after PutObject under %s failed: %s", c.target.SSE, reason(err))
		return object.Unknown, nil
	}
	c.wears(&got.Head)
	c.litter.saw(t.ref.Key, got.Encryption)
	if got.Encryption.Type != c.target.SSE {
		c.note("PutObject under %s answered 200, and the object is under %s", c.target.SSE, got.Encryption.Type)
		return object.Unknown, nil
	}
	c.shownKey(got.Encryption.KMSKeyID)
	c.caps.PutShowsEncryption = object.Found(c.met(rep.Encryption))
	switch c.target.SSE {
	case object.SSEC:
		return c.keyIsNeeded(ctx, t)
	case object.DSSEKMS:
		c.caps.DSSE = object.Yes
	case object.SSEKMS:
		if c.target.BucketKey == object.On {
			c.caps.BucketKey = object.Found(got.Encryption.BucketKey)
		}
	}
	if !c.met(got.Encryption) {
		return object.Unknown, nil
	}
	return object.Yes, nil
}

// fullDress puts an object under the target with all of the dress on. Where that is
// refused, each piece is tried alone, so that one of them does not look like a refusal
// of the target.
func (c *canary) fullDress(ctx context.Context) (*thing, object.CopyReply, error) {
	classes := c.o.classes()
	c.dress = dress{tags: true, checksum: true, redirect: c.asksRedirect(), class: classes[0]}
	t, rep, err := c.underIn(ctx, c.dress)
	if err == nil || undecided(err) {
		return t, rep, err
	}
	if _, _, err = c.underIn(ctx, dress{}); undecided(err) {
		return t, rep, err
	}
	refused := err
	pieces := []dress{{tags: true}, {checksum: true}}
	for _, class := range classes {
		pieces = append(pieces, dress{class: class})
	}
	if c.dress.redirect {
		pieces = append(pieces, dress{redirect: true})
	}
	c.dress = dress{}
	for _, one := range pieces {
		_, _, err := c.put(ctx, "dress", one.wholly)
		if undecided(err) {
			return t, rep, err
		}
		if err == nil {
			c.dress = c.dress.and(one)
		}
	}
	if refused != nil {
		return t, rep, refused
	}
	return c.underIn(ctx, c.dress)
}

func (c *canary) underIn(ctx context.Context, d dress) (*thing, object.CopyReply, error) {
	return c.put(ctx, "direct", func(p *object.PutRequest) {
		d.wholly(p)
		p.Target = &c.target
	})
}

// wears notes what the store shows of the dress, which may be less than it took.
func (c *canary) wears(h *object.Head) {
	c.kept = h.Attributes
	c.dress.redirect = c.dress.redirect && h.WebsiteRedirect == canaryRedirect
	if c.dress.class != "" && !object.SameClass(h.StorageClass, c.dress.class) {
		c.dress.class = ""
	}
	if c.dress.tags {
		c.caps.CountsTags = object.Found(h.TagCount == len(canaryTags))
	}
	c.caps.Checksums = object.Found(c.dress.checksum && h.Checksums["CRC32"] != "")
	if c.caps.PutDrops = dropped(&h.Attributes); len(c.caps.PutDrops) > 0 {
		c.note("PutObject drops %s", strings.Join(c.caps.PutDrops, ", "))
	}
}

// dropped names what was put on a throwaway object and is not there at all. What comes back in
// other words is not meant.
func dropped(shown *object.Attributes) (names []string) {
	for _, h := range []struct{ name, shown string }{
		{"Content-Type", shown.ContentType}, {"Cache-Control", shown.CacheControl}, {"Content-Disposition", shown.ContentDisposition},
		{"Content-Encoding", shown.ContentEncoding}, {"Content-Language", shown.ContentLanguage}, {"Expires", shown.Expires},
	} {
		if h.shown == "" {
			names = append(names, h.name)
		}
	}
	if len(shown.Metadata) == 0 {
		names = append(names, "user metadata")
	}
	return names
}

// asksRedirect: an object keeps its redirect also in a bucket that is no website today.
func (c *canary) asksRedirect() bool {
	known := func(k *object.Capabilities) object.Finding { return k.KeepsRedirect }
	return c.o.relies(known) || c.o.asks(known, object.ReasonRedirect)
}

// met says whether an encryption is the target's. Bucket keys are asked for on
// their own: a store that ignores them may re-encrypt all the same.
func (c *canary) met(e object.Encryption) bool {
	t := c.target
	t.BucketKey = object.Default
	return t.MetBy(e)
}

// shownKey takes the store's name for the target's key, unless it is plainly
// another key.
func (c *canary) shownKey(shown string) {
	if !c.target.SSE.KMS() || shown == "" {
		return
	}
	asked := c.target.KMSKeyID
	if asked == "" || object.IsKMSAlias(asked) || object.SameKMSKey(asked, shown) {
		c.caps.ShownKeyID, c.target.ShownKeyID = shown, shown
		return
	}
	c.note("asked for the key %s, the store shows %s", asked, shown)
}

// keyIsNeeded: under SSE-C nothing may be read without the key. Some stores take
// the key, and give the object to everybody.
func (c *canary) keyIsNeeded(ctx context.Context, t *thing) (object.Finding, error) {
	same, err := c.intact(ctx, t, object.CustomerKey{})
	switch {
	case err == nil && same:
		c.note("an object under SSE-C can be read without its key: this store does not encrypt it")
		return object.No, nil
	case err != nil && undecided(err):
		return object.Unknown, err
	}
	return object.Yes, nil
}
