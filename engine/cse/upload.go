package cse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"

	"github.com/resealhq/reseal/engine/object"
)

// Target is under what an object is to be: the wrap, and the key for it.
type Target struct {
	// Wrap is Keep (an object's own; only to rewrap), KMSContext, AESGCM or RSAOAEP.
	Wrap Wrap
	// KMSKeyID is the KMS key that wraps; Key is the raw one.
	KMSKeyID string
	Key      Key
	// SourceKMSKeyID restricts a rewrap to objects under this key; KMS enforces it.
	// SourceKey opens objects under a raw key.
	SourceKMSKeyID string
	SourceKey      Key
	// Entries are the user's own in the encryption context, or the material
	// description. To rewrap, nil keeps an object's.
	Entries map[string]string
}

// validate looks at what is wrong with a target whatever the object is.
func (t Target) validate() error {
	if t.Wrap != Keep && !t.Wrap.Current() {
		return errors.New("cse: nothing new is wrapped by " + t.Wrap.String())
	}
	if has(t.Entries, contextCEK) || has(t.Entries, contextKeyID) {
		return errors.New("the entries " + contextCEK + " and " + contextKeyID + " of a context are the client's own: leave them out")
	}
	return nil
}

// hasKeyFor says whether the target brings the key that the wrap wants.
func (t Target) hasKeyFor(w Wrap) bool {
	if w.KMS() {
		return t.KMSKeyID != ""
	}
	return !t.Key.IsZero() && t.Key.Wrap() == w
}

// Upload is one attempt to write one object: a data key, a message ID and an
// envelope that were made for it and serve no other. An attempt that failed is
// begun again with a new one.
type Upload struct {
	hidden
	envelope Envelope
	text     *text
}

// NewUpload makes a data key for one attempt, in the format V3 or V2.
func NewUpload(ctx context.Context, k KMS, format Format, t Target) (*Upload, error) {
	e := Envelope{Format: format, Wrap: t.Wrap, Content: Committed, cek: cekCommitted, Description: maps.Clone(t.Entries)}
	switch {
	case format != V3 && format != V2:
		return nil, errors.New("cse: new objects are of version 3 or 2")
	case t.Wrap == Keep:
		return nil, errors.New("cse: a new object needs a wrap")
	case !t.hasKeyFor(t.Wrap):
		return nil, errors.New("cse: there is no key to wrap with by " + t.Wrap.String())
	}
	if err := t.validate(); err != nil {
		return nil, err
	}
	if format == V2 {
		e.Content, e.cek = GCM, cekGCM
	}
	if e.Description == nil {
		e.Description = map[string]string{}
	}
	d, err := e.generate(ctx, k, t)
	if err != nil {
		return nil, err
	}
	return e.begin(d)
}

// generate makes the data key and wraps it.
func (e *Envelope) generate(ctx context.Context, k KMS, t Target) (d DataKey, err error) {
	if e.Wrap != KMSContext {
		b := make([]byte, dataKeySize)
		if _, err := rand.Read(b); err != nil {
			return d, err
		}
		d = dataKey(b)
		e.wrapped, err = wrapRaw(t.Key, d, e.cek)
		return d, err
	}
	if k == nil {
		return d, errors.New("cse: KMS is to wrap the data key, and was not given")
	}
	e.Description[contextCEK] = e.cek
	d, e.wrapped, err = k.GenerateDataKey(ctx, GenerateRequest{KeyID: t.KMSKeyID, Context: maps.Clone(e.Description)})
	if err == nil && (len(d.Bytes()) != dataKeySize || len(e.wrapped) == 0) {
		err = errors.New("cse: KMS answered without a data key of 32 bytes")
	}
	return d, err
}

// begin derives the content key.
func (e Envelope) begin(d DataKey) (*Upload, error) {
	nonce, aad := nonceV3, suite
	if e.Format == V3 {
		e.messageID = make([]byte, commitSize)
		if _, err := rand.Read(e.messageID); err != nil {
			return nil, err
		}
		var err error
		if _, e.commitment, err = commitment(d, e.messageID); err != nil {
			return nil, err
		}
	} else {
		e.iv, aad = make([]byte, ivGCM), ""
		if _, err := rand.Read(e.iv); err != nil {
			return nil, err
		}
		nonce = [ivGCM]byte(e.iv)
	}
	key, err := e.contentKey(d)
	if err != nil {
		return nil, err
	}
	t, err := newText(key, nonce, aad)
	if err != nil {
		return nil, err
	}
	return &Upload{envelope: e, text: t}, nil
}

// Envelope is what the object will have.
func (u *Upload) Envelope() Envelope { return u.envelope }

// Metadata is the user's own metadata with the new envelope, and without
// anything of an older one: readers refuse leftovers.
func (u *Upload) Metadata(user map[string]string) (map[string]string, error) {
	m := Without(user)
	if m == nil {
		m = map[string]string{}
	}
	maps.Copy(m, u.envelope.entries())
	if err := fits(m); err != nil {
		return nil, err
	}
	e, err := Parse(m)
	return m, Changes{want: u.envelope}.proved(e, err)
}

// Reupload says what bringing an object to a format (None: out of client-side
// encryption) would come to: it is there already, or is left for a reason, or
// neither. size is the object's. An instruction file would stay behind without
// an object that it belongs to; acceptFiles is that its owner knows.
func Reupload(e Envelope, size int64, to Format, acceptFiles bool) (already bool, reason object.Reason, message string) {
	var err error
	switch {
	case e.NeedsFile:
		return false, ReasonNoEnvelope, "the wrapped key belongs into an instruction file that is not there"
	case e.Format == to:
		return true, "", ""
	case e.InFile && !acceptFiles:
		return false, ReasonInstruction, "its envelope is in an instruction file, which readers would still find beside the new object"
	case e.Format != None:
		_, err = e.TextSize(size)
	}
	if err == nil && to != None && e.Content != GCM && size > maxText {
		err = tooLarge(size)
	}
	var r *Refusal
	if errors.As(err, &r) {
		return false, r.Reason, r.Message
	}
	return false, "", ""
}

// ObjectSize is the size of the object for a text of this size.
func ObjectSize(textSize int64) int64 { return textSize + tagSize }

// Part encrypts the text from offset on. All but the last have whole blocks of
// 16; dst may be src. It may be called from many goroutines, once for each byte:
// a part that is sent again is sent from dst, not encrypted again.
func (u *Upload) Part(dst, src []byte, offset int64) error {
	if len(src) == 0 {
		return nil
	}
	if len(dst) < len(src) {
		return fmt.Errorf("cse: %d bytes do not fit into %d", len(src), len(dst))
	}
	if err := u.text.claim(offset, len(src)); err != nil {
		return err
	}
	dst = dst[:len(src)]
	u.text.cross(dst, src, offset)
	u.text.add(offset, u.text.sum(dst))
	return nil
}

// Finish gives the tag, which ends the object, against the proof that the whole
// source was what it should be. Without it the object cannot be completed.
func (u *Upload) Finish(source Verified) ([]byte, error) {
	if !source.OK() {
		return nil, errors.New("cse: the source was not verified: abort this upload")
	}
	tag, err := u.text.tag(source.Size())
	if err != nil {
		return nil, err
	}
	return tag[:], nil
}
