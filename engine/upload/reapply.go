package upload

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// Intend makes durable what has to be written again after a copy of the object by
// CopyObject, before that copy drops it. A crash after this finds it, looks at the
// object and writes it again. made is the ETag of that copy, once it is known and what was to be
// written could not be.
func (c *Copier) Intend(seq uint64, o *object.Object, dest object.Ref, what object.Reapply, made string) error {
	return c.save(object.Upload{Seq: seq, Target: dest, ETag: o.ETag, Size: o.Size, Reapply: what, Made: made})
}

// Reapply writes again what the copy dropped, and reads it back. All of it can be
// repeated without harm. etag is that of the copy, which takes its annotations before
// it is locked. lacked is when the copy was seen to lack all of it, which it does when it was
// made just now; zero where nobody has looked, after a process that died. What the object has
// by the time that it would be written is that, or another client's later word: it stays. So
// does another object, which has come to stand in the place of the copy: ClassChanged.
func (c *Copier) Reapply(ctx context.Context, dest object.Ref, etag string, what object.Reapply, lacked time.Time) error {
	ctx = retry.Ending(ctx)
	err := c.reapply(ctx, dest, etag, what, lacked)
	switch object.ClassOf(err) {
	case object.ClassUnproved: // or it was read back from another object
		if serr := c.same(dest, etag)(ctx); object.ClassOf(serr) == object.ClassChanged {
			return serr
		}
	case object.ClassGone: // the object, or only what was asked of it
		if serr := c.same(dest, etag)(ctx); serr != nil {
			return serr
		}
		return notFound(err)
	}
	return err
}

// notFound is the error of a detail that a store does not find of an object that is there.
func notFound(err error) error {
	e, _ := errors.AsType[*object.Error](err)
	unproved := *e
	unproved.Class = object.ClassUnproved
	unproved.Message = "the object is under the new encryption, and " + e.Op + " does not find what it carried: " + cmp.Or(e.Message, e.Code)
	unproved.Hint = "the next `reseal run --retry-failed` of this job tries to write that again"
	return &unproved
}

func (c *Copier) reapply(ctx context.Context, dest object.Ref, etag string, what object.Reapply, lacked time.Time) error {
	if len(what.Tags) > 0 {
		if err := c.retag(ctx, dest, etag, what.Tags, lacked); err != nil {
			return err
		}
	}
	if err := c.annotate(ctx, dest, etag, what.Annotations); err != nil {
		return err
	}
	if what.LockMode != "" {
		if err := c.retain(ctx, dest, etag, what, lacked); err != nil {
			return err
		}
	}
	if what.LegalHold {
		return c.hold(ctx, dest, etag, lacked)
	}
	return nil
}

// lacking is a detail that an object lacks, and is given unless it has one by then.
type lacking struct {
	// same is an error where the object is not the one that lacks it any more; nil where the
	// request that gives it has a condition on that.
	same func(context.Context) error
	has  func(context.Context) (bool, error)
	// seen is when it was seen to be lacking; zero for never.
	seen time.Time
	had  bool
}

// Late says whether others may have given the object one.
func (l *lacking) Late() bool { return retry.LongAgo(l.seen, retry.LookedWithin) }

// Ask looks whether the object has one, from whomever.
func (l *lacking) Ask(ctx context.Context, _ object.Call, _ error) (bool, error) {
	at := time.Now()
	if l.same != nil {
		if err := l.same(ctx); err != nil {
			return false, err
		}
	}
	had, err := l.has(ctx)
	if err == nil {
		l.had, l.seen = had, at
	}
	return had, err
}

// give writes the detail. had says that the object has one that need not be this.
func (c *Copier) give(ctx context.Context, dest object.Ref, l *lacking, put func(context.Context) error) (had bool, err error) {
	_, err = c.Loop.Certain(ctx, putDetail(dest), func(ctx context.Context) error {
		err := put(ctx)
		if object.MaybeApplied(err) {
			l.seen = time.Time{}
		}
		return err
	}, l)
	return l.had, err
}

