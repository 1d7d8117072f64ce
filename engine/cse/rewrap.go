package cse

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/resealhq/reseal/engine/object"
)

// Action is how a data key comes under its new wrap.
type Action uint8

// The actions.
const (
	// Leave: nothing is done; the decision has a reason.
	Leave Action = iota
	// ReEncrypt: one request to KMS. The data key never leaves it.
	ReEncrypt
	// Rewrap: the data key is opened and wrapped again in this process.
	Rewrap
)

// Decision is what a rewrap does to one object.
type Decision struct {
	Action  Action
	Reason  object.Reason // with Leave
	Message string        // with Leave, for a person
	// Decrypt and Encrypt are set where KMS is asked so: permissions that a
	// ReEncrypt does without.
	Decrypt, Encrypt bool

	envelope Envelope
	target   Target
	to       Wrap
}

// Decide looks at nothing but its arguments.
//
//	object                | keep                     | kms+context            | aes-gcm, rsa-oaep
//	v1; v2 AESWrap, OAEP-SHA256 | left: legacy-wrap  | left: legacy-wrap      | left: legacy-wrap
//	v2 kms, AES-GCM       | ReEncrypt, kms_cmk_id    | ReEncrypt, upgraded    | Decrypt, wrap
//	v2 kms, AES-CBC       | ReEncrypt, kms_cmk_id    | left: cbc-content      | left: cbc-content
//	v2, v3 kms+context    | ReEncrypt                | ReEncrypt              | Decrypt, wrap
//	v2, v3 AES/GCM or RSA | open, wrap               | open, Encrypt          | open, wrap
//
// An object whose wrap the given key cannot make is left (other-wrap), and so is
// one whose KMS context would have to change (context-kept). Whether the object
// is under the wanted key already, only the answer tells: see Do.
func Decide(e Envelope, t Target) (Decision, error) {
	if err := t.validate(); err != nil {
		return Decision{}, err
	}
	d := Decision{envelope: e, target: t, to: t.Wrap}
	if d.to == Keep {
		d.to = e.Wrap
	}
	if reason, message := d.leave(); reason != "" {
		return Decision{Reason: reason, Message: message, envelope: e}, nil
	}
	if e.Wrap.KMS() && d.to.KMS() {
		d.Action = ReEncrypt
		return d, nil
	}
	d.Action, d.Decrypt, d.Encrypt = Rewrap, e.Wrap.KMS(), d.to.KMS()
	return d, nil
}

func (d Decision) leave() (object.Reason, string) {
	e, t := d.envelope, d.target
	switch {
	case e.Format == None:
		return ReasonNoEnvelope, "no envelope: the object was not encrypted by a client, or its instruction file is gone"
	case e.NeedsFile:
		return ReasonNoEnvelope, "the wrapped key belongs into an instruction file that is not there"
	case e.Format == V1 || !e.Wrap.Current() && !e.Wrap.KMS():
		return ReasonLegacyWrap, "no client should write the wrap " + e.Wrap.String() + " any more: bring the object to version 3 (--client-side v3)"
	case e.Content == CBC && d.to != e.Wrap:
		return ReasonCBC, "readers know AES-CBC under the wrap " + e.Wrap.String() + " only: keep the wrap, or bring the object to version 3 (--client-side v3)"
	case !t.hasKeyFor(d.to):
		return ReasonOtherWrap, "the wrap is to be " + d.to.String() + ", for which no key was given"
	case !e.Wrap.KMS() && t.SourceKey.IsZero() && t.Key.IsZero():
		return ReasonOtherWrap, "the data key is under a raw key: give it by --source-cse-key-file"
	case e.Wrap.KMS() && t.Entries != nil && !maps.Equal(t.Entries, userEntries(e.Description)):
		return ReasonContextKept, "the context has other entries, and readers compare them: bring the object to version 3 (--client-side v3) with the new ones"
	case d.to != e.Wrap && e.Description == nil && t.Entries == nil:
		return ReasonContextKept, "the material description is no JSON object of texts, which the new wrap wants: bring the object to version 3 (--client-side v3) with one (--cse-context)"
	}
	return "", ""
}

// entries are those of the new envelope, from a reading of the old ones.
func (d Decision) entries(old map[string]string) map[string]string {
	e, t := d.envelope, d.target
	if d.to == KMSLegacy {
		m := maps.Clone(old)
		m[contextKeyID] = t.KMSKeyID
		return m
	}
	if d.to == e.Wrap && (d.to.KMS() || t.Entries == nil) {
		return old // to the byte
	}
	m := userEntries(old)
	if t.Entries != nil {
		m = maps.Clone(t.Entries)
	}
	if m == nil {
		m = map[string]string{}
	}
	if d.to == KMSContext {
		m[contextCEK] = e.cek
	}
	return m
}

// Result is what came of a decision: the object is as wanted already, or the
// changes make it so.
type Result struct {
	Already bool
	// Older: it is under the KMS key, by material of it that is not the current one, and the
	// changes renew it.
	Older   bool
	Changes Changes
	// SourceKey and Key are the ARNs of the KMS keys, or the fingerprints of the
	// raw ones; for the report.
	SourceKey, Key string
}

// Do asks KMS, or opens and wraps. It changes nothing outside: the caller writes
// the changes. A Refusal leaves the object; another error fails it.
func (d Decision) Do(ctx context.Context, k KMS) (Result, error) {
	switch {
	case d.Action == Leave:
		return Result{}, refuse(d.Reason, d.Message)
	case k == nil && (d.Action == ReEncrypt || d.Decrypt || d.Encrypt):
		return Result{}, errors.New("cse: KMS is needed, and was not given")
	case d.Action == ReEncrypt:
		return d.reEncrypt(ctx, k)
	}
	return d.rewrap(ctx, k)
}

