package engine

import (
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/upload"
)

// maxRounds is how often an object is decided on anew because others keep
// writing to it.
const maxRounds = 5

// item is one object on its way from task to outcome. A worker takes the same one
// for object after object, so nothing keeps a pointer into it for longer, except
// the prover: what it takes over is its own.
type item struct {
	run  *run
	task object.Task
	// obj is what is known now: the task's row, then what HEAD showed. Its Ref
	// stays the task's.
	obj object.Object
	// decided are the decisions by which the last choice was made; nil for those of all.
	decided *narrowed
	// alone are those of this object alone; nil for those of the run.
	alone *narrowed
	// attrs is nil until the object was inspected.
	attrs *object.Attributes
	// version is the current version's ID, where HEAD told.
	version string
	// looked is when the store showed obj and attrs; zero before.
	looked time.Time
	// confirmed is when a second look showed the same.
	confirmed time.Time
	// made is the version that this item has written, as a reply or a HEAD told.
	made string
	// took is how long the request took that made it, where that was one.
	took time.Duration
	// noNull: the key was seen to have no null version before the copy, but what was copied.
	noNull bool
	// digest of the bytes before the copy, with VerifyRead.
	digest []byte
	// sums are those of the bytes that were sent, where somebody may ask for them.
	sums *sums
	past history
	// found is what HEAD showed where a lost request turned out to be applied.
	found *object.Head
	// inParts is the multipart copy; nil before the first.
	inParts *upload.Copy
	// strays are the IDs of uploads that a process which died may have begun; unlisted says
	// that nobody may look for them.
	strays   []string
	unlisted bool
	// anew is the envelope that a rewrap writes; nil for every other operation.
	anew *anew
	// own are the rules that a rewrap goes by.
	own *carry.Rules
	out object.Outcome
}

// do takes one task to its outcome, which is part of the item. A nil outcome without
// an error means that the prover has taken over the item. An error means that there
// is no outcome: the run stops, or the object is abandoned. anew says that somebody
// wrote the object since the plan, so that it is looked at first.
func (r *run) do(ctx context.Context, it *item, t *object.Task, anew bool) (*object.Outcome, error) {
	*it = item{run: r, task: *t, obj: t.Object, past: history{doubt: t.InDoubt && !anew, changed: anew}}
	it.out = object.Outcome{Seq: t.Seq, Size: max(t.Object.Size, 0), ETagBefore: t.Object.ETag, Before: t.Object.Encryption}
	if !anew {
		if out := it.planned(); out != nil {
			return out, nil
		}
	}
	out, err := it.rounds(ctx)
	if err != nil {
		out, err = it.orOutcome(ctx, err)
	} else {
		out = it.acknowledged(out)
	}
	out = it.told(out)
	if out != nil && (len(it.strays) > 0 || it.unlisted) {
		adds(out, openUploads(it.strays, it.unlisted))
	}
	return out, err
}

// planned is the outcome of what the plan has decided already. An object that is
// taken again may be left no longer: it is looked at.
func (it *item) planned() *object.Outcome {
	t := &it.task
	switch {
	case t.Operation != object.OpNone || it.run.cfg.Inspect == InspectAlways:
		return nil
	case t.Already:
		return it.already()
	case t.InDoubt:
		return nil
	}
	return it.left(t.Reason, "")
}

// rounds decides on the object and does it, again as long as others write it
// meanwhile.
func (it *item) rounds(ctx context.Context) (*object.Outcome, error) {
	for range maxRounds {
		var out *object.Outcome
		var err error
		if it.past.unclear() {
			out, err = it.clearUp(ctx)
		}
		if out == nil && err == nil {
			out, err = it.round(ctx)
		}
		switch err = it.orBack(ctx, err); object.ClassOf(err) {
		case object.ClassChanged:
			it.past.others()
			it.attrs, it.anew = nil, nil // what we knew is of another object
		case object.ClassKey:
			if err := it.keyRefused(ctx, err); err != nil {
				return nil, err
			}
		default:
			return out, err
		}
	}
	return it.left(object.ReasonChanging, "others kept writing to it; run again when they are done"), nil
}

