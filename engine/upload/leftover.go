package upload

import (
	"context"
	"errors"
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
		switch _, err := c.EndIntent(ctx, &u); {
		case errors.Is(err, ErrUnlisted): // why was said once
			c.Log.Info("an upload may be left open that nobody may look for", "bucket", u.Target.Bucket, "key", u.Target.Key, "asked", u.Begun)
		case err != nil:
			c.Log.Warn("an upload may be left open that nobody could look for yet", "bucket", u.Target.Bucket, "key", u.Target.Key, "asked", u.Begun, "error", err)
		}
	}
	return nil
}

// ended says whether an upload could be aborted; where not, its record stays, and abort
// has warned. One that was completed keeps its record too where the store has dropped
// something: that is written again when the object is tried again.
func (c *Copier) ended(ctx context.Context, u *object.Upload) bool {
	if u.Reapply.IsZero() {
		return c.abort(ctx, u) == nil
	}
	if _, err := c.listParts(ctx, u); err != nil {
		return false
	}
	gone, err := c.end(ctx, u)
	return err == nil && !gone && c.forget(u) == nil
}

// ErrUnlisted: the open uploads of the bucket cannot be listed, so that none was named.
var ErrUnlisted = errors.New("open uploads cannot be listed")

// EndIntent names the uploads that may be the one whose ID nobody heard, and forgets
// the intent. None of them is aborted: see nameStrays. named are their IDs. Where its error
// is ErrUnlisted the intent stays, for whoever may look one day.
func (c *Copier) EndIntent(ctx context.Context, u *object.Upload) (named []string, err error) {
	if wait := time.Until(u.Begun.Add(lateRequest)); wait > 0 {
		if err := c.Loop.Wait(ctx, min(wait, lateRequest)); err != nil { // the clock may have been set back
			return nil, err
		}
	}
	if named, err = c.nameStrays(ctx, u.Target, u.Begun); err != nil {
		return nil, err
	}
	return named, c.Forget(u.Seq)
}

// lateRequest is how long after a process has died its last requests may still be
// on their way to the store. Who asks earlier sees no upload and names none.
const lateRequest = 3 * time.Second

// nameStrays logs the open uploads of a key that may be the one that was asked for
// then, and returns their IDs. What a listing tells of an upload is its key, its ID and
// a date, and the date is by the store's clock, which need not be this machine's, nor
// where it was when the upload was begun: so it rules nothing out, and stands in the
// log for whoever reads it. Parts do: nobody sends any to an upload whose ID he did
// not hear. Nothing tells an upload without parts that another client has just begun for
// the same key, so none is aborted.
func (c *Copier) nameStrays(ctx context.Context, dest object.Ref, asked time.Time) (named []string, err error) {
	l, ok := c.Store.Uploads.(store.UploadLister)
	if !ok {
		return nil, nil
	}
	var open []object.PendingUpload
	err = c.Loop.Do(ctx, object.Call{Kind: object.ReqListParts, Key: dest.Key}, func(ctx context.Context) (err error) {
		open, err = l.ListUploads(ctx, dest)
		return err
	})
	switch object.ClassOf(err) {
	case object.ClassDenied, object.ClassUnsupported:
		c.unlisted.Do(func() {
			c.Log.Warn("an upload may be left open, since the answer to a CreateMultipartUpload was lost, and the open uploads cannot be listed; grant s3:ListBucketMultipartUploads, or look for yourself",
				"bucket", dest.Bucket, "error", err)
		})
		return nil, ErrUnlisted
	}
	if err != nil {
		return nil, err
	}
	for _, p := range open {
		switch may, err := c.mayBeUnheard(ctx, dest, p.ID); {
		case err != nil:
			return nil, err
		case !may:
			continue
		}
		if _, told := c.told.LoadOrStore(p.ID, true); !told { // CleanUp comes to it once more
			c.Log.Warn("an upload is open that may be this job's, since the answer to a CreateMultipartUpload was lost; abort it if nobody needs it",
				"bucket", dest.Bucket, "key", dest.Key, "upload", p.ID, "initiated", p.Initiated, "asked", asked)
		}
		named = append(named, p.ID)
	}
	return named, nil
}

// mayBeUnheard says whether an upload that was listed may be one whose ID nobody heard:
// it is there, and was not seen to have parts.
func (c *Copier) mayBeUnheard(ctx context.Context, dest object.Ref, id string) (bool, error) {
	parts, err := c.listParts(ctx, &object.Upload{Target: dest, ID: id})
	switch {
	case object.ClassOf(err) == object.ClassNoUpload:
		return false, nil
	case errors.Is(err, retry.ErrStopping), ctx.Err() != nil:
		return false, err
	}
	return len(parts) == 0, nil // also where they may not be listed, or are under a customer key of others
}
