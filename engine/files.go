package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
)

// sameThere compares the object with one that stands where it is to go: the bytes, or the
// texts where one of the two may be encrypted by a client. An outcome means that it is left.
func (it *item) sameThere(ctx context.Context, h *object.Head) (same bool, out *object.Outcome, err error) {
	w := it.run.cfg.Reupload
	if w == nil {
		same, err = it.run.look.Same(ctx, &it.obj, it.attrs, it.run.cfg.Store, h)
		return same, nil, err
	}
	e, out, err := it.envelope(ctx)
	if out != nil || err != nil {
		return false, out, err
	}
	there, err := cse.Parse(h.Metadata)
	if err != nil || there.Format != w.Format || there.NeedsFile || otherSize(e, it.obj.Size, there, h.Size) {
		return false, nil, nil //nolint:nilerr // it is none of ours
	}
	p := &passage{it: it, e: e, size: it.obj.Size}
	if out, err := p.unlock(ctx); out != nil || err != nil {
		return false, out, err
	}
	var key cse.DataKey
	if there.Format != cse.None {
		key, err = there.Unwrap(ctx, cse.Opener{KMS: it.run.keyring().kms, KMSKeyID: w.Target.KMSKeyID, Key: w.Target.Key})
		if errors.Is(err, cse.ErrIncorrectKey) || errors.Is(err, cse.ErrWrongKey) {
			return false, nil, nil
		}
		if err != nil {
			return false, nil, it.whoseKey(ctx, err)
		}
	}
	x, err := it.textDigest(ctx, it.run.cfg.Source, &it.obj, e, p.key)
	if err != nil {
		return false, nil, p.unopened(err)
	}
	y, err := it.textDigest(ctx, it.run.cfg.Store, &h.Object, there, key)
	if errors.Is(err, cse.ErrTag) {
		return false, nil, nil
	}
	return bytes.Equal(x, y), nil, err
}

// otherSize says whether the texts cannot be the same, by the sizes of their objects.
func otherSize(a cse.Envelope, sizeA int64, b cse.Envelope, sizeB int64) bool {
	textA, textB := sizeA, sizeB
	var errA, errB error
	if a.Format != cse.None {
		textA, errA = a.TextSize(sizeA)
	}
	if b.Format != cse.None {
		textB, errB = b.TextSize(sizeB)
	}
	return errA == nil && errB == nil && textA >= 0 && textB >= 0 && textA != textB
}

// textDigest is the SHA-256 of what is in an object, read in one stream.
func (it *item) textDigest(ctx context.Context, s store.Store, o *object.Object, e cse.Envelope, key cse.DataKey) (sum []byte, err error) {
	call := object.Call{Kind: object.ReqGet, Key: o.Key, Bytes: max(0, o.Size)}
	err = it.run.loop.Do(ctx, call, func(ctx context.Context) error {
		body, err := s.Open(ctx, o.Ref, it.run.rules.CustomerKey(&o.Encryption), o.ETag)
		if err != nil {
			return err
		}
		defer body.Close()
		h := sha256.New()
		if e.Format == cse.None {
			n, err := io.Copy(h, body)
			if err == nil && n != o.Size {
				err = &object.Error{Class: object.ClassTransient, Op: "GetObject", Ref: o.Ref, Message: "the body does not have the object's size"}
			}
			sum = h.Sum(nil)
			return err
		}
		r, err := e.NewReader(key, body, o.Size)
		if err == nil {
			_, err = io.Copy(h, r)
		}
		if err == nil {
			_, err = r.Verified()
		}
		sum = h.Sum(nil)
		return err
	})
	return sum, err
}

// otherSum compares the checksum that the store shows of an object that was made of a file
// with that of what was read: each part was checked on its way, and this is the whole.
func (it *item) otherSum(h *object.Head) error {
	if !it.run.cfg.FromFiles || it.anew != nil || it.inParts == nil {
		return nil
	}
	alg := it.obj.ChecksumAlgorithm
	shown := h.Checksums[alg]
	if alg == "" || shown == "" {
		return nil
	}
	if want := it.sums.whole(h.ChecksumType); want != "" && want != shown {
		return differs(h)
	}
	return nil
}
