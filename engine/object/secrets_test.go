package object

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

var (
	someToken  = "IQoJb3JpZ2luX2VjEPj//////////wEaCXVzLWVhc3QtMSJHMEUCIQDq+Zk8b1y0S4Y7h3n/p0Qw6m=="
	someRaw    = "\x01k\xfe0123456789abcdefghijklmnopqrs"
	someSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY"
)

func known() *Secrets {
	s := new(Secrets)
	s.Add(someToken)
	s.Add(someSecret)
	s.Add(base64.StdEncoding.EncodeToString([]byte(someRaw))) // as the header of a customer key has it
	return s
}

func TestS1EveryFormOfASecretIsFound(t *testing.T) {
	s := known()
	for _, secret := range []string{someToken, someSecret, someRaw} {
		forms := map[string]string{"raw": secret, "hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
			"URL": url.QueryEscape(secret), "path": url.PathEscape(secret), "Base64": base64.StdEncoding.EncodeToString([]byte(secret)),
			"Base64 in URLs": base64.URLEncoding.EncodeToString([]byte(secret)), "twice": url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(secret)))}
		for _, before := range []string{"x", "xy", "xyz"} {
			forms["Base64 of a header "+before] = base64.StdEncoding.EncodeToString([]byte(before + secret + "after"))
		}
		for name, form := range forms {
			for at := range 9 {
				text := strings.Repeat("-", at) + form + " and more"
				if !s.In(text) || !Repeats(s, []byte(text)) {
					t.Errorf("%q %s at %d is not found in %q", secret, name, at, text)
				}
			}
			if len(form) > 40 && !s.In("cut off: "+form[:len(form)/2+9]) {
				t.Errorf("the beginning of %s is not found", name)
			}
		}
	}
}

func TestS1WhatIsNoSecret(t *testing.T) {
	s := known()
	sum := "d41d8cd98f00b204e9800998ecf8427e"
	for _, text := range []string{"", "short", sum, someToken[:15], "The specified key does not exist.", strings.Repeat("0", 64), strings.Repeat("=", 40)} {
		if s.In(text) {
			t.Errorf("%q is none", text)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		raw := make([]byte, 48)
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		if s.In(hex.EncodeToString(raw)) || s.In(base64.StdEncoding.EncodeToString(raw)) {
			t.Errorf("%x is none", raw)
		}
	}
	var zeros Secrets
	zeros.Add(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	zeros.Add("short")
	if zeros.In(strings.Repeat("0", 64)) || zeros.In("short and to the point") {
		t.Error("what every text has is no secret")
	}
}

func TestS1RememberedAreTheLatest(t *testing.T) {
	var s Secrets
	for i := range 100 {
		s.Add(strings.Repeat(string(rune('a'+i%26)), 3) + hex.EncodeToString([]byte{byte(i), byte(i), 7, 9, 11, 13, 15, 17}))
	}
	if n := len(s.set.Load().secrets); n != keptSecrets {
		t.Errorf("%d are kept", n)
	}
}

func TestS1CleanError(t *testing.T) {
	s := known()
	signature := strings.Repeat("0123456789abcdef", 4)
	for name, said := range map[string]string{"token": "got " + someToken, "signature": "got " + signature + " here",
		"signature in Base64": "got " + base64.StdEncoding.EncodeToString([]byte("=:"+signature))} {
		e := &Error{Code: said, Message: said, RequestID: said, Hint: said, Condition: said, Err: errors.New(said)}
		s.CleanError(e, signature)
		if e.Code != Withheld || e.Message != Withheld || e.RequestID != Withheld || e.Hint != Withheld || e.Condition != Withheld || e.Err != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
	long := strings.Repeat("ä", 5000)
	e := &Error{Code: long, Message: long, RequestID: long}
	s.CleanError(e, "")
	if len(e.Code) > MaxCode || len(e.Message) > MaxMessage || len(e.RequestID) > MaxRequestID || !utf8.ValidString(e.Code+e.Message) || !strings.HasSuffix(e.Message, "ä…") {
		t.Errorf("%d %d %d bytes", len(e.Code), len(e.Message), len(e.RequestID))
	}
}

func TestA1WhatWantsACustomerKey(t *testing.T) {
	for _, tc := range []struct {
		e    Error
		want bool
	}{
		{Error{Class: ClassInvalid, HTTPStatus: 400}, true},
		{Error{Class: ClassInvalid, HTTPStatus: 400, Code: "InvalidRequest"}, true},
		{Error{Class: ClassInvalid, HTTPStatus: 400, Code: "InvalidArgument", CustomerKey: true}, true},
		{Error{Class: ClassInvalid, HTTPStatus: 400, Code: "InvalidArgument"}, false},
		{Error{Class: ClassInvalid, HTTPStatus: 418}, false},
		{Error{Class: ClassInvalid, HTTPStatus: 411, Code: "InvalidRequest"}, false},
		{Error{Class: ClassInvalid}, false}, // nobody was asked
		{Error{Class: ClassDenied, HTTPStatus: 400}, false},
	} {
		if got := WantsCustomerKey(&tc.e); got != tc.want {
			t.Errorf("%+v: %v", tc.e, got)
		}
	}
}

func BenchmarkSecretsInAReply(b *testing.B) {
	s := known()
	text := strings.Repeat(`<Contents><Key>photos/2026/11/a-usual-key-of-some-length.jpg</Key><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag></Contents>`, 1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if s.In(text) {
			b.Fatal("found")
		}
	}
}

// TestRepeatsWholeFindsASignatureAnywhere: wherever it stands in a long text; and
// nothing that differs from it in one place.
func TestRepeatsWholeFindsASignatureAnywhere(t *testing.T) {
	signature := "0f3c1a527f0e4f0a9d9c0b1f5f6f7a015d2b9c1e11114c3b8a7d3f2e1d0c9b8a"
	around := strings.Repeat("<ETag>9b2cf535f27731c974343645a3985328</ETag>0f3c1a527f0e4f0a", 8)
	for at := range len(around) + 1 {
		if text := around[:at] + signature + around[at:]; !RepeatsWhole(text, signature) || !RepeatsWhole([]byte(text), signature) {
			t.Fatalf("not found at %d", at)
		}
	}
	for at := range len(signature) {
		other := signature[:at] + "x" + signature[at+1:]
		if RepeatsWhole(around+other+around, signature) {
			t.Fatalf("found although byte %d differs", at)
		}
	}
	if RepeatsWhole(around, signature) || RepeatsWhole(signature[:63], signature) || RepeatsWhole(around, "") || !RepeatsWhole(signature, signature) {
		t.Error("found where it is not, or not found where it is all")
	}
}
