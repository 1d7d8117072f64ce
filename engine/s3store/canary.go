package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// canary is one probe of one bucket: it makes throwaway objects under one
// unguessable name, remembers everything it made, and takes all of it away again.
//
// Questions that do not need one another's answers are asked at the same time,
// each by a copy of its own; see together.
type canary struct {
	s *Store
	o ProbeOptions
	// caps is where all copies put what they find out, each into other fields.
	caps *object.Capabilities
	// notes of this copy; those of all end up in caps.
	notes []string
	// name begins the key of every throwaway object.
	name string
	// target is the job's, with ShownKeyID once it was seen.
	target object.Target
	// lock is set on a bucket that can hold locks, lockAll on one that would lock
	// every new object for longer than the probe lasts.
	lock, lockAll bool
	// targetRefused: a PutObject under the target was answered with an error, so that
	// nothing is known of the store's honesty.
	targetRefused bool
	skew          time.Duration // the store's clock minus ours
	litter        *litter       // of all copies
	// wanted is an error once nothing more shall be sent.
	wanted func() error
}

// lockFor is how long a canary may be locked: long enough for the store to accept
// the date, short enough to wait for where governance may not be bypassed.
const lockFor = 20 * time.Second

func newCanary(s *Store, o ProbeOptions) *canary {
	return &canary{s: s, o: o, caps: &object.Capabilities{Source: "canary"}, target: o.Target,
		name: newCanaryName(o.Prefix), lock: o.Facts.ObjectLock == object.Yes, litter: newLitter(),
		wanted: always}
}

func always() error { return nil }

// question is one thing that a canary asks. Its error means that nothing was
// learnt, and ends the probe.
type question func(*canary, context.Context) error

// together asks questions that do not need one another's answers: what a canary
// costs is the way to the store and back. Notes stand in the order of the
// questions, and the first error is returned. No question is broken off because
// of another's: a request without its answer may still make an object after
// everything was removed.
func (c *canary) together(ctx context.Context, questions ...question) error {
	copies, errs := make([]canary, len(questions)), make([]error, len(questions))
	var wg sync.WaitGroup
	for i, ask := range questions {
		copies[i] = *c
		copies[i].notes = nil
		wg.Go(func() { errs[i] = ask(&copies[i], ctx) })
	}
	wg.Wait()
	for i := range copies {
		c.notes = append(c.notes, copies[i].notes...)
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *canary) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// try sends a request until it is answered. What is returned is an answer, or
// inconclusive: see undecided.
func (c *canary) try(ctx context.Context, send func() error) error {
	return patiently(ctx, c.o.Bucket, func() error {
		if err := c.wanted(); err != nil {
			return err
		}
		return send()
	})
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
		c.litter.object(ref, "")
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
			c.litter.object(ref, rep.header.Get("X-Amz-Version-Id"))
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
	if err := c.storesClock(ctx); err != nil {
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
