package cse

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
)

// Key is a raw wrapping key: AES, or RSA of which the public half suffices to
// wrap. It lives in memory only: every printed form (fmt, slog, JSON, text) is
// its fingerprint. The zero value means "no key".
//
// As an unexported field of something that is printed, fmt would find no method
// of it and follow a pointer to the material; it does not follow two.
type Key struct{ m **material }

func newKey(m material) Key {
	p := &m
	return Key{&p}
}

// material is nil where there is no key.
func (k Key) material() *material {
	if k.m == nil {
		return nil
	}
	return *k.m
}

type material struct {
	aes     []byte
	public  *rsa.PublicKey
	private *rsa.PrivateKey
}

// ParseKey reads the content of a key file: an AES key of 16, 24 or 32 raw bytes
// or their base64, or a PEM file with an RSA key. The error never quotes data.
func ParseKey(data []byte) (Key, error) {
	if trimmed := bytes.TrimSpace(data); bytes.HasPrefix(trimmed, []byte("-----BEGIN ")) {
		return parsePEM(trimmed)
	}
	decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(data)))
	isBase64, isRaw := err == nil && aesSize(len(decoded)), aesSize(len(data))
	switch {
	case isBase64 && isRaw && len(data) == dataKeySize:
		// 32 letters: a raw key of 32 bytes, or the base64 of 24.
		return Key{}, errors.New("this key file can be read as a raw key and as base64: write the base64 of the key, and a new line after it")
	case isBase64:
		return newKey(material{aes: decoded}), nil
	case isRaw:
		return newKey(material{aes: bytes.Clone(data)}), nil
	}
	return Key{}, errors.New("a wrapping key is 16, 24 or 32 raw bytes or their base64 (AES), or a PEM file with an RSA key")
}

func aesSize(n int) bool { return n == 16 || n == 24 || n == 32 }

func parsePEM(data []byte) (Key, error) {
	block, rest := pem.Decode(data)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return Key{}, errors.New("a PEM file with a wrapping key holds one RSA key and nothing else")
	}
	var parsed any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PUBLIC KEY":
		parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PUBLIC KEY":
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return Key{}, errors.New("a wrapping key in PEM is an RSA key without a passphrase: openssl rsa -in FILE writes it so")
	}
	if err != nil {
		return Key{}, errors.New("the PEM file does not hold an RSA key that can be read")
	}
	var m material
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		m = material{private: k, public: &k.PublicKey}
	case *rsa.PublicKey:
		m = material{public: k}
	default:
		return Key{}, errors.New("a wrapping key in PEM is an RSA key; this one is of another kind")
	}
	if m.public.Size() < 128 {
		return Key{}, errors.New("an RSA key of less than 1024 bits does not wrap a data key")
	}
	return newKey(m), nil
}

// IsZero is whether there is no key.
func (k Key) IsZero() bool { return k.m == nil }

// Wrap is the wrap of today's clients that such a key makes.
func (k Key) Wrap() Wrap {
	switch {
	case k.m == nil:
		return Keep
	case k.material().public != nil:
		return RSAOAEP
	}
	return AESGCM
}

// onlyPublic says whether the key wraps data keys and opens none.
func (k Key) onlyPublic() bool {
	m := k.material()
	return m != nil && m.public != nil && m.private == nil
}

// Fingerprint identifies the key to a person: its kind, and the first 8 bytes of
// the SHA-256 of the key, or of the public half of an RSA key.
func (k Key) Fingerprint() string {
	m := k.material()
	switch {
	case m == nil:
		return "no wrapping key"
	case m.public != nil:
		return fmt.Sprintf("wrapping-key:rsa-%d:%s", m.public.N.BitLen(), digest(x509.MarshalPKCS1PublicKey(m.public)))
	}
	return fmt.Sprintf("wrapping-key:aes-%d:%s", 8*len(m.aes), digest(m.aes))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// String is the fingerprint.
func (k Key) String() string { return k.Fingerprint() }

// GoString is the fingerprint.
func (k Key) GoString() string { return k.Fingerprint() }

// Format prints the fingerprint whatever the verb is.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.Fingerprint()) }

// LogValue is the fingerprint.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.Fingerprint()) }

// MarshalText is the fingerprint; there is no way back.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.Fingerprint()), nil }

// DataKey is the key of one object's content. No printed form tells anything of
// it.
type DataKey struct {
	hidden
	k *string // which fmt never follows, unlike a pointer to a slice
}

func dataKey(b []byte) DataKey {
	s := string(b)
	return DataKey{k: &s}
}

// NewDataKey takes what KMS decrypted or generated.
func NewDataKey(b []byte) (DataKey, error) {
	if !aesSize(len(b)) {
		return DataKey{}, fmt.Errorf("cse: a data key has 16, 24 or 32 bytes, not %d", len(b))
	}
	return dataKey(b), nil
}

// Bytes is the material. Only whoever asks KMS to encrypt it calls this.
func (d DataKey) Bytes() []byte {
	if d.k == nil {
		return nil
	}
	return []byte(*d.k)
}

// hidden keeps what embeds it from being printed.
type hidden struct{}

const hiddenText = "(not printed: holds key material)"

// String tells nothing.
func (hidden) String() string { return hiddenText }

// GoString tells nothing.
func (hidden) GoString() string { return hiddenText }

// Format tells nothing, whatever the verb is.
func (hidden) Format(f fmt.State, _ rune) { fmt.Fprint(f, hiddenText) }

// LogValue tells nothing.
func (hidden) LogValue() slog.Value { return slog.StringValue(hiddenText) }

// MarshalText tells nothing.
func (hidden) MarshalText() ([]byte, error) { return []byte(hiddenText), nil }
