package s3store

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// plainAttributes are what a throwaway object has, so that a copy can be seen to
// keep it.
var plainAttributes = object.Attributes{
	ContentType:        "text/x-reseal",
	CacheControl:       "max-age=61",
	ContentDisposition: `attachment; filename="re seal.txt"`,
	ContentEncoding:    "x-reseal",
	ContentLanguage:    "en, de",
	Expires:            "Thu, 01 Jan 2037 00:00:00 GMT",
	Metadata:           map[string]string{"reseal-canary": "a b+c%20d", "reseal-empty": ""},
}

var canaryTags = []object.Tag{{Key: "reseal canary", Value: "a b+c=d/e"}}

const canaryRedirect = "/reseal-canary"

// plain makes an unencrypted object with much on it, and looks at it: what HEAD
// shows there is what a copy has to keep.
func (c *canary) plain(ctx context.Context, purpose string) (object.Head, error) {
	return c.decorated(ctx, purpose, nil)
}

// decorated leaves the tags to PutObjectTagging where the store refuses them with
// the object. It sets no redirect: one that a copy resends makes it legal as a
// self-copy, which it would not be for other objects.
func (c *canary) decorated(ctx context.Context, purpose string, t *object.Target) (h object.Head, err error) {
	var ref object.Ref
	for _, tagged := range []bool{true, false} {
		ref, err = c.put(ctx, purpose, func(r *request) {
			r.contentHeaders(&plainAttributes)
			if tagged {
				r.set("X-Amz-Tagging", taggingHeader(canaryTags))
			}
			r.encrypt(t)
		})
		if err == nil || undecided(err) {
			break
		}
	}
	if err != nil {
		return h, err
	}
	key := object.CustomerKey{}
	if t != nil {
		key = t.CustomerKey
	}
	if h, err = c.head(ctx, ref, key); err != nil {
		return h, err
	}
	if c.caps.GetTagging == object.Yes {
		err = c.try(ctx, func() (err error) { h.Tags, err = c.s.Tags(ctx, ref); return err })
		if err != nil && undecided(err) {
			return h, err
		}
		if len(h.Tags) == 0 && c.caps.PutTagging == object.Yes {
			if err := c.try(ctx, func() error { return c.s.PutTags(ctx, ref, canaryTags) }); err == nil {
				h.Tags = canaryTags
			}
		}
	}
	return h, nil
}

// want is what a trial asks for beside the target.
type want struct {
	sourceETag string // instead of the right one
	destETag   string
	destAbsent bool
	class      string
	lockUntil  time.Time
	sourceKey  bool // the source is under the target's SourceKey
}

// trial is one copy of a throwaway object onto itself and what became of it.
type trial struct {
	route    object.Route
	answered bool  // with success
	err      error // otherwise
	// encrypted: HEAD shows the target, and the bytes are the same.
	encrypted bool
	// lost names the headers and metadata that did not arrive, Expires apart.
	lost          []string
	tags, expires object.Finding
	replied       bool // with something to read
	replyShows    bool // the encryption
	replyVersion  bool
	after         object.Head
}

// met says whether an encryption is the target's. Bucket keys are asked for on
// their own: a store that ignores them may re-encrypt all the same.
func (c *canary) met(e object.Encryption) bool {
	t := c.target
	t.BucketKey = object.Default
	return t.MetBy(e)
}

// works says whether the route may be used at all.
func (t *trial) works() bool { return t.answered && t.encrypted && len(t.lost) == 0 }

// attempt copies h onto itself by a route. Its error means that nothing was
// learnt; a refusal is in the trial.
func (c *canary) attempt(ctx context.Context, route object.Route, h object.Head, w want) (trial, error) {
	t := trial{route: route}
	req := c.copyRequest(route, h, w)
	var reply object.CopyReply
	send := func() (err error) {
		if route == object.RouteMultipart {
			reply, t.replyShows, err = c.multipart(ctx, req, h.Size)
			return err
		}
		reply, err = c.s.Copy(ctx, req)
		t.replyShows = c.met(reply.Encryption)
		return err
	}
	if t.err = c.once(ctx, h, send); t.err != nil {
		if undecided(t.err) {
			return t, t.err
		}
		return t, nil
	}
	t.answered, t.replied, t.replyVersion = true, reply.ETag != "", reply.VersionID != ""
	c.litter.object(h.Ref, reply.VersionID)
	return t, c.judge(ctx, &t, h)
}

