package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Sizes in bytes that S3 itself sets.
const (
	// MaxCopySize is the largest source that CopyObject takes.
	MaxCopySize = 5_368_709_120
	// MaxMultipartSize is 10,000 parts of 5 GiB.
	MaxMultipartSize = 10_000 * MaxCopySize
	minPartSize      = 5 << 20
)

// Sizes up to which an object may go through this process; see README of bench.
const (
	// RewriteThreshold is where a rewrite becomes dearer to a store (MinIO) than a
	// multipart copy that is guarded as well.
	RewriteThreshold = 512 << 10
	// MaxRewriteSize is what the common clients send in one piece (boto3 and the AWS CLI
	// 8 MiB, MinIO's 16 MiB), with a checksum of the whole that a multipart copy may
	// not be able to keep. Every worker may hold one object of it. Larger ones are
	// rewritten in parts of this size.
	MaxRewriteSize = 16 << 20
	// MaxSentPart is the largest part that is held here, where an object keeps the
	// parts that it was uploaded in.
	MaxSentPart = 256 << 20
	// MaxSendSize is 10,000 parts of that.
	MaxSendSize = 10_000 * MaxSentPart
)

// Restriction is --operation.
type Restriction uint8

// Auto takes the cheapest safe operation; the others leave what another one would
// be needed for. A multipart copy is a copy, a rewrite is none.
const (
	Auto Restriction = iota
	UpdateOnly
	CopyOnly
	RewriteOnly
	RewrapOnly // the envelopes of client-side encryption
)

// ReasonExpires is the loss of an Expires header. Self-copies of some stores drop
// it, and no listing shows it.
const ReasonExpires object.Reason = "expires"

// AcceptConcurrent is the --accept word for writes of others that might be
// overwritten. The other words are the Reasons of the losses.
const AcceptConcurrent object.Reason = "concurrent-writes"

// Chooser decides what is to be done with an object. It is a value: Choose is
// pure, so that the plan, the worker and a test come to the same answer.
type Chooser struct {
	Target object.Target
	Caps   object.Capabilities
	// Facts of the bucket that is read; Dest those of the bucket that is written
	// where --dest names another place, nil in place.
	Facts object.BucketFacts
	Dest  *object.BucketFacts
	// Accept holds the losses and risks that the operator accepts by name.
	Accept    []object.Reason
	Operation Restriction
	// MultipartThreshold is the size from which on a multipart copy is preferred
	// to CopyObject; 0 means only where it has to be.
	MultipartThreshold int64
	// Strict is --guard strict: no route on which a concurrent write could be
	// overwritten, whatever is accepted.
	Strict bool
	// Unseen is --inspect never: a row that does not tell the encryption is copied
	// without asking, where nothing can be lost by that.
	Unseen bool
	// ContextInUse is Yes where objects are known to carry an extra KMS encryption
	// context (the key's policy asks for one). No store shows contexts, so unknown
	// cannot leave every object: it is for doctor to say.
	ContextInUse object.Finding
	// Reupload is set where client-side encryption is to change; nil where it stays.
	Reupload *Reupload
	// Folder is set where objects become files; nil where they do not.
	Folder *Folder
	// Elsewhere: the objects come from another store, which may have taken what this one
	// does not keep.
	Elsewhere bool
}

