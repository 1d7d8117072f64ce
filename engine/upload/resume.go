package upload

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// Resume says whether an upload that an earlier process left can be gone on with,
// and the parts that it has. now is its source, inspected just now. What cannot be
// gone on with is ended and forgotten.
func (m *Copy) Resume(ctx context.Context, now *object.Head, u *object.Upload, saved []object.Part) (have []object.Part, ok bool, err error) {
	m.CreateLost, m.begun = u.CreateLost, u.Begun
	listed, err := m.c.listParts(ctx, u)
	switch {
	case object.ClassOf(err) == object.ClassNoUpload:
		return nil, false, m.c.forget(u)
	case err != nil:
		return nil, false, err
	}
	if err := m.unchanged(ctx, now, u); err != nil {
		return nil, false, m.giveUp(ctx, u, err)
	}
	return confirmed(saved, listed), true, nil
}

// Completed decides on an upload whose source is another object now: either our own
// Complete was the last thing that happened, or somebody wrote it. If it was ours,
// what the copy dropped is written again; otherwise the upload is ended.
func (m *Copy) Completed(ctx context.Context, now *object.Head, u *object.Upload) (ours bool, err error) {
	switch _, err := m.c.listParts(ctx, u); {
	case err == nil: // the upload is open: it was not us
		return false, m.c.abort(ctx, u)
	case object.ClassOf(err) != object.ClassNoUpload:
		return false, err
	}
	if !m.c.Rules.Target.Satisfied(&now.Object) || !u.MayHaveMade(&now.Object) {
		return false, m.c.forget(u)
	}
	if err := m.c.Reapply(ctx, u.Target, now.ETag, u.Reapply, time.Time{}); err != nil {
		return false, err
	}
	return true, m.c.forget(u)
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
func (m *Copy) giveUp(ctx context.Context, u *object.Upload, cause error) error {
	if ctx.Err() != nil || mayBeCompleted(cause) {
		return cause
	}
	if m.c.Loop.IsStopping() {
		if object.ClassOf(cause) == object.ClassChanged {
			return retry.ErrStopping // or another round would lose sight of it
		}
		return cause
	}
	if object.ClassOf(cause) == object.ClassNoUpload {
		cause = look.ChangedSince(completeOp, u.Target)
	}
	// Another round would begin another upload and lose sight of this one.
	if err := m.c.abort(ctx, u); err != nil && object.ClassOf(cause) == object.ClassChanged {
		return err
	}
	return cause
}

// Abandon ends an upload whose source is gone. Where the store does not answer,
// CleanUp tries again.
func (m *Copy) Abandon(ctx context.Context, u *object.Upload) { _ = m.c.abort(ctx, u) }

// End ends an upload that is not to be gone on with, and says whether it may have been
// completed instead: it is not there any more. Its record stays.
func (m *Copy) End(ctx context.Context, u *object.Upload) (completed bool, err error) {
	switch _, err := m.c.listParts(ctx, u); {
	case object.ClassOf(err) == object.ClassNoUpload:
		return true, nil
	case err != nil:
		return false, err
	}
	return m.c.end(ctx, u)
}

// abort removes the upload and then its record. Where the store does not answer,
// the record stays, and CleanUp tries again.
func (c *Copier) abort(ctx context.Context, u *object.Upload) error {
	if _, err := c.end(ctx, u); err != nil {
		return err
	}
	return c.forget(u)
}

// end aborts an upload. One that is gone is as good as aborted, but where it may have been
// completed.
func (c *Copier) end(ctx context.Context, u *object.Upload) (gone bool, err error) {
	err = c.Loop.Do(retry.Ending(ctx), object.Call{Kind: object.ReqAbort, Key: u.Target.Key}, func(ctx context.Context) error {
		return noUpload(c.Store.AbortUpload(ctx, u.Target, u.ID))
	})
	switch {
	case object.ClassOf(err) == object.ClassNoUpload:
		return true, nil
	case err != nil:
		c.Log.Warn("an upload could not be aborted yet", "bucket", u.Target.Bucket, "key", u.Target.Key, "upload", u.ID, "error", err)
	}
	return false, err
}

// forget drops an upload's record. Where a CreateMultipartUpload was lost on the
// way, by this process or an earlier one, the intent stays instead: that request may
// still arrive, and CleanUp looks for what it made.
func (c *Copier) forget(u *object.Upload) error {
	if !u.CreateLost {
		return c.Forget(u.Seq)
	}
	return c.save(object.Upload{Seq: u.Seq, Begun: u.Begun, Target: u.Target})
}
