package pace

import (
	"errors"
	"math"
)

// Limits are the ceilings that a person sets. The zero value sets none and
// leaves everything to what is found.
type Limits struct {
	// Concurrency is the number of requests in flight; 0 finds it.
	Concurrency int
	// MaxConcurrency bounds what is found; 0 means DefaultMaxConcurrency.
	MaxConcurrency int
	// RequestsPerSecond, KMSRequestsPerSecond (requests that make S3 call KMS) and
	// BytesPerSecond (bytes that the store copies); 0 for none.
	RequestsPerSecond    float64
	KMSRequestsPerSecond float64
	BytesPerSecond       float64
}

// DefaultMaxConcurrency is the most that is tried where nothing is said. The
// engine needs at least this many workers to use it.
const DefaultMaxConcurrency = 256

// Validate refuses what has no meaning.
func (l Limits) Validate() error {
	if l.Concurrency < 0 || l.MaxConcurrency < 0 {
		return errors.New("the concurrency cannot be negative")
	}
	for _, r := range []float64{l.RequestsPerSecond, l.KMSRequestsPerSecond, l.BytesPerSecond} {
		if r < 0 || math.IsNaN(r) || math.IsInf(r, 0) {
			return errors.New("a ceiling is a positive number, or 0 for none")
		}
	}
	return nil
}

// Workers is how many goroutines the engine needs so that the concurrency can
// be found.
func (l Limits) Workers() int {
	_, high := l.slots()
	return high
}

func (l Limits) slots() (low, high int) {
	switch {
	case l.Concurrency > 0:
		return l.Concurrency, l.Concurrency
	case l.MaxConcurrency > 0:
		return 1, l.MaxConcurrency
	}
	return 1, DefaultMaxConcurrency
}

func unlimited(rate float64) float64 {
	if rate <= 0 {
		return math.Inf(1)
	}
	return rate
}
