package job

import (
	"context"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// keysNow remembers, for a minute of one pass over a batch, which keys of current versions open them
// now. A HEAD shows a version under a key that is disabled, or about to be deleted, like any
// other, and then the old version may be the only one that anybody can still read.
type keysNow struct {
	sync.Mutex
	told map[string]keyTold
}

// keyTold is what was seen of a key, and when it was asked for.
type keyTold struct {
	why string // what is wrong with it; empty for nothing
	at  time.Time
}

// forget makes every key be asked again: a prune may take days.
func (k *keysNow) forget() {
	k.Lock()
	defer k.Unlock()
	k.told = map[string]keyTold{}
}

// opens says whether the current version, as it was just shown, can be read with its KMS
// key, and keeps the old one else. One version speaks for all under the same key.
func (p *pruner) opens(ctx context.Context, c *candidate, h *object.Head) (bool, error) {
	e := &h.Encryption
	if !e.Type.KMS() {
		return true, nil
	}
	p.keys.Lock()
	defer p.keys.Unlock()
	told := p.keys.told[e.KMSKeyID]
	why, asked := told.why, time.Now()
	if retry.LongAgo(told.at, retry.LookedWithin) {
		now, err := p.tryKey(ctx, c.current(), "the current version", h)
		if err != nil {
			return false, err
		}
		if why = now.why; now.sure {
			p.keys.told[e.KMSKeyID] = keyTold{why, asked}
		}
	}
	if why != "" {
		c.keep(KeptUnreadable, "%s", why)
	}
	return why == "", nil
}
