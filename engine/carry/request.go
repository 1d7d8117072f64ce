package carry

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Rules are what is the same for every object of a run.
type Rules struct {
	Target object.Target
	Caps   object.Capabilities
	Dest   Dest
	// Facts of the bucket that is written to.
	Facts object.BucketFacts
	// Ahead is how far the store's clock was found to be ahead of this machine's; nil for
	// not at all. Which retention still protects an object the store's clock decides.
	Ahead func() time.Duration
	// Annotations: objects can have some, and they are to be kept.
	Annotations bool
	// Metadata, where it is set, is the user metadata that is to take the place of
	// Replaced. An object that shows another keeps what it has.
	Replaced, Metadata map[string]string
	// Keeps says that Target is what the object is under, and no key of the run's.
	Keeps bool
}

// NeedsTags says whether the request has to hold the tags, so that they have to be
// read before it is composed.
func (r *Rules) NeedsTags(c object.Choice) bool {
	return sendsTags(c) || r.Caps.KeepsTags != object.Yes
}

func sendsTags(c object.Choice) bool {
	return c.Route == object.RouteReplace || c.Operation == object.OpMultipart || c.Operation == object.OpRewrite
}

// Copy is the copy of o with everything that it must carry. a is what HEAD showed
// beside o, and the tags where NeedsTags; nil where nobody has looked. now decides
// which retention still protects the object.
func (r *Rules) Copy(o *object.Object, a *object.Attributes, c object.Choice, now time.Time) *object.CopyRequest {
	attrs, stamped := r.stamped(o, a)
	now = r.byStore(now)
	req := &object.CopyRequest{
		Source: r.Dest.source(o.Ref), Dest: r.Dest.Ref(o.Ref), SourceETag: o.ETag, SourceTwice: r.Caps.CopySourceEncoding == object.EncodedTwice,
		Target: r.target(o, a), SourceSSEC: o.Encryption.Type == object.SSEC,
		StorageClass: r.storageClass(o),
		Replace:      c.Route == object.RouteReplace || stamped || c.Operation == object.OpMultipart || c.Route == object.RouteSend,
		Attributes:   attrs,
	}
	if r.Locks(o.Locked()) {
		mode, until := retention(o, now)
		req.LockMode, req.RetainUntil, req.LegalHold = mode, rfc3339(until), o.LegalHold
	}
	if r.Caps.CopyIfMatch == object.Yes {
		req.DestETag, req.DestAbsent = r.destination(o.ETag)
	}
	if attrs == nil {
		return req
	}
	if attrs.EventHold && r.Locks(true) && r.Caps.IsAWS() {
		r.eventHold(req, o, attrs, now)
	}
	req.WebsiteRedirect = attrs.WebsiteRedirect
	if r.Facts.ACLsDisabled != object.Yes && len(attrs.Grants) > 0 && (r.Caps.PutACL == object.Yes || r.Caps.PutACL == object.Unknown && r.Dest.InPlace()) {
		req.Grants = attrs.Grants
	}
	if req.ReplaceTags = sendsTags(c); req.ReplaceTags && r.Caps.PutTagging == object.Yes && headerSize(req) > maxCarried {
		bare := *attrs
		bare.Tags = nil
		req.Attributes, req.TagsLater = &bare, attrs.Tags
	}
	if c.Operation == object.OpMultipart || c.Operation == object.OpRewrite {
		req.AnnotationsLater = attrs.Annotations
	}
	if c.Operation == object.OpMultipart && r.Caps.UploadChecksums == object.Yes || c.Route == object.RouteSend && r.Caps.SendChecksums == object.Yes {
		req.ChecksumAlgorithm, req.ChecksumType = uploadChecksum(o)
	}
	return req
}

// Rewrite is the PutObject that writes the bytes of o again with everything that a
// copy must carry. It is conditional on the object that was read, always. The
// checksum is the object's own where it is one of the whole.
func (r *Rules) Rewrite(o *object.Object, a *object.Attributes, body []byte, now time.Time) *object.PutRequest {
	put := &object.PutRequest{CopyRequest: *r.Copy(o, a, object.Choice{Operation: object.OpRewrite}, now), Body: body}
	put.DestETag, put.DestAbsent = r.destination(o.ETag)
	if sum := a.Checksums[o.ChecksumAlgorithm]; o.ChecksumType != object.Composite && !strings.Contains(sum, "-") {
		put.ChecksumAlgorithm, put.Checksum = o.ChecksumAlgorithm, sum
	}
	return put
}

