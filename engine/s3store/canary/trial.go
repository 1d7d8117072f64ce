package canary

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/patience"
)

// want is what a trial asks for beside the target.
type want struct {
	sourceETag string // instead of the right one
	destETag   string
	destAbsent bool
	extras     bool // class, redirect and lock, as far as the store keeps them
	sourceKey  bool // the source is under the target's SourceKey
	twice      bool // the source's key is encoded twice
	dest       *object.Ref
	// wrongFirst: Complete is first sent with a condition that does not hold.
	wrongFirst bool
	// sums: the upload is to have a composite checksum.
	sums bool
}

// trial is one copy of a throwaway object and what became of it.
type trial struct {
	route object.Route
	want
	source    *thing
	dest      object.Ref
	lockUntil time.Time
	answered  bool  // with success
	err       error // otherwise
	same      bool  // the bytes are the source's
	// encrypted: the target is shown, and the bytes are the same.
	encrypted bool
	// lost names the headers and metadata that did not arrive, Expires apart.
	lost           []string
	tags, expires  object.Finding
	checksum       object.Finding
	replied        bool // with something to read
	replyShows     bool // the encryption
	replyVersion   bool
	extrasLost     bool           // it works only without them
	wrongCondition object.Finding // on Complete: was it refused?
	after          object.Head
}

// works says whether the route may be used at all.
func (t *trial) works() bool { return t.answered && t.encrypted && len(t.lost) == 0 }

// misread says whether the store may have looked for another key than was meant.
func (t *trial) misread() bool {
	return !t.answered && object.ClassOf(t.err) == object.ClassGone || t.answered && !t.same
}

// clean says whether it works and loses nothing that was looked for.
func (t *trial) clean() bool {
	return t.works() && t.tags != object.No && t.expires == object.Yes
}

// attempt copies a thing by a route, onto itself unless the job writes elsewhere. Its
// error means that nothing was learnt; a refusal is in the trial.
func (c *canary) attempt(ctx context.Context, route object.Route, source *thing, w want) (trial, error) {
	t := trial{route: route, want: w, source: source, dest: source.ref}
	switch {
	case w.dest != nil:
		t.dest = *w.dest
	case c.o.Dest:
		t.dest = beside(source.ref)
		c.litter.object(t.dest, "")
	}
	req := c.copyRequest(&t)
	var reply object.CopyReply
	var err error
	if route == object.RouteMultipart || route == object.RouteSend {
		reply, err = c.multipart(ctx, &t, req)
	} else {
		reply, err = c.once(ctx, &t, func() (object.CopyReply, error) { return c.s.Copy(ctx, req) })
		t.replyShows = c.met(reply.Encryption)
	}
	if t.err = err; err != nil {
		if undecided(err) {
			return t, err
		}
		return t, nil
	}
	t.answered, t.replied, t.replyVersion = true, reply.ETag != "", reply.VersionID != ""
	c.litter.object(t.dest, reply.VersionID)
	if t.dest == source.ref {
		source.wrote(reply)
	}
	return t, nil
}

// tried is attempt, and everything read back.
func (c *canary) tried(ctx context.Context, route object.Route, source *thing, w want) (trial, error) {
	t, err := c.attempt(ctx, route, source, w)
	if err != nil || !t.answered {
		return t, err
	}
	return t, c.judge(ctx, &t)
}

// once sends a copy until it has been done once. A copy whose answer was lost, or
// is empty, is looked for before it is sent again: a second one would find its
// source changed and look like a refusal.
func (c *canary) once(ctx context.Context, t *trial, send func() (object.CopyReply, error)) (object.CopyReply, error) {
	for n := 1; ; n++ {
		if err := c.wanted(); err != nil {
			return object.CopyReply{}, err
		}
		rep, err := send()
		if err == nil || !object.ClassOf(err).Retryable() && object.ClassOf(err) != object.ClassNoUpload {
			return rep, err
		}
		if patience.EmptySuccess(err) {
			return rep, nil // what it did is judged by what is there
		}
		if object.MaybeApplied(err) && c.isDone(ctx, t) {
			return rep, nil
		}
		if n == patience.Attempts {
			return rep, c.unlessAway(ctx, err)
		}
		if err := patience.Pause(ctx, c.o.Bucket, n, err); err != nil {
			return rep, err
		}
	}
}

// isDone: the copy shows, although nobody was told.
func (c *canary) isDone(ctx context.Context, t *trial) bool {
	now, err := c.head(ctx, t.dest, c.target.CustomerKey)
	if err != nil {
		return false
	}
	return t.dest != t.source.ref || now.ETag != t.source.etag || t.source.version != "" && now.ShownVersionID != t.source.version
}

func (c *canary) head(ctx context.Context, ref object.Ref, key object.CustomerKey) (h object.Head, err error) {
	err = c.try(ctx, func() error { h, err = c.s.Head(ctx, ref, key); return err })
	return h, err
}

func (c *canary) copyRequest(t *trial) *object.CopyRequest {
	a := c.kept
	a.Tags = nil
	if c.dress.tags {
		a.Tags = canaryTags
	}
	req := &object.CopyRequest{Source: t.source.ref, Dest: t.dest, SourceETag: t.source.etag, SourceTwice: t.twice || t.source.twice,
		DestETag: t.destETag, DestAbsent: t.destAbsent, Target: &c.target, SourceSSEC: t.sourceKey, Attributes: &a,
		Replace: t.route != object.RouteSelfCopy, ReplaceTags: t.route != object.RouteSelfCopy}
	if t.sourceETag != "" {
		req.SourceETag = t.sourceETag
	}
	if t.extras {
		req.StorageClass = c.dress.class
		if c.dress.redirect {
			req.WebsiteRedirect = canaryRedirect
		}
	}
	if t.sums {
		req.ChecksumAlgorithm, req.ChecksumType = sumOfParts, object.Composite
	}
	if t.extras && c.lock || c.lockAll {
		t.lockUntil = c.until()
		req.LockMode, req.RetainUntil = "GOVERNANCE", t.lockUntil.Format(time.RFC3339)
	}
	return req
}

