package engine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// prove turns a mutation's success into a done outcome, or finds out that it was
// none. The cheapest proof that the flags allow is taken: the reply where it
// shows the encryption, a re-listing of many objects at once, a HEAD.
func (it *item) prove(ctx context.Context, op string, reply object.CopyReply) (*object.Outcome, error) {
	it.past.answered(&it.out, it.readVersion())
	ctx = retry.Ending(ctx)
	if it.sentEventHold() || it.anew != nil || it.run.cfg.FromFiles && it.inParts != nil {
		return it.proveByHead(ctx, op, reply)
	}
	if it.replyProves(reply) {
		return it.done(reply.ETag, reply.Encryption), nil
	}
	if e, ok := it.onItsWord(reply); ok {
		return it.done(reply.ETag, e), nil
	}
	if it.run.cfg.Bulk != nil && !it.past.provesItself() && it.run.cfg.Verify == VerifyAuto && it.run.cfg.Dest.InPlace() && it.obj.VersionID == "" {
		it.run.prover.take(&claim{it: it, op: op, reply: reply})
		return nil, nil
	}
	return it.proveByHead(ctx, op, reply)
}

func (it *item) replyProves(reply object.CopyReply) bool {
	return it.run.cfg.Verify <= VerifyResponse && reply.ETag != "" && it.run.rules.Target.StorageClass == "" &&
		reply.Encryption.Type != object.SSEUnknown && it.run.rules.Target.MetBy(reply.Encryption)
}

// onItsWord is for an operator who asks for no more proof than the reply, on a
// store whose replies were seen to show no encryption (MinIO's): there a success
// is the same answer that the canary found true. What the object is under now is
// then what was asked for, in the store's own words; nobody has looked, which is
// what verify is for. A reply that shows nothing where others do is suspicious, and
// the store is asked.
func (it *item) onItsWord(reply object.CopyReply) (e object.Encryption, ok bool) {
	silent := it.run.rules.Caps.CopyShowsEncryption
	switch it.out.Operation {
	case object.OpMultipart:
		silent = it.run.rules.Caps.UploadShowsEncryption
	case object.OpRewrite:
		silent = it.run.rules.Caps.PutShowsEncryption
		if it.inParts != nil {
			silent = it.run.rules.Caps.UploadShowsEncryption
		}
	}
	t := it.run.rules.Target
	if it.out.Operation != object.OpRewrite && it.mayKeepKey() {
		return e, false
	}
	if it.run.cfg.Verify != VerifyResponse || silent != object.No || it.run.rules.Caps.Encrypts != object.Yes ||
		reply.ETag == "" || reply.Encryption.Type != object.SSEUnknown || t.StorageClass != "" {
		return e, false
	}
	switch t.SSE {
	case object.SSES3:
	case object.SSEKMS:
		if t.ShownKeyID == "" || t.BucketKey == object.On {
			return e, false
		}
		e.KMSKeyID = t.ShownKeyID
	default:
		return e, false
	}
	e.Type = t.SSE
	it.out.Reason = object.ReasonReply
	return e, true
}

// mayKeepKey says whether a copy may have left the object under another KMS key than
// the target's: some stores answer 200 and do, and this one was not seen not to.
func (it *item) mayKeepKey() bool { return it.mayKeepKeyOf(&it.obj.Encryption) }

// mayKeepKeyOf is mayKeepKey for an object that was under from.
func (it *item) mayKeepKeyOf(from *object.Encryption) bool {
	return it.run.rules.Target.SSE.KMS() && it.run.rules.Caps.OtherKey != object.Yes &&
		(from.Type == object.SSEUnknown || from.Type.KMS() && !it.run.rules.Target.MetBy(*from))
}

// proveByHead asks the store. If it shows another object than the one that was
// just written, somebody else has written since.
func (it *item) proveByHead(ctx context.Context, op string, reply object.CopyReply) (*object.Outcome, error) {
	h, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, it.dest())
	if object.ClassOf(err) == object.ClassGone {
		return it.deletedSince(ctx, op, reply, err)
	}
	if err != nil {
		return nil, err
	}
	shown, err := it.openETag(ctx, h, &reply)
	if err != nil {
		return nil, err
	}
	if shown != reply.ETag {
		return nil, look.ChangedSince(op, h.Ref)
	}
	it.sawMade(ctx, h)
	if h.Size != it.obj.Size || !it.rules().Target.Satisfied(&h.Object) && !it.keptNone() {
		return nil, it.unproved(op, h)
	}
	if err := it.provesEnvelope(ctx, op, h); err != nil {
		return nil, err
	}
	if it.sentEventHold() && !sameEventHold(it.attrs, &h.Attributes) {
		return nil, &object.Error{Class: object.ClassUnproved, Op: op, Ref: h.Ref, RequestID: h.RequestID,
			Message: "the object is under the new encryption, and HEAD does not show its event hold",
			Hint:    "set it again by PutObjectRetention, and grant s3:GetObjectRetention, without which none is shown"}
	}
	if it.run.cfg.Verify == VerifyRead {
		if err := it.compareAfter(ctx, h); err != nil {
			return nil, err
		}
	}
	if err := it.otherSum(h); err != nil {
		return nil, err
	}
	if it.anew == nil {
		it.out.ClientSideAfter = h.ClientSide
	}
	return it.done(shown, h.Encryption), nil
}

