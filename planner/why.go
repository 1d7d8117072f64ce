package planner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/resealhq/reseal/engine/object"
)

// Ground is why objects of a plan go by their operation.
type Ground struct {
	Operation string `json:"operation"`
	Why       string `json:"why"`
	// Cheaper is the flag or permission with which they would go by a cheaper one;
	// empty where there is none.
	Cheaper string `json:"cheaper,omitempty"`
	Amount
}

// KeyUnresolved is why the target's key is not known by its full ARN.
type KeyUnresolved string

// Nobody could be asked, or whoever was asked refused to tell.
const (
	KeyNoKMS  KeyUnresolved = "no-kms"
	KeyDenied KeyUnresolved = "denied"
)

// kindred is what Why looks at of an object and of what was chosen for it, so that
// it need be asked only once for all objects that agree in it.
type kindred struct {
	operation object.Operation
	source    object.SSE
	class     string // never empty
	locked    bool
	large     bool // too large for CopyObject
	long      bool // from --multipart-threshold on
}

func (c *Chooser) kindred(o *object.Object, op object.Operation) kindred {
	return kindred{operation: op, source: o.Encryption.Type, class: className(o.StorageClass), locked: o.Locked(),
		large: o.Size > MaxCopySize, long: c != nil && c.MultipartThreshold > 0 && o.Size >= c.MultipartThreshold}
}

// Why explains what Choose decided: op is its choice for the object. An operation that
// nobody would wonder at has no ground.
func (c *Chooser) Why(o *object.Object, op object.Operation, key KeyUnresolved) (g Ground, is bool) {
	return c.why(c.kindred(o, op), key)
}

func (c *Chooser) why(o kindred, key KeyUnresolved) (g Ground, is bool) {
	g.Operation = o.operation.String()
	switch {
	case c.Operation == RewrapOnly, c.Reupload != nil, o.operation == object.OpNone, o.operation == object.OpUndecided:
		return g, false
	case o.operation == object.OpUpdate:
		g.Why = "UpdateObjectEncryption changes the key in place: no bytes move, and no old version is left"
		return g, true
	}
	g.Why, g.Cheaper = c.whyNoUpdate(o, key)
	if way, cheaper := c.whyThisWay(o); way != "" {
		g.Why = joined(g.Why, way)
		g.Cheaper = joined(g.Cheaper, cheaper)
	}
	return g, g.Why != ""
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// whyNoUpdate is why the object is not merely updated: first what nothing can change,
// then what a flag or a permission would.
func (c *Chooser) whyNoUpdate(o kindred, key KeyUnresolved) (why, cheaper string) {
	t := &c.Target
	switch {
	case c.Dest != nil:
		return "--dest writes new objects", ""
	case t.SSE != object.SSEKMS:
		return fmt.Sprintf("UpdateObjectEncryption leads to SSE-KMS only, not to %s", t.SSE), ""
	case c.Caps.Update == object.Unknown:
		return "whether this store does UpdateObjectEncryption was not seen, and it is not tried on your objects", ""
	case c.Caps.Update != object.Yes:
		return "this store does not do UpdateObjectEncryption", ""
	case o.source == object.SSEUnknown:
		return "--inspect never leaves it open what the object is under", "--inspect auto finds those that an update can take"
	case o.source != object.SSES3 && o.source != object.SSEKMS:
		return "UpdateObjectEncryption takes objects under SSE-S3 and SSE-KMS only", ""
	case o.locked:
		return "UpdateObjectEncryption is refused while a retention or legal hold protects the object", ""
	case t.Context != "":
		return "UpdateObjectEncryption sets no encryption context", "without --sse-kms-context they are updated"
	case t.StorageClass != "" && !object.SameClass(t.StorageClass, o.class):
		return "UpdateObjectEncryption changes no storage class", "without --storage-class they are updated"
	case !fullKeyARN(t.KMSKeyID):
		return keyNotTold(t.KMSKeyID, key)
	case c.Operation > UpdateOnly:
		return "--operation " + c.Operation.String() + " leaves UpdateObjectEncryption out", "with --operation auto they are updated"
	}
	return "", ""
}

// keyNotTold is for a key that no update can be sent with.
func keyNotTold(name string, key KeyUnresolved) (why, cheaper string) {
	if name == "" {
		return "UpdateObjectEncryption takes a key by its full ARN only, and --sse-kms-default-key names none", ""
	}
	why = "UpdateObjectEncryption takes a key by its full ARN only, and that of " + name + " is not known: "
	cheaper = "with --sse-kms-key-id arn:aws:kms:REGION:ACCOUNT:key/ID they are updated, in a new job"
	switch key {
	case KeyDenied:
		return why + "kms:DescribeKey is denied", cheaper + "; so they are where kms:DescribeKey is granted"
	case KeyNoKMS:
		return why + "there is no KMS to ask at this endpoint", cheaper + "; so they are where AWS_ENDPOINT_URL_KMS names its KMS"
	}
	return why + "it could not be asked for", cheaper
}

// whyThisWay is why no plain copy does; empty for one.
func (c *Chooser) whyThisWay(o kindred) (why, cheaper string) {
	ignored := !c.Caps.Guarded(object.RouteSelfCopy) && c.mustGuard()
	const plain = "--accept concurrent-writes allows the plain copy, which overwrites a write that somebody makes in its very moment"
	switch {
	case o.operation == object.OpRewrite && c.Operation == RewriteOnly:
		return "--operation rewrite sends the bytes through this machine", "with --operation auto the store copies them itself where it can"
	case o.operation == object.OpRewrite && ignored:
		return "this store's CopyObject honours no condition on what it overwrites, so the bytes go through this machine and are put back on one", plain
	case o.operation == object.OpRewrite:
		return "this store was not seen to re-encrypt such an object by any copy, so the bytes go through this machine", ""
	case o.operation != object.OpMultipart:
		return "", ""
	case o.large:
		return "above 5 GiB S3 copies only in parts", ""
	case o.long:
		return "from --multipart-threshold on objects are copied in parts", "a higher --multipart-threshold sends one request for each"
	case ignored:
		return "this store's CopyObject honours no condition on what it overwrites, so objects are copied in parts, which ends on one", plain
	}
	return "only a copy in parts re-encrypts such an object here, or keeps all that it has", ""
}

// choices are the grounds that were found, those of most objects first.
func (e *Estimator) choices() []Ground {
	out := make([]Ground, 0, len(e.grounds))
	for g, a := range e.grounds {
		g.Amount = *a
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b Ground) int {
		return cmp.Or(cmp.Compare(b.Objects, a.Objects), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Why, b.Why))
	})
	return out
}
