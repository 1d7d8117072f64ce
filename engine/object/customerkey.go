package object

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
)

// CustomerKey is an SSE-C key. It lives in memory only: every printed form
// (fmt, slog, JSON, text) is its fingerprint, and no exported field or method
// but Base64 gives the material away. The zero value means "no key".
//
// Within a struct of whose unexported fields it is one, fmt finds none of its
// methods; it then follows pointers to arrays, slices and structs under a verb
// that it does not know, but never a pointer to a string.
type CustomerKey struct{ k *string }

// ParseCustomerKey reads the content of a key file: 32 raw bytes, or their
// base64 with optional surrounding white space. The error never quotes data.
func ParseCustomerKey(data []byte) (CustomerKey, error) {
	raw := data
	if len(raw) != 32 {
		trimmed := trimSpace(data)
		dec := make([]byte, base64.StdEncoding.DecodedLen(len(trimmed)))
		n, err := base64.StdEncoding.Decode(dec, trimmed)
		if err != nil || n != 32 {
			return CustomerKey{}, errors.New("a customer key is 32 raw bytes, or the base64 of 32 bytes")
		}
		raw = dec[:n]
	}
	k := string(raw)
	return CustomerKey{&k}, nil
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\r' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\n' || b[len(b)-1] == '\r' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// IsZero is whether there is no key.
func (c CustomerKey) IsZero() bool { return c.k == nil }

// Equal compares the keys themselves.
func (c CustomerKey) Equal(d CustomerKey) bool {
	if c.k == nil || d.k == nil {
		return c.k == d.k
	}
	return *c.k == *d.k
}

// Base64 is the material as the request headers carry it. Only the packages
// that build requests call it, and they send it over TLS only.
func (c CustomerKey) Base64() string { return base64.StdEncoding.EncodeToString([]byte(*c.k)) }

// MD5 is the base64 MD5 that accompanies the key in a request and that HEAD
// shows again; empty for no key.
func (c CustomerKey) MD5() string {
	if c.k == nil {
		return ""
	}
	sum := md5.Sum([]byte(*c.k))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Fingerprint identifies the key to a person: the first 8 bytes of its SHA-256
// in hex. It cannot be turned back into the key.
func (c CustomerKey) Fingerprint() string {
	if c.k == nil {
		return "no customer key"
	}
	sum := sha256.Sum256([]byte(*c.k))
	return "customer-key:" + hex.EncodeToString(sum[:8])
}

// String is the fingerprint.
func (c CustomerKey) String() string { return c.Fingerprint() }

// GoString is the fingerprint.
func (c CustomerKey) GoString() string { return c.Fingerprint() }

// Format prints the fingerprint whatever the verb is.
func (c CustomerKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.Fingerprint()) }

// LogValue is the fingerprint.
func (c CustomerKey) LogValue() slog.Value { return slog.StringValue(c.Fingerprint()) }

// MarshalText is the fingerprint; there is no way back.
func (c CustomerKey) MarshalText() ([]byte, error) { return []byte(c.Fingerprint()), nil }
