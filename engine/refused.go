package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/resealhq/reseal/engine/object"
)

// refusal is something that the store was taken to do, and may turn out to refuse
// for the whole run.
type refusal struct {
	// of is the operation that it stands in the way of, and finding the capability
	// that is not there.
	of      object.Operation
	finding func(*object.Capabilities) *object.Finding
	// concerns says whether it does an object; nil for every one.
	concerns func(*item) bool
	// log says it once, message in the row of every object that was to go that way.
	log, message string
}

// noUpdates: the key is another account's, or the permission is missing. One
// object's refusal decides for all, as long as none was updated and it is not locked: see
// itsOwn.
var noUpdates = &refusal{of: object.OpUpdate, finding: func(c *object.Capabilities) *object.Finding { return &c.Update },
	log: "UpdateObjectEncryption was refused, so that objects are copied instead where that loses nothing; " +
		"grant s3:UpdateObjectEncryption, and use a key of the bucket's own account, to have them updated in place",
	message: "not updated in place, since UpdateObjectEncryption was refused (AccessDenied)"}

// noCondition: CopyObject takes no condition on its destination beside the one on
// its source. Whether copies go on without it is the chooser's to say: another route
// may be guarded, and a loss of others' writes is accepted by name only.
var noCondition = &refusal{of: object.OpCopy, finding: func(c *object.Capabilities) *object.Finding { return &c.CopyIfMatch },
	log: "the store does not implement a condition on the destination of CopyObject (If-Match), so that copies go another way that has one, " +
		"or are conditional on their source alone where writes of others are accepted or kept as versions",
	message: "CopyObject's condition on the destination (If-Match) is not implemented here, and was left out"}

// keepsKey: CopyObject answers success, and the object stays under the KMS key that it
// was under. One object shows it for all that are under another key than the target's.
var keepsKey = &refusal{of: object.OpCopy, finding: func(c *object.Capabilities) *object.Finding { return &c.OtherKey },
	concerns: func(it *item) bool { return it.run.rules.Target.UnderOtherKey(it.obj.Encryption) },
	log: "copies keep the KMS key that an object is under, although the store answers success; objects under another key than the target's " +
		"are read and written again where that loses nothing",
	message: "not copied, since copies keep the old KMS key here"}

// noUpload: MinIO takes no upload in parts of a key that ends with a slash.
var noUpload = &refusal{of: object.OpMultipart, finding: func(c *object.Capabilities) *object.Finding { return &c.Multipart },
	concerns: func(it *item) bool { return strings.HasSuffix(it.obj.Key, "/") },
	message:  "not copied in parts, since the store takes no such upload of a key that ends with a slash"}

// errKeptKey is the cause of what is not proved for that reason.
var errKeptKey = errors.New("the copy kept the KMS key")

// narrowed are the decisions that are left when something was refused.
type narrowed struct {
	caps    object.Capabilities
	chooser Chooser
}

// refused is what the store has refused so far.
type refused struct {
	now atomic.Pointer[narrowed] // nil while nothing was
	mu  sync.Mutex
}

// without says whether these decisions do without it.
func (n *narrowed) without(r *refusal) bool {
	return n != nil && *r.finding(&n.caps) == object.No
}

// refuse takes what an error tells for the rest of the run.
func (r *run) refuse(what *refusal, cause error) {
	r.refused.mu.Lock()
	defer r.refused.mu.Unlock()
	n := r.refused.now.Load()
	if n.without(what) {
		return
	}
	r.refused.now.Store(r.narrow(n, what))
	r.cfg.Log.Warn(what.log, "cause", cause)
}

// narrow are decisions that do without what was refused, beside what was before.
func (r *run) narrow(n *narrowed, what *refusal) *narrowed {
	caps := r.cfg.Caps
	if n != nil {
		caps = n.caps
	}
	*what.finding(&caps) = object.No
	if what == noUpload { // also where no other copy was seen to do it
		for _, r := range []*object.Route{&caps.Route, &caps.EncryptedRoute, &caps.OtherKeyRoute} {
			if *r == object.RouteMultipart {
				*r = object.RouteNone
			}
		}
	}
	return &narrowed{caps, r.cfg.Narrow(caps)}
}

