package cse

import (
	"crypto/hkdf"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
)

// ErrCommitment is a data key that is not the one to which the object commits:
// somebody replaced the wrapped key, or the commitment.
var ErrCommitment = errors.New("the data key is not the one that the object commits to (x-amz-d)")

// suite is the number of the committing algorithm; it opens every label and is
// the additional data of the content.
const suite = "\x00\x73"

// nonceV3 may be fixed: each content key is derived for one message ID.
var nonceV3 = [ivGCM]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}

// commitment is what version 3 publishes of a data key.
func commitment(d DataKey, messageID []byte) (prk, commit []byte, err error) {
	if len(d.Bytes()) != dataKeySize || len(messageID) != commitSize {
		return nil, nil, ErrCommitment
	}
	if prk, err = hkdf.Extract(sha512.New, d.Bytes(), messageID); err != nil {
		return nil, nil, err
	}
	commit, err = hkdf.Expand(sha512.New, prk, suite+"COMMITKEY", commitSize)
	return prk, commit, err
}

// checkCommitment compares in constant time.
func (e Envelope) checkCommitment(d DataKey) error {
	_, commit, err := commitment(d, e.messageID)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(commit, e.commitment) != 1 {
		return ErrCommitment
	}
	return nil
}

// contentKey derives the key of the content. It compares the commitment first:
// there is no way to a content key around it.
func (e Envelope) contentKey(d DataKey) ([]byte, error) {
	if e.Format != V3 {
		return d.Bytes(), nil
	}
	if err := e.checkCommitment(d); err != nil {
		return nil, err
	}
	prk, _, err := commitment(d, e.messageID)
	if err != nil {
		return nil, err
	}
	return hkdf.Expand(sha512.New, prk, suite+"DERIVEKEY", dataKeySize)
}
