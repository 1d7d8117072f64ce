package canary

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
)

// clean removes everything that the canary made, also after a cancelled context,
// and looks whether anything is left.
func (c *canary) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	c.wanted = always // also where nothing else is any more
	var holds []error
	for _, ref := range inOrder(c.litter.held) {
		if err := c.try(ctx, func() error { return c.s.ReleaseHold(ctx, ref) }); err != nil {
			holds = append(holds, err)
		}
	}
	there := c.told()
	for n := 1; ; n++ {
		failed := append(c.abortAll(ctx), c.removeAll(ctx, there, n == 1)...)
		left, err := c.list(ctx)
		remain := left
		if n > 1 && len(failed) == 0 {
			remain = c.shown(ctx, left, there)
		}
		switch {
		case err == nil && len(remain) == 0 && len(c.litter.uploads) == 0:
			return nil // what is gone in the end was removed, whatever the answers said
		case n == 4:
			return c.notClean(remain, err, append(holds, failed...))
		}
		if there = left; err != nil {
			there = c.told()
		}
	}
}

// shown is what of left is there, where the deletion of all that was asked for by its name was answered
// with success. A store may list for a while what it has deleted: where a lifecycle rule moves objects
// into a tier at once, MinIO lists their versions as delete markers until that tier is rid of them, and
// answers to each of their deletions with success. A marker that nobody has asked for yet is a real one.
func (c *canary) shown(ctx context.Context, left, asked []object.Ref) (there []object.Ref) {
	for _, ref := range left {
		if slices.Contains(asked, ref) && (ref.VersionID != "" || !c.versioned()) {
			if _, err := c.head(ctx, ref, object.CustomerKey{}); object.ClassOf(err) == object.ClassGone {
				continue
			}
		}
		there = append(there, ref)
	}
	return there
}

func (c *canary) notClean(left []object.Ref, listing error, failed []error) error {
	var still []string
	for _, ref := range left {
		still = append(still, ref.String())
	}
	if listing != nil { // whose class tells a person what to do
		failed = append(failed, fmt.Errorf("what is still there is not known, since the bucket cannot be listed: %w", listing))
	}
	if len(still) > 0 {
		failed = append(failed, fmt.Errorf("still there: %s", strings.Join(still, ", ")))
	}
	return fmt.Errorf("throwaway objects of the probe could not be removed; delete what begins with s3://%s/%s: %w",
		c.o.Bucket, c.name, errors.Join(failed...))
}

// abortAll ends the uploads: those that are known by their ID, and those whose
// ID was in a reply that was lost, which a listing tells.
func (c *canary) abortAll(ctx context.Context) []error {
	if c.litter.lost {
		c.findUploads(ctx)
	}
	var each []func() error
	for id, ref := range maps.Clone(c.litter.uploads) {
		each = append(each, func() error {
			err := c.try(ctx, func() error { return c.s.AbortUpload(ctx, ref, id) })
			if err != nil && object.ClassOf(err) != object.ClassNoUpload {
				return err
			}
			c.litter.uploadEnded(id)
			return nil
		})
	}
	return atOnce(each)
}

func (c *canary) findUploads(ctx context.Context) {
	keys := map[object.Ref]bool{}
	for key := range c.litter.made {
		ref := object.Ref{Bucket: c.o.Bucket, Key: key}
		keys[ref], keys[beside(ref)] = true, true
	}
	for _, ref := range inOrder(keys) {
		var open []object.PendingUpload
		err := c.try(ctx, func() (err error) { open, err = c.s.ListUploads(ctx, ref); return err })
		if err != nil {
			return // a store that does not list them
		}
		for _, u := range open {
			c.litter.upload(u.ID, ref)
		}
	}
}

// inOrder is a set in the order of its names, so that two runs that are alike ask for the
// same in the same order.
func inOrder(refs map[object.Ref]bool) []object.Ref {
	return slices.SortedFunc(maps.Keys(refs), func(a, b object.Ref) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.VersionID, b.VersionID))
	})
}

// removeAll deletes by exact key and version. An object stays as long as an upload
// of its key, or of the one beside it, is open: Sweep finds uploads by the keys that
// are there, since MinIO lists those of one whole key only.
//
// Together means by one DeleteObjects. That can do no harm, since each key is ours
// whatever a store may make of it, and a listing tells what it did; what it left is
// deleted one by one.
func (c *canary) removeAll(ctx context.Context, refs []object.Ref, together bool) []error {
	open := c.litter.open()
	var each []func() error
	var all []object.Ref
	for _, ref := range refs {
		if !open[ref.Key] && !open[beside(ref).Key] {
			all = append(all, ref)
			each = append(each, func() error { return c.removeOne(ctx, ref) })
		}
	}
	if together && len(all) > 1 && c.bulk(ctx, all) {
		return nil
	}
	return atOnce(each)
}

