package s3store

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// KMSWraps asks KMS about the wraps of data keys. Each method sends one request, and
// its errors are *object.Error that wrap what package cse has a meaning for.
type KMSWraps struct {
	store *Store
	mu    sync.Mutex
	// clients by the region of a key.
	clients map[string]*kms.Client
}

// KMSWraps is the KMS of the store's account; an error where none can be asked.
func (s *Store) KMSWraps() (*KMSWraps, error) {
	if !s.aws && os.Getenv("AWS_ENDPOINT_URL_KMS") == "" {
		return nil, &object.Error{Op: "ReEncrypt", Class: object.ClassUnsupported, Message: "the endpoint is not AWS's, and no KMS of its own is known",
			Hint: "set AWS_ENDPOINT_URL_KMS", Err: ErrNoKMS}
	}
	return &KMSWraps{store: s, clients: map[string]*kms.Client{}}, nil
}

// Encrypted says whether the requests travel over TLS. Whole data keys are in some.
func (k *KMSWraps) Encrypted() bool {
	endpoint := k.client("").Options().BaseEndpoint
	return !strings.HasPrefix(strings.ToLower(aws.ToString(endpoint)), "http://")
}

func (k *KMSWraps) client(key string) *kms.Client {
	region := regionOfKey(key, "")
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.clients[region]
	if c == nil {
		c = k.store.kmsClient(key)
		k.clients[region] = c
	}
	return c
}

func (k *KMSWraps) failed(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	var wrong *types.IncorrectKeyException
	var invalid *types.InvalidCiphertextException
	failed := k.store.kmsError(ctx, op, key, err)
	e, _ := errors.AsType[*object.Error](failed)
	switch {
	case errors.As(err, &wrong):
		e.Class, e.Err = object.ClassInvalid, cse.ErrIncorrectKey
	case errors.As(err, &invalid):
		e.Class, e.Err = object.ClassInvalid, cse.ErrInvalidCiphertext
		e.Message = "KMS does not open the wrapped data key under this encryption context: the envelope was changed, or is another object's"
		e.Hint = "restore the object's metadata from a version or a backup"
	}
	return failed
}

// notWhole: the answer is a success, and something of it is missing.
func notWhole(op string) error {
	return &object.Error{Class: object.ClassTransient, Op: op, Message: "the answer of KMS is not whole"}
}

// byAsked looks at a success: whether it is whole, and of the key that was asked for,
// where one was. What another key did is no success.
func byAsked(op, asked string, key *string, whole bool) error {
	switch {
	case !whole || key == nil:
		return notWhole(op)
	case asked != "" && !cse.SameKey(asked, *key):
		return &object.Error{Class: object.ClassInvalid, Op: op, Message: "KMS was asked for the key " + asked + " and answered with " + object.Cut(*key, object.MaxMessage),
			Hint: "look at what answers at AWS_ENDPOINT_URL_KMS; nothing was written under that key"}
	}
	return nil
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// ReEncrypt is one request of that name.
func (k *KMSWraps) ReEncrypt(ctx context.Context, r cse.ReEncryptRequest) (cse.ReEncryptReply, error) {
	out, err := k.client(r.KeyID).ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: r.Wrapped, SourceKeyId: given(r.SourceKeyID), DestinationKeyId: &r.KeyID,
		SourceEncryptionContext: r.SourceContext, DestinationEncryptionContext: r.DestContext})
	if err != nil {
		return cse.ReEncryptReply{}, k.failed(ctx, "ReEncrypt", r.KeyID, err)
	}
	if len(out.CiphertextBlob) == 0 || out.KeyId == nil || out.SourceKeyId == nil {
		return cse.ReEncryptReply{}, notWhole("ReEncrypt")
	}
	return cse.ReEncryptReply{Wrapped: out.CiphertextBlob, SourceKeyID: aws.ToString(out.SourceKeyId), KeyID: aws.ToString(out.KeyId),
		SourceKeyMaterialID: aws.ToString(out.SourceKeyMaterialId), KeyMaterialID: aws.ToString(out.DestinationKeyMaterialId)}, nil
}

// Decrypt is one request of that name.
func (k *KMSWraps) Decrypt(ctx context.Context, r cse.DecryptRequest) (cse.DataKey, error) {
	out, err := k.client(r.KeyID).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: r.Wrapped, KeyId: given(r.KeyID), EncryptionContext: r.Context})
	if err != nil {
		return cse.DataKey{}, k.failed(ctx, "Decrypt", r.KeyID, err)
	}
	defer clear(out.Plaintext)
	if err := byAsked("Decrypt", r.KeyID, out.KeyId, len(out.Plaintext) > 0); err != nil {
		return cse.DataKey{}, err
	}
	return cse.NewDataKey(out.Plaintext)
}

// Encrypt is one request of that name.
func (k *KMSWraps) Encrypt(ctx context.Context, r cse.EncryptRequest) ([]byte, error) {
	out, err := k.client(r.KeyID).Encrypt(ctx, &kms.EncryptInput{Plaintext: r.Key.Bytes(), KeyId: &r.KeyID, EncryptionContext: r.Context})
	if err != nil {
		return nil, k.failed(ctx, "Encrypt", r.KeyID, err)
	}
	if err := byAsked("Encrypt", r.KeyID, out.KeyId, len(out.CiphertextBlob) > 0); err != nil {
		return nil, err
	}
	return out.CiphertextBlob, nil
}

// GenerateDataKey is one request of that name, for a key of 32 bytes.
func (k *KMSWraps) GenerateDataKey(ctx context.Context, r cse.GenerateRequest) (cse.DataKey, []byte, error) {
	out, err := k.client(r.KeyID).GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &r.KeyID, KeySpec: types.DataKeySpecAes256, EncryptionContext: r.Context})
	if err != nil {
		return cse.DataKey{}, nil, k.failed(ctx, "GenerateDataKey", r.KeyID, err)
	}
	defer clear(out.Plaintext)
	if err := byAsked("GenerateDataKey", r.KeyID, out.KeyId, len(out.Plaintext) > 0 && len(out.CiphertextBlob) > 0); err != nil {
		return cse.DataKey{}, nil, err
	}
	d, err := cse.NewDataKey(out.Plaintext)
	return d, out.CiphertextBlob, err
}

// ErrWouldDecrypt is what a dry run answers that would have been done.
var ErrWouldDecrypt = errors.New("KMS would open it with this key")

// Dry is a KMS whose Decrypt opens nothing: it answers with ErrWouldDecrypt where the key
// would, and with an error that wraps cse.ErrIncorrectKey where another key wraps it.
func (k *KMSWraps) Dry() cse.KMS { return dryKMS{k} }

type dryKMS struct{ *KMSWraps }

// Decrypt asks whether it would be done (DryRun).
func (d dryKMS) Decrypt(ctx context.Context, r cse.DecryptRequest) (cse.DataKey, error) {
	out, err := d.client(r.KeyID).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: r.Wrapped, KeyId: given(r.KeyID), EncryptionContext: r.Context, DryRun: aws.Bool(true)})
	var would *types.DryRunOperationException
	switch {
	case err == nil: // a KMS that knows no dry runs
		clear(out.Plaintext)
		err = ErrWouldDecrypt
	case errors.As(err, &would):
		err = ErrWouldDecrypt
	default:
		err = d.failed(ctx, "Decrypt", r.KeyID, err)
	}
	return cse.DataKey{}, err
}