// same looks whether the copy is still what stands there. Nothing in S3 has tags and locks be
// written on that condition, and another client's object would get those of the one before.
func (c *Copier) same(dest object.Ref, etag string) func(context.Context) error {
	return func(ctx context.Context) error {
		h, err := c.Look.Head(ctx, c.Store.Hot, dest)
		if err == nil && h.ETag != etag {
			err = look.ChangedSince("HeadObject", dest)
		}
		return err
	}
}

func (c *Copier) retag(ctx context.Context, dest object.Ref, etag string, tags []object.Tag, lacked time.Time) error {
	has := func(ctx context.Context) (bool, error) {
		now, err := c.tags(ctx, dest)
		return len(now) > 0, err
	}
	put := func(ctx context.Context) error { return c.Store.PutTags(ctx, dest, tags) }
	if had, err := c.give(ctx, dest, &lacking{same: c.same(dest, etag), has: has, seen: lacked}, put); had || err != nil {
		return err
	}
	written := time.Now()
	switch got, err := c.tags(ctx, dest); {
	case err != nil:
		return err
	case len(got) > 0 && retry.LongAgo(written, retry.LookedWithin): // those, or another client's later word
	case !object.SameTags(got, tags):
		return lostDetail("PutObjectTagging", dest, "the tags")
	}
	return nil
}

func (c *Copier) tags(ctx context.Context, dest object.Ref) (tags []object.Tag, err error) {
	err = c.Loop.Do(ctx, getDetail(dest), func(ctx context.Context) (err error) {
		tags, err = c.Store.Tags(ctx, dest)
		return err
	})
	return tags, err
}

func putDetail(ref object.Ref) object.Call {
	return object.Call{Kind: object.ReqPutDetail, Key: ref.Key}
}

func getDetail(ref object.Ref) object.Call {
	return object.Call{Kind: object.ReqGetDetail, Key: ref.Key}
}

// retain writes a retention again, unless one protects the object by then for as long, and as
// strictly. One that has run out protects nothing, and S3 refuses to write it.
func (c *Copier) retain(ctx context.Context, dest object.Ref, etag string, want object.Reapply, lacked time.Time) error {
	protects := func(ctx context.Context) (bool, error) {
		if !c.Rules.InForce(want.RetainUntil, time.Now()) {
			return true, nil
		}
		mode, until, _, err := c.lock(ctx, dest)
		return (mode == want.LockMode || mode == "COMPLIANCE") && until.Unix() >= want.RetainUntil.Unix(), err
	}
	put := func(ctx context.Context) error {
		if !c.Rules.InForce(want.RetainUntil, time.Now()) {
			return nil
		}
		return c.Store.PutLock(ctx, dest, want.LockMode, want.RetainUntil, false)
	}
	return c.relock(ctx, dest, &lacking{same: c.same(dest, etag), has: protects, seen: lacked}, put)
}

func (c *Copier) hold(ctx context.Context, dest object.Ref, etag string, lacked time.Time) error {
	held := func(ctx context.Context) (bool, error) {
		_, _, hold, err := c.lock(ctx, dest)
		return hold, err
	}
	put := func(ctx context.Context) error { return c.Store.PutLock(ctx, dest, "", time.Time{}, true) }
	return c.relock(ctx, dest, &lacking{same: c.same(dest, etag), has: held, seen: lacked}, put)
}

// relock locks the object, and reads that back. Others may have made it a stronger lock since.
func (c *Copier) relock(ctx context.Context, dest object.Ref, l *lacking, put func(context.Context) error) error {
	if had, err := c.give(ctx, dest, l, put); had || err != nil {
		return err
	}
	has, err := l.has(ctx)
	if err == nil && !has {
		err = lostDetail("PutObjectRetention", dest, "the lock")
	}
	return err
}

func (c *Copier) lock(ctx context.Context, dest object.Ref) (mode string, until time.Time, hold bool, err error) {
	err = c.Loop.Do(ctx, getDetail(dest), func(ctx context.Context) (err error) {
		mode, until, hold, err = c.Store.Lock(ctx, dest)
		return err
	})
	return mode, until, hold, err
}

func lostDetail(op string, ref object.Ref, what string) error {
	return &object.Error{Class: object.ClassUnproved, Op: op, Ref: ref,
		Message: "the object is under the new encryption, but " + what + " did not arrive",
		Hint:    "the next `reseal run --retry-failed` of this job writes " + what + " again"}
}