// Choose decides on one object. a is nil where only the source's row is known;
// then OpUndecided says that the row cannot settle it and the object has to be
// inspected; OpRewrite then says that the object is to be read, and to be chosen
// for once more with what the reading shows. With attributes the answer is final;
// their Grants must have been read unless Facts or Caps say that the bucket can have
// none.
//
// The truth table, first match wins. "?" marks a row that is answered by
// OpUndecided while a is nil and the source has not told.
//
//	 # | the object                                              | the choice
//	---+---------------------------------------------------------+----------------------------
//	 0 | no object: a link, a name that no key can have          | left: as the source says
//	   | it is to become a file                                  | see chooseFile
//	 1 | a delete marker                                         | left: gone (plans drop it)
//	 2 | in a storage class of AWS's own (AWS_BACKUP_WARM …)     | left: unsupported
//	   | encryption not told, or none that is known            ? | left: unsupported
//	   | the same before any inspection, --inspect never         | as rows 4, 7 and 8 to 14
//	 3 | in place, as the target wants it (key told            ?)| already
//	 4 | the store cannot write the target                       | left: unsupported
//	 5 | under SSE-C, and the source key is not its key          | left: missing-key
//	 6 | in place, SSE-S3 or SSE-KMS → SSE-KMS by full key ARN,  |
//	   | no new context or class, not locked                   ?,| update
//	   | store seen to do it, --operation is auto or update      |
//	 7 | --operation update, and row 6 did not match             | left: lock or excluded
//	 8 | a noncurrent version                                    | left: noncurrent
//	 9 | archived and not restored                             ? | left: archived
//	10 | over 10,000 parts of 5 GiB, or --operation rewrite and  |
//	   | over 10,000 parts of 256 MiB                          ? | left: too-large
//	11 | the store has no route that re-encrypts it              | left: unsupported
//	12 | a route loses nothing                                 ? | by the first such
//	13 | a route loses only what --accept names                ? | by the first such
//	14 | every route loses something else                        | left: the loss
//
// The routes of rows 12 to 14 in their order. What each loses, the writes of others
// among it, stands in losses.go.
//
//	   | the size                                    | the routes
//	---+---------------------------------------------+--------------------------------
//	   | a copy is guarded, or need not be:          |
//	 a | below --multipart-threshold                 | self-copy, REPLACE, multipart, rewrite
//	 b | from it on                                  | multipart, self-copy, REPLACE, rewrite
//	   | it has to be and is not (MinIO):            |
//	 c | up to 512 KiB                               | rewrite, multipart, self-copy, REPLACE
//	 d | above                                       | multipart, rewrite, self-copy, REPLACE
//	   | --operation rewrite:                        |
//	 e | below --multipart-threshold                 | rewrite, rewrite in parts
//	 f | from it on                                  | rewrite in parts, rewrite
//
// Self-copies end at 5,368,709,120 bytes, rewrites in one piece at 16 MiB. A route is there only
// if it re-encrypts the object, a rewrite only if it is guarded and, other stores
// than AWS, neither source nor target are under SSE-C: MinIO compares the ETag by
// reading the old object with the new one's key.
func (c *Chooser) Choose(o *object.Object, a *object.Attributes) object.Choice {
	switch {
	case o.Unfit.Reason != "":
		return leave(o.Unfit.Reason, o.Unfit.Message)
	case c.Folder != nil:
		return c.chooseFile(o, a)
	case c.Operation == RewrapOnly:
		return c.chooseRewrap(o, a)
	case c.Reupload != nil:
		return c.chooseReupload(o, a)
	}
	e := &o.Encryption
	if c, is := untouchable(o); is { // 1, 2
		return c
	}
	switch {
	case e.Type == object.SSEUnknown: // 2
		if a == nil {
			return c.chooseUnseen(o)
		}
		if a.UnknownEncryption != "" {
			return leave(object.ReasonUnsupported, fmt.Sprintf("the store shows the encryption %q, which reseal does not know", object.Cut(a.UnknownEncryption, 64)))
		}
		return leave(object.ReasonUnsupported, "the store shows an encryption that reseal does not know; look at the object with a HEAD request")
	case c.Dest == nil && c.asWanted(o): // 3
		return object.Choice{Operation: object.OpNone, Already: true}
	case c.Dest == nil && a == nil && c.keyUntold(e):
		return undecided
	}
	if why := c.targetImpossible(); why != "" { // 4
		return leave(object.ReasonUnsupported, why)
	}
	if e.Type == object.SSEC && a == nil && e.CustomerKeyMD5 == "" && !c.Target.SourceKey.IsZero() {
		return undecided
	}
	if e.Type == object.SSEC && !c.Target.Opens(e) { // 5
		return leave(object.ReasonMissingKey, "it is under SSE-C with another customer key; give its key with --source-sse-c-key-file")
	}
	if c.updatable(o) { // 6
		switch {
		case o.Locked(), a != nil && a.EventHold:
		case c.lockUntold(o, a):
			return undecided
		default:
			return object.Choice{Operation: object.OpUpdate}
		}
	}
	if c.Operation == UpdateOnly { // 7
		return c.notUpdatable(o)
	}
	return c.chooseCopy(o, a)
}

