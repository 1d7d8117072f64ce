package planner

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// Every case is drawn from the product of all that Choose looks at. The
// invariants are the promises, not the code: they are stated without its helpers.
func TestChooseKeepsItsPromises(t *testing.T) {
	const seed, cases = 7, 150_000
	r := rand.New(rand.NewPCG(seed, seed))
	old, young := customerKey(t, 1), customerKey(t, 2)
	seen := map[object.Operation]int{}
	for range cases {
		c, o, a := drawCase(r, old, young)
		got := c.Choose(&o, a)
		seen[got.Operation]++
		before := o
		if again := c.Choose(&o, a); !reflect.DeepEqual(got, again) || !reflect.DeepEqual(before, o) {
			t.Fatalf("not pure: %+v then %+v", got, again)
		}
		if broken := brokenPromise(&c, &o, a, got); broken != "" {
			t.Fatalf("%s\nchooser %+v\nobject %+v\nattributes %+v\nchoice %+v", broken, c, o, a, got)
		}
	}
	for _, op := range []object.Operation{object.OpUndecided, object.OpNone, object.OpUpdate, object.OpCopy, object.OpMultipart, object.OpRewrite} {
		if seen[op] < cases/500 {
			t.Errorf("%v came up %d times only: the product does not cover it", op, seen[op])
		}
	}
}

func brokenPromise(c *Chooser, o *object.Object, a *object.Attributes, got object.Choice) string {
	copies := got.Operation == object.OpCopy || got.Operation == object.OpMultipart
	inPlace := c.Dest == nil
	accepted := func(r object.Reason) bool {
		for _, x := range c.Accept {
			if x == r {
				return true
			}
		}
		return false
	}
	switch {
	case got.Operation == object.OpUndecided && a != nil:
		return "undecided although inspected"
	case got.Operation == object.OpNone && got.Already == (got.Reason != ""):
		return "none must be either already or left with a reason"
	case got.Reason != "" && got.Message == "":
		return "left without a sentence"
	case got.Already && (!inPlace || !c.Target.Satisfied(o)):
		return "already, and not as wanted"
	case inPlace && !o.DeleteMarker && o.Encryption.Type != object.SSEUnknown && o.Encryption.Type != object.SSEC && c.Target.Satisfied(o) && !got.Already:
		return "as wanted, and not already"
	case o.DeleteMarker && (copies || got.Operation == object.OpUpdate):
		return "a delete marker is touched"
	}
	if got.Operation == object.OpUpdate {
		switch {
		case c.Caps.Update != object.Yes || c.Operation == CopyOnly || c.Operation == RewriteOnly || !inPlace:
			return "update where it is not allowed"
		case o.Encryption.Type != object.SSES3 && o.Encryption.Type != object.SSEKMS:
			return "update of a source that it does not take"
		case c.Target.SSE != object.SSEKMS || c.Target.KMSKeyID != keyB || c.Target.Context != "":
			return "update to a target that it does not reach"
		case o.Locked():
			return "update of a locked object"
		case a == nil && !o.Plain && c.Facts.ObjectLock != object.No:
			return "update of an object that might be locked"
		case c.Target.StorageClass != "" && c.Target.StorageClass != o.StorageClass:
			return "update does not change the class"
		}
	}
	if got.Operation == object.OpRewrite {
		return brokenByRewrite(c, o, a, got, accepted)
	}
	if !copies {
		return ""
	}
	route := c.Caps.EncryptedRoute
	if o.Encryption.Type == object.SSENone {
		route = c.Caps.Route
	}
	replaced := got.Operation == object.OpMultipart || got.Route == object.RouteReplace
	switch {
	case c.Operation == UpdateOnly || c.Operation == RewriteOnly:
		return "copy although it is not allowed"
	case o.Noncurrent:
		return "copy of a noncurrent version"
	case o.StorageClass == "GLACIER" && (a == nil || !a.Restored):
		return "copy of an archived object"
	case got.Operation == object.OpCopy && o.Size > 5368709120:
		return "copy of what is too large for it"
	case got.Operation == object.OpCopy && got.Route != object.RouteSelfCopy && got.Route != object.RouteReplace:
		return "copy without a route"
	case route == object.RouteNone:
		return "copy without any route that re-encrypts"
	case route != object.RouteMultipart && got.Operation == object.OpMultipart && c.Caps.Multipart == object.No,
		route == object.RouteSelfCopy && got.Operation == object.OpCopy && got.Route == object.RouteReplace && c.Caps.Replace == object.No:
		return "a way that the canary saw fail"
	case route == object.RouteMultipart && got.Operation != object.OpMultipart:
		return "a weaker route than the one that re-encrypts"
	case route == object.RouteReplace && got.Operation == object.OpCopy && got.Route == object.RouteSelfCopy:
		return "a weaker route than the one that re-encrypts"
	case o.Encryption.Type == object.SSEC && (c.Target.SourceKey.IsZero() || o.Encryption.CustomerKeyMD5 != c.Target.SourceKey.MD5()):
		return "copy of an SSE-C object without its key"
	case c.Target.SSE == object.DSSEKMS && c.Caps.DSSE != object.Yes:
		return "DSSE on a store that does not do it"
	case a == nil && (o.Size < 0 || o.ETag == ""):
		return "copy without a condition"
	case o.Locked() && !accepted(object.ReasonLock) && c.Caps.KeepsLock != object.Yes && c.Caps.PutRetention != object.Yes:
		return "the lock would be lost"
	case a == nil && !o.Plain && (c.Facts.ObjectLock != object.No || c.Facts.Website != object.No):
		return "copy of what might have a lock or a redirect"
	case a == nil && (c.Caps.KeepsTags != object.Yes || replaced && !o.Plain):
		return "copy of what might lose something"
	case a == nil && c.Facts.ACLsDisabled != object.Yes && c.Caps.GetACL != object.No && c.Caps.PutACL != object.No:
		return "copy of what might have grants"
	case o.ChecksumType == "COMPOSITE" && c.Caps.Checksums == object.Yes && !accepted(object.ReasonComposite) && !got.SourceParts:
		return "the composite checksum would change"
	case got.SourceParts && (c.Caps.GetAttributes != object.Yes || got.Operation != object.OpMultipart):
		return "source parts that cannot be had"
	case got.Operation == object.OpCopy && c.Caps.CopyIfMatch != object.Yes && writesMatter(c, accepted(AcceptConcurrent)),
		got.Operation == object.OpMultipart && c.Caps.CompleteIfMatch != object.Yes && writesMatter(c, accepted(AcceptConcurrent)):
		return "a concurrent write might be overwritten"
	case o.StorageClass != "" && c.Target.StorageClass == "" && c.Caps.KeepsClass != object.Yes && !accepted(object.ReasonClass):
		return "the class would be lost"
	}
	if a == nil {
		return ""
	}
	return brokenAttributes(c, a, replaced, accepted)
}

