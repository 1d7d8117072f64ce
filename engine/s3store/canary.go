package s3store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
)

// canary is one probe of one bucket: it makes throwaway objects under one
// unguessable name, remembers everything it made, and takes all of it away again.
type canary struct {
	s    *Store
	o    ProbeOptions
	caps object.Capabilities
	// name begins the key of every throwaway object.
	name string
	// target is the job's, with ShownKeyID once it was seen.
	target object.Target
	// lock is set on a bucket that can hold locks, lockAll on one that would lock
	// every new object for longer than the probe lasts.
	lock, lockAll bool
	// refused: a PutObject under the target was answered with an error, so that
	// nothing is known of the store's honesty.
	refused bool
	skew    time.Duration // the store's clock minus ours

	made    map[string]map[string]bool // key → version IDs, as far as replies told
	uploads map[string]object.Ref      // open ones, by ID
	lost    bool                       // the answer to a CreateMultipartUpload was lost
	held    []object.Ref               // under a legal hold
	next    int
}

// lockFor is how long a canary may be locked: long enough for the store to accept
// the date, short enough to wait for where governance may not be bypassed.
const lockFor = 20 * time.Second

func newCanary(s *Store, o ProbeOptions) *canary {
	b := make([]byte, 12)
	rand.Read(b) // never fails, by its contract
	return &canary{s: s, o: o, target: o.Target, name: o.Prefix + ".reseal-canary-" + hex.EncodeToString(b) + "-",
		made: map[string]map[string]bool{}, uploads: map[string]object.Ref{}, lock: o.Facts.ObjectLock == object.Yes}
}

func (c *canary) note(format string, args ...any) {
	c.caps.Notes = append(c.caps.Notes, fmt.Sprintf(format, args...))
}

// ref is a new throwaway key. It holds no "/" of its own, since some stores
// leave a folder behind.
func (c *canary) ref(purpose string) object.Ref {
	c.next++
	return object.Ref{Bucket: c.o.Bucket, Key: fmt.Sprintf("%s%02d-%s", c.name, c.next, purpose)}
}

func (c *canary) remember(ref object.Ref, version string) {
	if c.made[ref.Key] == nil {
		c.made[ref.Key] = map[string]bool{}
	}
	c.made[ref.Key][version] = true
}

// try sends a request until it is answered. What is returned is an answer, or
// inconclusive: see undecided.
func (c *canary) try(ctx context.Context, send func() error) error {
	return patiently(ctx, c.o.Bucket, send)
}

// pause waits before attempt n+1.
func (c *canary) pause(ctx context.Context, n int, err error) error {
	return pause(ctx, c.o.Bucket, n, err)
}

// undecided says whether err answers nothing about the store, so that the probe
// has to end with it: no connection, no time, no permission to ask, a key that
// cannot be used.
func undecided(err error) bool {
	var e *object.Error
	if !errors.As(err, &e) {
		return err != nil
	}
	switch e.Class {
	case object.ClassTransient:
		return e.HTTPStatus == 0
	case object.ClassCanceled, object.ClassUnreachable, object.ClassFull, object.ClassThrottled, object.ClassKMSThrottled,
		object.ClassCredentials, object.ClassKey, object.ClassNoBucket:
		return true
	}
	return false
}

// put makes a throwaway object.
func (c *canary) put(ctx context.Context, purpose string, more func(*request)) (object.Ref, error) {
	ref := c.ref(purpose)
	err := c.try(ctx, func() error {
		c.remember(ref, "")
		rep, err := c.s.put(ctx, ref, c.bodyOf(ref), func(r *request) {
			if c.lockAll {
				r.set("X-Amz-Object-Lock-Mode", "GOVERNANCE")
				r.set("X-Amz-Object-Lock-Retain-Until-Date", c.until().Format(time.RFC3339))
			}
			if more != nil {
				more(r)
			}
		})
		if err == nil {
			c.remember(ref, rep.header.Get("X-Amz-Version-Id"))
		}
		return err
	})
	return ref, err
}

func (c *canary) bodyOf(ref object.Ref) string {
	return "a throwaway object of reseal, which asks what this store can do; it may be deleted: " + ref.Key + "\n"
}

// until is a date that is in the future for the store, and soon.
func (c *canary) until() time.Time {
	return time.Now().Add(c.skew + lockFor).UTC().Truncate(time.Second)
}

func (c *canary) head(ctx context.Context, ref object.Ref, key object.CustomerKey) (h object.Head, err error) {
	err = c.try(ctx, func() error { h, err = c.s.Head(ctx, ref, key); return err })
	return h, err
}

