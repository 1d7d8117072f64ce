package engine

import (
	"context"
	"errors"

	"github.com/resealhq/reseal/engine/object"
)

// maxRounds is how often an object is decided on anew because others keep
// writing to it.
const maxRounds = 5

// item is one object on its way from task to outcome. A worker takes the same one
// for object after object, so nothing keeps a pointer into it for longer, except
// the prover: what it takes over is its own.
type item struct {
	*run
	task object.Task
	// obj is what is known now: the task's row, then what HEAD showed. Its Ref
	// stays the task's.
	obj object.Object
	// attrs is nil until the object was inspected.
	attrs *object.Attributes
	// version is the current version's ID, where HEAD told.
	version string
	// digest of the bytes before the copy, with VerifyRead.
	digest []byte
	// proveAlone keeps the item from the prover: one that is decided on anew, or
	// resumed, knows its outcome when it returns.
	proveAlone bool
	// createLost is set once a CreateMultipartUpload got no answer.
	createLost bool
	// lost is set once a request that changes the object got no answer, so that it
	// may take effect at any time; intended, while what it drops is in the journal.
	lost, intended bool
	// changed is set once somebody was seen to have written the object since the
	// plan.
	changed bool
	// written is set once a copy of this item was answered with success; wrote is
	// what was known then.
	written bool
	wrote   object.Outcome
	out     object.Outcome
}

// approach says how much of the task's row may be relied on.
type approach uint8

const (
	asPlanned approach = iota
	anew               // somebody wrote the object since: look first
)

// do takes one task to its outcome, which is part of it. A nil outcome without an
// error means that the prover has taken over the item. An error means that there is
// no outcome: the run stops, or the object is abandoned.
func (r *run) do(ctx context.Context, it *item, t *object.Task, how approach) (*object.Outcome, error) {
	*it = item{run: r, task: *t, obj: t.Object, proveAlone: how == anew || t.InDoubt, changed: how == anew}
	it.out = object.Outcome{Seq: t.Seq, Size: max(t.Object.Size, 0), ETagBefore: t.Object.ETag, Before: t.Object.Encryption}
	if how == asPlanned {
		if out := it.planned(); out != nil {
			return out, nil
		}
	}
	out, err := it.rounds(ctx, t.InDoubt && how == asPlanned)
	if err != nil {
		return it.orOutcome(ctx, err)
	}
	return it.acknowledged(out), nil
}

// acknowledged makes an object that is found as wanted a done one where a copy
// of this item was answered with success before: it is as wanted because of this
// job, whether somebody wrote since, or the store's reply named another ETag than
// its HEAD does (MinIO's, for keys that end in "/").
func (it *item) acknowledged(out *object.Outcome) *object.Outcome {
	if !it.written || out == nil || out.State != object.Already {
		return out
	}
	etag, shown := out.ETagAfter, out.After
	it.out = it.wrote
	it.out.Message = "copied, and shown as wanted under another ETag than the copy's reply named"
	return it.done(etag, shown)
}

// rounds decides on the object and does it, again as long as others write it
// meanwhile. An object in doubt begins with what an earlier process may have left.
func (it *item) rounds(ctx context.Context, inDoubt bool) (*object.Outcome, error) {
	for range maxRounds {
		var out *object.Outcome
		var err error
		if inDoubt {
			out, err = it.resume(ctx)
		}
		if out == nil && err == nil {
			out, err = it.round(ctx)
		}
		if object.ClassOf(err) != object.ClassChanged {
			return out, err
		}
		it.changed, it.attrs = true, nil // what we knew is of another object
		inDoubt = it.lost && it.intended // which may be what our own copy made of it
	}
	return it.left(object.ReasonChanging, "others kept writing to it; run again when they are done"), nil
}

// planned settles what the plan has settled already. An object that is taken again
// may be left no longer: it is looked at.
func (it *item) planned() *object.Outcome {
	t := &it.task
	switch {
	case t.Operation != object.OpNone || it.Inspect == InspectAlways:
		return nil
	case t.Already:
		return it.already()
	case t.InDoubt:
		return nil
	}
	return it.left(t.Reason, "")
}

// round inspects if need be, decides, and does it. ClassChanged asks for another
// round; no outcome and no error means that the prover has it.
func (it *item) round(ctx context.Context) (*object.Outcome, error) {
	choice, err := it.decide(ctx)
	if err != nil {
		return nil, err
	}
	if !it.Dest.InPlace() && choice.Operation != object.OpNone {
		if out, err := it.destOccupied(ctx); out != nil || err != nil {
			return out, err
		}
	}
	it.out.Operation = choice.Operation
	switch choice.Operation {
	case object.OpNone:
		if choice.Already {
			return it.already(), nil
		}
		return it.left(choice.Reason, choice.Message), nil
	case object.OpUpdate:
		return it.update(ctx)
	case object.OpCopy, object.OpMultipart:
		if out, err := it.overNullVersion(ctx); out != nil || err != nil {
			return out, err
		}
		if choice.Operation == object.OpCopy {
			return it.copy(ctx, choice)
		}
		return it.multipart(ctx, choice)
	}
	return it.left(object.ReasonUnsupported, "no operation could be chosen for it"), nil
}

