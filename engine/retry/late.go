package retry

import "time"

// LookedWithin bounds the time between the look at an object and the request that replaces or
// deletes it. A request waits for the pace, and for a store that throttles or cannot be reached,
// and a machine may sleep; others may change meanwhile what nothing in S3 guards.
const LookedWithin = time.Minute

// LateError is a request that was not sent, since it would have come too long after the look.
// Cause is why it waited, where an answer told.
type LateError struct{ Cause error }

func (e *LateError) Error() string { return "not sent: the object was looked at too long ago" }

// LongAgo says whether an instant is further away than that, by the clock of this machine or by
// its count of the time that passes: one that sleeps stops the count, and the clock may be set.
func LongAgo(at time.Time, most time.Duration) bool {
	now := time.Now()
	return now.Sub(at) > most || now.Round(0).Sub(at.Round(0)).Abs() > most
}