// once sends a copy until it has been done once. A copy whose answer was lost, or
// is empty, is looked for before it is sent again: a second one would find its
// source changed and look like a refusal.
func (c *canary) once(ctx context.Context, h object.Head, send func() error) error {
	for n := 1; ; n++ {
		if err := c.wanted(); err != nil {
			return err
		}
		err := send()
		if err == nil || !object.ClassOf(err).Retryable() && object.ClassOf(err) != object.ClassNoUpload {
			return err
		}
		if emptySuccess(err) {
			return nil // what it did is judged by what is there
		}
		if object.MaybeApplied(err) {
			now, headErr := c.head(ctx, h.Ref, c.target.CustomerKey)
			if headErr == nil && (now.ETag != h.ETag || now.ShownVersionID != h.ShownVersionID) {
				return nil
			}
		}
		if n == attempts {
			return err
		}
		if err := c.pause(ctx, n, err); err != nil {
			return err
		}
	}
}

func (c *canary) copyRequest(route object.Route, h object.Head, w want) *object.CopyRequest {
	a := h.Attributes
	req := &object.CopyRequest{Source: h.Ref, Dest: h.Ref, SourceETag: h.ETag, DestETag: w.destETag, DestAbsent: w.destAbsent,
		Target: &c.target, SourceSSEC: w.sourceKey, StorageClass: w.class, WebsiteRedirect: a.WebsiteRedirect, Attributes: &a,
		Replace: route != object.RouteSelfCopy, ReplaceTags: route != object.RouteSelfCopy}
	if w.sourceETag != "" {
		req.SourceETag = w.sourceETag
	}
	switch {
	case !w.lockUntil.IsZero():
		req.LockMode, req.RetainUntil = "GOVERNANCE", w.lockUntil.Format(time.RFC3339)
	case c.lockAll:
		req.LockMode, req.RetainUntil = "GOVERNANCE", c.until().Format(time.RFC3339)
	}
	return req
}

// multipart copies by an upload of one part.
func (c *canary) multipart(ctx context.Context, req *object.CopyRequest, size int64) (reply object.CopyReply, shows bool, err error) {
	id, shown, err := c.s.CreateUpload(ctx, req)
	if err != nil {
		if object.MaybeApplied(err) {
			c.litter.uploadLost()
		}
		return reply, false, err
	}
	c.litter.upload(id, req.Dest)
	part, err := c.s.CopyPart(ctx, &object.PartRequest{Source: req.Source, SourceETag: req.SourceETag, Dest: req.Dest, UploadID: id,
		Number: 1, First: 0, Last: -1, Target: req.Target, SourceSSEC: req.SourceSSEC})
	if err != nil {
		return reply, false, err
	}
	reply, err = c.s.CompleteUpload(ctx, &object.CompleteRequest{Dest: req.Dest, UploadID: id, Size: size, Target: req.Target,
		DestETag: req.DestETag, DestAbsent: req.DestAbsent, ChecksumAlgorithm: req.ChecksumAlgorithm, ChecksumType: req.ChecksumType,
		Parts: []object.Part{{Number: 1, ETag: part.ETag, Size: size, Checksum: part.Checksum}}})
	if err != nil {
		return reply, false, err
	}
	c.litter.uploadEnded(id)
	return reply, c.met(shown) || c.met(reply.Encryption), nil
}

