package engine

import (
	"context"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// pacedKMS lets every request to KMS through the pace of the key, and repeats it as
// its class allows: none of them changes anything.
type pacedKMS struct {
	run *run
	k   cse.KMS
}

// do sends one. Whose key an error means, KMS does not always say, so that the loop
// does not count it against the target's.
func (p pacedKMS) do(ctx context.Context, key string, f func(context.Context) error) error {
	return p.run.loop.Do(ctx, object.Call{Kind: object.ReqKMS, KMSKey: key, OtherKey: true}, f)
}

func (p pacedKMS) ReEncrypt(ctx context.Context, r cse.ReEncryptRequest) (reply cse.ReEncryptReply, err error) {
	err = p.do(ctx, r.KeyID, func(ctx context.Context) (err error) {
		reply, err = p.k.ReEncrypt(ctx, r)
		return err
	})
	return reply, err
}

func (p pacedKMS) Decrypt(ctx context.Context, r cse.DecryptRequest) (d cse.DataKey, err error) {
	err = p.do(ctx, keyOr(r.KeyID), func(ctx context.Context) (err error) {
		d, err = p.k.Decrypt(ctx, r)
		return err
	})
	return d, err
}

func (p pacedKMS) Encrypt(ctx context.Context, r cse.EncryptRequest) (wrapped []byte, err error) {
	err = p.do(ctx, r.KeyID, func(ctx context.Context) (err error) {
		wrapped, err = p.k.Encrypt(ctx, r)
		return err
	})
	return wrapped, err
}

func (p pacedKMS) GenerateDataKey(ctx context.Context, r cse.GenerateRequest) (d cse.DataKey, wrapped []byte, err error) {
	err = p.do(ctx, r.KeyID, func(ctx context.Context) (err error) {
		d, wrapped, err = p.k.GenerateDataKey(ctx, r)
		return err
	})
	return d, wrapped, err
}

// keyOr is the name under which a request counts whose key nobody knows.
func keyOr(key string) string {
	if key == "" {
		return "any"
	}
	return key
}
