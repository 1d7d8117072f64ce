package retry

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// LookedWithin bounds the time between the look at an object and the request that replaces or
// deletes it. A request waits for the pace, and for a store that throttles or cannot be reached,
// and a machine may sleep; others may change meanwhile what nothing in S3 guards.
const LookedWithin = time.Minute

// LongAgo says whether an instant is further away than that, by the clock of this machine or by
// its count of the time that passes: one that sleeps stops the count, and the clock may be set.
func LongAgo(at time.Time, most time.Duration) bool {
	now := time.Now()
	return now.Sub(at) > most || now.Round(0).Sub(at.Round(0)).Abs() > most
}

// leastLooks is how often an object is looked at before that is found to take too long each
// time: the store may have been away.
const leastLooks = 5

// before is what is asked in the turn of a request, when everything that it had to wait for
// is over: lost is the error of an attempt that got no answer, nil for none.
type before struct {
	Asker
	lost error
}

// ready waits until this process may send the call, and asks about its object again where
// that was looked at too long ago. settled says that nothing is to be sent.
//
// It keeps its turn meanwhile. A request that gave it back in order to look would wait for the
// next one as long again: under a ceiling for longer than a minute, each time, for ever.
func (l *Loop) ready(ctx context.Context, call *object.Call, b *before) (settled bool, err error) {
	if err := l.still(ctx, call); err != nil || b == nil {
		return false, err
	}
	began := time.Now()
	for looks := 1; b.Late(); looks++ {
		if applied, err := b.Ask(inTurn(ctx), *call, b.lost); applied || err != nil {
			return true, err
		}
		switch {
		case !call.Ends && l.IsStopping():
			return false, ErrStopping
		case looks >= leastLooks && time.Since(began) > l.ThrottleWait:
			return true, &object.Error{Class: object.ClassTransient, Op: call.Kind.String(), NotSent: true,
				Message: "not sent: the store takes longer than a minute to show the object, in which others may change it"}
		}
		if err := l.still(ctx, call); err != nil {
			return false, err
		}
	}
	return false, nil
}