// writesMatter: strict always; else unless they are accepted, nobody asked, or the
// bucket keeps every version and there is no guarded way at all.
func writesMatter(c *Chooser, accepted bool) bool {
	facts := &c.Facts
	if c.Dest != nil {
		facts = c.Dest
	}
	guards := c.Caps.PutIfMatch == object.Yes
	return c.Strict || !accepted && (guards || c.Caps.PutIfMatch == object.No && facts.Versioning != object.VersioningEnabled)
}

// brokenByRewrite is about an object that goes through this process.
func brokenByRewrite(c *Chooser, o *object.Object, a *object.Attributes, got object.Choice, accepted func(object.Reason) bool) string {
	switch {
	case got.Route != object.RouteSend && c.Caps.PutIfMatch != object.Yes, got.Route == object.RouteSend && c.Caps.SendIfMatch != object.Yes:
		return "a rewrite that nothing guards"
	case got.Route == object.RouteSend && c.Operation != RewriteOnly:
		return "a rewrite in parts that nobody asked for"
	case c.Operation == CopyOnly || c.Operation == UpdateOnly:
		return "rewrite although it is not allowed"
	case o.Size < 0 && a == nil || got.Route != object.RouteSend && o.Size > 16<<20 || o.Size > 10_000*256<<20:
		return "a rewrite of what may be too large"
	case o.Noncurrent || o.DeleteMarker || o.StorageClass == "GLACIER" && (a == nil || !a.Restored):
		return "a rewrite of what cannot be read, or is not current"
	case o.Encryption.Type == object.SSEUnknown && a != nil:
		return "a rewrite of what nobody understands"
	case c.Target.SSE == object.DSSEKMS && c.Caps.DSSE != object.Yes:
		return "DSSE on a store that does not do it"
	case a == nil:
		return "" // it is chosen for again once it was read
	case o.ChecksumType == "COMPOSITE" && c.Caps.Checksums == object.Yes && !accepted(object.ReasonComposite) && !got.SourceParts:
		return "the composite checksum would change"
	case got.SourceParts && (got.Route != object.RouteSend || c.Caps.GetAttributes != object.Yes || c.Caps.SendChecksums != object.Yes):
		return "source parts that cannot be had"
	case got.Route == object.RouteSend && o.ChecksumType != "COMPOSITE" && o.ChecksumAlgorithm == "SHA256" && !got.SourceParts && c.Caps.Checksums == object.Yes && !accepted(object.ReasonComposite):
		return "a checksum of the whole would become a composite one"
	case (got.Route == object.RouteSelfCopy || got.Route == object.RouteReplace) && o.ChecksumAlgorithm != "" && c.Caps.KeepsChecksums == object.No && c.Caps.Checksums == object.Yes && !accepted(object.ReasonComposite):
		return "a checksum would be lost by a copy"
	case got.Route != object.RouteSend && o.ChecksumAlgorithm != "" && a.Checksums[o.ChecksumAlgorithm] == "" && c.Caps.Checksums == object.Yes && !accepted(object.ReasonComposite):
		return "a checksum would be lost"
	case o.Locked() && !accepted(object.ReasonLock) && c.Caps.KeepsLock != object.Yes && c.Caps.PutRetention != object.Yes:
		return "the lock would be lost"
	case o.StorageClass != "" && c.Target.StorageClass == "" && c.Caps.KeepsClass != object.Yes && !accepted(object.ReasonClass):
		return "the class would be lost"
	}
	return brokenAttributes(c, a, true, accepted)
}