// untouchable is the choice for what nobody can write again, whatever is wanted of it.
func untouchable(o *object.Object) (c object.Choice, is bool) {
	switch {
	case o.DeleteMarker:
		return leave(object.ReasonGone, "a delete marker holds no data"), true
	case o.Reserved():
		return leave(object.ReasonUnsupported, "the storage class "+o.StorageClass+" is kept by a service of AWS for itself, and nobody else can write into it"), true
	}
	return c, false
}

// chooseUnseen is row 2 of a row that was not inspected.
func (c *Chooser) chooseUnseen(o *object.Object) object.Choice {
	switch {
	case !c.Unseen, c.Operation == UpdateOnly, c.Caps.Route != c.Caps.EncryptedRoute:
		return undecided
	}
	if why := c.targetImpossible(); why != "" {
		return leave(object.ReasonUnsupported, why)
	}
	return c.chooseCopy(o, nil)
}

// chooseCopy is rows 8 to 11, and the way to 12.
func (c *Chooser) chooseCopy(o *object.Object, a *object.Attributes) object.Choice {
	switch {
	case o.Noncurrent: // 8
		return leave(object.ReasonNoncurrent, "copying a noncurrent version would make it the current one; only --operation update re-encrypts it in place")
	case o.Archived() && (a == nil || !a.Restored): // 9
		if a == nil {
			return undecided
		}
		return leave(object.ReasonArchived, "it is archived in "+archivedIn(o)+"; restore it first, then run again")
	case a == nil && (o.Size < 0 || o.ETag == ""): // no copy without a condition on its source
		return undecided
	case o.Size > MaxMultipartSize: // 10
		return leave(object.ReasonTooLarge, "no copy takes an object of this size")
	case o.Size > MaxSendSize && c.Operation == RewriteOnly:
		return leave(object.ReasonTooLarge, "--operation rewrite takes objects of up to 2.4 TiB; use --operation auto or copy for the others")
	}
	var some [4]object.Route
	routes := c.routes(some[:0], o)
	switch {
	case c.Operation == RewriteOnly && !c.comparesOld(o): // 11
		return leave(object.ReasonUnsupported, "a rewrite in place to or from SSE-C is guarded on AWS alone: give --operation auto, and --accept composite-checksum where a copy would change its checksum")
	case len(routes) == 0 && c.Operation == RewriteOnly:
		return leave(object.ReasonUnsupported, "this store was not seen to write such an object on a condition; see `reseal doctor`")
	case len(routes) == 0:
		return leave(object.ReasonUnsupported, "this store was not seen to re-encrypt such an object by any copy; see `reseal doctor`")
	case a == nil && routes[0] == object.RouteRewrite && !c.certainlyLost(o, object.RouteRewrite):
		return object.Choice{Operation: object.OpRewrite} // reading it tells all that is not told yet
	}
	return c.chooseRoute(o, a, routes)
}

var undecided = object.Choice{Operation: object.OpUndecided}

func leave(why object.Reason, message string) object.Choice {
	return object.Choice{Operation: object.OpNone, Reason: why, Message: message}
}

// asWanted never takes an SSE-C object for satisfied where no MD5 was shown.
func (c *Chooser) asWanted(o *object.Object) bool {
	if c.Target.SSE == object.SSEC && (c.Target.CustomerKey.IsZero() || o.Encryption.CustomerKeyMD5 == "") {
		return false
	}
	return c.Target.Satisfied(o)
}

// keyUntold says whether the kind of encryption is the wanted one and the row
// does not tell the key, as in every inventory.
func (c *Chooser) keyUntold(e *object.Encryption) bool {
	if e.Type != c.Target.SSE {
		return false
	}
	return e.Type.KMS() && e.KMSKeyID == "" || e.Type == object.SSEC && e.CustomerKeyMD5 == ""
}