// bulk says whether the store has answered to a DeleteObjects with success. A marker is the
// first that tells of a bucket that keeps versions since everything was made.
func (c *canary) bulk(ctx context.Context, refs []object.Ref) bool {
	var markers []object.Ref
	err := c.try(ctx, func() (err error) {
		markers, err = c.s.RemoveAll(ctx, c.o.Bucket, refs, c.lock && !c.unshown)
		return err
	})
	for _, m := range markers {
		if slices.ContainsFunc(refs, func(ref object.Ref) bool { return ref.Key == m.Key }) {
			c.litter.object(m, m.VersionID)
		}
	}
	return err == nil
}

// removers is how many objects go at a time: all that a canary makes, so that
// where their locks have to run out, it is waited for once.
const removers = 64

// atOnce does all of it, and says what failed.
func atOnce(each []func() error) []error {
	var mu sync.Mutex
	var errs []error
	var g errgroup.Group
	g.SetLimit(removers)
	for _, do := range each {
		g.Go(func() error {
			if err := do(); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait() // they are in errs
	return errs
}

// removeOne does without the bypass of governance where that may not be asked for.
func (c *canary) removeOne(ctx context.Context, ref object.Ref) error {
	err := c.remove(ctx, ref, c.lock && !c.unshown)
	if !c.lock || !denied(err) {
		return err
	}
	err = c.remove(ctx, ref, false)
	if !denied(err) {
		return err
	}
	return c.outwait(ctx, ref)
}

// remove deletes one version, or what is current, which may leave a marker.
func (c *canary) remove(ctx context.Context, ref object.Ref, bypass bool) error {
	return c.try(ctx, func() error {
		marker, err := c.s.Remove(ctx, ref, bypass)
		if marker != "" {
			c.litter.object(ref, marker)
		}
		return err
	})
}

// outwait lets a retention run out.
func (c *canary) outwait(ctx context.Context, ref object.Ref) error {
	timer := time.NewTimer(lockFor + 2*time.Second)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	return c.remove(ctx, ref, false)
}

// told is what replies told of what was made. On a versioned bucket a deletion without
// a version would only add a marker: what has none is left to a listing.
func (c *canary) told() []object.Ref {
	var refs []object.Ref
	for _, key := range slices.Sorted(maps.Keys(c.litter.made)) {
		versions := c.litter.made[key]
		for _, v := range slices.Sorted(maps.Keys(versions)) {
			if v != "" {
				refs = append(refs, object.Ref{Bucket: c.o.Bucket, Key: key, VersionID: v})
			}
		}
		if !c.versioned() && len(versions) == 1 {
			refs = append(refs, object.Ref{Bucket: c.o.Bucket, Key: key})
		}
	}
	return refs
}

// versioned says whether the bucket may keep versions: by its settings, and by what was
// made since they were read.
func (c *canary) versioned() bool {
	return c.o.Facts.Versioning != object.VersioningOff || c.litter.versions()
}

// list is every object of the canary that is there and may go.
func (c *canary) list(ctx context.Context) ([]object.Ref, error) {
	refs, err := c.there(ctx)
	return slices.DeleteFunc(refs, func(ref object.Ref) bool { return c.litter.stays[ref] }), err
}

// there is every object that is named like the canary's, and every version where the store
// keeps them. A page is far larger than a canary.
func (c *canary) there(ctx context.Context) ([]object.Ref, error) {
	if c.versioned() {
		refs, err := c.page(ctx, c.s.ListVersionsPage)
		if len(refs) > 0 || err == nil && c.o.Facts.Versioning == object.VersioningEnabled {
			return refs, nil
		}
	}
	return c.page(ctx, c.s.ListPage)
}

func (c *canary) page(ctx context.Context, list func(context.Context, object.ListRequest) (object.ListReply, error)) ([]object.Ref, error) {
	var rep object.ListReply
	err := c.try(ctx, func() (err error) {
		rep, err = list(ctx, object.ListRequest{Bucket: c.o.Bucket, Prefix: c.name})
		return err
	})
	if err != nil {
		return nil, err
	}
	seen := map[object.Ref]bool{}
	var refs []object.Ref
	for _, o := range rep.Objects {
		if isThrowaway(c.name, o.Key) && !seen[o.Ref] {
			seen[o.Ref] = true
			refs = append(refs, o.Ref)
		}
	}
	return refs, nil
}
