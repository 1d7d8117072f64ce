package wire

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Credentials sign requests. They print as their key ID only.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	// Expires is zero for credentials that do not.
	Expires time.Time
}

// String is the key ID.
func (c Credentials) String() string { return c.AccessKeyID }

// GoString is the key ID.
func (c Credentials) GoString() string { return c.AccessKeyID }

const (
	// refreshEarly before they expire one request renews the credentials while
	// the others go on with the old ones; refreshLast before, everybody waits.
	refreshEarly = 5 * time.Minute
	refreshLast  = 15 * time.Second
	// refreshAgain is the pause after an early renewal that failed or brought
	// the same expiry again.
	refreshAgain = 20 * time.Second
)

// keyCache holds the signing key of the day. The hot path is one atomic load.
type keyCache struct {
	fetch           func(context.Context) (Credentials, error)
	region, service string
	current         atomic.Pointer[signingKey]
	// early is when the next early renewal may be tried, in Unix nanoseconds.
	early atomic.Int64
	mu    struct {
		sync.Mutex
		creds Credentials
		valid bool
	}
}

// get returns a key that is good for a request signed at now.
func (k *keyCache) get(ctx context.Context, now time.Time) (*signingKey, error) {
	key := k.current.Load()
	if key != nil && key.coversDay(now) {
		if key.expires.IsZero() || now.Before(key.expires.Add(-refreshEarly)) {
			return key, nil
		}
		if now.Before(key.expires.Add(-refreshLast)) {
			return k.renewEarly(ctx, now, key), nil
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.renew(ctx, now, refreshLast)
}

// renewEarly lets one caller renew; whoever finds it at work takes the old key.
func (k *keyCache) renewEarly(ctx context.Context, now time.Time, old *signingKey) *signingKey {
	if now.UnixNano() < k.early.Load() || !k.mu.TryLock() {
		return old
	}
	defer k.mu.Unlock()
	k.early.Store(now.Add(refreshAgain).UnixNano())
	key, err := k.renew(ctx, now, refreshEarly)
	if err != nil {
		return old
	}
	return key
}

// renew makes the key for now, asking for credentials unless those at hand live
// longer than margin. REQUIRES: k.mu.
func (k *keyCache) renew(ctx context.Context, now time.Time, margin time.Duration) (*signingKey, error) {
	m := &k.mu
	if !m.valid || (!m.creds.Expires.IsZero() && !now.Before(m.creds.Expires.Add(-margin))) {
		creds, err := k.fetch(ctx)
		if err != nil {
			return nil, err
		}
		if creds.AccessKeyID == "" || creds.SecretAccessKey == "" {
			return nil, errors.New("the credentials are empty")
		}
		m.creds, m.valid = creds, true
	}
	if key := k.current.Load(); key != nil && key.coversDay(now) && key.creds == m.creds {
		return key, nil
	}
	key := newSigningKey(m.creds, k.region, k.service, now)
	k.current.Store(key)
	return key, nil
}

// drop forgets a key that the store did not accept, so that the next request
// asks for credentials again.
func (k *keyCache) drop(key *signingKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current.CompareAndSwap(key, nil) {
		k.mu.valid = false
	}
}