// brokenAttributes is about what only HEAD tells.
func brokenAttributes(c *Chooser, a *object.Attributes, replaced bool, accepted func(object.Reason) bool) string {
	switch {
	case len(a.Grants) > 0 && c.Facts.ACLsDisabled != object.Yes && c.Caps.PutACL != object.Yes && !accepted(object.ReasonACL):
		return "grants would be lost"
	case a.TagCount > 0 && c.Caps.KeepsTags != object.Yes && c.Caps.PutTagging != object.Yes && !accepted(object.ReasonTags):
		return "tags would be lost"
	case a.TagCount > 0 && replaced && c.Caps.GetTagging != object.Yes && !accepted(object.ReasonTags):
		return "tags that cannot be read would be lost"
	case a.WebsiteRedirect != "" && c.Caps.KeepsRedirect != object.Yes && !accepted(object.ReasonRedirect):
		return "the redirect would be lost"
	case a.MissingMetadata > 0 && replaced && !accepted(object.ReasonMetadata):
		return "metadata would be lost"
	case a.Expires != "" && !replaced && c.Caps.KeepsExpires != object.Yes && !accepted(object.ReasonMetadata):
		return "Expires would be lost"
	case c.Target.StampMtime && !replaced && !accepted(object.ReasonMetadata):
		return "the mtime would not be stamped"
	}
	return ""
}

