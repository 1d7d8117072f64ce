package engine

import (
	"context"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Leftovers is the second interface of a Journal: the uploads whose task has an
// outcome already, so that no worker will take them up again.
type Leftovers interface {
	Leftovers() ([]object.Upload, error)
}

// UploadLister is the second interface of Uploads: the open uploads of one key.
type UploadLister interface {
	ListUploads(ctx context.Context, dest object.Ref) ([]object.PendingUpload, error)
}

// cleanUp aborts what could not be aborted when an object was given up: by earlier
// processes when a run begins, by this one when it ends.
func (r *run) cleanUp(ctx context.Context) error {
	j, ok := r.Journal.(Leftovers)
	if !ok {
		return nil
	}
	uploads, err := j.Leftovers()
	if err != nil {
		return journalError("read", err)
	}
	for _, u := range uploads {
		switch {
		case u.ID != "" && u.Reapply.IsZero():
			_ = r.abort(ctx, &u) // it warns, and the record stays
		case u.ID != "":
			// Where it was completed, the record stays: what the store has dropped is
			// written again when the object is tried again.
			if _, err := r.listParts(ctx, &u); err == nil {
				_ = r.abort(ctx, &u)
			}
		case u.ID == "" && !u.Begun.IsZero():
			if err := r.endIntent(ctx, &u); err != nil {
				r.Log.Warn("an upload may be left open", "bucket", u.Target.Bucket, "key", u.Target.Key, "error", err)
			}
		}
	}
	return nil
}

// endIntent ends an upload whose ID nobody heard, if there is one, and forgets
// the intent.
func (r *run) endIntent(ctx context.Context, u *object.Upload) error {
	if err := r.waitUntil(ctx, u.Begun.Add(lateRequest)); err != nil {
		return err
	}
	if err := r.abortStrays(ctx, u.Target, u.Begun); err != nil {
		return err
	}
	if err := r.Journal.DropUpload(u.Seq); err != nil {
		return journalError("written", err)
	}
	return nil
}

// lateRequest is how long after a process has died its last requests may still be
// on their way to the store. Who asks earlier sees no upload and leaves one.
const lateRequest = 3 * time.Second

// waitUntil returns at once where that time is past.
func (r *run) waitUntil(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(min(wait, lateRequest)) // the clock may have been set back
	defer t.Stop()
	select {
	case <-ctx.Done():
		return errAbandon
	case <-r.draining:
		return errAbandon
	case <-t.C:
		return nil
	}
}

// strayAge bounds how far from the intent an upload may have been initiated, by
// the store's clock, to be taken for the one whose ID nobody heard.
const strayAge = 5 * time.Minute

// abortStrays removes the upload that a CreateMultipartUpload without an answer
// may have made: the only open one of this key from that time, without parts.
// Where there are several, none is touched: one may be somebody else's.
func (r *run) abortStrays(ctx context.Context, dest object.Ref, begun time.Time) error {
	l, ok := r.Store.Uploads.(UploadLister)
	if !ok {
		return nil
	}
	var open []object.PendingUpload
	err := r.send(ctx, object.Call{Kind: object.ReqListParts, Key: dest.Key}, func(ctx context.Context) (err error) {
		open, err = l.ListUploads(ctx, dest)
		return err
	})
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(open, func(p object.PendingUpload) bool { return p.Initiated.Sub(begun).Abs() > strayAge })
	if len(open) > 1 {
		r.Log.Warn("several uploads are open, and one of them may be this job's; abort what nobody needs",
			"bucket", dest.Bucket, "key", dest.Key, "uploads", len(open))
	}
	if len(open) != 1 {
		return nil
	}
	stray := &object.Upload{Target: dest, ID: open[0].ID}
	parts, err := r.listParts(ctx, stray)
	switch {
	case object.ClassOf(err) == object.ClassNoUpload:
		return nil
	case err != nil:
		return err // not knowing whose it is, is no reason to forget it
	case len(parts) > 0:
		return nil // it is alive, and not ours
	}
	return r.endUpload(ctx, dest, stray.ID)
}
