package engine

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/upload"
)

func (it *item) already() *object.Outcome {
	it.out.State, it.out.Operation = object.Already, object.OpNone
	it.out.ETagAfter, it.out.After = it.out.ETagBefore, it.out.Before
	return &it.out
}

// alreadyNow is already for an object that was just looked at. One that an earlier
// process planned may be as wanted because of this very job: of a directory that was
// copied and whose copy has run, of one that was restored from a backup.
func (it *item) alreadyNow() *object.Outcome {
	out := it.already()
	if it.task.Earlier && it.mayBeOurs() {
		out.Reason, out.Message = object.ReasonInDoubt, "found as wanted; it was changed since it was planned, perhaps by an earlier process of this job"
	}
	return out
}

// mayBeOurs says whether the object may have been brought under the target since the
// plan saw it. An update leaves neither date nor ETag changed.
func (it *item) mayBeOurs() bool {
	row := &it.task.Object
	if row.Settled {
		return !it.run.rules.Target.Satisfied(row)
	}
	return it.run.rules.Caps.Update == object.Yes || row.WrittenSince(&it.obj)
}

// adds says one more thing in the row of an outcome.
func adds(out *object.Outcome, what string) {
	out.Message = strings.TrimPrefix(out.Message+"; "+what, "; ")
}

func (it *item) left(why object.Reason, message string) *object.Outcome {
	it.out.State, it.out.Operation = object.Left, object.OpNone
	it.out.Reason, it.out.Message = why, message
	it.out.NeverSent = it.out.Attempts == 0 && !it.task.InDoubt
	return &it.out
}

// done is called with what the store was seen to show, never with what was asked.
func (it *item) done(etag string, e object.Encryption) *object.Outcome {
	it.wellDone()
	it.out.State = object.Done
	it.out.ETagAfter, it.out.After = etag, e
	if it.out.Operation != object.OpUpdate && it.run.cfg.Dest.InPlace() {
		it.out.OldVersionKept = it.keepsOldVersion()
	}
	return &it.out
}

// acknowledged makes an object that is found as wanted a done one where a copy
// of this item was answered with success before: it is as wanted because of this
// job, whether somebody wrote since, or the store's reply named another ETag than
// its HEAD does (MinIO's, for keys that end in "/").
//
// The same where a request got no answer, and took effect after the store had been
// asked: the next one then finds the object changed, by the first. What is there is
// somebody else's only where its bytes are others.
func (it *item) acknowledged(out *object.Outcome) *object.Outcome {
	if out == nil || out.State != object.Already {
		return out
	}
	etag, shown, envelope := out.ETagAfter, out.After, out.ClientSideAfter
	if sent := it.past.unanswered; !it.past.written() && sent != nil && it.past.changed &&
		sent.obj.ETag != it.obj.ETag && !otherBytes(&sent.obj, sent.attrs, &it.obj, it.attrs) {
		it.out, it.out.ClientSideAfter = sent.out, envelope
		it.out.NewVersionID, it.out.Inferred = it.version, true
		it.out.Message = "found as wanted after a request that got no answer"
		return it.done(etag, shown)
	}
	if !it.past.written() {
		return out
	}
	it.out = it.past.wrote
	it.out.ClientSideAfter = cmp.Or(envelope, it.out.ClientSideAfter)
	it.out.Message = "copied, and shown as wanted under another ETag than the copy's reply named"
	return it.done(etag, shown)
}

// foundAsWanted is the outcome of an object in doubt that the store shows as
// wanted. Who did it shows in what changed since the plan saw it.
func (it *item) foundAsWanted() *object.Outcome {
	row := &it.task.Object
	if ours := row.Settled && !it.run.rules.Target.Satisfied(row) || row.WrittenSince(&it.obj); !ours {
		out := it.already()
		out.Reason, out.Message = object.ReasonInDoubt, "found as wanted after an interruption; an earlier process of this job may have changed it"
		return out
	}
	it.out.ETagBefore, it.out.Before = row.ETag, row.Encryption
	it.foundDone()
	return it.done(it.obj.ETag, it.obj.Encryption)
}

// foundDone notes what is known of the work of a process that died.
func (it *item) foundDone() {
	it.out.Operation = it.task.Operation
	if it.out.Operation == object.OpUndecided {
		it.out.Operation = object.OpCopy
	}
	it.out.Message = "found as wanted after an interruption and written since it was planned, most likely by an earlier process of this job"
	it.out.NewVersionID, it.out.Inferred = it.version, true
}

