package canary

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/patience"
)

// lateRequest is how long after a process has died its last requests may still be
// on their way. Who looks earlier leaves behind what they make.
const lateRequest = 3 * time.Second

// Kept is an object that Sweep has left where it is, and how it is locked.
type Kept struct {
	Ref   object.Ref
	Mode  string
	Until time.Time
}

// Sweep removes what a probe left whose process died: every throwaway object,
// version and upload whose key begins with name, as Options.Announce told it. Prefix
// is the probe's, and Facts are those of the bucket.
//
// It knows of the dead probe only what somebody wrote down, so it believes little:
// a name that no probe makes is refused, and other keys below the name stay. So does an
// object that is locked as no probe locks one: it is somebody else's, was locked by
// somebody else, or the store's clock has gone back since. These are returned.
func Sweep(ctx context.Context, s Store, bucket, prefix, name string, facts object.BucketFacts) ([]Kept, error) {
	if !IsCanary(prefix, name) {
		return nil, &object.Error{Class: object.ClassOther, Op: "Sweep", Ref: object.Ref{Bucket: bucket, Key: name}, NotSent: true,
			Message: "no probe names its throwaway objects like that, so nothing was deleted"}
	}
	timer := time.NewTimer(lateRequest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, patience.Ended(ctx, "Sweep", bucket)
	case <-timer.C:
	}
	c := newCanary(s, Options{Bucket: bucket, Prefix: prefix, Facts: facts}, name)
	c.lock = mayLock(&facts)
	refs, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	if c.lock && len(refs) > 0 { // dates are the store's
		if err := c.try(ctx, func() (err error) { c.skew, err = c.s.Ahead(ctx, bucket); return err }); err != nil {
			return nil, err
		}
	}
	kept, err := c.sort(ctx, refs)
	if err != nil {
		return nil, err
	}
	c.litter.uploadLost() // whether an upload was open nobody knows any more
	return kept, c.clean(ctx)
}

// sort tells what may go from what stays. No request changes anything before all is known.
func (c *canary) sort(ctx context.Context, refs []object.Ref) (kept []Kept, err error) {
	for _, ref := range refs {
		if !c.lock {
			c.litter.object(ref, ref.VersionID)
			continue
		}
		mode, until, hold, err := c.lockOf(ctx, ref)
		switch {
		case object.ClassOf(err) == object.ClassGone: // a delete marker, or removed meanwhile
		case err != nil:
			return nil, err
		case mode != "" && !c.isShort(mode, until):
			c.litter.leave(ref)
			kept = append(kept, Kept{ref, mode, until})
			continue
		case hold:
			c.litter.hold(ref, true)
		}
		c.litter.object(ref, ref.VersionID)
	}
	return kept, nil
}

// lockOf is how an object is locked, and whether it is under a hold that can be taken
// off. A store that does not know the sub-resources of locks may still show a
// retention in a HEAD, and where it does not, the deletion itself asks: it bypasses
// nothing there, so that a lock that nobody shows refuses it.
func (c *canary) lockOf(ctx context.Context, ref object.Ref) (mode string, until time.Time, hold bool, err error) {
	mode, until, hold, err = c.lockShown(ctx, ref)
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
