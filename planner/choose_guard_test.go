package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// guardingMinIO is minioCaps with what a PutObject was seen to do.
func guardingMinIO() object.Capabilities {
	c := minioCaps()
	c.PutIfMatch, c.PutShowsEncryption = object.Yes, object.Yes
	return c
}

// TestChooseGuards are the rows about routes that notice the writes of others. All
// are on an unversioned bucket of MinIO, whose CopyObject ignores If-Match.
func TestChooseGuards(t *testing.T) {
	key := customerKey(t, 1)
	type C = *Chooser
	type O = *object.Object
	type A = *object.Attributes
	crc := func(o O, a A, size int64) {
		o.Size, o.ChecksumAlgorithm, o.ChecksumType = size, "CRC32", "FULL_OBJECT"
		a.Checksums = map[string]string{"CRC32": "AAAAAA=="}
	}
	rewriteOnly := func(c C) { c.Operation, c.Caps.SendIfMatch, c.Caps.SendChecksums = RewriteOnly, object.Yes, object.Yes }
	none := func(c C) { c.Caps.PutIfMatch, c.Caps.CompleteIfMatch = object.No, object.No }
	rows := []choice{
		{"12c unseen: read it", func(c C, o O, a A) {}, true, rewrite},
		{"12c unseen, size not told", func(c C, o O, a A) { o.Size = -1 }, true, undecided},
		{"12c unseen, encryption not told", func(c C, o O, a A) { o.Encryption = object.Encryption{} }, true, undecided},
		{"12c unseen, its row shows a loss", func(c C, o O, a A) { o.ChecksumAlgorithm, o.ChecksumType = "CRC32", "COMPOSITE" }, true, undecided},
		{"12c", func(c C, o O, a A) {}, false, rewrite},
		{"12c empty", func(c C, o O, a A) { o.Size = 0 }, false, rewrite},
		{"12c at the threshold", func(c C, o O, a A) { o.Size = RewriteThreshold }, false, rewrite},
		{"12c Expires, tags, class", func(c C, o O, a A) { a.Expires, a.TagCount, o.StorageClass = "0", 2, "STANDARD_IA" }, false, rewrite},
		{"12c SHA of the whole", func(c C, o O, a A) {
			o.ChecksumAlgorithm, o.ChecksumType, a.Checksums = "SHA256", "FULL_OBJECT", map[string]string{"SHA256": "x"}
		}, false, rewrite},
		{"12c elsewhere", func(c C, o O, a A) { f := plainFacts(); f.Versioning = object.VersioningOff; c.Dest = &f }, false, rewrite},
		{"12c versioned", func(c C, o O, a A) { c.Facts.Versioning = object.VersioningEnabled }, false, rewrite},
		{"12c strict", func(c C, o O, a A) { c.Strict = true }, false, rewrite},
		{"12c strict, whatever is accepted", func(c C, o O, a A) { c.Strict, c.Accept = true, []object.Reason{AcceptConcurrent} }, false, rewrite},
		{"12c not by --operation copy", func(c C, o O, a A) { c.Operation = CopyOnly }, false, multipart},
		{"12c no route but this", func(c C, o O, a A) {
			c.Caps.Route, c.Caps.EncryptedRoute, o.Size = object.RouteNone, object.RouteNone, MaxRewriteSize
		}, false, rewrite},
		{"12d above the threshold", func(c C, o O, a A) { o.Size = RewriteThreshold + 1 }, false, multipart},
		{"12d above, unseen", func(c C, o O, a A) { o.Size = RewriteThreshold + 1 }, true, undecided},
		{"12d no multipart", func(c C, o O, a A) { o.Size, c.Caps.Multipart = RewriteThreshold+1, object.No }, false, rewrite},
		{"12d Complete not guarded", func(c C, o O, a A) { o.Size, c.Caps.CompleteIfMatch = RewriteThreshold+1, object.No }, false, rewrite},
		{"12d M10 CRC32 of the whole, which parts cannot have here", func(c C, o O, a A) { crc(o, a, MaxRewriteSize) }, false, rewrite},
		{"12d SSE-C target", func(c C, o O, a A) { c.Target = object.Target{SSE: object.SSEC, CustomerKey: key} }, false, multipart},
		{"12d SSE-C source", func(c C, o O, a A) {
			*o = under(object.SSEC, "")
			o.Encryption.CustomerKeyMD5, c.Target.SourceKey = key.MD5(), key
		}, false, multipart},
		{"12a accepted", func(c C, o O, a A) { c.Accept = []object.Reason{AcceptConcurrent} }, false, selfCopy},
		{"12a a store that guards nothing, and keeps versions", func(c C, o O, a A) { none(c); c.Facts.Versioning = object.VersioningEnabled }, false, selfCopy},
		{"12a nobody asked about PutObject", func(c C, o O, a A) { c.Caps.PutIfMatch = object.Unknown }, false, selfCopy},
		{"12a no copy", func(c C, o O, a A) {
			c.Caps = awsCaps()
			c.Operation, c.Caps.EncryptedRoute, c.Caps.PutIfMatch = Auto, object.RouteNone, object.Yes
			*o = under(object.DSSEKMS, keyA)
		}, false, rewrite},

		{"12 --operation rewrite on AWS", func(c C, o O, a A) {
			c.Caps, c.Operation = awsCaps(), RewriteOnly
			c.Caps.PutIfMatch = object.Yes
			crc(o, a, MaxRewriteSize)
		}, false, rewrite},
		{"12 --operation rewrite of SSE-C on AWS", func(c C, o O, a A) {
			c.Caps, c.Operation, c.Target = awsCaps(), RewriteOnly, object.Target{SSE: object.SSEC, CustomerKey: key}
			c.Caps.PutIfMatch = object.Yes
		}, false, rewrite},
		{"10 --operation rewrite, too large", func(c C, o O, a A) { c.Operation, o.Size = RewriteOnly, MaxSendSize+1 }, false, left(object.ReasonTooLarge)},
		{"11 --operation rewrite above 16 MiB, uploads not guarded", func(c C, o O, a A) { c.Operation, o.Size = RewriteOnly, MaxRewriteSize+1 }, false, left(object.ReasonUnsupported)},
		{"12e above 16 MiB", func(c C, o O, a A) { rewriteOnly(c); o.Size = MaxRewriteSize + 1 }, false, send},
		{"12e above 16 MiB, where no copy re-encrypts", func(c C, o O, a A) {
			rewriteOnly(c)
			c.Caps.Route, c.Caps.EncryptedRoute, c.Caps.Multipart, o.Size = object.RouteNone, object.RouteNone, object.No, MaxCopySize+1
		}, false, send},
		{"12e above 16 MiB, unseen", func(c C, o O, a A) { rewriteOnly(c); o.Size = MaxRewriteSize + 1 }, true, undecided},
		{"12e small", func(c C, o O, a A) { rewriteOnly(c) }, false, rewrite},
		{"12e small, and only uploads are guarded", func(c C, o O, a A) { rewriteOnly(c); c.Caps.PutIfMatch = object.No }, false, send},
		{"12f from the threshold on", func(c C, o O, a A) { rewriteOnly(c); c.MultipartThreshold = 1 }, false, send},
		{"12e CRC32 of the whole", func(c C, o O, a A) { rewriteOnly(c); crc(o, a, MaxRewriteSize+1) }, false, send},
		{"12e composite, by its own parts", func(c C, o O, a A) {
			rewriteOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType = "SHA256", "COMPOSITE"
		}, false, sendParts},
		{"14e composite, parts untold", func(c C, o O, a A) {
			rewriteOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType, c.Caps.GetAttributes = "SHA256", "COMPOSITE", object.No
		}, false, left(object.ReasonComposite)},
		{"14e composite, of a part too large to hold", func(c C, o O, a A) {
			rewriteOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType, o.Size, a.PartSizes = "SHA256", "COMPOSITE", MaxSentPart+2, []int64{MaxSentPart + 1, 1}
		}, false, left(object.ReasonComposite)},
		{"14e SHA256 of the whole", func(c C, o O, a A) {
			rewriteOnly(c)
			crc(o, a, MaxRewriteSize+1)
			o.ChecksumAlgorithm = "SHA256"
		}, false, left(object.ReasonComposite)},
		{"14e a checksum that is not known here", func(c C, o O, a A) {
			rewriteOnly(c)
			o.ChecksumAlgorithm, o.ChecksumType = "XXHASH64", "COMPOSITE"
		}, false, left(object.ReasonComposite)},
		{"11e SSE-C elsewhere than on AWS", func(c C, o O, a A) {
			rewriteOnly(c)
			c.Target = object.Target{SSE: object.SSEC, CustomerKey: key}
		}, false, left(object.ReasonUnsupported)},
		{"11 --operation rewrite, not guarded", func(c C, o O, a A) { c.Operation, c.Caps.PutIfMatch = RewriteOnly, object.No }, false, left(object.ReasonUnsupported)},

		{"13 composite accepted", func(c C, o O, a A) {
			o.ChecksumAlgorithm, o.ChecksumType, c.Accept = "CRC32", "COMPOSITE", []object.Reason{object.ReasonComposite}
		}, false, rewrite},
		{"14 composite", func(c C, o O, a A) { o.ChecksumAlgorithm, o.ChecksumType = "CRC32", "COMPOSITE" }, false, left(object.ReasonComposite)},
		{"14 M10 CRC32 of the whole, too large to rewrite", func(c C, o O, a A) { crc(o, a, MaxRewriteSize+1) }, false, left(object.ReasonComposite)},
		{"14 M10 the same, strict", func(c C, o O, a A) { crc(o, a, MaxRewriteSize+1); c.Strict = true }, false, left(object.ReasonComposite)},
		{"14 a checksum whose value is not shown", func(c C, o O, a A) { o.ChecksumAlgorithm, o.ChecksumType = "CRC32", "FULL_OBJECT" }, false, left(object.ReasonComposite)},
		{"14 metadata that HTTP hides", func(c C, o O, a A) { a.MissingMetadata = 1 }, false, left(object.ReasonMetadata)},
		{"14 nothing is guarded", func(c C, o O, a A) { none(c) }, false, left(AcceptConcurrent)},
		{"14 nothing is guarded, strict, accepted, versioned", func(c C, o O, a A) {
			none(c)
			c.Strict, c.Accept, c.Facts.Versioning = true, []object.Reason{AcceptConcurrent}, object.VersioningEnabled
		}, false, left(AcceptConcurrent)},
		{"14 only PutObject is guarded, and it is large", func(c C, o O, a A) {
			c.Caps.CompleteIfMatch, o.Size = object.No, MaxRewriteSize+1
		}, false, left(AcceptConcurrent)},

		{"A2 checksums untold, in one part", func(c C, o O, a A) { c.Caps = awsCaps(); c.Operation = CopyOnly; a.ChecksumsUntold = true }, false, selfCopy},
		{"A2 checksums untold, in parts", func(c C, o O, a A) {
			c.Caps, c.Operation = awsCaps(), CopyOnly
			a.ChecksumsUntold, o.ETag = true, "abc-2"
		}, false, left(object.ReasonComposite)},
		{"A2 checksums untold, by update", func(c C, o O, a A) { c.Caps = awsCaps(); a.ChecksumsUntold, o.ETag = true, "abc-2" }, false, update},
		{"A2 a store without checksums tells none", func(c C, o O, a A) { c.Caps.Checksums, a.ChecksumsUntold, o.ETag = object.No, true, "abc-2" }, false, rewrite},
	}
	for i := range rows {
		change := rows[i].change
		rows[i].change = func(c C, o O, a A) {
			c.Caps, c.Facts.Versioning = guardingMinIO(), object.VersioningOff
			change(c, o, a)
		}
	}
	chooseAll(t, rows)
}

