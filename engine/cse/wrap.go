package cse

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// ErrWrongKey is the answer of a wrapping key that did not wrap this data key, or
// of a wrapped key that was changed; which of the two, nobody can tell.
var ErrWrongKey = errors.New("the wrapping key does not open this envelope")

// unwrapRaw opens the envelope with a raw key.
func (e Envelope) unwrapRaw(k Key) (DataKey, error) {
	rsaWrap := e.Wrap == RSAOAEP || e.Wrap == RSAOAEP256 || e.Wrap == RSAPKCS1
	if k.IsZero() || rsaWrap != (k.material().public != nil) {
		return DataKey{}, refuse(ReasonOtherWrap, "the data key is wrapped by "+e.Wrap.String()+", which the given key cannot open")
	}
	m := k.material()
	if rsaWrap && m.private == nil {
		return DataKey{}, refuse(ReasonOtherWrap, "a public key wraps data keys and opens none: give the private key")
	}
	var plain []byte
	var err error
	switch e.Wrap {
	case AESGCM:
		plain, err = openGCM(m.aes, e.wrapped, e.cek)
	case AESECB:
		plain, err = openECB(m.aes, e.wrapped)
	case AESWrap:
		plain, err = openAESWrap(m.aes, e.wrapped)
	case RSAOAEP:
		plain, err = openOAEP(m.private, e.wrapped, e.cek)
	case RSAPKCS1:
		//lint:ignore SA1019 version 1 was written with this padding
		plain, err = rsa.DecryptPKCS1v15(nil, m.private, e.wrapped)
	case RSAOAEP256:
		plain, err = openOAEP256(m.private, e.wrapped)
	}
	if err != nil || !aesSize(len(plain)) || e.Format == V3 && len(plain) != dataKeySize {
		return DataKey{}, ErrWrongKey
	}
	return dataKey(plain), nil
}

// wrapRaw wraps a data key with a raw key, bound to the content algorithm.
func wrapRaw(k Key, d DataKey, cek string) ([]byte, error) {
	m := k.material()
	if m.public != nil {
		msg := append([]byte{byte(len(d.Bytes()))}, d.Bytes()...)
		return rsa.EncryptOAEP(sha1.New(), rand.Reader, m.public, append(msg, cek...), nil)
	}
	gcm, err := newGCM(m.aes)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, ivGCM, ivGCM+dataKeySize+tagSize)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return gcm.Seal(nonce, nonce, d.Bytes(), []byte(cek)), nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func openGCM(key, wrapped []byte, cek string) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, wrapped[:ivGCM], wrapped[ivGCM:], []byte(cek))
}

// openOAEP takes the data key out of length ‖ key ‖ algorithm.
func openOAEP(key *rsa.PrivateKey, wrapped []byte, cek string) ([]byte, error) {
	msg, err := rsa.DecryptOAEP(sha1.New(), nil, key, wrapped, nil)
	if err != nil {
		return nil, err
	}
	if len(msg) == 0 || len(msg) != 1+int(msg[0])+len(cek) || string(msg[1+int(msg[0]):]) != cek {
		return nil, ErrWrongKey
	}
	return msg[1 : 1+msg[0]], nil
}

// openOAEP256: Java's own provider takes SHA-1 for the mask beside SHA-256 for
// the label, others take SHA-256 for both.
func openOAEP256(key *rsa.PrivateKey, wrapped []byte) ([]byte, error) {
	plain, err := key.Decrypt(nil, wrapped, &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA1})
	if err != nil {
		plain, err = key.Decrypt(nil, wrapped, &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA256})
	}
	return plain, err
}

func openECB(key, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil || len(wrapped)%aes.BlockSize != 0 {
		return nil, ErrWrongKey
	}
	plain := make([]byte, len(wrapped))
	for i := 0; i < len(wrapped); i += aes.BlockSize {
		block.Decrypt(plain[i:], wrapped[i:])
	}
	return unpad(plain)
}

// unpad takes PKCS #7 padding off whole blocks.
func unpad(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, ErrWrongKey
	}
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize || n > len(b) || !bytes.Equal(b[len(b)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, ErrWrongKey
	}
	return b[:len(b)-n], nil
}

// openAESWrap undoes RFC 3394 and compares its check value.
func openAESWrap(key, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	r := bytes.Clone(wrapped[8:])
	var b [aes.BlockSize]byte
	copy(b[:8], wrapped)
	n := len(r) / 8
	for t := uint64(6 * n); t > 0; t-- {
		i := int((t - 1) % uint64(n) * 8)
		binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^t)
		copy(b[8:], r[i:i+8])
		block.Decrypt(b[:], b[:])
		copy(r[i:], b[8:])
	}
	if subtle.ConstantTimeCompare(b[:8], bytes.Repeat([]byte{0xa6}, 8)) != 1 {
		return nil, ErrWrongKey
	}
	return r, nil
}