// intact says whether the object's bytes are those that were put there.
func (c *canary) intact(ctx context.Context, ref object.Ref, key object.CustomerKey) (same bool, err error) {
	return c.holds(ctx, ref, key, c.bodyOf(ref))
}

func (c *canary) holds(ctx context.Context, ref object.Ref, key object.CustomerKey, want string) (same bool, err error) {
	var got []byte
	err = c.try(ctx, func() error {
		r, err := c.s.Open(ctx, ref, key, "")
		if err != nil {
			return err
		}
		defer r.Close()
		got, err = io.ReadAll(io.LimitReader(r, maxReply))
		return err
	})
	return err == nil && string(got) == want, err
}

// clean removes everything that the canary made, also after a cancelled context,
// and looks whether anything is left.
func (c *canary) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	var holds []error
	for _, ref := range c.held {
		if err := c.try(ctx, func() error { return c.s.putHold(ctx, ref, "OFF") }); err != nil {
			holds = append(holds, err)
		}
	}
	for n := 1; ; n++ {
		failed := append(c.abortAll(ctx), c.removeAll(ctx)...)
		left := c.left(ctx)
		switch {
		case len(left) == 0 && len(c.uploads) == 0:
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
	var errs []error
	if c.lost {
		for key := range c.made {
			ref := object.Ref{Bucket: c.o.Bucket, Key: key}
			var open []object.PendingUpload
			err := c.try(ctx, func() (err error) { open, err = c.s.ListUploads(ctx, ref); return err })
			if err != nil {
				break // a store that does not list them
			}
			for _, u := range open {
				c.uploads[u.ID] = ref
			}
		}
	}
	for id, ref := range c.uploads {
		err := c.try(ctx, func() error { return c.s.AbortUpload(ctx, ref, id) })
		if err != nil && object.ClassOf(err) != object.ClassNoUpload {
			errs = append(errs, err)
			continue
		}
		delete(c.uploads, id)
	}
	return errs
}

// removeAll deletes by exact key and version. On a versioned bucket a deletion
// without a version would only add a marker. An object stays as long as an upload
// of its key is open: Sweep finds uploads by the keys that are there, since MinIO
// lists those of one whole key only.
func (c *canary) removeAll(ctx context.Context) []error {
	open := map[string]bool{}
	for _, ref := range c.uploads {
		open[ref.Key] = true
	}
	var mu sync.Mutex
	var errs []error
	var g errgroup.Group
	g.SetLimit(removers)
	for _, ref := range c.toRemove(ctx) {
		if open[ref.Key] {
			continue
		}
		g.Go(func() error {
			if err := c.removeOne(ctx, ref); err != nil {
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

// removers is how many objects go at a time: all that a canary makes, so that
// where their locks have to run out, it is waited for once.
const removers = 32

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
	for key, versions := range c.made {
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
		if strings.HasPrefix(o.Key, c.name) && !seen[o.Ref] {
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
		if strings.HasPrefix(o.Key, c.name) {
			left = append(left, o.Ref.String())
		}
	}
	return left
}

// prepare looks at the store's clock, and at a default retention, which would
// lock every throwaway object for its whole length: they are then put under a
// short governance retention of their own, and the first one is read back before
// any other is made.
func (c *canary) prepare(ctx context.Context) error {
	a, err := c.s.Address(ctx, c.o.Bucket)
	if err != nil {
		return err
	}
	if (c.target.SSE == object.SSEC || !c.target.SourceKey.IsZero()) && a.Scheme != "https" {
		return plaintextKey("Probe", object.Ref{Bucket: c.o.Bucket})
	}
	if !c.lock {
		return nil
	}
	err = c.try(ctx, func() error {
		resp, err := c.s.sendTo(ctx, newRequest("HeadBucket", http.MethodHead, object.Ref{Bucket: c.o.Bucket}), a)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			c.skew = time.Until(t)
		}
		return nil
	})
	if err != nil {
		return err
	}
	conf, err := c.s.ObjectLock(ctx, c.o.Bucket)
	if err != nil || conf.Mode == "" {
		return err
	}
	c.lockAll = true
	ref, err := c.put(ctx, "lock", nil)
	if err != nil {
		return err
	}
	mode, until, _, err := c.s.Lock(ctx, ref)
	if err != nil {
		return err
	}
	if mode != "GOVERNANCE" || until.Sub(time.Now().Add(c.skew)) > 2*lockFor {
		return &object.Error{Class: object.ClassUnsupported, Op: "Probe", Ref: ref,
			Message: fmt.Sprintf("the bucket locks every new object (%s until %s), also one that asked for a short lock", mode, until.Format(time.RFC3339)),
			Hint:    "what this store can do cannot be tried out here without leaving locked objects: try in a bucket without a default retention"}
	}
	return nil
}
