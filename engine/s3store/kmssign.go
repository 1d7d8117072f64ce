package s3store

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"os"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/resealhq/reseal/engine/object"
)

// KMSSigner signs with an asymmetric key that never leaves KMS.
type KMSSigner struct {
	store     *Store
	client    *kms.Client
	key       string
	public    crypto.PublicKey
	algorithm types.SigningAlgorithmSpec
}

// signingAlgorithms are those that package evidence can check, the best first.
var signingAlgorithms = []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEcdsaSha256, types.SigningAlgorithmSpecRsassaPssSha256, types.SigningAlgorithmSpecRsassaPkcs1V15Sha256}

// Signer fetches the public half of a key by ID, ARN or alias (kms:GetPublicKey),
// and signs with it (kms:Sign). The key must sign SHA-256 digests.
func (s *Store) Signer(ctx context.Context, key string) (*KMSSigner, error) {
	if !s.aws && os.Getenv("AWS_ENDPOINT_URL_KMS") == "" {
		return nil, &object.Error{Op: "GetPublicKey", Class: object.ClassUnsupported, Message: "no KMS is known that holds the key " + key,
			Hint: "set AWS_ENDPOINT_URL_KMS, or sign with a local key", Err: ErrNoKMS}
	}
	k := &KMSSigner{store: s, key: key, client: s.kmsClient(key)}
	out, err := k.client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String(key)})
	if err != nil {
		return nil, s.kmsError(ctx, "GetPublicKey", key, err)
	}
	for _, a := range signingAlgorithms {
		if slices.Contains(out.SigningAlgorithms, a) {
			k.algorithm = a
			break
		}
	}
	if k.public, err = x509.ParsePKIXPublicKey(out.PublicKey); err != nil || k.algorithm == "" {
		return nil, &object.Error{Op: "GetPublicKey", Class: object.ClassKey, Message: "the KMS key " + key + " does not sign SHA-256 digests",
			Hint: "name an asymmetric key for signing, ECC_NIST_P256 or RSA"}
	}
	return k, nil
}

// Public is the key that checks the signatures.
func (k *KMSSigner) Public() crypto.PublicKey { return k.public }

// Sign signs the SHA-256 of a message.
func (k *KMSSigner) Sign(ctx context.Context, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	out, err := k.client.Sign(ctx, &kms.SignInput{KeyId: aws.String(k.key), Message: digest[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: k.algorithm})
	if err != nil {
		return nil, k.store.kmsError(ctx, "Sign", k.key, err)
	}
	return out.Signature, nil
}
