package kms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// keyMaterial is one generation of a key: what its ciphertexts are sealed with.
type keyMaterial struct {
	id   string // 64 hexadecimal digits
	made time.Time
	aead cipher.AEAD
}

func (f *masterKey) current() keyMaterial { return f.materials[len(f.materials)-1] }

// rotate gives the key new material; what is sealed with older ones stays
// readable.
func (f *masterKey) rotate(now time.Time) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // 32 bytes: cannot happen
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	id := sha256.Sum256(secret)
	f.materials = append(f.materials, keyMaterial{hex.EncodeToString(id[:]), now, aead})
}

// A ciphertext names its key and its material, so that Decrypt needs no key ID.
//
//	"s3test-kms" 0 key ID 0 material ID 0 nonce, sealed text; the encryption context is bound to it
const sealedMark = "s3test-kms\x00"

func (f *masterKey) seal(plaintext []byte, context map[string]string) []byte {
	m := f.current()
	nonce := make([]byte, m.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	head := sealedMark + f.ID + "\x00" + m.id + "\x00"
	return m.aead.Seal(append([]byte(head), nonce...), nonce, plaintext, bound(context))
}

// bound is the context in one form, whatever its order; none and empty are one.
func bound(context map[string]string) []byte {
	if len(context) == 0 {
		return nil
	}
	b, err := json.Marshal(context) // sorts the names
	if err != nil {
		panic(err) // a map of strings: cannot happen
	}
	return b
}

func errCiphertext() *Error { return fail(http.StatusBadRequest, "InvalidCiphertextException", "") }

// open finds key, material and text of a ciphertext.
// REQUIRES: k.mu.
func (k *Service) open(blob []byte, context map[string]string) (f *masterKey, m keyMaterial, text []byte, err *Error) {
	rest, ok := strings.CutPrefix(string(blob), sealedMark)
	parts := strings.SplitN(rest, "\x00", 3)
	if !ok || len(parts) != 3 {
		return nil, m, nil, errCiphertext()
	}
	if f = k.mu.keys[parts[0]]; f == nil {
		return nil, m, nil, errCiphertext()
	}
	for _, m = range f.materials {
		n := m.aead.NonceSize()
		if m.id != parts[1] || len(parts[2]) < n {
			continue
		}
		text, bad := m.aead.Open(nil, []byte(parts[2][:n]), []byte(parts[2][n:]), bound(context))
		if bad != nil {
			return f, m, nil, errCiphertext()
		}
		return f, m, text, nil
	}
	return f, m, nil, errCiphertext()
}

// source is the key and the text of a ciphertext that a client sent. The key that
// it names must be the right one; with a dry run that ignores the ciphertext, it
// is all that there is.
// REQUIRES: k.mu.
func (k *Service) source(in *request, op, named string, context map[string]string) (f *masterKey, m keyMaterial, text []byte, err *Error) {
	var asked *masterKey
	if named != "" {
		if asked = k.in(in.region, named); asked == nil {
			return nil, m, nil, fail(http.StatusBadRequest, "NotFoundException", notFound(in.region, k.account, named))
		}
	}
	if in.ignoresCiphertext() {
		if asked == nil {
			return nil, m, nil, fail(http.StatusBadRequest, "ValidationException", "A key is needed where the ciphertext is ignored.")
		}
		return asked, asked.current(), nil, asked.usable(op)
	}
	f, m, text, err = k.open(in.CiphertextBlob, context)
	switch {
	case f != nil && asked != nil && asked != f:
		return f, m, nil, fail(http.StatusBadRequest, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	case f != nil && f.Region != in.region:
		return nil, m, nil, errCiphertext()
	case f != nil:
		if e := f.usable(op); e != nil { // told before what is wrong with the ciphertext
			return f, m, nil, e
		}
	}
	return f, m, text, err
}

// done ends an operation: it is written down, counts as the key's last use, and is
// answered unless it was a dry run.
// REQUIRES: k.mu.
func (k *Service) done(in *request, op string, f *masterKey, name string, context map[string]string, err *Error) *Error {
	if f != nil {
		name = f.arn
	}
	k.note(Call{Op: op, Key: name, Context: context, DryRun: in.DryRun, Code: codeOf(err)})
	switch {
	case err != nil:
		return err
	case in.DryRun:
		return fail(http.StatusPreconditionFailed, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
	}
	f.used = keyUse{op: in.op, request: in.id, at: k.now().UTC()}
	return nil
}

const symmetric = "SYMMETRIC_DEFAULT"

// target is the key that a client wants something sealed under.
// REQUIRES: k.mu.
func (k *Service) target(in *request, op, name string) (*masterKey, *Error) {
	f := k.in(in.region, name)
	if f == nil {
		return nil, fail(http.StatusBadRequest, "NotFoundException", notFound(in.region, k.account, name))
	}
	return f, f.usable(op)
}

func (k *Service) encrypt(in *request) (map[string]any, *Error) {
	f, err := k.target(in, in.op, in.KeyId)
	if n := len(in.Plaintext); err == nil && (n == 0 || n > 4096) {
		err = fail(http.StatusBadRequest, "ValidationException", "The plaintext must have 1 to 4096 bytes.")
	}
	if err = k.done(in, in.op, f, in.KeyId, in.EncryptionContext, err); err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": f.arn, "CiphertextBlob": f.seal(in.Plaintext, in.EncryptionContext), "EncryptionAlgorithm": symmetric}, nil
}

func (k *Service) decrypt(in *request) (map[string]any, *Error) {
	f, m, text, err := k.source(in, in.op, in.KeyId, in.EncryptionContext)
	if err = k.done(in, in.op, f, in.KeyId, in.EncryptionContext, err); err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": f.arn, "Plaintext": text, "KeyMaterialId": m.id, "EncryptionAlgorithm": symmetric}, nil
}

func (k *Service) generateDataKey(in *request) (map[string]any, *Error) {
	f, err := k.target(in, in.op, in.KeyId)
	n := map[string]int{"AES_256": 32, "AES_128": 16, "": in.NumberOfBytes}[in.KeySpec]
	if err == nil && (n < 1 || n > 1024 || in.KeySpec != "" && in.NumberOfBytes != 0) {
		err = fail(http.StatusBadRequest, "ValidationException", "Please specify either number of bytes or key spec.")
	}
	if err = k.done(in, in.op, f, in.KeyId, in.EncryptionContext, err); err != nil {
		return nil, err
	}
	text := make([]byte, n)
	_, _ = rand.Read(text) // never fails
	return map[string]any{"KeyId": f.arn, "Plaintext": text, "CiphertextBlob": f.seal(text, in.EncryptionContext), "KeyMaterialId": f.current().id}, nil
}

// reEncrypt seals the text of a ciphertext under another key without showing it.
// It needs kms:ReEncryptFrom on the one key and kms:ReEncryptTo on the other.
func (k *Service) reEncrypt(in *request) (map[string]any, *Error) {
	from, m, text, err := k.source(in, "ReEncryptFrom", in.SourceKeyId, in.SourceEncryptionContext)
	if err != nil {
		return nil, k.done(in, in.op, from, in.SourceKeyId, in.SourceEncryptionContext, err)
	}
	to, err := k.target(in, "ReEncryptTo", in.DestinationKeyId)
	if err = k.done(in, in.op, to, in.DestinationKeyId, in.DestinationEncryptionContext, err); err != nil {
		return nil, err
	}
	from.used = to.used
	return map[string]any{"KeyId": to.arn, "SourceKeyId": from.arn, "CiphertextBlob": to.seal(text, in.DestinationEncryptionContext),
		"SourceKeyMaterialId": m.id, "DestinationKeyMaterialId": to.current().id,
		"SourceEncryptionAlgorithm": symmetric, "DestinationEncryptionAlgorithm": symmetric}, nil
}