// targetImpossible says why no object here can be brought under the target.
func (c *Chooser) targetImpossible() string {
	dest := &c.Facts
	if c.Dest != nil {
		dest = c.Dest
	}
	switch {
	case c.Target.SSE == object.SSENone || c.Target.SSE == object.SSEUnknown:
		return "the target must be an encryption; give --sse"
	case c.Caps.Encrypts == object.No:
		return "this store does not encrypt; see `reseal doctor`"
	case c.Target.SSE == object.DSSEKMS && c.Caps.DSSE != object.Yes:
		return "this store was not seen to do DSSE-KMS; use --sse aws:kms"
	case c.Target.SSE == object.SSEKMS && c.Target.BucketKey == object.On && c.Caps.BucketKey == object.No:
		return "this store has no S3 Bucket Keys; leave --bucket-key on away"
	case c.Target.SSE == object.SSEC && dest.BlocksSSEC == object.Yes:
		return "the bucket blocks SSE-C; use a KMS key, or unblock it with `reseal bucket-encryption set`"
	}
	return ""
}

// updatable is row 6 but for the lock.
func (c *Chooser) updatable(o *object.Object) bool {
	t := &c.Target
	return c.Operation <= UpdateOnly && c.Dest == nil && c.Caps.Update == object.Yes &&
		t.SSE == object.SSEKMS && t.Context == "" && fullKeyARN(t.KMSKeyID) &&
		(o.Encryption.Type == object.SSES3 || o.Encryption.Type == object.SSEKMS) &&
		(t.StorageClass == "" || object.SameClass(t.StorageClass, o.StorageClass))
}

// notUpdatable is row 7: the one sentence on why --operation update does not do.
func (c *Chooser) notUpdatable(o *object.Object) object.Choice {
	why := "an update cannot do this here"
	t := &c.Target
	switch {
	case c.Dest != nil:
		why = "an update works in place only"
	case c.Caps.Update != object.Yes:
		why = "this store was not seen to do UpdateObjectEncryption"
	case t.SSE != object.SSEKMS:
		why = "an update leads to SSE-KMS only"
	case !fullKeyARN(t.KMSKeyID):
		why = "an update needs the full ARN of the key"
	case t.Context != "":
		why = "an update cannot set an encryption context"
	case o.Encryption.Type != object.SSES3 && o.Encryption.Type != object.SSEKMS:
		why = "an update takes objects under SSE-S3 and SSE-KMS only, and this one is under " + o.Encryption.Type.String()
	case t.StorageClass != "" && !object.SameClass(t.StorageClass, o.StorageClass):
		why = "an update cannot change the storage class"
	case c.updatable(o):
		return leave(object.ReasonLock, "an update is refused while a retention or legal hold protects the object; "+
			"wait until it ends, or use --operation auto, which writes a new version with the same lock")
	}
	return leave(object.ReasonExcluded, why+"; use --operation auto or copy")
}

// lockUntold says whether the object might be locked without our knowing.
func (c *Chooser) lockUntold(o *object.Object, a *object.Attributes) bool {
	return a == nil && !o.Plain && c.Facts.ObjectLock != object.No
}

// fullKeyARN says whether UpdateObjectEncryption takes the name: neither a bare
// ID nor an alias will do.
func fullKeyARN(s string) bool {
	parts := strings.SplitN(s, ":", 6)
	return len(parts) == 6 && parts[0] == "arn" && parts[2] == "kms" && parts[3] != "" && parts[4] != "" &&
		strings.HasPrefix(parts[5], "key/") && len(parts[5]) > len("key/")
}

func archivedIn(o *object.Object) string {
	if o.ArchiveTier != "" {
		return o.ArchiveTier
	}
	return o.StorageClass
}

// accepts says whether the operator lets it go. --guard strict refuses that of the
// writes of others.
func (c *Chooser) accepts(r object.Reason) bool {
	return slices.Contains(c.Accept, r) && !(c.Strict && r == AcceptConcurrent)
}

// String is the word of the command line.
func (r Restriction) String() string {
	return [...]string{"auto", "update", "copy", "rewrite", "rewrap"}[r]
}

// MarshalText writes String.
func (r Restriction) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads auto, update, copy, rewrite or rewrap.
func (r *Restriction) UnmarshalText(b []byte) error {
	switch string(b) {
	case "auto", "":
		*r = Auto
	case "update":
		*r = UpdateOnly
	case "copy":
		*r = CopyOnly
	case "rewrite":
		*r = RewriteOnly
	case "rewrap":
		*r = RewrapOnly
	default:
		return fmt.Errorf("unknown operation %q: use auto, update, copy, rewrite or rewrap", b)
	}
	return nil
}
