package upload

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// Intend makes durable what has to be written again after a copy of the object by
// CopyObject, before that copy drops it. A crash after this finds it, looks at the
// object and writes it again.
func (c *Copier) Intend(seq uint64, o *object.Object, dest object.Ref, what object.Reapply) error {
	return c.save(object.Upload{Seq: seq, Target: dest, ETag: o.ETag, Size: o.Size, Reapply: what})
}

// Reapply writes again what the copy dropped, and reads it back. All of it can be
// repeated without harm. etag is that of the copy, which takes its annotations before
// it is locked.
func (c *Copier) Reapply(ctx context.Context, dest object.Ref, etag string, what object.Reapply) error {
	ctx = retry.Ending(ctx)
	if len(what.Tags) > 0 {
		put := func(ctx context.Context) error { return c.Store.PutTags(ctx, dest, what.Tags) }
		if err := c.Loop.Do(ctx, putDetail(dest), put); err != nil {
			return err
		}
		if err := c.tagsArrived(ctx, dest, what.Tags); err != nil {
			return err
		}
	}
	if err := c.annotate(ctx, dest, etag, what.Annotations); err != nil {
		return err
	}
	if what.LockMode != "" || what.LegalHold {
		put := func(ctx context.Context) error {
			return c.Store.PutLock(ctx, dest, what.LockMode, what.RetainUntil, what.LegalHold)
		}
		if err := c.Loop.Do(ctx, putDetail(dest), put); err != nil {
			return err
		}
		return c.lockArrived(ctx, dest, what)
	}
	return nil
}

// ReapplyLater is Reapply after a process that died, perhaps when it had written all of
// it. The tags that the object has now are those, or another client's later word: they
// stay. The copy itself has dropped them.
func (c *Copier) ReapplyLater(ctx context.Context, dest object.Ref, etag string, what object.Reapply) error {
	if len(what.Tags) > 0 {
		var now []object.Tag
		err := c.Loop.Do(retry.Ending(ctx), getDetail(dest), func(ctx context.Context) (err error) {
			now, err = c.Store.Tags(ctx, dest)
			return err
		})
		if err != nil {
			return err
		}
		if len(now) > 0 {
			what.Tags = nil
		}
	}
	return c.Reapply(ctx, dest, etag, what)
}

func putDetail(ref object.Ref) object.Call {
	return object.Call{Kind: object.ReqPutDetail, Key: ref.Key}
}

func getDetail(ref object.Ref) object.Call {
	return object.Call{Kind: object.ReqGetDetail, Key: ref.Key}
}

func (c *Copier) tagsArrived(ctx context.Context, dest object.Ref, want []object.Tag) error {
	var got []object.Tag
	err := c.Loop.Do(ctx, getDetail(dest), func(ctx context.Context) (err error) {
		got, err = c.Store.Tags(ctx, dest)
		return err
	})
	if err != nil {
		return err
	}
	if !sameTags(got, want) {
		return lostDetail("PutObjectTagging", dest, "the tags")
	}
	return nil
}

func (c *Copier) lockArrived(ctx context.Context, dest object.Ref, want object.Reapply) error {
	return c.Loop.Do(ctx, getDetail(dest), func(ctx context.Context) error {
		mode, until, hold, err := c.Store.Lock(ctx, dest)
		if err != nil {
			return err
		}
		if mode != want.LockMode || hold != want.LegalHold || until.Unix() != want.RetainUntil.Unix() && mode != "" {
			return lostDetail("PutObjectRetention", dest, "the lock")
		}
		return nil
	})
}

func lostDetail(op string, ref object.Ref, what string) error {
	return &object.Error{Class: object.ClassUnproved, Op: op, Ref: ref,
		Message: "the object is under the new encryption, but " + what + " did not arrive",
		Hint:    "the next `reseal run --retry-failed` of this job writes " + what + " again"}
}

func sameTags(a, b []object.Tag) bool {
	if len(a) != len(b) {
		return false
	}
	set := make(map[string]string, len(a))
	for _, t := range a {
		set[t.Key] = t.Value
	}
	for _, t := range b {
		if v, ok := set[t.Key]; !ok || v != t.Value {
			return false
		}
	}
	return true
}
