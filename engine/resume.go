package engine

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// resumeUpload takes up what an earlier process left. No outcome and no error
// means: start over.
func (it *item) resumeUpload(ctx context.Context, u *object.Upload, saved []object.Part) (*object.Outcome, error) {
	if err := it.inspect(ctx); err != nil {
		if object.ClassOf(err) == object.ClassGone {
			_ = it.abort(ctx, u) // cleanUp tries again
		}
		return nil, err
	}
	it.out.Operation = object.OpMultipart
	if it.obj.ETag != u.ETag || it.obj.Size != u.Size {
		return it.resumeChanged(ctx, u)
	}
	listed, err := it.listParts(ctx, u)
	if object.ClassOf(err) == object.ClassNoUpload {
		return nil, it.forget(u)
	}
	if err != nil {
		return nil, err
	}
	if err := it.unchanged(ctx, u); err != nil {
		return nil, it.giveUp(ctx, u, err)
	}
	if err := it.digestBefore(ctx, false); err != nil {
		return nil, err
	}
	return it.finishUpload(ctx, u, confirmed(saved, listed))
}

// resumeChanged handles an object that is not the upload's source any more:
// either our own Complete was the last thing that happened, or somebody wrote it.
func (it *item) resumeChanged(ctx context.Context, u *object.Upload) (*object.Outcome, error) {
	_, err := it.listParts(ctx, u)
	if err != nil && object.ClassOf(err) != object.ClassNoUpload {
		return nil, err
	}
	if err == nil { // the upload is open: it was not us
		return nil, it.abort(ctx, u)
	}
	if !it.Target.Satisfied(&it.obj) || it.obj.Size != u.Size {
		return nil, it.forget(u)
	}
	if err := it.reapply(ctx, u.Target, u.Reapply); err != nil {
		return nil, err
	}
	if err := it.forget(u); err != nil {
		return nil, err
	}
	out := it.foundAsWanted()
	if out.State == object.Done {
		out.Operation = object.OpMultipart
	}
	return out, nil
}

// confirmed are the saved parts that the store still shows with the same ETag.
// What only the store knows is believed too: its ETag is what Complete needs.
func confirmed(saved, listed []object.Part) []object.Part {
	byNumber := make(map[int]object.Part, len(saved))
	for _, p := range saved {
		byNumber[p.Number] = p
	}
	var out []object.Part
	for _, l := range listed {
		if s, ok := byNumber[l.Number]; ok && s.ETag == l.ETag && l.Checksum == "" {
			l.Checksum = s.Checksum
		}
		out = append(out, l)
	}
	return out
}

// giveUp decides what becomes of an upload that did not finish: the next run may
// take it up where the run was interrupted; otherwise nothing stays behind.
func (it *item) giveUp(ctx context.Context, u *object.Upload, cause error) error {
	if ctx.Err() != nil || it.isDraining() || object.MaybeApplied(cause) {
		return cause
	}
	if object.ClassOf(cause) == object.ClassNoUpload {
		cause = changedSince("CompleteMultipartUpload", u.Target)
	}
	if err := it.abort(ctx, u); err != nil && object.ClassOf(cause) == object.ClassChanged {
		return err // another round would begin another upload and lose sight of this one
	}
	return cause
}

// abort removes the upload and then its record. Where the store does not answer,
// the record stays, and cleanUp tries again.
func (r *run) abort(ctx context.Context, u *object.Upload) error {
	if err := r.endUpload(ctx, u.Target, u.ID); err != nil {
		r.Log.Warn("an upload could not be aborted yet", "bucket", u.Target.Bucket, "key", u.Target.Key, "upload", u.ID, "error", err)
		return err
	}
	return r.forget(u)
}

// endUpload aborts an upload. One that is not there is as good as aborted.
func (r *run) endUpload(ctx context.Context, dest object.Ref, id string) error {
	err := r.send(ctx, object.Call{Kind: object.ReqAbort, Key: dest.Key}, func(ctx context.Context) error {
		return r.Store.AbortUpload(ctx, dest, id)
	})
	if object.ClassOf(err) == object.ClassNoUpload {
		return nil
	}
	return err
}

// forget drops an upload's record. Where a CreateMultipartUpload was lost on the
// way, the intent stays instead: that request may still arrive, and cleanUp looks
// for what it made.
func (it *item) forget(u *object.Upload) error {
	if !it.createLost {
		return it.run.forget(u)
	}
	intent := object.Upload{Seq: u.Seq, Begun: u.Begun, Target: u.Target}
	if err := it.Journal.SaveUpload(intent); err != nil {
		return journalError("written", err)
	}
	return nil
}

func (r *run) forget(u *object.Upload) error {
	if err := r.Journal.DropUpload(u.Seq); err != nil {
		return journalError("written", err)
	}
	return nil
}
