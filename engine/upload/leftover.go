package upload

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/store"
)

// CleanUp aborts what could not be aborted when an object was given up, and names
// what may be ours and cannot be told: of earlier processes when a run begins, of
// this one when it ends.
func (c *Copier) CleanUp(ctx context.Context) error {
	j, ok := c.Journal.(Leftovers)
	if !ok {
		return nil
	}
	ctx = retry.Ending(ctx)
	uploads, err := j.Leftovers()
	if err != nil {
		return JournalError("read", err)
	}
	for _, u := range uploads {
		if u.ID != "" && (!c.ended(ctx, &u) || !u.CreateLost) || u.Begun.IsZero() {
			continue
		}
		if err := c.EndIntent(ctx, &u); err != nil {
			c.Log.Warn("an upload may be left open that nobody could look for yet", "bucket", u.Target.Bucket, "key", u.Target.Key, "error", err)
		}
	}
	return nil
}

// ended says whether an upload could be aborted; where not, its record stays, and abort
// has warned. One that was completed keeps its record too where the store has dropped
// something: that is written again when the object is tried again.
func (c *Copier) ended(ctx context.Context, u *object.Upload) bool {
	if !u.Reapply.IsZero() {
		if _, err := c.listParts(ctx, u); err != nil {
			return false
		}
	}
	return c.abort(ctx, u) == nil
}

// EndIntent names the uploads that may be the one whose ID nobody heard, and forgets
// the intent. None of them is aborted: a listing tells when an upload was begun, and
// nothing by which ours could be told from one that another client began for the same
// key at the same time.
func (c *Copier) EndIntent(ctx context.Context, u *object.Upload) error {
	if wait := time.Until(u.Begun.Add(lateRequest)); wait > 0 {
		if err := c.Loop.Wait(ctx, min(wait, lateRequest)); err != nil { // the clock may have been set back
			return err
		}
	}
	if err := c.nameStrays(ctx, u.Target, u.Begun); err != nil {
		return err
	}
	return c.Forget(u.Seq)
}

// lateRequest is how long after a process has died its last requests may still be
// on their way to the store. Who asks earlier sees no upload and names none.
const lateRequest = 3 * time.Second

// strayAge bounds how far before the intent an upload may have been initiated, by
// the store's clock, to be taken for the one whose ID nobody heard.
const strayAge = 5 * time.Minute

// nameStrays logs the open uploads of a key that were begun since.
func (c *Copier) nameStrays(ctx context.Context, dest object.Ref, since time.Time) error {
	l, ok := c.Store.Uploads.(store.UploadLister)
	if !ok {
		return nil
	}
	var open []object.PendingUpload
	err := c.Loop.Do(ctx, object.Call{Kind: object.ReqListParts, Key: dest.Key}, func(ctx context.Context) (err error) {
		open, err = l.ListUploads(ctx, dest)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range open {
		if p.BegunSince(since.Add(-strayAge)) {
			c.Log.Warn("an upload is open that may be this job's, since the answer to a CreateMultipartUpload was lost; abort it if nobody needs it",
				"bucket", dest.Bucket, "key", dest.Key, "upload", p.ID, "initiated", p.Initiated)
		}
	}
	return nil
}
