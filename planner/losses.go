package planner

import (
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// loss is one thing that a route would take from an object, and the sentence
// that explains it.
type loss struct {
	reason  object.Reason
	message string
}

type lossList []loss

func (l *lossList) add(reason object.Reason, message string) { *l = append(*l, loss{reason, message}) }

// losses are what the object would lose by the route. untold means that it
// depends on what only an inspection tells; never so with attributes.
//
//	what the object has    | self-copy         | REPLACE           | multipart                 | rewrite          | rewrite in parts
//	-----------------------+-------------------+-------------------+---------------------------+------------------+---------------------------
//	grants of others       | resent            | resent            | resent                    | resent           | resent
//	retention, legal hold  | resent            | resent            | resent                    | resent           | resent
//	event hold             | resent (AWS)      | resent (AWS)      | resent (AWS)              | resent (AWS)     | resent (AWS)
//	tags                   | kept              | read and resent   | read and resent           | read and resent  | read and resent
//	website redirect       | resent            | resent            | resent                    | resent           | resent
//	storage class          | resent            | resent            | resent                    | resent           | resent
//	Expires                | kept, or REPLACE  | resent            | resent                    | resent           | resent
//	the same, no date      | kept, or REPLACE  | resent            | resent                    | lost elsewhere   | lost elsewhere
//	what PutDrops names    | kept, or REPLACE  | resent            | resent                    | lost elsewhere   | lost elsewhere
//	metadata HTTP hides    | kept              | lost              | lost                      | lost             | lost
//	mtime to be stamped    | not possible      | sent              | sent                      | sent             | sent
//	composite checksum     | lost              | lost              | kept by the source's parts| lost             | kept by the source's parts
//	CRC of the whole       | if KeepsChecksums | if KeepsChecksums | kept, or lost (MinIO)     | resent           | made again
//	other sum of the whole | if KeepsChecksums | if KeepsChecksums | lost                      | resent           | lost
//	a checksum not shown   | kept, in one part | kept, in one part | lost                      | lost             | lost
//	one not known here     | kept              | kept              | kept by the source's parts| lost             | lost
//	KMS context, shown     | resent            | resent            | resent                    | resent           | resent
//	KMS context, hidden    | lost where in use | lost where in use | lost where in use         | lost where in use| lost where in use
//	others' writes         | if CopyIfMatch    | if CopyIfMatch    | if CompleteIfMatch        | kept             | kept
//
// Others' writes: kept on that condition; else lost wherever they have to be
// guarded, see mustGuard.
// Elsewhere: in another store than the source's, except AWS.
// Resent and kept hold where the store was seen to do it, or where it can be
// written again afterwards.
func (c *Chooser) losses(o *object.Object, a *object.Attributes, r object.Route) (lost lossList, untold bool) {
	untold = c.loseGrants(o, a, r, &lost)
	untold = c.loseLock(o, a, r, &lost) || untold
	untold = c.loseTags(o, a, r, &lost) || untold
	untold = c.loseRedirect(o, a, r, &lost) || untold
	untold = c.loseMetadata(o, a, r, &lost) || untold
	untold = c.loseChecksum(o, a, r, &lost) || untold
	untold = c.loseClass(o, a, r, &lost) || untold
	untold = c.loseContext(o, a, r, &lost) || untold
	untold = c.loseWrites(o, a, r, &lost) || untold
	return lost, untold && a == nil
}

func (c *Chooser) loseGrants(_ *object.Object, a *object.Attributes, _ object.Route, lost *lossList) (untold bool) {
	if c.Facts.ACLsDisabled == object.Yes {
		return false
	}
	if a == nil || a.Grants == nil {
		if c.Caps.KeepsNoGrants() {
			return false // a store that keeps no grants has none to lose
		}
		if a != nil {
			lost.add(object.ReasonACL, "its ACL could not be read, and a copy resets it; grant s3:GetObjectAcl, or --accept acl")
		}
		return true
	}
	if len(a.Grants) == 0 {
		return false
	}
	if c.Dest != nil && c.Dest.ACLsDisabled == object.Yes {
		lost.add(object.ReasonACL, "it has grants beyond its owner's, and the destination bucket has ACLs disabled; --accept acl drops them")
	} else if c.Caps.PutACL != object.Yes {
		lost.add(object.ReasonACL, "it has grants beyond its owner's, and this store was not seen to take them again; --accept acl drops them")
	}
	return false
}

func (c *Chooser) loseLock(o *object.Object, a *object.Attributes, _ object.Route, lost *lossList) (untold bool) {
	untold = c.lockUntold(o, a) // a row that tells a retention may still not tell the hold
	if a != nil && a.EventHold && !c.Caps.IsAWS() {
		lost.add(object.ReasonEventHold, "it has an event hold, and this store was not seen to take one again; --accept event-hold leaves the copy under the retention that is shown now, which ends")
	}
	if !o.Locked() {
		return untold
	}
	switch {
	case c.Dest != nil && c.Dest.ObjectLock == object.No:
		lost.add(object.ReasonLock, "it is locked, and the destination bucket has no Object Lock; --accept lock drops retention and hold")
	case c.Caps.KeepsLock == object.Yes, c.Caps.KeepsLock == object.No && c.Caps.PutRetention == object.Yes:
	default:
		lost.add(object.ReasonLock, "it is locked, and this store was not seen to lock the copy in the same way; --accept lock drops retention and hold")
	}
	return untold
}

func (c *Chooser) loseTags(_ *object.Object, a *object.Attributes, r object.Route, lost *lossList) (untold bool) {
	if r == object.RouteSelfCopy && c.Caps.KeepsTags == object.Yes {
		return false
	}
	if a == nil {
		return true
	}
	if a.TagCount == 0 && len(a.Tags) == 0 {
		return false
	}
	arrive := c.Caps.KeepsTags == object.Yes || c.Caps.KeepsTags == object.No && c.Caps.PutTagging == object.Yes
	if !arrive || c.Caps.GetTagging != object.Yes && a.Tags == nil {
		lost.add(object.ReasonTags, "it has tags, and this store was not seen to keep them or to take them again; --accept tags drops them")
	}
	return false
}

func (c *Chooser) loseRedirect(_ *object.Object, a *object.Attributes, _ object.Route, lost *lossList) (untold bool) {
	if a == nil {
		return c.Facts.Website != object.No // not even a plain row vouches for it: no listing shows it
	}
	if a.WebsiteRedirect != "" && c.Caps.KeepsRedirect != object.Yes {
		lost.add(object.ReasonRedirect, "it has a website redirect, and this store was not seen to keep it; --accept redirect drops it")
	}
	return false
}

// loseMetadata covers Expires, the entries that HTTP cannot show, and the mtime
// that is to be stamped. A self-copy that drops Expires is passed over for a route
// that resends it: the store took the header once, when the object was written. Another
// store need not: MinIO answers 200 and drops what is no date ("0" is often seen).
func (c *Chooser) loseMetadata(o *object.Object, a *object.Attributes, r object.Route, lost *lossList) (untold bool) {
	if a != nil && c.unstampable(a) {
		lost.add(object.ReasonMetadata, "--stamp-mtime cannot be kept: its user metadata has no room for the mtime (S3 takes 2 KB), or holds what HTTP cannot show; "+
			"leave --stamp-mtime away for it, in a job of its own")
		return false
	}
	if r == object.RouteSelfCopy {
		if a == nil {
			// Not even a plain row vouches for Expires: no listing shows it.
			return c.Target.StampMtime || c.Caps.KeepsExpires != object.Yes && !c.accepts(ReasonExpires)
		}
		if a.Expires != "" && c.Caps.KeepsExpires != object.Yes {
			lost.add(ReasonExpires, "it has an Expires header, which this store drops on a copy; --accept expires lets it go")
		}
		if _, has := a.Metadata["mtime"]; c.Target.StampMtime && !has {
			lost.add(object.ReasonMetadata, "a plain self-copy cannot stamp its mtime")
		}
		return false
	}
	if a == nil {
		return !o.Plain
	}
	if c.Elsewhere && !c.Caps.IsAWS() {
		c.loseElsewhere(a, lost)
	}
	if a.MissingMetadata > 0 {
		lost.add(object.ReasonMetadata, "it has user metadata that HTTP cannot show, so that it cannot be sent again; "+
			"rewrite the object with printable metadata")
	}
	return false
}

// unstampable says whether the mtime that is to be stamped cannot be sent.
func (c *Chooser) unstampable(a *object.Attributes) bool {
	if _, has := a.Metadata["mtime"]; !c.Target.StampMtime || has {
		return false
	}
	return a.MissingMetadata > 0 || !object.HasRoomFor("mtime", "1234567890", a.Metadata)
}

func (c *Chooser) loseChecksum(o *object.Object, a *object.Attributes, r object.Route, lost *lossList) (untold bool) {
	if c.keepsNoneElsewhere(o) {
		return c.loseChecksumElsewhere(o, a, lost)
	}
	if c.Caps.Checksums == object.No || c.accepts(object.ReasonComposite) || object.IsFolder(o.Bucket) { // a file has none to lose: it gets one
		return false
	}
	copied := r == object.RouteSelfCopy || r == object.RouteReplace
	composite, drops := c.compositeToKeep(o, a), copied && c.Caps.KeepsChecksums == object.No
	if composite == object.Unknown || drops && a == nil {
		return true
	}
	if drops {
		if composite == object.Yes || o.ChecksumAlgorithm != "" || a.ChecksumsUntold {
			lost.add(object.ReasonComposite, "it has a checksum, and copies of this store were seen to have none"+acceptComposite)
		}
		return false
	}
	if a != nil && a.ChecksumsUntold && c.Caps.Checksums == object.Yes {
		if inOne := !o.MultipartUploaded && !strings.Contains(o.ETag, "-"); !inOne || !copied {
			lost.add(object.ReasonComposite, "the store did not show its checksum, so that none can be kept; grant kms:Decrypt on the key that it is under"+acceptComposite)
		}
		return false
	}
	if r == object.RouteMultipart || r == object.RouteSend {
		c.loseByParts(o, a, r, composite, lost)
		return false
	}
	switch {
	case composite == object.Yes:
		lost.add(object.ReasonComposite, "its composite checksum would become one of the whole object"+acceptComposite)
	case r == object.RouteRewrite && a != nil && o.ChecksumAlgorithm != "" && a.Checksums[o.ChecksumAlgorithm] == "":
		lost.add(object.ReasonComposite, "the store names its "+o.ChecksumAlgorithm+" and does not show it, so that it cannot be sent again"+acceptComposite)
	}
	return false
}

// loseByParts is loseChecksum for an upload, whose parts are copied or sent.
func (c *Chooser) loseByParts(o *object.Object, a *object.Attributes, r object.Route, composite object.Finding, lost *lossList) {
	how, sums, sent := "copied", c.Caps.UploadChecksums, r == object.RouteSend
	if sent {
		how, sums = "sent", c.Caps.SendChecksums
	}
	switch {
	case composite == object.Yes && sums != object.Yes:
		lost.add(object.ReasonComposite, "it has a composite checksum, which this store was not seen to make for "+how+" parts"+acceptComposite)
	case composite == object.Yes && (c.Caps.GetAttributes != object.Yes || !reproducible(o, a, sent)):
		lost.add(object.ReasonComposite, "its composite checksum cannot be reproduced, since its part boundaries cannot be had"+acceptComposite)
	case composite == object.No && o.ChecksumAlgorithm != "" && sums != object.Yes:
		lost.add(object.ReasonComposite, "it has a "+o.ChecksumAlgorithm+" of the whole object, which this store was not seen to make for "+how+" parts"+acceptComposite)
	case composite == object.No && object.ComposedOfParts(o.ChecksumAlgorithm):
		lost.add(object.ReasonComposite, "an upload in parts would turn its "+o.ChecksumAlgorithm+" of the whole object into a composite one"+acceptComposite)
	case sent && o.ChecksumAlgorithm != "" && !object.KnowsChecksum(o.ChecksumAlgorithm):
		lost.add(object.ReasonComposite, "it has a "+o.ChecksumAlgorithm+", which cannot be made here"+acceptComposite)
	}
}

const acceptComposite = "; --accept composite-checksum lets it change (the data does not)"

// compositeToKeep says whether the object's checksum is composed of its parts'.
// Unknown only while a is nil.
func (c *Chooser) compositeToKeep(o *object.Object, a *object.Attributes) object.Finding {
	multipart := o.MultipartUploaded || strings.Contains(o.ETag, "-")
	switch {
	case c.Caps.Checksums == object.No || c.accepts(object.ReasonComposite):
		return object.No
	case o.ChecksumType != "":
		return object.Found(o.ChecksumType == object.Composite)
	case o.Plain && a == nil, !multipart:
		return object.No
	case o.ChecksumAlgorithm == "":
		if a == nil {
			return object.Unknown
		}
		return object.No
	case object.ComposedOfParts(o.ChecksumAlgorithm):
		return object.Yes
	case o.ChecksumAlgorithm == "CRC64NVME":
		return object.No
	case a == nil:
		return object.Unknown
	}
	// CRC32 and CRC32C can be either; a composite value ends in its count of parts.
	if v, told := a.Checksums[o.ChecksumAlgorithm]; told {
		return object.Found(strings.Contains(v, "-"))
	}
	return object.Yes
}

// reproducible says whether an upload can have the source's own parts. Not yet
// read means that the worker will.
func reproducible(o *object.Object, a *object.Attributes, sent bool) bool {
	if a == nil || a.PartSizes == nil {
		return true
	}
	largest, sum := int64(MaxCopySize), int64(0)
	if sent {
		largest = MaxSentPart
	}
	for i, size := range a.PartSizes {
		if size > largest || size < minPartSize && i < len(a.PartSizes)-1 {
			return false
		}
		sum += size
	}
	return sum == o.Size && len(a.PartSizes) <= 10_000
}

func (c *Chooser) loseClass(o *object.Object, _ *object.Attributes, _ object.Route, lost *lossList) (untold bool) {
	class := o.StorageClass
	if c.Target.StorageClass != "" {
		class = c.Target.StorageClass
	}
	if !object.SameClass(class, "STANDARD") && c.Caps.KeepsClass != object.Yes {
		lost.add(object.ReasonClass, "its copy is to be in "+class+", and this store was not seen to put a copy into that class")
	}
	return false
}

// loseContext: S3 never shows a context. A store that does (MinIO) seals the new
// data key without it where none is sent, carries the old context along all the
// same, and cannot open the object any more; so there a self-copy from KMS to KMS
// needs to know, and the worker sends the context that it sees.
func (c *Chooser) loseContext(o *object.Object, a *object.Attributes, r object.Route, lost *lossList) (untold bool) {
	fromKMS := o.Encryption.Type.KMS() || o.Encryption.Type == object.SSEUnknown
	if !fromKMS || !c.Target.SSE.KMS() || c.Target.Context != "" {
		return false
	}
	if a == nil && !o.Plain && r == object.RouteSelfCopy && c.Caps.Source != "aws" {
		return true
	}
	if c.ContextInUse == object.Yes && o.Encryption.Type.KMS() && (a == nil || a.KMSContext == "") {
		lost.add(object.ReasonContext, "it may carry an encryption context, which no request can read; "+
			"give it with --sse-kms-context, or --accept encryption-context")
	}
	return false
}

func (c *Chooser) loseWrites(_ *object.Object, _ *object.Attributes, r object.Route, lost *lossList) (untold bool) {
	switch {
	case c.Caps.Guarded(r) || !c.mustGuard():
	case c.Strict:
		lost.add(AcceptConcurrent, "no way in which this store re-encrypts such an object notices a write of somebody else, so --guard strict cannot be kept; "+
			"stop other writers, and use --guard auto with --accept concurrent-writes")
	default:
		lost.add(AcceptConcurrent, "no way in which this store re-encrypts such an object notices a write of somebody else meanwhile; "+
			"stop other writers and --accept concurrent-writes")
	}
	return false
}
