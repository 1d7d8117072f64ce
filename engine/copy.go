package engine

import (
	"cmp"
	"context"
	"maps"
	"time"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/upload"
)

// copy rewrites the object by one CopyObject, conditional on the object that was
// decided on.
func (it *item) copy(ctx context.Context, c object.Choice) (*object.Outcome, error) {
	if out, err := it.misread(ctx); out != nil || err != nil {
		return out, err
	}
	req, err := it.request(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := it.digestBefore(ctx, it.run.rules.Caps.Checksums == object.Yes && it.run.rules.Caps.KeepsChecksums != object.No); err != nil {
		return nil, err
	}
	call := object.Call{Kind: object.ReqCopy, Key: it.obj.Key, KMSKey: it.rules().KMSKey(&it.obj), OtherKey: it.rules().OtherKey(&it.obj), Bytes: it.obj.Size}
	send := func(ctx context.Context) (object.CopyReply, error) { return it.run.cfg.Store.Copy(ctx, req) }
	return it.replace(ctx, "CopyObject", call, req, send)
}

// replace sends the one request that replaces the object, writes again what the
// store drops of it, and proves it.
func (it *item) replace(ctx context.Context, op string, call object.Call, req *object.CopyRequest,
	send func(context.Context) (object.CopyReply, error)) (*object.Outcome, error) {
	dest, dropped := req.Dest, it.rules().Lost(req, &it.obj, it.attrs, time.Now())
	if err := it.intend(dest, dropped); err != nil {
		return nil, err
	}
	var reply object.CopyReply
	found, err := it.once(ctx, call, func(ctx context.Context) (err error) {
		it.out.Attempts++
		began := time.Now()
		reply, err = send(ctx)
		it.took = time.Since(began)
		return err
	}, again{it, req})
	if err != nil {
		return nil, it.withoutIntent(err)
	}
	if found != nil {
		reply = object.CopyReply{ETag: found.ETag, VersionID: found.ShownVersionID, RequestID: found.RequestID, Inferred: true}
	}
	made := reply.Made() // before anything is asked about it
	it.out.RequestID, it.out.NewVersionID, it.out.Inferred = reply.RequestID, reply.VersionID, reply.Inferred
	it.noteMade(ctx, &reply)
	if err := it.reapplied(ctx, &reply, it.run.uploads.Reapply(ctx, dest, reply.ETag, dropped, made)); err != nil {
		switch {
		case !it.past.intended:
		case it.past.lost: // a copy that got no answer may take its place yet, and lacks the same
		case object.ClassOf(err) != object.ClassChanged:
			err = cmp.Or(it.run.uploads.Intend(it.task.Seq, &it.obj, dest, dropped, reply.ETag), err)
		default: // what it carries now is another client's
			err = cmp.Or(it.dropIntent(), err)
		}
		return nil, err
	}
	if err := it.dropIntent(); err != nil {
		return nil, err
	}
	return it.prove(ctx, op, reply)
}

// request is the copy with everything that it must carry.
func (it *item) request(ctx context.Context, c object.Choice) (*object.CopyRequest, error) {
	if it.attrs != nil && it.run.rules.NeedsTags(c) {
		if err := it.run.look.ReadTags(ctx, it.obj.Ref, it.attrs); err != nil {
			return nil, err
		}
	}
	req := it.rules().Copy(&it.obj, it.attrs, c, time.Now())
	if it.decided.without(noCondition) {
		req.DestETag, req.DestAbsent = "", false
	}
	return req, nil
}

// once sends a mutation that must not be applied twice. found is what HEAD showed
// where its answer was lost and the object turned out to be as wanted.
func (it *item) once(ctx context.Context, call object.Call, f func(context.Context) error, ask retry.Asker) (found *object.Head, err error) {
	it.found = nil
	lost, err := it.run.loop.Certain(ctx, call, f, ask)
	if lost {
		it.past.noAnswer(it)
	}
	return it.found, err
}

// becameOf looks whether a mutation without an answer was applied: then the object is as
// wanted. It was not, or not yet, where the object is still the one from before.
func (it *item) becameOf(ctx context.Context, call object.Call) (applied bool, err error) {
	ref := it.dest()
	if it.obj.VersionID != "" && call.Kind == object.ReqUpdate {
		ref = it.obj.Ref
	}
	h, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, ref)
	switch {
	case object.ClassOf(err) == object.ClassGone && !it.run.cfg.Dest.InPlace(): // not arrived
		return false, nil
	case err != nil:
		return false, err
	case it.anew != nil:
		return it.rewrapped(ctx, h)
	case !it.run.cfg.Dest.InPlace() && it.sums != nil:
		same, err := it.hasSums(ctx, h)
		switch {
		case err != nil:
			return false, err
		case !same || !it.run.rules.Target.Satisfied(&h.Object):
			return false, look.ChangedSince(call.Kind.String(), ref)
		}
		it.found = h
		return true, nil
	case it.run.rules.Target.Satisfied(&h.Object) && h.Size == it.obj.Size && !it.othersBytes(h):
		it.found = h
		return true, nil
	case h.ETag != it.obj.ETag:
		if call.Kind == object.ReqUpdate {
			if err := it.overwritten(ctx, &h.Object); err != nil {
				return false, err
			}
		}
		return false, look.ChangedSince(call.Kind.String(), ref)
	}
	return false, nil
}

