package ledger

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Life is what is known of the holder of a lease.
type Life int

// What a Watch can tell.
const (
	Nobody  Life = iota // it was never held, or was given back
	Unknown             // it is held, and was not watched for long enough to tell more
	Alive               // its holder was seen to renew it
	Gone                // its holder cannot believe to hold it any more
)

// Watch tells of leases whether their holders live, by what it saw itself: no clock of
// another machine is asked. It is safe for concurrent use; its zero value has seen
// nothing.
type Watch struct {
	mu   sync.Mutex
	seen map[string]sighting
}

// sighting is one renewal of a lease, and when it was first and last seen.
type sighting struct {
	owner, etag string
	at, last    time.Time
	// lived is when this owner lived for certain: the last look that saw the renewal before
	// this one. Zero where none was seen.
	lived time.Time
}

// Patience is how long a renewal is watched before its holder is taken for gone.
func (h *Holding) Patience() time.Duration {
	ttl := h.TTL.duration()
	return ttl + ttl/4
}

// Look looks at a lease.
func (w *Watch) Look(ctx context.Context, p *Place, name string) (Holding, Life, error) {
	h, life, _, err := w.look(ctx, p, name)
	return h, life, err
}

// Lived is an instant at or after which the holder of a lease renewed it, as far as this
// Watch knows; zero where it saw no renewal.
func (w *Watch) Lived(p *Place, name string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[p.ref(name).Key].lived
}

func (w *Watch) look(ctx context.Context, p *Place, name string) (h Holding, life Life, etag string, err error) {
	h, etag, err = readHolding(ctx, p, name)
	switch {
	case errors.Is(err, ErrNone):
		return h, Nobody, "", nil
	case err != nil:
		return h, Unknown, "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = map[string]sighting{}
	}
	key := p.ref(name).Key
	s, known := w.seen[key]
	now := time.Now()
	if !known || s.etag != etag {
		lived := time.Time{}
		if known && s.owner == h.Owner {
			lived = s.last
		}
		s = sighting{owner: h.Owner, etag: etag, at: now, lived: lived}
	}
	s.last = now
	w.seen[key] = s
	switch {
	case h.Free:
		return h, Nobody, etag, nil
	case now.Sub(s.at) >= h.Patience():
		return h, Gone, etag, nil
	case !s.lived.IsZero() && now.Sub(s.lived) < h.Patience():
		return h, Alive, etag, nil
	}
	return h, Unknown, etag, nil
}
