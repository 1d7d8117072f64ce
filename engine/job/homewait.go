package job

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/engine/object"
)

// This file is for how long, and how, a process waits for the bucket of the state.

// hurries lets this process wait less for the bucket once it was told to stop, until the function
// that it returns is called. One shard that cannot be worked on is no such end.
func (h *home) hurries(s *stopper) (end func()) {
	if h == nil {
		return func() {}
	}
	var listening sync.WaitGroup
	ended := make(chan struct{})
	listening.Go(func() {
		select {
		case <-s.asked:
			if cause := s.cause(); errors.Is(cause, ErrInterrupted) || errors.Is(cause, ErrStopAfter) {
				h.toldToStop(time.Now())
			}
		case <-ended:
		}
	})
	return sync.OnceFunc(func() { close(ended); listening.Wait() })
}

// toldToStop notes since when this process is told to stop; zero where whoever stopped it goes on.
func (h *home) toldToStop(since time.Time) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.stop = since
}

func (h *home) logger() *slog.Logger {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.log
}

// enough says whether a request that was begun then, and has failed so often, is not waited for any
// more. Nothing else is then.
func (h *home) enough(began time.Time, failures int) bool {
	h.mu.Lock()
	stop := h.mu.stop
	h.mu.Unlock()
	if stop.IsZero() || time.Since(stop) < lastPatience || time.Since(began) < lastPatience {
		return false
	}
	if failures == 1 && h.answers() { // one connection that is lost is no bucket that is away
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.givenUp = true
	h.end()
	h.forsake()
	return true
}

func (h *home) answers() bool {
	ctx, cancel := context.WithTimeout(h.life, lastWords)
	defer cancel()
	return h.store.Answers(ctx, h.place.Bucket) == nil
}

// isGivenUp says whether not everything was brought to the bucket, since it did not answer.
func (h *home) isGivenUp() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.givenUp
}

// failed fetches credentials anew that the bucket refuses: they may have been exchanged before their
// time, or be none that tell when that is.
func (h *home) failed(err error) {
	if object.ClassOf(err) == object.ClassCredentials {
		h.store.Invalidate()
	}
}

// patient is the place for whoever works on the job: it waits for the store, and says so. Who began
// the job had nobody to say it to at first.
func (h *home) patient() *ledger.Place {
	p := *h.place
	p.Patience = workPatience
	var mu sync.Mutex
	var failures int
	var since, told time.Time
	p.Failed = func(err error) {
		h.failed(err)
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if now.Sub(since) > time.Minute {
			failures, since = 0, now
		}
		if failures++; failures >= 3 && now.Sub(told) > time.Minute {
			told = now
			h.logger().Warn("the place of the job's state does not answer as it should; nothing is sent before its lease can be renewed", "place", h.name, "error", err)
		}
	}
	return &p
}
