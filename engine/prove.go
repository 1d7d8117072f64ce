package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"

	"github.com/resealhq/reseal/engine/object"
)

// prove turns a mutation's success into a done outcome, or finds out that it was
// none. The cheapest proof that the flags allow is taken: the reply where it
// shows the encryption, a re-listing of many objects at once, a HEAD.
func (it *item) prove(ctx context.Context, op string, reply object.CopyReply) (*object.Outcome, error) {
	it.written, it.wrote = true, it.out
	if it.replyProves(reply) {
		return it.done(reply.ETag, reply.Encryption), nil
	}
	if e, ok := it.onItsWord(reply); ok {
		return it.done(reply.ETag, e), nil
	}
	if it.Bulk != nil && !it.proveAlone && it.Verify == VerifyAuto && it.Dest.InPlace() && it.obj.VersionID == "" {
		it.prover.take(&claim{it: it, op: op, reply: reply})
		return nil, nil
	}
	return it.proveByHead(ctx, op, reply)
}

func (it *item) replyProves(reply object.CopyReply) bool {
	return it.Verify <= VerifyResponse && reply.ETag != "" && it.Target.StorageClass == "" &&
		reply.Encryption.Type != object.SSEUnknown && it.Target.MetBy(reply.Encryption)
}

// onItsWord is for an operator who asks for no more proof than the reply, on a
// store whose replies were seen to show no encryption (MinIO's): there a success
// is the same answer that the canary found true. What the object is under now is
// then what was asked for, in the store's own words; nobody has looked, which is
// what verify is for. A reply that shows nothing where others do is suspicious, and
// the store is asked.
func (it *item) onItsWord(reply object.CopyReply) (e object.Encryption, ok bool) {
	silent := it.Caps.CopyShowsEncryption
	if it.out.Operation == object.OpMultipart {
		silent = it.Caps.UploadShowsEncryption
	}
	t := it.Target
	if it.Verify != VerifyResponse || silent != object.No || it.Caps.Encrypts != object.Yes ||
		reply.ETag == "" || reply.Encryption.Type != object.SSEUnknown || t.StorageClass != "" {
		return e, false
	}
	switch t.SSE {
	case object.SSES3:
	case object.SSEKMS:
		if t.ShownKeyID == "" || t.BucketKey == object.On {
			return e, false
		}
		e.KMSKeyID = t.ShownKeyID
	default:
		return e, false
	}
	e.Type = t.SSE
	it.out.Reason = object.ReasonReply
	return e, true
}

// proveByHead asks the store. If it shows another object than the one that was
// just written, somebody else has written since.
func (it *item) proveByHead(ctx context.Context, op string, reply object.CopyReply) (*object.Outcome, error) {
	dest := it.Dest.Ref(it.obj.Ref)
	h, err := it.head(ctx, it.Store.Hot, dest)
	if err != nil {
		return nil, err
	}
	if h.ETag != reply.ETag {
		return nil, changedSince(op, dest)
	}
	if h.Size != it.obj.Size || !it.Target.Satisfied(&h.Object) {
		return nil, it.unproved(op, &h)
	}
	if it.Verify == VerifyRead {
		if err := it.compareAfter(ctx, &h); err != nil {
			return nil, err
		}
	}
	return it.done(h.ETag, h.Encryption), nil
}

// digestBefore hashes the source's bytes for --verify read: in place, they are
// not there any more afterwards. Where the store holds a checksum over the whole
// object and the copy keeps it, that is compared instead and nothing is read.
func (it *item) digestBefore(ctx context.Context, keepsChecksum bool) (err error) {
	if it.Verify != VerifyRead || keepsChecksum && it.comparable(it.attrs) != "" {
		return nil
	}
	it.digest, err = it.digestOf(ctx, it.Source, it.obj.Ref, it.ssecKey(), it.obj.ETag, it.obj.Size)
	return err
}

// comparable names a checksum algorithm of which a holds a value over the whole
// object.
func (it *item) comparable(a *object.Attributes) string {
	if a == nil || it.obj.ChecksumType != "FULL_OBJECT" {
		return ""
	}
	for algorithm := range a.Checksums {
		return algorithm
	}
	return ""
}

func (it *item) compareAfter(ctx context.Context, h *object.Head) error {
	alg := it.comparable(it.attrs)
	if it.digest == nil && alg != "" && h.Checksums[alg] != "" && h.ChecksumType == "FULL_OBJECT" {
		if it.attrs.Checksums[alg] == h.Checksums[alg] {
			return nil
		}
		return differs(h)
	}
	if it.digest == nil {
		return &object.Error{Class: object.ClassUnproved, Op: "GetObject", Ref: h.Ref,
			Message: "the bytes cannot be compared any more: the checksum that the object had did not come back with the copy"}
	}
	after, err := it.digestOf(ctx, it.Store, h.Ref, it.keyFor(h.Encryption), h.ETag, h.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(it.digest, after) {
		return differs(h)
	}
	return nil
}

func (r *run) keyFor(e object.Encryption) object.CustomerKey {
	switch {
	case e.Type != object.SSEC:
		return object.CustomerKey{}
	case e.CustomerKeyMD5 == r.Target.CustomerKey.MD5():
		return r.Target.CustomerKey
	}
	return r.Target.SourceKey
}

func differs(h *object.Head) error {
	return &object.Error{Class: object.ClassUnproved, Op: "GetObject", Ref: h.Ref, RequestID: h.RequestID,
		Message: "the bytes after the copy are not those from before",
		Hint:    "restore the object from its previous version or a backup, and do not trust this store with copies"}
}

// digestOf is the SHA-256 of an object's bytes, read in one stream, conditional
// on its ETag. A body of another size is not the object: a 200 can carry an error.
func (r *run) digestOf(ctx context.Context, s Store, ref object.Ref, key object.CustomerKey, etag string, size int64) ([]byte, error) {
	var sum []byte
	err := r.send(ctx, object.Call{Kind: object.ReqGet, Key: ref.Key}, func(ctx context.Context) error {
		body, err := s.Open(ctx, ref, key, etag)
		if err != nil {
			return err
		}
		defer body.Close()
		h := sha256.New()
		n, err := io.Copy(h, body)
		if err != nil {
			return &object.Error{Class: object.ClassTransient, Op: "GetObject", Ref: ref, Message: "the body broke off", Err: err}
		}
		if size >= 0 && n != size {
			return &object.Error{Class: object.ClassTransient, Op: "GetObject", Ref: ref, Message: "the body does not have the object's size"}
		}
		sum = h.Sum(nil)
		return nil
	})
	return sum, err
}

// sameBytes compares the source with what stands at the destination: by ETag or
// checksum where these say something about the bytes, else by reading both.
func (it *item) sameBytes(ctx context.Context, dest *object.Head) (bool, error) {
	if it.attrs == nil {
		if err := it.inspect(ctx); err != nil {
			return false, err
		}
	}
	if dest.Size != it.obj.Size {
		return false, nil
	}
	if alg := it.comparable(it.attrs); alg != "" && dest.ChecksumType == "FULL_OBJECT" && dest.Checksums[alg] != "" {
		return it.attrs.Checksums[alg] == dest.Checksums[alg], nil
	}
	a, err := it.digestOf(ctx, it.Source, it.obj.Ref, it.ssecKey(), it.obj.ETag, it.obj.Size)
	if err != nil {
		return false, err
	}
	b, err := it.digestOf(ctx, it.Store, dest.Ref, it.keyFor(dest.Encryption), dest.ETag, dest.Size)
	return bytes.Equal(a, b), err
}
