package canary

import (
	"context"
	"fmt"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/patience"
)

// lateRequest is how long after a process has died its last requests may still be
// on their way. Who looks earlier leaves behind what they make.
const lateRequest = 3 * time.Second

// Sweep removes what a probe left whose process died: every throwaway object,
// version and upload whose key begins with name, as Options.Announce told it. Prefix
// is the probe's, and Facts are those of the bucket.
//
// It knows of the dead probe only what somebody wrote down, so it believes little:
// a name that no probe makes is refused, other keys below the name stay, and so
// does an object that is locked for longer than a probe ever locks one.
func Sweep(ctx context.Context, s Store, bucket, prefix, name string, facts object.BucketFacts) error {
	if !IsCanary(prefix, name) {
		return &object.Error{Class: object.ClassOther, Op: "Sweep", Ref: object.Ref{Bucket: bucket, Key: name}, NotSent: true,
			Message: "no probe names its throwaway objects like that, so nothing was deleted"}
	}
	timer := time.NewTimer(lateRequest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return patience.Ended(ctx, "Sweep", bucket)
	case <-timer.C:
	}
	c := newCanary(s, Options{Bucket: bucket, Prefix: prefix, Facts: facts}, name)
	c.lock = mayLock(&facts)
	refs, err := c.list(ctx)
	if err != nil {
		return err
	}
	if c.lock && len(refs) > 0 { // dates are the store's
		if err := c.try(ctx, func() (err error) { c.skew, err = c.s.Ahead(ctx, bucket); return err }); err != nil {
			return err
		}
	}
	for _, ref := range refs {
		if err := c.shortlyLocked(ctx, ref); err != nil {
			return err
		}
		c.litter.object(ref, ref.VersionID)
	}
	c.litter.uploadLost() // whether an upload was open nobody knows any more
	return c.clean(ctx)
}

// shortlyLocked refuses an object whose lock is not the canary's own: one that
// nobody may bypass, or that lasts longer than any that a canary asks for.
func (c *canary) shortlyLocked(ctx context.Context, ref object.Ref) error {
	if !c.lock {
		return nil
	}
	mode, until, hold, err := c.lockOf(ctx, ref)
	if hold {
		c.litter.hold(ref, true)
	}
	switch {
	case object.ClassOf(err) == object.ClassGone:
		return nil // a delete marker, or removed meanwhile
	case err != nil:
		return err
	case mode == "" || c.isShort(mode, until):
		return nil
	}
	return &object.Error{Class: object.ClassOther, Op: "Sweep", Ref: ref,
		Message: fmt.Sprintf("it is named like a throwaway object of reseal and locked (%s until %s) as reseal locks none", mode, until.UTC().Format(time.RFC3339)),
		Hint:    "nothing was deleted; look at the object, and delete it yourself if it may go"}
}

// lockOf is how an object is locked, and whether it is under a hold that can be taken
// off. A store that does not know the sub-resources of locks may still show a
// retention in a HEAD, and where it does not, the deletion itself asks: it bypasses
// nothing there, so that a lock that nobody shows refuses it.
func (c *canary) lockOf(ctx context.Context, ref object.Ref) (mode string, until time.Time, hold bool, err error) {
	err = c.try(ctx, func() (err error) { mode, until, hold, err = c.s.Lock(ctx, ref); return err })
	switch {
	case object.ClassOf(err) == object.ClassUnsupported, object.WantsCustomerKey(err), denied(err) && c.o.Facts.ObjectLock != object.Yes:
	default:
		return mode, until, hold, err
	}
	c.unshown = true
	h, err := c.head(ctx, ref, object.CustomerKey{})
	if err != nil && !undecided(err) && object.ClassOf(err) != object.ClassGone {
		return "", time.Time{}, false, nil // under a customer key
	}
	return h.LockMode, h.RetainUntil, false, err
}