// judge reads everything back.
func (c *canary) judge(ctx context.Context, t *trial, before object.Head) error {
	key := c.target.CustomerKey
	var err error
	if t.after, err = c.head(ctx, before.Ref, key); err != nil {
		if undecided(err) {
			return err
		}
		// A customer key that the store did not take: HEAD refuses it, and shows the
		// object without.
		if t.after, err = c.head(ctx, before.Ref, object.CustomerKey{}); err != nil {
			return nil
		}
		key = object.CustomerKey{}
	}
	same, err := c.intact(ctx, before.Ref, key)
	if err != nil && undecided(err) {
		return err
	}
	t.encrypted = same && (c.met(t.after.Encryption) || c.caps.Source == "assumed")
	t.lost = lostHeaders(&before, &t.after)
	t.expires = kept(before.Expires, t.after.Expires)
	if len(before.Tags) > 0 {
		var tags []object.Tag
		err := c.try(ctx, func() (err error) { tags, err = c.s.Tags(ctx, before.Ref); return err })
		if err != nil && undecided(err) {
			return err
		}
		t.tags = object.Found(err == nil && slices.Equal(tags, before.Tags))
	}
	return nil
}

// kept says whether a value is the same after a copy; nothing where there was
// nothing to keep.
func kept(before, after string) object.Finding {
	if before == "" {
		return object.Unknown
	}
	return object.Found(before == after)
}

