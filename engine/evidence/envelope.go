package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
)

// payloadType is the media type of an in-toto statement in a DSSE envelope.
const payloadType = "application/vnd.in-toto+json"

// envelope is a DSSE envelope, https://github.com/secure-systems-lab/dsse.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// Signer signs evidence: a local Ed25519 key, or a key in KMS.
type Signer interface {
	// Public is the key that checks the signatures: *ecdsa.PublicKey, *rsa.PublicKey
	// (PKCS #1 v1.5 or PSS, with SHA-256) or ed25519.PublicKey.
	Public() crypto.PublicKey
	// Sign signs the message itself under Ed25519, its SHA-256 otherwise.
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// Local signs with a key that is at hand.
type Local struct{ key ed25519.PrivateKey }

// ParseLocal reads an Ed25519 key as `openssl genpkey -algorithm ed25519` writes it.
func ParseLocal(pemFile []byte) (*Local, error) {
	block, _ := pem.Decode(pemFile)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("it holds no PEM block PRIVATE KEY; make one with `openssl genpkey -algorithm ed25519`")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its private key cannot be read") // the cause might quote it
	}
	if k, ok := key.(ed25519.PrivateKey); ok {
		return &Local{key: k}, nil
	}
	return nil, fmt.Errorf("it holds a %T; an Ed25519 key is wanted, as `openssl genpkey -algorithm ed25519` makes it", key)
}

// Public implements Signer.
func (l *Local) Public() crypto.PublicKey { return l.key.Public() }

// Sign implements Signer.
func (l *Local) Sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(l.key, message), nil
}

// String names the public key, so that the private one is in no log.
func (l *Local) String() string { return "ed25519 " + keyID(l.Public()) }

// GoString is String.
func (l *Local) GoString() string { return l.String() }

// toSign is DSSE's pre-authentication encoding: what is signed.
func toSign(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// keyID is the SHA-256 of the key's SubjectPublicKeyInfo, in hex.
func keyID(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func publicPEM(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ParsePublic reads a public key in PEM, as `openssl pkey -pubout` writes it.
func ParsePublic(pemFile []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(pemFile)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("it holds no PEM block PUBLIC KEY")
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

// seal signs a statement.
func seal(ctx context.Context, statement []byte, s Signer) (sealed []byte, sig []byte, err error) {
	sig, err = s.Sign(ctx, toSign(statement))
	if err != nil {
		return nil, nil, fmt.Errorf("signing the evidence: %w", err)
	}
	if err := verifySignature(s.Public(), toSign(statement), sig); err != nil {
		return nil, nil, fmt.Errorf("signing the evidence: the signature that was given does not fit the key: %w", err)
	}
	e := envelope{PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(statement),
		Signatures: []signature{{KeyID: keyID(s.Public()), Sig: base64.StdEncoding.EncodeToString(sig)}}}
	sealed, err = json.MarshalIndent(&e, "", "  ")
	return append(sealed, '\n'), sig, err
}

// open gives the statement of an envelope that the key signed. What could be
// written in another way and mean the same is refused, so that every bit counts.
func open(sealed []byte, key crypto.PublicKey) (statement, sig []byte, err error) {
	var e envelope
	if err := json.Unmarshal(sealed, &e); err != nil {
		return nil, nil, fmt.Errorf("it is no envelope: %w", err)
	}
	same, err := json.MarshalIndent(&e, "", "  ")
	if err != nil || !bytes.Equal(append(same, '\n'), sealed) {
		return nil, nil, errors.New("it is not written as envelopes are here")
	}
	if e.PayloadType != payloadType || len(e.Signatures) != 1 || e.Signatures[0].KeyID != keyID(key) {
		return nil, nil, errors.New("it holds no statement that this key signed")
	}
	if statement, err = strictBase64(e.Payload); err != nil {
		return nil, nil, err
	}
	if sig, err = strictBase64(e.Signatures[0].Sig); err != nil {
		return nil, nil, err
	}
	return statement, sig, verifySignature(key, toSign(statement), sig)
}

func strictBase64(s string) ([]byte, error) {
	return base64.StdEncoding.Strict().DecodeString(s)
}

var errSignature = errors.New("the signature is not that of the key over these bytes")

func verifySignature(key crypto.PublicKey, message, sig []byte) error {
	digest := sha256.Sum256(message)
	ok := false
	switch k := key.(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, message, sig)
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(k, digest[:], sig)
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], sig) == nil ||
			rsa.VerifyPSS(k, crypto.SHA256, digest[:], sig, nil) == nil
	default:
		return fmt.Errorf("no signature can be checked with a %T", key)
	}
	if !ok {
		return errSignature
	}
	return nil
}
