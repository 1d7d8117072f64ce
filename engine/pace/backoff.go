package pace

import (
	"math/rand/v2"
	"time"
)

const (
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = 20 * time.Second
	// longestAsked bounds a Retry-After: a store that asks for hours is asked again.
	longestAsked = 5 * time.Minute
)

// Backoff is how long to wait before a request is tried again: attempt counts
// from 1 for the first failure. The upper bound doubles from 100 ms to 20 s and
// the wait is drawn evenly from its upper half, so that retries of many workers
// spread; it is never shorter than what the store asked for.
func Backoff(attempt int, retryAfter time.Duration, r *rand.Rand) time.Duration {
	bound := longestBackoff
	if n := max(attempt, 1) - 1; n < 10 {
		bound = min(longestBackoff, firstBackoff<<n)
	}
	d := bound/2 + time.Duration(float64(bound/2)*random(r))
	asked := min(max(retryAfter, 0), longestAsked)
	if asked > 0 {
		// Spread over a tenth more, or everybody comes back in the same instant.
		asked += time.Duration(float64(asked) / 10 * random(r))
	}
	return max(d, asked)
}

func random(r *rand.Rand) float64 {
	if r == nil {
		return rand.Float64()
	}
	return r.Float64()
}
