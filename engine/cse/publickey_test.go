package cse

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

// TestPublicKeyTellsNothing: what came under an RSA key whose private half is not given cannot be
// told from what is under another one, and the reason says so.
func TestPublicKeyTellsNothing(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParseKey(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&private.PublicKey)}))
	if err != nil {
		t.Fatal(err)
	}
	k := newKMS(t)
	source := rawKey(t, 32, 1)
	m := makeEnvelope(t, k, V3, AESGCM, Committed, source, nil)
	target := Target{Wrap: RSAOAEP, Key: public, SourceKey: source}
	got, after := rewrapOnce(t, k, m, target)
	if !strings.HasPrefix(got, "rewrap") {
		t.Fatal(got)
	}
	e, err := Parse(after)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []Key{source, rsaKey(t), {}} {
		target.SourceKey = from
		d, err := Decide(e, target)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Do(t.Context(), k)
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != ReasonOtherWrap || !strings.Contains(r.Message, "private key") {
			t.Errorf("from %v: %v", from, err)
		}
	}
}
