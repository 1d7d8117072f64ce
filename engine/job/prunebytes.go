package job

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
)

// copied says whether the current version is a copy of the old one. Where an answer told
// the job that it made the current version, that is known, and only checksums that differ
// speak against it. Where the job inferred it, after a lost answer or a process that died,
// another client may have written the same number of bytes under the same encryption, as
// where the target is the bucket's default too: then the bytes are compared.
func (p *pruner) copied(ctx context.Context, c *candidate, old *object.Head) (bool, error) {
	alg := look.Comparable(&old.Object, &old.Attributes)
	comparable := alg != "" && alg == look.Comparable(&c.now.Object, &c.now.Attributes)
	if comparable && old.Checksums[alg] != c.now.Checksums[alg] {
		c.keep(KeptOther, "the current version is no copy of it: their %s checksums differ", alg)
		return false, nil
	}
	pair := c.now.ShownVersionID + " " + c.now.ETag + " " + c.old.VersionID + " " + old.ETag
	if comparable || !c.inferred() || c.compared == pair {
		return true, nil
	}
	var sums [2][]byte
	for i, h := range []*object.Head{c.now, old} {
		ref := c.current()
		if h == old {
			ref = c.old
		}
		sum, err := p.digest(ctx, ref, h)
		if err != nil {
			return false, p.aboutOne(ctx, c, KeptUnread, "no answer told the job that it made the current version, and its bytes cannot be compared with those of the old one", err)
		}
		sums[i] = sum
	}
	if !bytes.Equal(sums[0], sums[1]) {
		c.keep(KeptOther, "the current version is no copy of it: their bytes differ, so that another client wrote the current one")
		return false, nil
	}
	c.compared = pair
	return true, nil
}

// inferred says whether no answer told that the job made the current version. What an
// older reseal inferred of a process that died shows by the answer that is missing.
func (c *candidate) inferred() bool { return c.outcome.Inferred || c.outcome.RequestID == "" }

// digest is the SHA-256 of a version's bytes.
func (p *pruner) digest(ctx context.Context, ref object.Ref, h *object.Head) (sum []byte, err error) {
	err = p.withKeys(h.Encryption.Type, func(key object.CustomerKey) error {
		return p.reads.Do(ctx, object.Call{Kind: object.ReqGet, Key: ref.Key, Bytes: h.Size}, func(ctx context.Context) error {
			body, err := p.store.Open(ctx, ref, key, h.ETag)
			if err != nil {
				return err
			}
			defer body.Close()
			sha := sha256.New()
			n, err := io.Copy(sha, body)
			if err == nil && n != h.Size {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return &object.Error{Class: object.ClassTransient, Op: "GetObject", Ref: ref, Message: "the body broke off", Err: err}
			}
			sum = sha.Sum(nil)
			return nil
		})
	})
	return sum, err
}