func lostHeaders(before, after *object.Head) []string {
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

func routeWord(r object.Route) string {
	b, _ := r.MarshalText()
	return string(b)
}

// plainRoutes tries all three ways with a plain source. The cheapest that works
// is the route; the others are worth knowing for objects that it would harm.
func (c *canary) plainRoutes(ctx context.Context) error {
	trials := make([]trial, 3)
	try := func(i int, route object.Route) question {
		return func(c *canary, ctx context.Context) error {
			h, err := c.plain(ctx, "plain-"+routeWord(route))
			if err != nil {
				return err
			}
			if trials[i], err = c.attempt(ctx, route, h, want{}); err != nil {
				return err
			}
			c.describe(&trials[i], "a plain object")
			return nil
		}
	}
	err := c.together(ctx, try(0, object.RouteSelfCopy), try(1, object.RouteReplace), try(2, object.RouteMultipart))
	if err != nil {
		return err
	}
	for i := range trials {
		if trials[i].works() {
			c.caps.Route = trials[i].route
			break
		}
	}
	c.caps.Replace, c.caps.Multipart = object.Found(trials[1].works()), object.Found(trials[2].works())
	if c.caps.Route != object.RouteNone && c.caps.Encrypts == object.Unknown && c.caps.Source == "canary" {
		c.caps.Encrypts = object.Yes
	}
	if c.caps.Route == object.RouteNone && c.caps.Encrypts == object.Unknown && c.caps.Source == "canary" && !c.targetRefused {
		c.caps.Encrypts = object.No
	}
	c.learnFrom(trials)
	return nil
}

// learnFrom draws what all working routes have in common.
func (c *canary) learnFrom(trials []trial) {
	for i := range trials {
		t := &trials[i]
		if !t.works() {
			continue
		}
		c.caps.KeepsTags = both(c.caps.KeepsTags, t.tags)
		if t.route == object.RouteSelfCopy || c.caps.Route != object.RouteSelfCopy {
			c.caps.KeepsExpires = both(c.caps.KeepsExpires, t.expires)
		}
		if !t.replied {
			continue // lost, or a store that answers with nothing
		}
		if t.route == object.RouteMultipart {
			c.caps.UploadShowsEncryption = object.Found(t.replyShows)
		} else {
			c.caps.CopyShowsEncryption = both(c.caps.CopyShowsEncryption, object.Found(t.replyShows))
		}
		if c.o.Facts.Versioning == object.VersioningEnabled {
			c.caps.VersionsInReplies = both(c.caps.VersionsInReplies, object.Found(t.replyVersion))
		}
	}
}

// describe notes what a person wants to know about a trial.
func (c *canary) describe(t *trial, source string) {
	switch {
	case !t.answered:
		c.note("%s of %s was refused: %s", t.route, source, reason(t.err))
	case !t.encrypted && c.met(t.after.Encryption):
		c.note("%s of %s changed its bytes", t.route, source)
	case !t.encrypted:
		c.note("%s of %s answered 200, and the object is under %s", t.route, source, t.after.Encryption.Type)
	case len(t.lost) > 0:
		c.note("%s of %s loses %s", t.route, source, strings.Join(t.lost, ", "))
	default:
		var lost []string
		for what, f := range map[string]object.Finding{"tags": t.tags, "Expires": t.expires} {
			if f == object.No {
				lost = append(lost, what)
			}
		}
		if len(lost) > 0 {
			slices.Sort(lost)
			c.note("%s of %s works and loses %s", t.route, source, strings.Join(lost, ", "))
			return
		}
		c.note("%s of %s works", t.route, source)
	}
}

// routesInUse are those that the job may take with this store.
func (c *canary) routesInUse() []object.Route {
	var routes []object.Route
	for _, r := range []object.Route{c.caps.Route, c.caps.EncryptedRoute} {
		if r != object.RouteNone && !slices.Contains(routes, r) {
			routes = append(routes, r)
		}
	}
	if c.caps.Multipart == object.Yes && !slices.Contains(routes, object.RouteMultipart) {
		routes = append(routes, object.RouteMultipart)
	}
	return routes
}

// encryptedRoute finds the cheapest way that works with every kind of encrypted
// source that this store can make and the job can read.
func (c *canary) encryptedRoute(ctx context.Context) error {
	found, tried, err := c.routeFrom(ctx, c.sources(), false)
	if err != nil {
		return err
	}
	if !tried {
		found = c.unproved()
	}
	c.caps.EncryptedRoute = found
	if c.target.SourceKey.IsZero() {
		return nil
	}
	under := object.Target{SSE: object.SSEC, CustomerKey: c.target.SourceKey}
	found, _, err = c.routeFrom(ctx, []object.Target{under}, true)
	if err != nil {
		return err
	}
	if found == object.RouteNone {
		c.note("no route re-encrypts an object that is under SSE-C")
	} else if found > c.caps.EncryptedRoute {
		c.caps.EncryptedRoute = found
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

// sources are encryptions that a source can be made under, other than the target
// where possible.
func (c *canary) sources() []object.Target {
	all := []object.Target{{SSE: object.SSES3}, {SSE: object.SSEKMS}}
	if c.target.SSE == object.SSES3 {
		all[0], all[1] = all[1], all[0]
	}
	if c.target.SSE != object.SSEC {
		all = append(all, c.target) // copied onto itself under the same key
	}
	return all
}

// routeFrom finds the cheapest route for the first of the sources that can be
// made; tried is false where none can.
func (c *canary) routeFrom(ctx context.Context, sources []object.Target, ssec bool) (found object.Route, tried bool, err error) {
	for _, src := range sources {
		for route := object.RouteSelfCopy; route <= object.RouteMultipart; route++ {
			h, err := c.decorated(ctx, "encrypted-"+routeWord(route), &src)
			if err != nil {
				if undecided(err) && object.ClassOf(err) != object.ClassKey {
					return object.RouteNone, false, err
				}
				break // cannot be made here: another kind of source
			}
			if h.Encryption.Type != src.SSE {
				break
			}
			t, err := c.attempt(ctx, route, h, want{sourceKey: ssec})
			if err != nil {
				return object.RouteNone, true, err
			}
			c.describe(&t, "an object under "+src.SSE.String())
			if t.works() {
				c.learnFrom([]trial{t})
				return route, true, nil
			}
			if route == object.RouteMultipart {
				return object.RouteNone, true, nil
			}
		}
	}
	return object.RouteNone, false, nil
}

func isAlias(key string) bool {
	return strings.HasPrefix(key, "alias/") || strings.Contains(key, ":alias/")
}

// crc32Of is a checksum as S3 writes it.
func crc32Of(b []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)))
}
