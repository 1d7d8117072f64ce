package job

import (
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// keyNow is what is known of whether the KMS key that an object is under opens it now.
type keyNow struct {
	// why is what is wrong; empty for nothing. unseen: it is that nobody could tell.
	why    string
	unseen bool
	// sure says that this is about the key and not about this one object.
	sure bool
}

// kmsWait bounds the wait for a KMS that this machine may not reach.
const kmsWait = 10 * time.Second

// tryKey reads an object as it was just shown, and asks KMS where that tells nothing of the
// key: S3 goes on for a while to open what is under a bucket key, whatever has become of the
// KMS key. What is the object in words.
func (v *verifier) tryKey(ctx context.Context, ref object.Ref, what string, h *object.Head) (keyNow, error) {
	key := h.Encryption.KMSKeyID
	err := v.reads.Do(ctx, object.Call{Kind: object.ReqGet, Key: ref.Key}, func(ctx context.Context) error {
		body, err := v.store.Open(ctx, ref, object.CustomerKey{}, h.ETag)
		if err != nil {
			return err
		}
		return body.Close()
	})
	class := object.ClassOf(err)
	switch {
	case err == nil && !h.Encryption.BucketKey:
		return keyNow{sure: true}, nil
	case err == nil:
	case ctx.Err() != nil:
		return keyNow{}, err
	case class == object.ClassKey:
		return keyNow{why: what + " is under " + key + ", and nobody can read it with that key now: " + err.Error(), sure: true}, nil
	case class == object.ClassChanged, class == object.ClassGone:
		return keyNow{why: "somebody wrote or deleted the object meanwhile", unseen: true}, nil
	case concernsAll(ctx, err):
		return keyNow{}, err
	}
	asking := ctx
	if err == nil {
		bounded, end := context.WithTimeout(ctx, kmsWait)
		defer end()
		asking = bounded
	}
	k, kerr := v.store.ResolveKeyFor(asking, ref.Bucket, key)
	switch {
	case kerr == nil && !k.Enabled:
		return keyNow{why: what + " is under " + k.ARN + ", and that key is " + k.State + " now", sure: true}, nil
	case kerr == nil, err == nil: // it opens, and no more can be seen
		return keyNow{sure: true}, ctx.Err()
	case object.ClassOf(kerr) == object.ClassKey:
		return keyNow{why: what + " is under " + key + ", and KMS does not know that key any more: " + kerr.Error(), sure: true}, nil
	case errors.Is(kerr, s3store.ErrNoKMS), object.ClassOf(kerr) == object.ClassDenied:
		return keyNow{why: "whether the key of " + what + ", " + key + ", still opens it cannot be seen; grant kms:Decrypt or kms:DescribeKey. Reading it: " + err.Error(),
			unseen: true, sure: class == object.ClassDenied}, nil
	}
	return keyNow{}, kerr
}

// sampled keeps one object of a place that is as the report says, for its key to be tried.
func (v *verifier) sampled(ref object.Ref, h *object.Head) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mu.sample == nil && h.Encryption.Type.KMS() && v.target.SSE.KMS() {
		v.mu.sample = &object.Head{Object: object.Object{Ref: ref, ETag: h.ETag, Encryption: h.Encryption}}
	}
}

// targetKey warns where the key that the objects are under now cannot be used: a HEAD shows
// one under a disabled key like any other.
func (v *verifier) targetKey(ctx context.Context) error {
	v.mu.Lock()
	h := v.mu.sample
	v.mu.sample = nil
	v.mu.Unlock()
	if h == nil {
		return nil
	}
	now, err := v.tryKey(ctx, h.Ref, h.Ref.String(), h)
	if err == nil && now.why != "" && !now.unseen {
		v.verdict.KeyUnusable = append(v.verdict.KeyUnusable, now.why)
	}
	return ctx.Err() // what else went wrong shows nothing of the key
}
