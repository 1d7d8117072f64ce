package job

import (
	"context"
	"errors"
	"sync"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
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
		var sure bool
		var err error
		if why, sure, err = p.tryKey(ctx, c, h); err != nil {
			return false, err
		}
		if sure {
			p.keys.why[e.KMSKeyID] = why
		}
	}
	if why != "" {
		c.keep(KeptUnreadable, "%s", why)
	}
	return why == "", nil
}

// tryKey reads the current version, and asks KMS where that tells nothing of the key. sure
// says that the answer is about the key and not about this one version.
func (p *pruner) tryKey(ctx context.Context, c *candidate, h *object.Head) (why string, sure bool, err error) {
	err = p.reads.Do(ctx, object.Call{Kind: object.ReqGet, Key: c.old.Key}, func(ctx context.Context) error {
		body, err := p.store.Open(ctx, c.current(), object.CustomerKey{}, h.ETag)
		if err != nil {
			return err
		}
		return body.Close()
	})
	class := object.ClassOf(err)
	switch {
	case err == nil:
		return "", true, nil
	case ctx.Err() != nil:
		return "", false, err
	case class == object.ClassKey:
		return "the current version is under " + h.Encryption.KMSKeyID + ", and nobody can read it with that key now: " + err.Error(), true, nil
	case class == object.ClassChanged, class == object.ClassGone:
		return "somebody wrote or deleted the object meanwhile", false, nil
	case concernsAll(ctx, err):
		return "", false, err
	}
	k, kerr := p.store.ResolveKeyFor(ctx, c.old.Bucket, h.Encryption.KMSKeyID)
	switch {
	case kerr == nil && k.Enabled:
		return "", true, nil
	case kerr == nil:
		return "the current version is under " + k.ARN + ", and that key is " + k.State + " now", true, nil
	case object.ClassOf(kerr) == object.ClassKey:
		return "the current version is under " + h.Encryption.KMSKeyID + ", and KMS does not know that key any more: " + kerr.Error(), true, nil
	case errors.Is(kerr, s3store.ErrNoKMS), object.ClassOf(kerr) == object.ClassDenied:
		return "whether the key of the current version, " + h.Encryption.KMSKeyID + ", still opens it cannot be seen; grant kms:Decrypt or kms:DescribeKey. Reading it: " + err.Error(), class == object.ClassDenied, nil
	}
	return "", false, kerr
}