// Part is part i of the upload, of that many bytes from offset on. An upload of one
// part copies the whole source: small and empty ones take no range.
func (r *Rules) Part(u *object.Upload, o *object.Object, i int, offset int64) *object.PartRequest {
	req := &object.PartRequest{Source: r.Dest.source(o.Ref), SourceETag: u.ETag, SourceTwice: r.Caps.PartSourceEncoding == object.EncodedTwice, Dest: u.Target, UploadID: u.ID, Number: i + 1,
		First: offset, Last: offset + u.PartSizes[i] - 1, Target: r.Target.From(&o.Encryption), SourceSSEC: o.Encryption.Type == object.SSEC}
	if len(u.PartSizes) == 1 {
		req.First, req.Last = 0, -1
	}
	return req
}

// Complete is the end of the upload, conditional on the destination where the store
// honours that.
func (r *Rules) Complete(u *object.Upload, o *object.Object, parts []object.Part) *object.CompleteRequest {
	req := &object.CompleteRequest{Dest: u.Target, UploadID: u.ID, Parts: parts, Size: u.NewSize(), Target: r.Target.From(&o.Encryption)}
	if !u.Sent && r.Caps.UploadChecksums == object.Yes || u.Sent && r.Caps.SendChecksums == object.Yes {
		req.ChecksumAlgorithm, req.ChecksumType = uploadChecksum(o)
	}
	if !u.Sent && r.Caps.CompleteIfMatch == object.Yes || u.Sent && r.Caps.Guarded(object.RouteSend) {
		req.DestETag, req.DestAbsent = r.destination(u.ETag)
	}
	return req
}

// Lost is what does not arrive with the request: the tags that it has no room for, the
// annotations, and what the store drops although it is sent and was seen to take again.
// What it was not seen to take is never sent: such a store may write the request over
// the object.
func (r *Rules) Lost(req *object.CopyRequest, o *object.Object, a *object.Attributes, now time.Time) object.Reapply {
	now = r.byStore(now)
	lost := object.Reapply{Tags: req.TagsLater, Annotations: req.AnnotationsLater}
	if a == nil {
		return lost
	}
	if r.Caps.KeepsTags == object.No && r.Caps.PutTagging == object.Yes {
		lost.Tags = a.Tags
	}
	if (r.Caps.KeepsLock == object.No || req.LocksLater()) && r.Caps.PutRetention == object.Yes && r.Locks(o.Locked()) {
		lost.LockMode, lost.RetainUntil = retention(o, now)
		lost.LegalHold = o.LegalHold
	}
	return lost
}

// Locks says whether the bucket that is written to can lock objects. One that shows a lock
// of an object can, whatever its settings said when the run began: they may have been
// changed since. shown is that of an object of the bucket that is read.
func (r *Rules) Locks(shown bool) bool {
	return r.Facts.ObjectLock != object.No || shown && r.Dest.InPlace()
}

// byStore is the time by the store's clock.
func (r *Rules) byStore(now time.Time) time.Time {
	if r.Ahead == nil {
		return now
	}
	return now.Add(r.Ahead())
}

// KMSKey names the KMS key that the copy makes S3 call, for the pace.
func (r *Rules) KMSKey(o *object.Object) string {
	if r.Target.SSE.KMS() {
		return r.Target.KMSKeyID
	}
	return o.Encryption.KMSKeyID
}

// OtherKey says whether the copy may make S3 use another KMS key than KMSKey: the one
// that the object is under. SSE-S3 is of a KMS too, on stores that have one.
func (r *Rules) OtherKey(o *object.Object) bool {
	e := &o.Encryption
	switch e.Type {
	case object.SSENone, object.SSEC:
		return false
	case object.SSEKMS, object.DSSEKMS:
		return r.Keeps || !r.Target.SSE.KMS() || e.KMSKeyID == "" || !object.SameKMSKey(r.Target.KMSKeyID, e.KMSKeyID)
	}
	return true
}

