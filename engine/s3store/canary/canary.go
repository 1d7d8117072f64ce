package canary

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/patience"
)

// canary is one probe of one bucket. It remembers everything it made, and takes all
// of it away again.
//
// Questions that do not need one another's answers are asked at the same time,
// each by a copy of its own; see together.
type canary struct {
	s Store
	o Options
	// caps is where all copies put what they find out, each into other fields.
	caps *object.Capabilities
	// notes of this copy; those of all end up in caps.
	notes []string
	// name begins the key of every throwaway object.
	name string
	// target is the job's, with ShownKeyID once it was seen.
	target object.Target
	// dress is what an object can have on here, kept is what HEAD shows of it: what a
	// copy has to keep.
	dress dress
	kept  object.Attributes
	// direct is the object that was put under the target; targetRefused is set where
	// that was answered with an error, so that nothing is known of the store's honesty.
	direct        *thing
	targetRefused bool
	// subject is what a copy left that was answered; its conditions are asked of it.
	subject *subject
	// uploaded was the source of a multipart copy that worked; attrs is whether what an
	// upload made shows its parts.
	uploaded *thing
	attrs    object.Finding
	// lock is set on a bucket that can hold locks, lockAll on one that would lock
	// every new object for longer than the probe lasts.
	lock, lockAll bool
	// unshown: the store does not know the sub-resource that shows a lock, so that
	// whether an object of a dead probe is locked by somebody is not known.
	unshown bool
	skew    time.Duration // the store's clock minus ours
	litter  *litter       // of all copies
	// wanted is an error once nothing more shall be sent.
	wanted func() error
}

func newCanary(s Store, o Options, name string) *canary {
	return &canary{s: s, o: o, caps: &object.Capabilities{Source: "canary"}, target: o.Target,
		name: name, lock: o.Facts.ObjectLock == object.Yes, litter: newLitter(), wanted: always}
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
	for i := range copies { // all before the first is asked, which may write to c
		copies[i] = *c
		copies[i].notes = nil
	}
	for i, ask := range questions {
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
	asked := func(send func() error) error {
		return patience.Try(ctx, c.o.Bucket, func() error {
			if err := c.wanted(); err != nil {
				return err
			}
			return send()
		})
	}
	answers := func() error { return c.s.Answers(ctx, c.o.Bucket) }
	err := asked(send)
	// Is the store away, or does what stands in front of it refuse this alone? It may have come
	// back meanwhile, too.
	for n := 0; routed(err); n++ {
		if asked(answers) != nil {
			return awayError{err}
		}
		if n == 1 {
			break
		}
		err = asked(send)
	}
	return c.unlessAway(ctx, err)
}

// routed says whether the answer is that of something in front of the store to what that may not know.
func routed(err error) bool {
	e, _ := errors.AsType[*object.Error](err)
	return e != nil && e.InBetween() && maybeUnknown(e.Op)
}

// undecided says whether err answers nothing about the store, so that the probe
// has to end with it: no connection, no time, no permission to ask, a key that
// cannot be used.
func undecided(err error) bool {
	var e *object.Error
	var away awayError
	if !errors.As(err, &e) || errors.As(err, &away) {
		return err != nil
	}
	switch e.Class {
	case object.ClassTransient, object.ClassKMSAway: // see unlessAway
		return e.HTTPStatus == 0 || e.InBetween() && !maybeUnknown(e.Op) // see try
	case object.ClassCanceled, object.ClassUnreachable, object.ClassFull, object.ClassThrottled, object.ClassKMSThrottled,
		object.ClassCredentials, object.ClassKey, object.ClassNoBucket:
		return true
	}
	return false
}

// maybeUnknown: what routes the requests of a store may refuse these by itself, where that has
// no such thing.
func maybeUnknown(op string) bool {
	switch op {
	case "UpdateObjectEncryption", "GetObjectAttributes", "GetObjectTagging", "PutObjectTagging", "GetObjectAcl", "PutObjectAcl",
		"GetObjectRetention", "PutObjectRetention", "GetObjectLegalHold", "PutObjectLegalHold":
		return true
	}
	return false
}

// denied: a permission is missing, so that nothing is known of the store.
func denied(err error) bool { return object.ClassOf(err) == object.ClassDenied }

// reason is a refusal in short.
func reason(err error) string {
	var e *object.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if e.Code != "" {
		return e.Code
	}
	if e.HTTPStatus != 0 {
		return http.StatusText(e.HTTPStatus)
	}
	return e.Message
}

// both is what two observations of one ability say together: one No is a No, and
// nothing observed says nothing.
func both(a, b object.Finding) object.Finding {
	switch {
	case a == object.No || b == object.No:
		return object.No
	case a == object.Unknown:
		return b
	case b == object.Unknown:
		return a
	}
	return object.Yes
}