// itsOwn says whether a refusal is about this object alone, which was inspected since: S3
// updates none that is locked, as others may have done a moment ago, and a policy may differ
// by the key. Where one was updated, the key and the permission are not what is wrong.
func (it *item) itsOwn(what *refusal) bool {
	return what == noUpload || what == noUpdates && (it.run.updated.Load() || it.obj.Locked() || it.attrs.EventHold)
}

// choose asks the chooser, and the narrowed one where something was refused. What
// only an update can do is still asked for: its refusal is then the object's own. What
// was known of refusals is kept for the request that follows: one that another worker meets
// in between is met by this one too, and decided on.
func (it *item) choose() object.Choice {
	c := it.run.cfg.Chooser.Choose(&it.obj, it.attrs)
	n := cmp.Or(it.alone, it.run.refused.now.Load())
	it.decided = n
	if n == nil {
		return c
	}
	less := n.chooser.Choose(&it.obj, it.attrs)
	for _, r := range []*refusal{noUpdates, noCondition, keepsKey, noUpload} {
		switch {
		case c.Operation != r.of || !n.without(r), r.concerns != nil && !r.concerns(it):
		case r == noUpdates && less.Operation == object.OpNone:
			return c
		case less.Operation == object.OpUndecided:
		case r == noUpload && less.Reason == object.ReasonUnsupported:
			less.Message = r.message + ", and no other copy was seen to re-encrypt it"
		case r == keepsKey && slices.Contains(it.past.redecided, r):
			it.out.Message = "copied first, and the copy kept the old KMS key"
		case r == keepsKey && it.past.vainBefore:
			it.out.Message = "not copied again, since copies keep the old KMS key here"
		default:
			it.out.Message = r.message
		}
	}
	return less
}

// orAnother passes on what came of an operation, unless the store refused it for a
// reason that concerns every object: then this one is looked at and decided on anew.
func (it *item) orAnother(ctx context.Context, op object.Operation, out *object.Outcome, err error) (*object.Outcome, error) {
	what := refusedFor(op, err)
	switch {
	case what == nil, slices.Contains(it.past.redecided, what):
		return out, err
	case what == keepsKey && it.task.Object.VersionID != "":
		return out, err // the copy is the current version now, and that one cannot be it again
	case it.run.cfg.Narrow == nil:
		return out, err
	}
	it.past.again(what)
	it.attrs, it.anew = nil, nil
	if err := it.inspect(ctx); err != nil {
		return nil, err
	}
	own := it.itsOwn(what)
	if !own {
		it.run.refuse(what, err)
	}
	if own || it.alone != nil {
		it.alone = it.run.narrow(cmp.Or(it.alone, it.run.refused.now.Load()), what)
	}
	if c := it.choose(); c.Operation == object.OpUpdate || what == keepsKey && c.Operation == object.OpNone && !c.Already {
		return nil, err // nothing else can do it
	}
	return it.round(ctx)
}

// refusedFor tells a refusal that concerns every object from one of this object.
func refusedFor(op object.Operation, err error) *refusal {
	e, ok := errors.AsType[*object.Error](err)
	switch {
	case !ok:
	case op == object.OpUpdate && e.Class == object.ClassDenied && e.Op == "UpdateObjectEncryption":
		return noUpdates
	case op == object.OpCopy && e.Class == object.ClassUnsupported && e.Op == "CopyObject" && (e.Condition == "If-Match" || e.Condition == "If-None-Match"):
		return noCondition
	case op == object.OpCopy && errors.Is(err, errKeptKey):
		return keepsKey
	case op == object.OpMultipart && e.Op == "CreateMultipartUpload" && e.Code == "XMinioInvalidObjectName" && strings.HasSuffix(e.Ref.Key, "/"):
		return noUpload
	}
	return nil
}
