package job

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// This file copies the state of many shards at a time: what is known of a shard takes a few
// requests that wait for one another, and a job may have thousands.

// fetchers is how many shards are copied at a time.
const fetchers = 8

// OnReading has f told, each time that the state of all shards of a job in a bucket is read,
// of how many it was read so far. Several goroutines call it.
func (j *Job) OnReading(f func(read, of int)) {
	if j.home != nil {
		j.home.reading = f
	}
}

// fetchAhead copies what the bucket has of shards; fetched answers with it, once for each.
func (h *home) fetchAhead(parts []*Job) error {
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(fetchers)
	var read atomic.Int64
	for i, part := range parts {
		g.Go(func() error {
			if ctx.Err() != nil {
				return nil // another has failed, which is told
			}
			running, err := h.fetch(part)
			if err != nil {
				return fmt.Errorf("shard %d: %w", i, err)
			}
			h.mu.Lock()
			h.mu.ahead[part.partPath()] = running
			h.mu.Unlock()
			if n := int(read.Add(1)); h.reading != nil {
				h.reading(n, len(parts))
			}
			return nil
		})
	}
	return g.Wait()
}

// fetched is fetch, unless fetchAhead has just done it.
func (h *home) fetched(j *Job) (running bool, err error) {
	h.mu.Lock()
	running, ahead := h.mu.ahead[j.partPath()]
	delete(h.mu.ahead, j.partPath())
	h.mu.Unlock()
	if ahead {
		return running, nil
	}
	return h.fetch(j)
}

// forgetAhead lets everything be fetched anew.
func (h *home) forgetAhead() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.mu.ahead)
}