// clearUp takes up what this job may have left in the middle. No outcome and no
// error means that the object is to be decided on.
func (it *item) clearUp(ctx context.Context) (*object.Outcome, error) {
	u, parts, found, err := it.run.cfg.Journal.Upload(it.task.Seq)
	if err != nil {
		return nil, upload.JournalError("read", err)
	}
	switch {
	case !found:
	case it.run.makesAnew():
		return nil, it.beginAnew(ctx, &u)
	case u.ID != "" && u.Sent:
		if err := it.endSent(ctx, &u); err != nil {
			return nil, err
		}
	case u.ID != "":
		return it.resumeUpload(ctx, &u, parts)
	case !u.Begun.IsZero():
		if err := it.endIntent(ctx, &u); err != nil {
			return nil, err
		}
	default:
		return it.resumeReapply(ctx, &u)
	}
	if it.run.cfg.Rewrap != nil || it.run.cfg.Reupload != nil {
		return nil, nil // KMS, or the key, tells whether the envelope is as wanted
	}
	if err := it.inspect(ctx); err != nil {
		return nil, err
	}
	if it.run.cfg.Dest.InPlace() && it.run.rules.Target.Satisfied(&it.obj) {
		if out, err := it.mayLieOver(ctx, it.shows()); out != nil || err != nil {
			return out, err
		}
		return it.foundAsWanted(), nil
	}
	if out, err := it.copiedBefore(ctx); out != nil || err != nil {
		return out, err
	}
	if row := &it.task.Object; it.run.cfg.Dest.InPlace() && it.run.rules.Caps.Update == object.Yes && row.ETag != "" && row.ETag != it.obj.ETag {
		return nil, it.overwritten(ctx, &it.obj) // by the update of a process that died
	}
	return nil, nil
}

// round inspects if need be, decides, and does it. ClassChanged asks for another
// round; no outcome and no error means that the prover has it.
func (it *item) round(ctx context.Context) (*object.Outcome, error) {
	choice, err := it.decide(ctx)
	if err != nil {
		return nil, err
	}
	if err := it.run.current(ctx, choice.Operation); err != nil {
		return nil, err
	}
	if !it.run.cfg.Dest.InPlace() && choice.Operation != object.OpNone {
		if out, err := it.destOccupied(ctx); out != nil || err != nil {
			return out, err
		}
	}
	switch {
	case choice.Operation == object.OpRewrite && it.run.cfg.Reupload != nil:
		return it.reupload(ctx, choice)
	case choice.Operation == object.OpRewrite:
		return it.rewrite(ctx, choice)
	}
	return it.act(ctx, choice)
}

// act does what was decided on, but for a rewrite in one piece.
func (it *item) act(ctx context.Context, choice object.Choice) (*object.Outcome, error) {
	it.out.Operation = choice.Operation
	switch choice.Operation {
	case object.OpNone:
		if choice.Already {
			return it.alreadyNow(), nil
		}
		return it.left(choice.Reason, choice.Message), nil
	case object.OpUpdate:
		out, err := it.update(ctx)
		return it.orAnother(ctx, object.OpUpdate, out, err)
	case object.OpCopy, object.OpMultipart:
		if out, err := it.overNullVersion(ctx); out != nil || err != nil {
			return out, err
		}
		if choice.Operation == object.OpCopy {
			out, err := it.copy(ctx, choice)
			return it.orAnother(ctx, object.OpCopy, out, err)
		}
		out, err := it.multipart(ctx, choice)
		return it.orAnother(ctx, object.OpMultipart, out, err)
	case object.OpRewrite:
		return it.resend(ctx, choice)
	case object.OpRewrap:
		out, err := it.rewrap(ctx, choice)
		return it.orAnother(ctx, object.OpCopy, out, err)
	}
	return it.left(object.ReasonUnsupported, "no operation could be chosen for it"), nil
}

// decide asks the chooser, and the store first where the row is not enough.
func (it *item) decide(ctx context.Context) (object.Choice, error) {
	if it.past.changed || it.mustInspect() {
		if err := it.inspect(ctx); err != nil {
			return object.Choice{}, err
		}
	}
	c := it.choose()
	if it.attrs == nil && (c.Operation == object.OpUndecided || it.needsAttributes(c)) {
		if err := it.inspect(ctx); err != nil {
			return c, err
		}
		c = it.choose()
	}
	return c, nil
}

func (it *item) mustInspect() bool {
	policy := it.run.cfg.Inspect
	switch {
	case it.attrs != nil:
		return false
	case it.task.InDoubt, policy == InspectAlways, it.obj.Size < 0, it.obj.ETag == "", it.obj.HasSealedETag() && !it.run.rules.Caps.IsAWS():
		return true
	case policy == InspectNever, it.run.cfg.ToFiles && it.run.cfg.Target.SourceKey.IsZero(): // what the row does not tell the reading does
		return false
	}
	// Under SSE-S3 a copy keeps the ETag, so that no condition tells an old plan.
	return !it.obj.Settled || it.task.Earlier && it.run.rules.Target.SSE == object.SSES3 && it.run.cfg.Dest.InPlace()
}

