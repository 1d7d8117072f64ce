package canary

import (
	"context"
	"fmt"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// lockFor is how long a canary may be locked: long enough for the store to accept
// the date, short enough to wait for where governance may not be bypassed.
const lockFor = 20 * time.Second

// until is a date that is in the future for the store, and soon.
func (c *canary) until() time.Time {
	return time.Now().Add(c.skew + lockFor).UTC().Truncate(time.Second)
}

// prepare looks, where locks are possible, at the store's clock and at a default
// retention, which would lock every throwaway object for its whole length: they are
// then put under a short governance retention of their own, and the first one is read
// back before any other is made.
func (c *canary) prepare(ctx context.Context) error {
	if !c.lock {
		return c.lookForLocks(ctx)
	}
	mode := ""
	err := c.together(ctx,
		func(q *canary, ctx context.Context) error {
			return q.try(ctx, func() (err error) { c.skew, err = q.s.Ahead(ctx, c.o.Bucket); return err })
		},
		func(q *canary, ctx context.Context) (err error) {
			mode, err = q.s.DefaultLock(ctx, c.o.Bucket)
			return err
		})
	if err != nil || mode == "" {
		return err
	}
	c.lockAll = true
	first, _, err := c.put(ctx, "lock", nil)
	if err != nil {
		return err
	}
	mode, until, _, err := c.lockShown(ctx, first.ref)
	switch class := object.ClassOf(err); {
	case err != nil && (class == object.ClassUnsupported || class == object.ClassInvalid):
		return untried(first.ref, "the bucket locks every new object, and the store does not show how one that asked for a short lock is locked")
	case err != nil:
		return err
	}
	return c.lockedShortly(first.ref, mode, until)
}

// lockShown is how an object is locked, as the store shows it.
func (c *canary) lockShown(ctx context.Context, ref object.Ref) (mode string, until time.Time, hold bool, err error) {
	err = c.try(ctx, func() (err error) { mode, until, hold, err = c.s.Lock(ctx, ref); return err })
	return mode, until, hold, err
}

// mayLock says whether the bucket may hold locks: its configuration shows that, or cannot
// be read, and versions are kept, without which there are none.
func mayLock(f *object.BucketFacts) bool {
	return f.ObjectLock == object.Yes ||
		f.ObjectLock == object.Unknown && (f.Versioning == object.VersioningEnabled || f.Versioning == object.VersioningUnknown)
}

// lookForLocks makes the first throwaway object where the bucket does not tell whether it
// locks new objects, for want of a permission or because the store answers with something
// else. It asks for a short lock, which only a bucket that can hold locks takes, and
// such a one may lock all that ask for none. Where the lock may not be asked for, or is
// not shown, the object has to go again before another is made.
func (c *canary) lookForLocks(ctx context.Context) error {
	if !mayLock(&c.o.Facts) {
		return nil
	}
	if err := c.try(ctx, func() (err error) { c.skew, err = c.s.Ahead(ctx, c.o.Bucket); return err }); err != nil {
		return err
	}
	c.lockAll = true
	first, _, err := c.put(ctx, "lock", nil)
	switch {
	case err != nil && undecided(err):
		return err
	case err != nil:
		if c.lockAll = false; !denied(err) {
			return nil
		}
		if first, _, err = c.put(ctx, "lock", nil); err != nil { // nothing can be written, as whoever asks next is told
			return only(undecided, err)
		}
		return c.goesAgain(ctx, first, false)
	}
	shown, err := c.head(ctx, first.ref, object.CustomerKey{})
	switch {
	case err != nil && undecided(err):
		return err
	case err != nil || shown.LockMode == "":
		c.lockAll = false
		return c.goesAgain(ctx, first, true)
	}
	c.lock = true
	c.note("whether this bucket locks every new object cannot be read, and it can: throwaway objects are locked for a moment; grant s3:GetBucketObjectLockConfiguration")
	return c.lockedShortly(first.ref, shown.LockMode, shown.RetainUntil)
}

// goesAgain is an error where the first throwaway object cannot be deleted at once. What
// asked for a short lock the end of the probe outwaits; else only a bypass may help.
func (c *canary) goesAgain(ctx context.Context, first *thing, shortly bool) error {
	refs, err := c.list(ctx)
	if err != nil {
		return only(undecided, err)
	}
	for _, ref := range refs {
		err := c.remove(ctx, ref, false)
		switch {
		case err != nil && undecided(err):
			return err
		case denied(err):
			if c.lock = shortly; !shortly {
				_ = c.remove(ctx, ref, true) // clean looks whether that did it
			}
			return untried(first.ref, "whether the bucket locks every new object cannot be read, and one that was just written may not be deleted ("+reason(err)+")")
		}
	}
	return nil
}

// only is the error if it is of that kind.
func only(kind func(error) bool, err error) error {
	if kind(err) {
		return err
	}
	return nil
}

// isShort says whether a lock is one that a throwaway object asks for.
func (c *canary) isShort(mode string, until time.Time) bool {
	return mode == "GOVERNANCE" && until.Sub(time.Now().Add(c.skew)) <= 2*lockFor
}

// lockedShortly is an error where the first throwaway object is locked in another way
// than it asked for.
func (c *canary) lockedShortly(first object.Ref, mode string, until time.Time) error {
	if c.isShort(mode, until) {
		return nil
	}
	return untried(first, fmt.Sprintf("the bucket locks every new object (%s until %s), also one that asked for a short lock", mode, until.Format(time.RFC3339)))
}

// untried is the end of a probe that would leave locked objects behind.
func untried(first object.Ref, what string) error {
	return &object.Error{Class: object.ClassUnsupported, Op: "Probe", Ref: first, Message: what,
		Hint: "what this store can do cannot be tried out here without leaving locked objects: try in a bucket without a default retention, or one whose lock configuration may be read"}
}
