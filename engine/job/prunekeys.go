package job

import (
	"context"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// keysNow remembers, for one pass over a batch, which keys of current versions open them
// now. A HEAD shows a version under a key that is disabled, or about to be deleted, like any
// other, and then the old version may be the only one that anybody can still read.
type keysNow struct {
	sync.Mutex
	// why is what is wrong with a key; empty for nothing.
	why map[string]string
}

// forget makes every key be asked again: a prune may take days.
func (k *keysNow) forget() {
	k.Lock()
	defer k.Unlock()
	k.why = map[string]string{}
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
	why, known := p.keys.why[e.KMSKeyID]
	if !known {
		now, err := p.tryKey(ctx, c.current(), "the current version", h)
		if err != nil {
			return false, err
		}
		if why = now.why; now.sure {
			p.keys.why[e.KMSKeyID] = why
		}
	}
	if why != "" {
		c.keep(KeptUnreadable, "%s", why)
	}
	return why == "", nil
}