// decide asks the chooser, and the store first where the row does not settle it.
func (it *item) decide(ctx context.Context) (object.Choice, error) {
	if it.changed || it.mustInspect() {
		if err := it.inspect(ctx); err != nil {
			return object.Choice{}, err
		}
	}
	c := it.Chooser.Choose(&it.obj, it.attrs)
	if it.attrs == nil && (c.Operation == object.OpUndecided || it.needsAttributes(c)) {
		if err := it.inspect(ctx); err != nil {
			return c, err
		}
		c = it.Chooser.Choose(&it.obj, it.attrs)
	}
	return c, nil
}

func (it *item) mustInspect() bool {
	switch {
	case it.attrs != nil:
		return false
	case it.task.InDoubt, it.Inspect == InspectAlways, it.obj.Size < 0, it.obj.ETag == "":
		return true
	case it.Inspect == InspectNever:
		return false
	}
	return !it.obj.Settled
}

// needsAttributes says whether the chosen operation resends what only HEAD tells.
func (it *item) needsAttributes(c object.Choice) bool {
	switch c.Operation {
	case object.OpMultipart:
		return true
	case object.OpCopy:
		return c.Route == object.RouteReplace || it.Target.StampMtime || it.Verify == VerifyRead ||
			maySuspend(it.Facts.Versioning)
	}
	return false
}

// resume takes up what an earlier process may have left in the middle.
func (it *item) resume(ctx context.Context) (*object.Outcome, error) {
	u, parts, found, err := it.Journal.Upload(it.task.Seq)
	if err != nil {
		return nil, journalError("read", err)
	}
	switch {
	case !found:
	case u.ID != "":
		return it.resumeUpload(ctx, &u, parts)
	case !u.Begun.IsZero():
		if err := it.endIntent(ctx, &u); err != nil {
			return nil, err
		}
	default:
		return it.resumeReapply(ctx, &u)
	}
	if err := it.inspect(ctx); err != nil {
		return nil, err
	}
	if it.Dest.InPlace() && it.Target.Satisfied(&it.obj) {
		return it.foundAsWanted(), nil
	}
	return nil, nil
}

// foundAsWanted is the outcome of an object in doubt that the store shows as
// wanted. Who did it shows in what changed since the plan saw it.
func (it *item) foundAsWanted() *object.Outcome {
	row := &it.task.Object
	ours := row.Settled && !it.Target.Satisfied(row) ||
		row.ETag != "" && row.ETag != it.obj.ETag ||
		!row.LastModified.IsZero() && row.LastModified.Unix() != it.obj.LastModified.Unix()
	if !ours {
		out := it.already()
		out.Message = "found as wanted after an interruption; an earlier process of this job may have changed it"
		return out
	}
	it.out.Operation = it.task.Operation
	if it.out.Operation == object.OpUndecided {
		it.out.Operation = object.OpCopy
	}
	it.out.ETagBefore, it.out.Before = row.ETag, row.Encryption
	it.out.Message = "done by an earlier process of this job; proved after an interruption"
	it.out.NewVersionID = it.version
	return it.done(it.obj.ETag, it.obj.Encryption)
}

// orOutcome turns an error about this object into its outcome; errors that
// concern the run stay errors.
func (it *item) orOutcome(ctx context.Context, err error) (*object.Outcome, error) {
	if errors.Is(err, ErrMissingKey) {
		return it.left(object.ReasonMissingKey, "it is under SSE-C; name its key with --source-sse-c-key-file"), nil
	}
	var e *object.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	if ctx.Err() != nil && (e.Class.Retryable() || e.Class.Ambiguous()) {
		return nil, errAbandon // it would have been sent again
	}
	switch e.Class {
	case object.ClassCanceled, object.ClassNoBucket, object.ClassCredentials, object.ClassUnreachable:
		return nil, err
	case object.ClassKey:
		if it.isDraining() {
			return nil, errAbandon // the key stopped the run; the object is for the next one
		}
	case object.ClassGone:
		return it.left(object.ReasonGone, it.whyGone()), nil
	case object.ClassArchived:
		return it.left(object.ReasonArchived, "restore it first, then run again with --retry-failed or a new job"), nil
	}
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
	return &it.out, nil
}

// whyGone tells an object that was seen from one that a list names and nobody saw.
func (it *item) whyGone() string {
	if it.obj.ETag == "" {
		return "there is no such object: it was deleted since the list was made, or never was; check how the list writes its keys"
	}
	return "deleted since it was listed"
}

func (it *item) already() *object.Outcome {
	it.out.State, it.out.Operation = object.Already, object.OpNone
	it.out.ETagAfter, it.out.After = it.out.ETagBefore, it.out.Before
	return &it.out
}

func (it *item) left(why object.Reason, message string) *object.Outcome {
	it.out.State, it.out.Operation = object.Left, object.OpNone
	it.out.Reason, it.out.Message = why, message
	return &it.out
}

// done is called with what the store was seen to show, never with what was asked.
func (it *item) done(etag string, e object.Encryption) *object.Outcome {
	it.out.State = object.Done
	it.out.ETagAfter, it.out.After = etag, e
	if it.out.Operation != object.OpUpdate && it.Dest.InPlace() {
		it.out.OldVersionKept = it.keepsOldVersion()
	}
	return &it.out
}

// keepsOldVersion says whether a copy left the previous version behind.
func (it *item) keepsOldVersion() bool {
	switch it.Facts.Versioning {
	case object.VersioningEnabled:
		return true
	case object.VersioningSuspended:
		return it.version != "" && it.version != "null"
	}
	return false
}