// intend makes durable what has to be written again, before the copy drops it.
func (it *item) intend(dest object.Ref, what object.Reapply) error {
	if what.IsZero() {
		return nil
	}
	if err := it.run.uploads.Intend(it.task.Seq, &it.obj, dest, what, ""); err != nil {
		return err
	}
	it.past.intended = true
	return nil
}

// withoutIntent takes the intent back where the copy was certainly not applied,
// whatever err was met in the end.
func (it *item) withoutIntent(err error) error {
	if it.past.lost || object.MaybeApplied(err) {
		return err
	}
	if derr := it.dropIntent(); derr != nil {
		return derr
	}
	return err
}

func (it *item) dropIntent() error {
	if !it.past.intended {
		return nil
	}
	it.past.intended = false
	return it.run.uploads.Forget(it.task.Seq)
}

// resumeReapply finishes a copy after which something had to be written again.
func (it *item) resumeReapply(ctx context.Context, u *object.Upload) (*object.Outcome, error) {
	it.past.intended = true
	if err := it.inspect(ctx); err != nil {
		return nil, err
	}
	dest := it.dest()
	h, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, dest)
	if err != nil {
		return nil, err
	}
	switch {
	case u.MayHaveMade(&h.Object) && it.run.rules.Target.Satisfied(&h.Object):
	case u.MayHaveMade(&h.Object) && h.ETag != u.ETag && it.mayKeepKeyOf(&h.Encryption) && it.mayBeVain(&h.Object):
		// A copy in vain drops what every copy drops, and the next one has to find it.
		if err := it.run.uploads.Reapply(ctx, dest, h.ETag, u.Reapply, time.Time{}); err != nil {
			return nil, err
		}
		if err := it.dropIntent(); err != nil {
			return nil, err
		}
		return nil, it.inspect(ctx)
	default:
		// The copy never happened, and the details are where they were; or somebody
		// else wrote the object since, with details of its own.
		return nil, it.dropIntent()
	}
	it.out.Operation = object.OpCopy
	it.out.NewVersionID, it.out.Inferred = h.ShownVersionID, true
	if err := it.run.uploads.Reapply(ctx, dest, h.ETag, u.Reapply, time.Time{}); err != nil {
		return nil, err
	}
	if err := it.dropIntent(); err != nil {
		return nil, err
	}
	if it.past.doubt {
		if out, err := it.mayLieOver(ctx, h); out != nil || err != nil {
			return out, err
		}
	}
	it.out.ETagBefore, it.out.Before = u.ETag, it.task.Object.Encryption
	if it.task.InDoubt {
		it.out.Message = "found as wanted after an interruption and written since it was planned, most likely by an earlier process of this job"
	}
	return it.done(h.ETag, h.Encryption), nil
}

// multipart rewrites the object by a multipart copy.
func (it *item) multipart(ctx context.Context, c object.Choice) (*object.Outcome, error) {
	if out, err := it.misread(ctx); out != nil || err != nil {
		return out, err
	}
	done, out, err := it.takeAnnotations(ctx)
	if out != nil || err != nil {
		return out, err
	}
	defer done()
	req, err := it.request(ctx, c)
	if err != nil {
		return nil, err
	}
	sizes, err := it.partSizes(ctx, c)
	if err != nil {
		return nil, err
	}
	if sizes == nil {
		return it.left(object.ReasonComposite, "its composite checksum cannot be reproduced, since the boundaries of its parts cannot be had; "+
			"--accept composite-checksum lets it change (the data does not)"), nil
	}
	if err := it.digestBefore(ctx, false); err != nil {
		return nil, err
	}
	reply, err := it.parts().Begin(ctx, it.source(), req, sizes, it.rules().Lost(req, &it.obj, it.attrs, time.Now()))
	return it.completed(ctx, reply, err)
}

// parts is the item's multipart copy, one for all its rounds.
func (it *item) parts() *upload.Copy {
	if it.inParts != nil {
		return it.inParts
	}
	c := it.run.uploads
	if it.run.makesAnew() {
		c = it.ownCopier()
	}
	it.inParts = c.For(&it.task)
	it.inParts.Leaves = it.run.leaves
	return it.inParts
}