// TestGuardedRoutes: what a job can rely on before it begins.
func TestGuardedRoutes(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*object.Capabilities)
		want   []object.Route
	}{
		"MinIO":                   {func(c *object.Capabilities) {}, []object.Route{object.RouteRewrite, object.RouteMultipart}},
		"MinIO, older job":        {func(c *object.Capabilities) { c.PutIfMatch = object.Unknown }, []object.Route{object.RouteMultipart}},
		"AWS":                     {func(c *object.Capabilities) { *c = awsCaps() }, []object.Route{object.RouteSelfCopy, object.RouteReplace, object.RouteMultipart}},
		"no multipart":            {func(c *object.Capabilities) { c.Multipart = object.No }, []object.Route{object.RouteRewrite}},
		"nothing honoured":        {func(c *object.Capabilities) { c.PutIfMatch, c.CompleteIfMatch = object.No, object.No }, nil},
		"no copy re-encrypts":     {func(c *object.Capabilities) { c.Route, c.EncryptedRoute = object.RouteNone, object.RouteNone }, []object.Route{object.RouteRewrite}},
		"nothing at all is known": {func(c *object.Capabilities) { *c = object.Capabilities{} }, nil},
	} {
		c := guardingMinIO()
		tc.change(&c)
		if got := c.GuardedRoutes(); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// TestNoRewriteOfSSECOnMinIO: --operation rewrite does not help what is, or is to be, under SSE-C on
// another store than AWS, and such a row says what does.
func TestNoRewriteOfSSECOnMinIO(t *testing.T) {
	key := customerKey(t, 1)
	c := &Chooser{Target: object.Target{SSE: object.SSES3, SourceKey: key}, Caps: guardingMinIO(), Facts: plainFacts(), Operation: RewriteOnly}
	o := under(object.SSEC, "")
	o.Encryption.CustomerKeyMD5 = key.MD5()
	got := c.Choose(&o, &object.Attributes{})
	if got.Reason != object.ReasonUnsupported || !strings.Contains(got.Message, "--operation auto") || !strings.Contains(got.Message, "SSE-C") {
		t.Errorf("%+v", got)
	}
	c.Caps = awsCaps()
	c.Caps.PutIfMatch = object.Yes
	if got := c.Choose(&o, &object.Attributes{}); got.Operation != object.OpRewrite {
		t.Errorf("on AWS: %+v", got)
	}
}