func drawCase(r *rand.Rand, old, young object.CustomerKey) (Chooser, object.Object, *object.Attributes) {
	finding := func() object.Finding { // mostly good, so that all rows are reached
		return []object.Finding{object.Yes, object.Yes, object.Yes, object.No, object.Unknown}[r.IntN(5)]
	}
	rare := func() bool { return r.IntN(8) == 0 }
	caps := awsCaps()
	for _, f := range []*object.Finding{&caps.Update, &caps.Replace, &caps.Multipart, &caps.CopyIfMatch, &caps.CompleteIfMatch, &caps.PutIfMatch, &caps.SendIfMatch, &caps.SendChecksums, &caps.KeepsTags, &caps.KeepsLock, &caps.KeepsRedirect,
		&caps.KeepsExpires, &caps.KeepsClass, &caps.KeepsChecksums, &caps.PutTagging, &caps.PutRetention, &caps.PutACL, &caps.GetTagging, &caps.GetACL, &caps.GetAttributes,
		&caps.DSSE, &caps.BucketKey, &caps.Checksums} {
		*f = finding()
	}
	route := func() object.Route {
		return []object.Route{object.RouteSelfCopy, object.RouteSelfCopy, object.RouteSelfCopy, object.RouteReplace, object.RouteMultipart, object.RouteNone}[r.IntN(6)]
	}
	caps.Route, caps.EncryptedRoute = route(), route()
	facts := object.BucketFacts{ACLsDisabled: finding(), ObjectLock: object.No, Website: object.No, BlocksSSEC: object.No, Versioning: object.Versioning(r.IntN(4))}
	if rare() {
		facts.ObjectLock = finding()
	}
	if rare() {
		facts.Website = finding()
	}
	targets := []object.Target{kms(keyB), kms(keyB), kms(keyB), {SSE: object.SSES3}, {SSE: object.DSSEKMS, KMSKeyID: keyB},
		{SSE: object.SSEC, CustomerKey: young}, {SSE: object.SSEKMS, KMSKeyID: keyB, Context: "e30="}, {SSE: object.SSEKMS, KMSKeyID: "alias/b"}}
	c := Chooser{Target: targets[r.IntN(len(targets))], Caps: caps, Facts: facts, Operation: Restriction(r.IntN(4)), Strict: rare()}
	c.Target.BucketKey = object.Switch(r.IntN(3))
	if r.IntN(2) == 0 {
		c.Target.SourceKey = old
	}
	c.Target.StampMtime = rare()
	if rare() {
		c.Target.StorageClass = "STANDARD_IA"
	}
	if rare() {
		f := plainFacts()
		c.Dest = &f
	}
	if r.IntN(3) == 0 {
		c.MultipartThreshold = 1 << 20
	}
	for _, w := range []object.Reason{object.ReasonACL, object.ReasonLock, object.ReasonTags, object.ReasonRedirect, object.ReasonComposite, object.ReasonMetadata, AcceptConcurrent} {
		if rare() {
			c.Accept = append(c.Accept, w)
		}
	}
	sse := object.SSE(r.IntN(6))
	o := under(sse, "")
	if sse.KMS() {
		o.Encryption.KMSKeyID = []string{"", keyA, keyB}[r.IntN(3)]
		o.Encryption.BucketKey = r.IntN(2) == 0
	}
	if sse == object.SSEC {
		o.Encryption.CustomerKeyMD5 = []string{"", old.MD5(), young.MD5()}[r.IntN(3)]
	}
	o.Size = []int64{0, 10, 1 << 20, 20 << 20, MaxCopySize, MaxCopySize + 1, MaxMultipartSize + 1, -1}[r.IntN(8)]
	o.StorageClass = []string{"", "", "", "STANDARD_IA", "GLACIER"}[r.IntN(5)]
	o.ChecksumType = []string{"", "", "COMPOSITE", "FULL_OBJECT"}[r.IntN(4)]
	o.ChecksumAlgorithm = []string{"", "CRC32", "CRC64NVME", "SHA256"}[r.IntN(4)]
	o.ETag = []string{"0123", "0123", "0123-2", ""}[r.IntN(4)]
	o.Noncurrent, o.DeleteMarker, o.Settled, o.Plain = rare(), rare(), r.IntN(2) == 0, rare()
	if rare() {
		o.LockMode = "GOVERNANCE"
	}
	if r.IntN(3) == 0 {
		return c, o, nil
	}
	a := &object.Attributes{Restored: r.IntN(2) == 0}
	if o.ChecksumAlgorithm != "" && r.IntN(2) == 0 {
		a.Checksums = map[string]string{o.ChecksumAlgorithm: "value"}
	}
	if r.IntN(4) != 0 {
		a.Grants = []object.Grant{}
	}
	if rare() {
		a.Grants = []object.Grant{{ID: "someone", Permission: "READ"}}
	}
	if rare() {
		a.TagCount = 2
	}
	if rare() {
		a.WebsiteRedirect = "/there"
	}
	if rare() {
		a.MissingMetadata = 1
	}
	if rare() {
		a.Expires = "soon"
	}
	return c, o, a
}