// openETag is the ETag of what a HEAD shows, as the reply to the copy would name it.
func (it *item) openETag(ctx context.Context, h *object.Head, reply *object.CopyReply) (string, error) {
	if !h.HasSealedETag() || h.ETag == reply.ETag {
		return h.ETag, nil
	}
	return it.run.look.OpenETag(ctx, it.run.cfg.Store, &h.Object)
}

// sentEventHold says whether the copy had to carry an event hold, which no reply to
// it shows.
func (it *item) sentEventHold() bool {
	return it.attrs != nil && it.attrs.EventHold && it.run.rules.Caps.IsAWS() && it.run.rules.Locks(true)
}

func sameEventHold(a, b *object.Attributes) bool {
	return a.EventHold == b.EventHold && a.EventHoldDays == b.EventHoldDays && a.EventHoldYears == b.EventHoldYears
}

// deletedSince is the outcome of a copy that was answered with success and whose key
// shows nothing now: another client has deleted it. Where the bucket keeps versions,
// the one that the copy made is still there and proves it, and so is the one from
// before.
func (it *item) deletedSince(ctx context.Context, op string, reply object.CopyReply, gone error) (*object.Outcome, error) {
	if reply.VersionID == "" {
		return nil, gone
	}
	ref := it.dest()
	ref.VersionID = reply.VersionID
	h, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, ref)
	switch {
	case object.ClassOf(err) == object.ClassGone:
		return nil, gone
	case err != nil:
		return nil, err
	}
	shown, err := it.openETag(ctx, h, &reply)
	switch {
	case err != nil:
		return nil, err
	case shown != reply.ETag || h.Size != it.obj.Size || !it.rules().Target.Satisfied(&h.Object) && !it.keptNone():
		return nil, it.unproved(op, h)
	}
	if err := it.provesEnvelope(ctx, op, h); err != nil {
		return nil, err
	}
	if it.run.cfg.Verify == VerifyRead {
		if err := it.compareAfter(ctx, h); err != nil {
			return nil, err
		}
	}
	it.out.Message = "copied, and deleted by another client since; the version that the copy made is as wanted"
	return it.done(shown, h.Encryption), nil
}

// digestBefore hashes the source's bytes for --verify read: in place, they are
// not there any more afterwards. Where the store holds a checksum over the whole
// object and the copy keeps it, that is compared instead and nothing is read.
func (it *item) digestBefore(ctx context.Context, keepsChecksum bool) (err error) {
	if it.run.cfg.Verify != VerifyRead || keepsChecksum && look.Comparable(&it.obj, it.attrs) != "" {
		return nil
	}
	it.digest, err = it.run.look.Digest(ctx, it.run.cfg.Source, &it.obj)
	return err
}

// compareAfter compares the bytes after the copy with those from before.
func (it *item) compareAfter(ctx context.Context, h *object.Head) error {
	if it.sums != nil {
		return it.compareSent(ctx, h)
	}
	alg := look.Comparable(&it.obj, it.attrs)
	if it.digest == nil && alg != "" && h.Checksums[alg] != "" && h.ChecksumType == object.FullObject {
		if it.attrs.Checksums[alg] == h.Checksums[alg] {
			return nil
		}
		return differs(h)
	}
	if it.digest == nil {
		return &object.Error{Class: object.ClassUnproved, Op: "GetObject", Ref: h.Ref,
			Message: "the bytes cannot be compared any more: the checksum that the object had did not come back with the copy"}
	}
	after, err := it.run.look.Digest(ctx, it.run.cfg.Store, &h.Object)
	if err != nil {
		return err
	}
	if !bytes.Equal(it.digest, after) {
		return differs(h)
	}
	return nil
}

func differs(h *object.Head) error {
	return &object.Error{Class: object.ClassUnproved, Op: "GetObject", Ref: h.Ref, RequestID: h.RequestID,
		Message: "the bytes after the copy are not those from before",
		Hint:    "restore the object from its previous version or a backup, and do not trust this store with copies"}
}

// unproved is the error for a success that the store does not show.
func (it *item) unproved(op string, h *object.Head) error {
	e := &object.Error{Class: object.ClassUnproved, Op: op, Ref: h.Ref, RequestID: h.RequestID,
		Hint: "run `reseal doctor` to see which operations this store really does"}
	switch {
	case h.Size != it.obj.Size:
		e.Message = "the store answered success, and the object's size is another one now"
	case it.rules().Target.MetBy(h.Encryption): // so it is the class that differs
		e.Message = fmt.Sprintf("the object is under the new encryption, and in the storage class %s instead of %s",
			cmp.Or(h.StorageClass, "STANDARD"), it.rules().Target.StorageClass)
		e.Hint = "this store does not put copies into that class: leave --storage-class away, or let a lifecycle rule move them"
		if object.SameClass(h.StorageClass, it.obj.StorageClass) {
			e.Hint = "this store does not put copies into that class, or a lifecycle rule has moved it back at once: a new job without --storage-class counts it as already done"
		}
	default:
		e.Message = "the store answered success, and HEAD shows " + describe(h.Encryption)
		if t := &it.rules().Target; h.Encryption.Type == t.SSE && h.Encryption.KMSKeyID == it.obj.Encryption.KMSKeyID && t.UnderOtherKey(h.Encryption) {
			e.Err, it.past.vain = errKeptKey, true
		}
	}
	return e
}

func describe(e object.Encryption) string {
	s := e.Type.String()
	if e.KMSKeyID != "" {
		s += " under " + e.KMSKeyID
	}
	return s
}
