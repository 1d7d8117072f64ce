package cse

import (
	"context"
	"errors"
	"maps"
	"strings"
)

// KMS is what this package asks of AWS KMS, or of what stands in for it. Each
// method sends one request; whether it is sent again after an error is the
// business of who implements it. Methods are safe for concurrent use.
//
// Two errors have a meaning here and are to be wrapped: ErrInvalidCiphertext and
// ErrIncorrectKey.
type KMS interface {
	ReEncrypt(ctx context.Context, r ReEncryptRequest) (ReEncryptReply, error)
	Decrypt(ctx context.Context, r DecryptRequest) (DataKey, error)
	Encrypt(ctx context.Context, r EncryptRequest) (wrapped []byte, err error)
	// GenerateDataKey asks for a key of 32 bytes (AES_256).
	GenerateDataKey(ctx context.Context, r GenerateRequest) (DataKey, []byte, error)
}

var (
	// ErrInvalidCiphertext is KMS's InvalidCiphertextException: the blob was
	// changed, or is under another encryption context.
	ErrInvalidCiphertext = errors.New("KMS: invalid ciphertext, or another encryption context")
	// ErrIncorrectKey is KMS's IncorrectKeyException: the blob is under another
	// key than the request names.
	ErrIncorrectKey = errors.New("KMS: the ciphertext is under another key")
)

// ReEncryptRequest asks KMS to put a blob under another key, and under another
// context where the two differ. Empty SourceKeyID: whatever key it is under.
type ReEncryptRequest struct {
	Wrapped                    []byte
	SourceKeyID, KeyID         string
	SourceContext, DestContext map[string]string
}

// ReEncryptReply is the new blob, and the keys by their ARNs. The IDs of the key
// material are empty where the service does not tell them.
type ReEncryptReply struct {
	Wrapped                            []byte
	SourceKeyID, KeyID                 string
	SourceKeyMaterialID, KeyMaterialID string
}

// DecryptRequest asks for the data key in a blob. Empty KeyID: any key.
type DecryptRequest struct {
	Wrapped []byte
	KeyID   string
	Context map[string]string
}

// EncryptRequest asks to wrap a data key that exists.
type EncryptRequest struct {
	Key     DataKey
	KeyID   string
	Context map[string]string
}

// GenerateRequest asks for a new data key.
type GenerateRequest struct {
	KeyID   string
	Context map[string]string
}

// Opener is what opens envelopes: KMS, with a key where only this one may, or a
// raw key.
type Opener struct {
	KMS      KMS
	KMSKeyID string
	Key      Key
}

// Unwrap gives the data key of the envelope. Of version 3 it compares the key
// with the commitment: a key that the object does not commit to is no key.
func (e Envelope) Unwrap(ctx context.Context, o Opener) (DataKey, error) {
	if e.Format == None || e.NeedsFile {
		return DataKey{}, refuse(ReasonNoEnvelope, "there is no wrapped key here")
	}
	d, err := e.open(ctx, o)
	if err != nil {
		return DataKey{}, err
	}
	if e.Format == V3 {
		if err := e.checkCommitment(d); err != nil {
			return DataKey{}, err
		}
	}
	return d, nil
}

func (e Envelope) open(ctx context.Context, o Opener) (DataKey, error) {
	if !e.Wrap.KMS() {
		return e.unwrapRaw(o.Key)
	}
	if o.KMS == nil {
		return DataKey{}, refuse(ReasonOtherWrap, "the data key is wrapped by KMS, which was not given")
	}
	var d DataKey
	var err error
	for _, c := range e.contexts() {
		d, err = o.KMS.Decrypt(ctx, DecryptRequest{Wrapped: e.wrapped, KeyID: o.KMSKeyID, Context: c})
		if !errors.Is(err, ErrInvalidCiphertext) {
			break
		}
	}
	if err == nil && !aesSize(len(d.Bytes())) {
		err = errors.New("cse: KMS answered without a data key")
	}
	return d, err
}

// contexts are the readings of the encryption context, the likelier first.
func (e Envelope) contexts() []map[string]string {
	if e.second != nil {
		return []map[string]string{e.Description, e.second}
	}
	return []map[string]string{e.Description}
}

// Entries are the user's own in the context or description of the envelope; nil where
// it is no JSON object of strings.
func (e Envelope) Entries() map[string]string { return userEntries(e.Description) }

// userEntries is a context or description without what the clients put in.
func userEntries(entries map[string]string) map[string]string {
	m := maps.Clone(entries)
	delete(m, contextCEK)
	delete(m, contextKeyID)
	return m
}

// SameKey says whether the ARN in an answer of KMS is that of the key that was asked for.
// What an alias stands for, only KMS knows.
func SameKey(asked, arn string) bool {
	switch {
	case strings.HasPrefix(asked, "alias/") || strings.Contains(asked, ":alias/"):
		return true
	case strings.HasPrefix(asked, "arn:"):
		return asked == arn
	}
	return arn == asked || strings.HasSuffix(arn, ":key/"+asked)
}