// judge reads everything back, the tags beside the rest. Only a self-copy leaves the
// tags to the store, whose HEAD tells by their number that they are there.
func (c *canary) judge(ctx context.Context, t *trial) error {
	read := false
	var tags []object.Tag
	var unread error
	ask := []question{
		func(q *canary, ctx context.Context) (err error) { read, err = q.judgeRest(ctx, t); return err },
		func(q *canary, ctx context.Context) error { tags, unread = q.askTags(ctx, t.dest); return nil },
	}
	counted := t.route == object.RouteSelfCopy
	if counted || !c.dress.tags {
		ask = ask[:1]
	}
	if err := c.together(ctx, ask...); err != nil || !read || !c.dress.tags {
		return err
	}
	if counted && t.after.TagCount == len(canaryTags) {
		t.tags = object.Yes
		return nil
	}
	if counted {
		tags, unread = c.askTags(ctx, t.dest)
	}
	c.litter.tagsRead(unread)
	if unread == nil { // they may have been misread
		t.tags = object.Found(slices.Equal(tags, canaryTags))
	} else if undecided(unread) {
		return unread
	}
	return nil
}

// judgeRest says whether there was something to read.
func (c *canary) judgeRest(ctx context.Context, t *trial) (read bool, err error) {
	ask := c.get
	if t.route == object.RouteSelfCopy || t.route == object.RouteReplace { // of which checksums are learnt
		ask = c.getShown
	}
	got, err := ask(ctx, t.dest, c.target.CustomerKey)
	if err != nil && !undecided(err) && !c.target.CustomerKey.IsZero() {
		// A customer key that the store did not take: it refuses it, and shows the
		// object without.
		got, err = ask(ctx, t.dest, object.CustomerKey{})
	}
	if err != nil {
		if undecided(err) {
			return false, err
		}
		return false, nil // the copy made nothing that can be read
	}
	t.after = got.Head
	if t.dest == t.source.ref {
		t.source.etag, t.source.version = got.ETag, got.ShownVersionID
	}
	c.litter.saw(t.dest.Key, got.Encryption)
	t.same = string(got.Body) == t.source.body
	t.source.twice = t.source.twice || t.same && t.twice
	t.encrypted = t.same && (c.met(t.after.Encryption) || c.caps.Source == "assumed")
	t.lost = lostHeaders(&c.kept, &t.after.Attributes)
	t.expires = arrived(c.kept.Expires, t.after.Expires)
	if c.caps.Checksums == object.Yes {
		t.checksum = object.Found(t.after.Checksums["CRC32"] == crc32Of([]byte(t.source.body)))
	}
	return true, nil
}

// tags reads tags, and notes in the litter's memory whether the store can be asked.
func (c *canary) tags(ctx context.Context, ref object.Ref) ([]object.Tag, error) {
	tags, err := c.askTags(ctx, ref)
	c.litter.tagsRead(err)
	return tags, err
}

func (c *canary) askTags(ctx context.Context, ref object.Ref) (tags []object.Tag, err error) {
	err = c.try(ctx, func() error { tags, err = c.s.Tags(ctx, ref); return err })
	return tags, err
}

// arrived says whether a value is the same after a copy; nothing where there was
// nothing to keep.
func arrived(before, after string) object.Finding {
	if before == "" {
		return object.Unknown
	}
	return object.Found(before == after)
}

func lostHeaders(before, after *object.Attributes) []string {
	var lost []string
	for _, h := range []struct{ name, before, after string }{
		{"Content-Type", before.ContentType, after.ContentType},
		{"Cache-Control", before.CacheControl, after.CacheControl},
		{"Content-Disposition", before.ContentDisposition, after.ContentDisposition},
		{"Content-Encoding", before.ContentEncoding, after.ContentEncoding},
		{"Content-Language", before.ContentLanguage, after.ContentLanguage},
	} {
		if h.before != h.after {
			lost = append(lost, h.name)
		}
	}
	if !maps.Equal(before.Metadata, after.Metadata) {
		lost = append(lost, "user metadata")
	}
	return lost
}

// describe notes what a person wants to know about a trial.
func (c *canary) describe(t *trial, source string) {
	switch {
	case !t.answered:
		c.note("%s of %s was refused: %s", t.route, source, reason(t.err))
	case !t.encrypted && c.met(t.after.Encryption):
		c.note("%s of %s changed its bytes", t.route, source)
	case !t.encrypted:
		c.note("%s of %s answered 200, and the object is under %s", t.route, source, shown(t.after.Encryption))
	case len(t.lost) > 0:
		c.note("%s of %s loses %s", t.route, source, strings.Join(t.lost, ", "))
	default:
		var lost []string
		if t.expires == object.No {
			lost = append(lost, "Expires")
		}
		if t.tags == object.No {
			lost = append(lost, "tags")
		}
		if len(lost) > 0 {
			c.note("%s of %s works and loses %s", t.route, source, strings.Join(lost, ", "))
			return
		}
		c.note("%s of %s works", t.route, source)
	}
}

// shown is an encryption in words.
func shown(e object.Encryption) string {
	if e.KMSKeyID != "" {
		return e.Type.String() + " with the key " + e.KMSKeyID
	}
	return e.Type.String()
}