func (it *item) source() upload.Source {
	return upload.Source{Object: &it.obj, Changed: it.past.changed, Looked: it.looked}
}

// completed proves a multipart copy that was completed.
func (it *item) completed(ctx context.Context, reply object.CopyReply, err error) (*object.Outcome, error) {
	it.out.Attempts += it.inParts.Attempts
	it.inParts.Attempts = 0
	if it.inParts.CreateLost {
		it.out.Message = openUploads(it.inParts.Strays, it.inParts.Unlisted)
	}
	if reply.ETag != "" {
		it.out.RequestID, it.out.NewVersionID, it.out.Inferred = reply.RequestID, reply.VersionID, reply.Inferred
		it.noteMade(ctx, &reply)
		err = it.reapplied(ctx, &reply, err)
	}
	if err != nil {
		return nil, err
	}
	return it.prove(ctx, "CompleteMultipartUpload", reply)
}

// partSizes are the boundaries to copy at: the source's own where its composite
// checksum and ETag shape are to survive, nil if they cannot be had or copied;
// else PartSize.
func (it *item) partSizes(ctx context.Context, c object.Choice) ([]int64, error) {
	if !c.SourceParts {
		return carry.Split(it.obj.Size, it.run.cfg.PartSize), nil
	}
	sizes := it.attrs.PartSizes
	if sizes == nil {
		var typ string
		var err error
		if sizes, typ, err = it.run.look.Parts(ctx, &it.obj); err != nil {
			return nil, err
		}
		if typ != "" {
			it.obj.ChecksumType = typ
		}
	}
	if !carry.Copyable(sizes, it.obj.Size) {
		return nil, nil
	}
	return sizes, nil
}

// resumeUpload takes up an upload that an earlier process left. No outcome and no
// error means: decide on the object.
func (it *item) resumeUpload(ctx context.Context, u *object.Upload, saved []object.Part) (*object.Outcome, error) {
	m := it.parts()
	if err := it.inspect(ctx); err != nil {
		if object.ClassOf(err) == object.ClassGone {
			m.Abandon(ctx, u)
		}
		return nil, err
	}
	now := &object.Head{Object: it.obj, Attributes: *it.attrs}
	it.out.Operation = object.OpMultipart
	if it.obj.ETag != u.ETag || it.obj.Size != u.Size {
		ours, err := m.Completed(ctx, now, u)
		if err != nil || !ours {
			return nil, err
		}
		if out, err := it.mayLieOver(ctx, it.shows()); out != nil || err != nil {
			return out, err
		}
		out := it.foundAsWanted()
		if out.State == object.Done {
			out.Operation = object.OpMultipart
		}
		return out, nil
	}
	if out, err := it.completedVersion(ctx, m, u); out != nil || err != nil {
		return out, err
	}
	have, ok, err := m.Resume(ctx, now, u, saved)
	switch {
	case err != nil:
		return nil, err
	case !ok && u.Reapply.IsZero():
		out, err := it.copiedBefore(ctx) // a version stays as it was, also where the upload was completed
		if out != nil {
			out.Operation = object.OpMultipart
		}
		return out, err
	case !ok:
		return nil, nil
	}
	if out, err := it.misread(ctx); out != nil || err != nil { // by the parts that are missing
		if out != nil {
			m.Abandon(ctx, u)
		}
		return out, err
	}
	if err := it.digestBefore(ctx, false); err != nil {
		return nil, err
	}
	reply, err := m.Finish(ctx, it.source(), u, have)
	return it.completed(ctx, reply, err)
}

// completedVersion finds the version that an upload of a process that died was
// completed to, where the store drops something of copies: the version that was copied
// stays as it was, and the new one has to get back what was dropped before it is done.
func (it *item) completedVersion(ctx context.Context, m *upload.Copy, u *object.Upload) (*object.Outcome, error) {
	if u.Reapply.IsZero() {
		return nil, nil
	}
	h, err := it.newerVersion(ctx)
	if h == nil || !it.sameText(h) {
		return nil, err
	}
	if ours, err := m.Completed(ctx, h, u); err != nil || !ours {
		return nil, err
	}
	if out, err := it.mayLieOver(ctx, h); out != nil || err != nil {
		return out, err
	}
	it.version = h.ShownVersionID
	it.foundDone()
	it.out.Operation = object.OpMultipart
	return it.done(h.ETag, h.Encryption), nil
}

// sameText says whether an object carries the metadata and the type that a copy of
// this one would.
func (it *item) sameText(h *object.Head) bool {
	now, want := h.Metadata, it.attrs.Metadata
	if it.run.rules.Target.StampMtime && want["mtime"] == "" {
		now = maps.Clone(now)
		delete(now, "mtime")
	}
	return maps.Equal(now, want) && h.ContentType == it.attrs.ContentType
}
