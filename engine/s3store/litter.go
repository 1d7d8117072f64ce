package s3store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
)

// litter is what a canary made and has to take away again. Its methods may be called
// by many questions at once; clean reads it when all have ended.
type litter struct {
	mu      sync.Mutex
	next    int
	made    map[string]map[string]bool // key → version IDs, as far as replies told
	uploads map[string]object.Ref      // open ones, by ID
	lost    bool                       // the answer to a CreateMultipartUpload was lost
	held    map[object.Ref]bool        // under a legal hold
}

func newLitter() *litter {
	return &litter{made: map[string]map[string]bool{}, uploads: map[string]object.Ref{}, held: map[object.Ref]bool{}}
}

// number is another one for every throwaway object.
func (l *litter) number() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next
}

func (l *litter) object(ref object.Ref, version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made[ref.Key] == nil {
		l.made[ref.Key] = map[string]bool{}
	}
	l.made[ref.Key][version] = true
}

func (l *litter) upload(id string, ref object.Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uploads[id] = ref
}

func (l *litter) uploadEnded(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.uploads, id)
}

// uploadLost: there may be an upload whose ID nobody knows.
func (l *litter) uploadLost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
}

func (l *litter) hold(ref object.Ref, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if on {
		l.held[ref] = true
	} else {
		delete(l.held, ref)
	}
}

// clean removes everything that the canary made, also after a cancelled context,
// and looks whether anything is left.
func (c *canary) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	c.wanted = always // also where nothing else is any more
	var holds []error
	for ref := range c.litter.held {
		if err := c.try(ctx, func() error { return c.s.putHold(ctx, ref, "OFF") }); err != nil {
			holds = append(holds, err)
		}
	}
	for n := 1; ; n++ {
		failed := append(c.abortAll(ctx), c.removeAll(ctx)...)
		left := c.left(ctx)
		switch {
		case len(left) == 0 && len(c.litter.uploads) == 0:
			return nil // what is gone in the end was removed, whatever the answers said
		case n == 3:
			if len(left) > 0 {
				failed = append(failed, fmt.Errorf("still there: %s", strings.Join(left, ", ")))
			}
			return fmt.Errorf("throwaway objects of the probe could not be removed; delete what begins with s3://%s/%s: %w",
				c.o.Bucket, c.name, errors.Join(append(holds, failed...)...))
		}
	}
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
	for key := range c.litter.made {
		ref := object.Ref{Bucket: c.o.Bucket, Key: key}
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

// removeAll deletes by exact key and version. On a versioned bucket a deletion
// without a version would only add a marker. An object stays as long as an upload
// of its key is open: Sweep finds uploads by the keys that are there, since MinIO
// lists those of one whole key only.
func (c *canary) removeAll(ctx context.Context) []error {
	open := map[string]bool{}
	for _, ref := range c.litter.uploads {
		open[ref.Key] = true
	}
	var each []func() error
	for _, ref := range c.toRemove(ctx) {
		if !open[ref.Key] {
			each = append(each, func() error { return c.removeOne(ctx, ref) })
		}
	}
	return atOnce(each)
}

// removers is how many objects go at a time: all that a canary makes, so that
// where their locks have to run out, it is waited for once.
const removers = 32

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
	err := c.try(ctx, func() error { return c.s.remove(ctx, ref, c.lock) })
	if !c.lock || object.ClassOf(err) != object.ClassDenied {
		return err
	}
	err = c.try(ctx, func() error { return c.s.remove(ctx, ref, false) })
	if object.ClassOf(err) != object.ClassDenied {
		return err
	}
	return c.outwait(ctx, ref)
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
	return c.try(ctx, func() error { return c.s.remove(ctx, ref, false) })
}

func (c *canary) toRemove(ctx context.Context) []object.Ref {
	if c.versioned() {
		if rows, ok := c.listVersions(ctx); ok {
			return rows
		}
	}
	var refs []object.Ref
	for key, versions := range c.litter.made {
		named := false
		for v := range versions {
			if v != "" {
				named = true
				refs = append(refs, object.Ref{Bucket: c.o.Bucket, Key: key, VersionID: v})
			}
		}
		if !named {
			refs = append(refs, object.Ref{Bucket: c.o.Bucket, Key: key})
		}
	}
	return refs
}

func (c *canary) versioned() bool { return c.o.Facts.Versioning != object.VersioningOff }

// listVersions is every version of the canary's keys, and whether the store
// lists versions at all. A page is far larger than a canary.
func (c *canary) listVersions(ctx context.Context) ([]object.Ref, bool) {
	var rep object.ListReply
	err := c.try(ctx, func() (err error) {
		rep, err = c.s.ListVersionsPage(ctx, object.ListRequest{Bucket: c.o.Bucket, Prefix: c.name})
		return err
	})
	if err != nil {
		return nil, false
	}
	seen := map[object.Ref]bool{}
	var refs []object.Ref
	for _, o := range rep.Objects {
		if isThrowaway(c.name, o.Key) && !seen[o.Ref] {
			seen[o.Ref] = true
			refs = append(refs, o.Ref)
		}
	}
	return refs, true
}

// left is what is still there.
func (c *canary) left(ctx context.Context) []string {
	var left []string
	if c.versioned() {
		refs, _ := c.listVersions(ctx)
		for _, r := range refs {
			left = append(left, r.String())
		}
		if len(left) > 0 {
			return left
		}
	}
	var rep object.ListReply
	err := c.try(ctx, func() (err error) {
		rep, err = c.s.ListPage(ctx, object.ListRequest{Bucket: c.o.Bucket, Prefix: c.name})
		return err
	})
	if err != nil {
		return []string{"(unknown: the bucket cannot be listed: " + err.Error() + ")"}
	}
	for _, o := range rep.Objects {
		if isThrowaway(c.name, o.Key) {
			left = append(left, o.Ref.String())
		}
	}
	return left
}