// orOutcome turns an error about this object into its outcome; errors that
// concern the run stay errors.
func (it *item) orOutcome(ctx context.Context, err error) (*object.Outcome, error) {
	if errors.Is(err, look.ErrMissingKey) {
		return it.left(object.ReasonMissingKey, "it is under SSE-C; name its key with --source-sse-c-key-file"), nil
	}
	if errors.Is(err, upload.ErrWrongSource) {
		return it.left(object.ReasonSource, "the store copies another object's bytes under this name; the copy was given up before it took the object's place"), nil
	}
	var e *object.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	if ctx.Err() != nil && (e.Class.Retryable() || e.Class.Ambiguous()) {
		return nil, retry.ErrStopping // it would have been sent again
	}
	if e.Leaves != object.ReasonUnknown {
		return it.left(e.Leaves, e.Message), nil
	}
	switch e.Class {
	case object.ClassCanceled, object.ClassNoBucket, object.ClassCredentials, object.ClassUnreachable:
		return nil, err
	case object.ClassKey, object.ClassFull, object.ClassKMSAway, object.ClassThrottled, object.ClassKMSThrottled:
		if it.run.isDraining() {
			return nil, retry.ErrStopping // what every object would meet stopped the run; this one is for the next
		}
	case object.ClassGone:
		return it.gone(ctx, e)
	case object.ClassInvalid:
		if e.Code == "InvalidStorageClass" && it.run.rules.Target.StorageClass == "" {
			return it.left(object.ReasonClass, "the store shows its storage class as "+it.obj.StorageClass+" and takes no copy into it; "+
				"move the object back first, or name a class with --storage-class"), nil
		}
	case object.ClassArchived:
		return it.left(object.ReasonArchived, "restore it first, then run again with --retry-failed or a new job"), nil
	}
	return it.failedBy(e), nil
}

// failedBy is the outcome of an object that was tried and not changed.
func (it *item) failedBy(e *object.Error) *object.Outcome {
	it.out.State = object.Failed
	it.out.Reason = object.Reason(e.Class.String())
	it.out.ErrorCode, it.out.HTTPStatus, it.out.RequestID = e.Code, e.HTTPStatus, e.RequestID
	it.out.Message = e.Message
	if it.out.Message == "" {
		it.out.Message = e.Error()
	}
	if e.Hint != "" {
		it.out.Message += "; " + e.Hint
	}
	return &it.out
}

// gone is the outcome of an object that a request did not find. Only a HEAD says that
// it is not there: another request may have missed something else.
func (it *item) gone(ctx context.Context, e *object.Error) (*object.Outcome, error) {
	if e.Op != "HeadObject" {
		switch _, err := it.run.look.Head(ctx, it.run.cfg.Source.Hot, it.task.Object.Ref); {
		case err == nil:
			out := it.failedBy(e) // SeaweedFS has keys that it shows and cannot copy
			out.Reason, out.Message = object.ReasonUnsupported, "the store shows the object, and "+e.Op+" does not find it: "+out.Message
			return out, nil
		case object.ClassOf(err) != object.ClassGone:
			return it.orOutcome(ctx, err)
		}
	}
	if it.past.written() {
		it.out.OldVersionKept = it.run.cfg.Dest.InPlace() && it.keepsOldVersion()
		return it.left(object.ReasonGone, "copied, and deleted by another client before the copy could be looked at"), nil
	}
	return it.left(object.ReasonGone, it.whyGone()), nil
}

// orBack looks at an object that a request did not find: one that is there again, as
// another object, was deleted and written by others, which is a change like any other.
// Where nothing is there it says so in the name of that look, so that nobody looks again
// and finds what was written a moment later.
func (it *item) orBack(ctx context.Context, err error) error {
	e, ok := errors.AsType[*object.Error](err)
	if !ok || e.Class != object.ClassGone || e.Op == "HeadObject" {
		return err
	}
	h, herr := it.run.look.Head(ctx, it.run.cfg.Source.Hot, it.task.Object.Ref)
	switch {
	case herr == nil && it.made != "" && h.ShownVersionID == it.made: // it is this item's own
	case herr == nil && h.ETag != it.obj.ETag:
		return look.ChangedSince(e.Op, it.task.Object.Ref)
	case object.ClassOf(herr) == object.ClassGone:
		return herr
	}
	return err
}

// whyGone tells an object that was seen from one that a list names and nobody saw.
func (it *item) whyGone() string {
	if it.obj.ETag == "" {
		return "there is no such object: it was deleted since the list was made, or never was; check how the list writes its keys"
	}
	return "deleted since it was listed" + it.mayStandThere()
}

// mayStandThere says of an object that is to be copied somewhere else, and that an earlier
// process was at work on, what may have come of that.
func (it *item) mayStandThere() string {
	if !it.task.InDoubt || it.run.cfg.Dest.InPlace() {
		return ""
	}
	return "; a process of this job that was interrupted may have copied it to " + it.dest().String() + " as it was then"
}