// CustomerKey opens an object that is under e.
func (r *Rules) CustomerKey(e *object.Encryption) object.CustomerKey {
	switch {
	case e.Type != object.SSEC:
		return object.CustomerKey{}
	case e.CustomerKeyMD5 == r.Target.CustomerKey.MD5():
		return r.Target.CustomerKey
	}
	return r.Target.From(e).SourceKey
}

// destination is the condition on what stands where the copy goes: the object that
// was decided on, or nothing.
func (r *Rules) destination(etag string) (match string, absent bool) {
	if r.Dest.InPlace() {
		return etag, false
	}
	return "", true
}

// storageClass to send: the wanted one, else the object's own, since a copy without
// the header lands in STANDARD.
func (r *Rules) storageClass(o *object.Object) string {
	switch {
	case r.Target.StorageClass != "":
		return r.Target.StorageClass
	case o.StorageClass == "STANDARD":
		return ""
	}
	return o.StorageClass
}

// target is the target with the customer key of the source, and with the KMS context
// that the store shows of it, where the target names none. It is kept as everything else is; and
// without it MinIO's self-copy leaves an object that nobody can open (it carries
// the old context along, and seals the new data key with none).
func (r *Rules) target(o *object.Object, a *object.Attributes) *object.Target {
	from := r.Target.From(&o.Encryption)
	if a == nil || a.KMSContext == "" || !r.Target.SSE.KMS() || r.Target.Context != "" {
		return from
	}
	t := *from
	t.Context = a.KMSContext
	return &t
}

// stamped is the metadata with the LastModified in it, where that is asked for, or
// that which takes its place.
// An mtime that somebody stored before is older and stays.
func (r *Rules) stamped(o *object.Object, a *object.Attributes) (stamped *object.Attributes, changed bool) {
	if r.Metadata != nil && a != nil && maps.Equal(a.Metadata, r.Replaced) {
		b := *a
		b.Metadata = r.Metadata
		return &b, true
	}
	if !r.Target.StampMtime || a == nil {
		return a, false
	}
	if _, has := a.Metadata["mtime"]; has {
		return a, false
	}
	b := *a
	b.Metadata = r.WithMtime(o, a.Metadata)
	return &b, true
}

// WithMtime is the metadata of o with its LastModified in them, where that is to be kept and
// none stands there.
func (r *Rules) WithMtime(o *object.Object, metadata map[string]string) map[string]string {
	if _, has := metadata["mtime"]; has || !r.Target.StampMtime {
		return metadata
	}
	stamped := maps.Clone(metadata)
	if stamped == nil {
		stamped = map[string]string{}
	}
	stamped["mtime"] = fmt.Sprint(o.LastModified.Unix())
	return stamped
}

// uploadChecksum is the object's own, as far as an upload can have it: S3 refuses to
// be asked for one of the whole that cannot be made of the parts'.
func uploadChecksum(o *object.Object) (algorithm, typ string) {
	if object.ComposedOfParts(o.ChecksumAlgorithm) {
		return o.ChecksumAlgorithm, object.Composite
	}
	return o.ChecksumAlgorithm, o.ChecksumType
}

// InForce says whether a retention until then protects anything now, by the store's clock.
func (r *Rules) InForce(until, now time.Time) bool { return until.After(r.byStore(now)) }

// retention is the one that still protects the object. S3 goes on showing one that
// has run out, and refuses to write it again.
func retention(o *object.Object, now time.Time) (mode string, until time.Time) {
	if !o.RetainUntil.After(now) {
		return "", time.Time{}
	}
	return o.LockMode, o.RetainUntil
}

// eventHold sends the hold itself. While it is on, the date that S3 shows is as far
// from now as the hold lasts, and moves on; sent as a date alone it would end. One
// that lies further away was set beside the hold, and is sent too.
func (r *Rules) eventHold(req *object.CopyRequest, o *object.Object, a *object.Attributes, now time.Time) {
	req.LockMode = o.LockMode
	req.EventHold, req.EventHoldDays, req.EventHoldYears = true, a.EventHoldDays, a.EventHoldYears
	if until := now.AddDate(a.EventHoldYears, 0, a.EventHoldDays+1); !o.RetainUntil.After(until) {
		req.RetainUntil = ""
	}
}

// rfc3339 is the header form of a retention date; empty for none.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
