package engine

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
)

// This file is about requests that had to wait. What they carry is what the object had when it
// was looked at: nothing in S3 guards tags, grants and holds, which others set without another
// ETag. A request that waits for a store which throttles, or is away, gives them hours for it.

// lookedWithin bounds the time between the look at an object and the request that replaces it.
const lookedWithin = time.Minute

// lateError is a request that was not sent, since it would come too long after the look. The
// object is decided on anew. cause is why it waited, where an answer told.
type lateError struct {
	error
	cause error
}

func (e *lateError) Unwrap() error { return e.error }

// inTime sends a request unless it comes too late. One that may have been applied is sent
// again: that what is there is the object from before was asked.
func (it *item) inTime(op string, send func(context.Context) (object.CopyReply, error)) func(context.Context) (object.CopyReply, error) {
	var cause error
	return func(ctx context.Context) (object.CopyReply, error) {
		if it.attrs != nil && !it.past.lost && long(it.looked, lookedWithin) {
			return object.CopyReply{}, &lateError{look.ChangedSince(op, it.dest()), cause}
		}
		reply, err := send(ctx)
		cause = err
		return reply, err
	}
}

// long says whether an instant is further away than that, by the clock or by the count of the
// time that passes, which stops in a machine that sleeps.
func long(at time.Time, most time.Duration) bool {
	now := time.Now()
	return !at.IsZero() && (now.Sub(at) > most || now.Round(0).Sub(at.Round(0)).Abs() > most)
}