func (d Decision) reEncrypt(ctx context.Context, k KMS) (Result, error) {
	e, t := d.envelope, d.target
	reply, entries, err := d.ask(ctx, k, t.SourceKMSKeyID)
	switch {
	case errors.Is(err, ErrIncorrectKey) && t.SourceKMSKeyID != "":
		return d.otherwise(ctx, k)
	case err != nil:
		return Result{}, err
	}
	r := Result{SourceKey: reply.SourceKeyID, Key: reply.KeyID}
	if r.Already = d.to == e.Wrap && reply.already(); !r.Already {
		r.Older = d.to == e.Wrap && reply.SourceKeyID == reply.KeyID
		r.Changes = e.rewrapped(d.to, reply.Wrapped, entries)
	}
	return r, nil
}

// ask has KMS put the data key under the new key, from this one or, where it is empty,
// from whatever it is under. The entries are those of the new envelope.
func (d Decision) ask(ctx context.Context, k KMS, from string) (reply ReEncryptReply, entries map[string]string, err error) {
	e, t := d.envelope, d.target
	for _, source := range e.contexts() {
		entries = d.entries(source)
		reply, err = k.ReEncrypt(ctx, ReEncryptRequest{Wrapped: e.wrapped, SourceKeyID: from, KeyID: t.KMSKeyID,
			SourceContext: maps.Clone(source), DestContext: maps.Clone(entries)})
		if !errors.Is(err, ErrInvalidCiphertext) {
			break
		}
	}
	if err == nil && (len(reply.Wrapped) == 0 || len(reply.Wrapped) > maxWrapped || reply.SourceKeyID == "" || !SameKey(t.KMSKeyID, reply.KeyID)) {
		err = fmt.Errorf("cse: KMS was asked for the key %s and answered with %q", t.KMSKeyID, reply.KeyID)
	}
	return reply, entries, err
}

// otherwise is for a data key that is not under the key whose alone were asked for. It
// may be under the new one: a job that was interrupted finds its own work so, the row of
// an object what was done for that of its instruction file, and verify everything.
func (d Decision) otherwise(ctx context.Context, k KMS) (Result, error) {
	t := d.target
	other := "wrapped by another key than " + t.SourceKMSKeyID
	if d.to != d.envelope.Wrap {
		return Result{}, refuse(ReasonOtherKey, other)
	}
	reply, _, err := d.ask(ctx, k, t.KMSKeyID)
	switch {
	case errors.Is(err, ErrIncorrectKey):
		return Result{}, refuse(ReasonOtherKey, other)
	case object.ClassOf(err) == object.ClassDenied:
		return Result{}, refuse(ReasonOtherKey, other+"; whether it is under "+t.KMSKeyID+" already may not be asked: allow kms:ReEncryptFrom on that key")
	case err != nil:
		return Result{}, err
	}
	return Result{Already: true, SourceKey: reply.SourceKeyID, Key: reply.KeyID}, nil
}

// already is the same key and the same material of it. Where the service does
// not tell the material, the key has to do: else no second run would end.
func (r ReEncryptReply) already() bool {
	return r.SourceKeyID == r.KeyID && (r.SourceKeyMaterialID == r.KeyMaterialID || r.SourceKeyMaterialID == "" || r.KeyMaterialID == "")
}

func (d Decision) rewrap(ctx context.Context, k KMS) (Result, error) {
	e, t := d.envelope, d.target
	entries := d.entries(e.Description)
	if !e.Wrap.KMS() && d.to == e.Wrap && maps.Equal(entries, e.Description) {
		if _, err := e.Unwrap(ctx, Opener{Key: t.Key}); err == nil {
			return Result{Already: true, SourceKey: t.Key.Fingerprint(), Key: t.Key.Fingerprint()}, nil
		}
	}
	source := t.SourceKey
	if source.IsZero() {
		source = t.Key
	}
	dk, err := e.Unwrap(ctx, Opener{KMS: k, KMSKeyID: t.SourceKMSKeyID, Key: source})
	if err != nil && e.Wrap == RSAOAEP && d.to == RSAOAEP && t.Key.onlyPublic() {
		return Result{}, refuse(ReasonOtherWrap, "the data key is wrapped by an RSA key, and a public key does not tell whether that is the wanted one: give the private key")
	}
	switch {
	case errors.Is(err, ErrWrongKey), errors.Is(err, ErrIncorrectKey) && t.SourceKMSKeyID != "":
		return Result{}, refuse(ReasonOtherKey, "the given key does not open this envelope")
	case err != nil:
		return Result{}, err
	}
	r := Result{SourceKey: t.SourceKMSKeyID, Key: t.Key.Fingerprint()}
	if !e.Wrap.KMS() {
		r.SourceKey = source.Fingerprint()
	}
	var wrapped []byte
	if d.to.KMS() {
		r.Key = t.KMSKeyID
		wrapped, err = k.Encrypt(ctx, EncryptRequest{Key: dk, KeyID: t.KMSKeyID, Context: maps.Clone(entries)})
	} else {
		wrapped, err = wrapRaw(t.Key, dk, e.cek)
	}
	if err == nil && (len(wrapped) == 0 || len(wrapped) > maxWrapped) {
		err = errors.New("cse: KMS answered without a wrapped key")
	}
	if err != nil {
		return Result{}, err
	}
	r.Changes = e.rewrapped(d.to, wrapped, entries)
	return r, nil
}