// needsAttributes says whether the chosen operation resends what only HEAD tells.
func (it *item) needsAttributes(c object.Choice) bool {
	cfg := it.run.cfg
	switch c.Operation {
	case object.OpMultipart:
		return true
	case object.OpRewrite:
		return c.Route == object.RouteSend
	case object.OpCopy:
		return c.Route == object.RouteReplace || cfg.Target.StampMtime || cfg.Verify == VerifyRead ||
			maySuspend(it.run.versioning())
	}
	return false
}

// inspect brings obj and attrs up to what the store shows now.
func (it *item) inspect(ctx context.Context) error {
	h, err := it.run.look.Inspect(ctx, &it.task.Object, it.past.changed)
	if err != nil {
		return err
	}
	it.shown(h)
	return nil
}

// shown takes over what the store shows of the object.
func (it *item) shown(h *object.Head) {
	if it.past.doubt && !it.past.vain && !it.past.lost && it.task.Object.VersionID == "" { // a version stays what it was
		it.past.vainBefore = it.mayBeVain(&h.Object)
	}
	it.version, it.obj, it.attrs, it.looked = h.ShownVersionID, h.Object, &h.Attributes, h.At
	it.out.Size, it.out.ETagBefore, it.out.Before = h.Size, h.ETag, h.Encryption
	it.out.ClientSideBefore = h.ClientSide
}

// destOccupied looks at the place that --dest names. Nothing there: no outcome.
// The same object there: already. Anything else: left, never overwritten.
func (it *item) destOccupied(ctx context.Context) (*object.Outcome, error) {
	dest := it.dest()
	if it.run.cfg.DestEmpty && !it.task.InDoubt && !it.past.changed {
		return it.overNullThere(ctx, dest)
	}
	h, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, dest)
	if object.ClassOf(err) == object.ClassGone {
		return it.overNullThere(ctx, dest)
	}
	if errors.Is(err, look.ErrMissingKey) {
		return it.left(object.ReasonForeign, "an object stands at "+dest.String()+" under SSE-C with another customer key; it was not overwritten"), nil
	}
	if err != nil {
		return nil, err
	}
	if it.attrs == nil {
		if err := it.inspect(ctx); err != nil {
			return nil, err
		}
	}
	same, out, err := it.sameThere(ctx, h)
	if err != nil || out != nil {
		return out, err
	}
	if !same {
		return it.left(object.ReasonForeign, "another object stands at "+dest.String()+"; it was not overwritten"+it.mayStandThere()), nil
	}
	if w := it.run.cfg.Reupload; (w == nil || !w.KeepsSSE) && !it.run.rules.Target.Satisfied(&h.Object) {
		return it.left(object.ReasonForeign, "the same object stands at "+dest.String()+" under another encryption; re-encrypt it in place"), nil
	}
	out = it.already()
	out.ETagAfter, out.After = h.ETag, h.Encryption
	if it.run.cfg.Reupload != nil {
		out.Size, out.ClientSideAfter = h.Size, h.ClientSide
	}
	if it.task.InDoubt {
		out.Reason, out.Message = object.ReasonInDoubt, "the same object stands at "+dest.String()+"; an earlier process of this job may have put it there"
	}
	return out, nil
}

// overNullVersion looks for an older null version, which a copy in a bucket with
// suspended versioning would overwrite although it is not the object's current
// version. A bucket that shows version IDs and does not tell whether it still makes
// new ones may be one.
func (it *item) overNullVersion(ctx context.Context) (*object.Outcome, error) {
	if !maySuspend(it.run.versioning()) || !it.run.cfg.Dest.InPlace() || it.version == object.NullVersion || it.version == "" {
		return nil, nil
	}
	there, err := it.run.look.NullVersion(ctx, it.run.cfg.Source.Hot, it.obj.Ref)
	if err != nil || !there {
		it.noNull = err == nil
		return nil, err
	}
	return it.left(object.ReasonNullVersion, "versions of this key are not kept now, as far as can be told, and a copy would overwrite its older null version; "+
		"turn versioning on for the time of the job, or remove that version"), nil
}

func maySuspend(v object.Versioning) bool {
	return v == object.VersioningSuspended || v == object.VersioningUnknown
}

// dest is where the object's copy goes.
func (it *item) dest() object.Ref { return it.run.rules.Dest.Ref(it.task.Object.Ref) }
