package job

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/folder"
	"github.com/resealhq/reseal/engine/object"
)

// openFolder opens the folder at one end of the job, to be read. One that is gone is told
// of every file.
func (v *verifier) openFolder() (err error) {
	spec := &v.job.Spec
	switch {
	case spec.Source.Folder != "":
		v.files, err = folder.OpenSource(spec.Source.Folder, spec.Target.DestPrefix, "")
	case spec.Target.DestFolder != "":
		v.written, err = folder.OpenWritten(spec.Target.DestFolder)
	}
	if err != nil {
		return unusableBecause(err, "the folder "+cmp.Or(spec.Source.Folder, spec.Target.DestFolder), "see to it that it is there and can be read")
	}
	return nil
}

func (v *verifier) closeFolder() {
	switch {
	case v.files != nil:
		_ = v.files.Close()
	case v.written != nil:
		_ = v.written.Close()
	}
}

// writtenRow reads a file that was downloaded, and compares it with what the report says
// that was written.
func (v *verifier) writtenRow(ctx context.Context, ref object.Ref, o *object.Outcome) error {
	ref = v.dest.Ref(ref)
	h, err := v.written.Head(ctx, ref, object.CustomerKey{})
	h.Ref = ref
	switch {
	case object.ClassOf(err) == object.ClassGone:
		v.note(&v.verdict.Gone, "gone", ref, &h.Object, "")
	case err != nil:
		v.note(&v.verdict.Different, "different", ref, &h.Object, "it cannot be read: "+err.Error())
	case h.Size != o.Size:
		v.note(&v.verdict.Different, "different", ref, &h.Object, fmt.Sprintf("the report says %d bytes, the file has %d", o.Size, h.Size))
	case h.ETag != o.ETagAfter:
		v.note(&v.verdict.Different, "different", ref, &h.Object, fmt.Sprintf("the report says %s, the file's bytes have %s", o.ETagAfter, h.ETag))
	default:
		v.count(&v.verdict.Verified)
	}
	return nil
}

// compareFile reads a file again and compares it with its object, which is as the report
// says. what is in what they differ; since says that the file was written since. The error
// is one that concerns all objects.
func (v *verifier) compareFile(ctx context.Context, file object.Ref, o *object.Outcome, h *object.Head) (what string, since bool, err error) {
	is, err := v.files.Head(ctx, file, object.CustomerKey{})
	switch {
	case object.ClassOf(err) == object.ClassGone:
		return "the file is not there any more, so that nothing can be compared", true, nil
	case err != nil:
		return "the file cannot be read: " + err.Error(), false, nil
	case is.ETag != o.ETagBefore:
		return "the file was written since it was uploaded", true, nil
	}
	same, err := v.sameBytes(ctx, &is.Object, h)
	var refused *cse.Refusal
	switch class := object.ClassOf(err); {
	case class == object.ClassChanged:
		return "the file was written since it was uploaded", true, nil
	case errors.As(err, &refused), errors.Is(err, cse.ErrTag), errors.Is(err, errOtherKey):
		return "the object cannot be decrypted: " + err.Error(), false, nil
	case err != nil:
		return "", false, err
	case !same:
		return "the bytes of the object are not those of the file", false, nil
	}
	return "", false, nil
}

// sameBytes compares by the checksum that the store shows of the whole, else by the MD5 that
// its ETag is, else by reading the object.
func (v *verifier) sameBytes(ctx context.Context, file *object.Object, h *object.Head) (bool, error) {
	plain := h.Encryption.Type == object.SSENone || h.Encryption.Type == object.SSES3
	raw, err := hex.DecodeString(h.ETag)
	isMD5 := err == nil && len(raw) == md5.Size && plain
	sum := h.Checksums[h.ChecksumAlgorithm]
	switch {
	case v.envelopes != nil:
		return v.sameText(ctx, file, h)
	case h.ChecksumType == object.FullObject && sum != "" && object.KnowsChecksum(h.ChecksumAlgorithm):
		got, err := v.digestFile(ctx, file, object.NewChecksum(h.ChecksumAlgorithm))
		return base64.StdEncoding.EncodeToString(got) == sum, err
	case isMD5:
		if got, err := v.digestFile(ctx, file, md5.New()); err != nil || hex.EncodeToString(got) == h.ETag {
			return err == nil, err
		} // some stores make other ETags of the same form
	}
	return v.sameText(ctx, file, h)
}

func (v *verifier) digestFile(ctx context.Context, file *object.Object, h hash.Hash) ([]byte, error) {
	r, err := v.files.Open(ctx, file.Ref, object.CustomerKey{}, file.ETag)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	_, err = io.Copy(h, r)
	return h.Sum(nil), err
}

// sameText reads the object, opens it where a client has encrypted it, and compares.
func (v *verifier) sameText(ctx context.Context, file *object.Object, h *object.Head) (bool, error) {
	want, err := v.digestFile(ctx, file, sha256.New())
	if err != nil {
		return false, err
	}
	var e cse.Envelope
	var key cse.DataKey
	if v.envelopes != nil {
		if e, err = cse.Parse(h.Metadata); err == nil && e.Format != cse.None {
			key, err = v.envelopes.open(ctx, e)
		}
		if err != nil {
			return false, err
		}
	}
	var got []byte
	err = v.withKeys(h.Encryption.Type, func(customer object.CustomerKey) error {
		return v.reads.Do(ctx, object.Call{Kind: object.ReqGet, Key: h.Key, Bytes: h.Size}, func(ctx context.Context) error {
			body, err := v.store.Open(ctx, h.Ref, customer, h.ETag)
			if err != nil {
				return err
			}
			defer body.Close()
			sum, text := sha256.New(), io.Reader(body)
			if e.Format != cse.None {
				if text, err = e.NewReader(key, body, h.Size); err != nil {
					return err
				}
			}
			_, err = io.Copy(sum, text)
			got = sum.Sum(nil)
			return err
		})
	})
	return strings.EqualFold(hex.EncodeToString(want), hex.EncodeToString(got)), err
}
