package cse

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// testRSA makes one RSA key for all tests.
var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func mustDER(t testing.TB) func([]byte, error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func rawKey(t testing.TB, n int, seed uint64) Key {
	t.Helper()
	k, err := ParseKey(filled(n, seed))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB) Key {
	t.Helper()
	k, err := ParseKey(pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(testRSA())))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestParseKey: every form of a key file, and what is none.
func TestParseKey(t *testing.T) {
	private := testRSA()
	der := mustDER(t)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	pkcs8 := der(x509.MarshalPKCS8PrivateKey(private))
	text := func(n int) []byte { return []byte(base64.StdEncoding.EncodeToString(filled(n, 1))) }
	for _, c := range []struct {
		what string
		data []byte
		want string // the start of the fingerprint, or ""
	}{
		{"16 bytes", filled(16, 1), "wrapping-key:aes-128:"},
		{"24 bytes", filled(24, 1), "wrapping-key:aes-192:"},
		{"32 bytes", filled(32, 1), "wrapping-key:aes-256:"},
		{"base64 of 16", text(16), "wrapping-key:aes-128:"},
		{"base64 of 24, and a new line", append(text(24), '\n'), "wrapping-key:aes-192:"},
		{"base64 of 32", text(32), "wrapping-key:aes-256:"},
		{"32 letters", []byte("0123456789abcdef0123456789abcdef"), ""},
		{"nothing", nil, ""},
		{"31 bytes", filled(31, 1), ""},
		{"a hex key", []byte(hex.EncodeToString(filled(32, 1))), ""},
		{"PKCS #1", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private)), "wrapping-key:rsa-2048:"},
		{"PKCS #8", pemOf("PRIVATE KEY", pkcs8), "wrapping-key:rsa-2048:"},
		{"a public key", pemOf("PUBLIC KEY", der(x509.MarshalPKIXPublicKey(&private.PublicKey))), "wrapping-key:rsa-2048:"},
		{"a public key of RSA", pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&private.PublicKey)), "wrapping-key:rsa-2048:"},
		{"another kind", pemOf("PRIVATE KEY", der(x509.MarshalPKCS8PrivateKey(ed))), ""},
		{"a passphrase", pemOf("ENCRYPTED PRIVATE KEY", pkcs8), ""},
		{"a certificate", pemOf("CERTIFICATE", pkcs8), ""},
		{"two keys", append(pemOf("PRIVATE KEY", pkcs8), pemOf("PRIVATE KEY", pkcs8)...), ""},
		{"a torn PEM", pemOf("PRIVATE KEY", pkcs8[:99]), ""},
		{"half a PEM", pemOf("PRIVATE KEY", pkcs8)[:200], ""},
	} {
		k, err := ParseKey(c.data)
		if (err == nil) != (c.want != "") || !strings.HasPrefix(k.Fingerprint(), c.want) || k.IsZero() != (c.want == "") {
			t.Errorf("%s: %s, %v", c.what, k, err)
		}
		if err != nil && len(c.data) > 8 && strings.Contains(err.Error(), string(c.data[:8])) {
			t.Errorf("%s: the error quotes the file: %v", c.what, err)
		}
	}
	public, err := ParseKey(pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&private.PublicKey)))
	if err != nil || public.Fingerprint() != rsaKey(t).Fingerprint() {
		t.Error("the halves of one key have two fingerprints")
	}
}

// TestNothingPrints: no verb, logger or encoder shows a byte of a key, of a data
// key, or of what is derived from one.
func TestNothingPrints(t *testing.T) {
	key, dataKey := filled(32, 1), filled(32, 2)
	k := rawKey(t, 32, 1)
	d, err := NewDataKey(dataKey)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := gcmEnvelope(t, dataKey)
	dec, err := e.NewDecrypter(d, 99)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.NewReader(d, bytes.NewReader(nil), 99)
	if err != nil {
		t.Fatal(err)
	}
	up, err := NewUpload(t.Context(), nil, V3, Target{Wrap: AESGCM, Key: k})
	if err != nil {
		t.Fatal(err)
	}
	h := up.text.h.bytes()
	var secrets []string
	for _, s := range [][]byte{key, dataKey, h[:], testRSA().D.Bytes()} {
		secrets = append(secrets, string(s), hex.EncodeToString(s[:8]), strings.ToUpper(hex.EncodeToString(s[:8])),
			base64.StdEncoding.EncodeToString(s)[:10], strings.Trim(fmt.Sprint(s[:4]), "[]"))
	}
	secrets = append(secrets, fmt.Sprint(up.text.h.hi), fmt.Sprintf("%x", up.text.h.hi))
	type nested struct {
		Key    Key
		hidden any
		Map    map[string]any
	}
	// Of unexported fields fmt knows no methods.
	type within struct {
		key Key
		d   DataKey
		dec *Decrypter
		r   *Reader
		up  *Upload
	}
	in := within{k, d, dec, r, up}
	r.s.out = append(r.s.buf[:0], dataKey...)
	for _, v := range []any{k, &k, rsaKey(t), d, &d, dec, dec.text, r, up, up.text, Target{Key: k, SourceKey: rsaKey(t)},
		&nested{k, d, map[string]any{"d": d, "up": up}}, EncryptRequest{Key: d}, Opener{Key: k}, Decision{target: Target{Key: k}}, [...]any{k, d, up}, in, &in, []within{in}} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
		for _, s := range secrets {
			if strings.Contains(out.String(), s) {
				t.Errorf("%T shows %q in\n%s", v, s, out.String())
			}
		}
	}
}

// wrapAES is RFC 3394, for vectors of its own.
func wrapAES(t testing.TB, key, plain []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	r := append(bytes.Repeat([]byte{0xa6}, 8), plain...)
	n := len(plain) / 8
	for j := range 6 {
		for i := 1; i <= n; i++ {
			b := append(bytes.Clone(r[:8]), r[8*i:8*i+8]...)
			block.Encrypt(b, b)
			binary.BigEndian.PutUint64(r, binary.BigEndian.Uint64(b)^uint64(n*j+i))
			copy(r[8*i:], b[8:])
		}
	}
	return r
}

// TestUnwrapRaw: each raw wrap, opened by its key, by another, and changed.
func TestUnwrapRaw(t *testing.T) {
	data := filled(32, 3)
	d, err := NewDataKey(data)
	if err != nil {
		t.Fatal(err)
	}
	aesKey, rsaKey := rawKey(t, 32, 1), rsaKey(t)
	block, err := aes.NewCipher(filled(32, 1))
	if err != nil {
		t.Fatal(err)
	}
	ecb := append(bytes.Clone(data), bytes.Repeat([]byte{16}, 16)...)
	for i := 0; i < len(ecb); i += 16 {
		block.Encrypt(ecb[i:], ecb[i:])
	}
	der := mustDER(t)
	gcm := der(wrapRaw(aesKey, d, cekGCM))
	oaep := der(wrapRaw(rsaKey, d, cekGCM))
	public := &testRSA().PublicKey
	mixed := der(rsa.EncryptOAEPWithOptions(rand.Reader, public, data, &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA1}))
	plain := der(rsa.EncryptOAEPWithOptions(rand.Reader, public, data, &rsa.OAEPOptions{Hash: crypto.SHA256}))
	//lint:ignore SA1019 version 1 was written with this padding
	pkcs1 := der(rsa.EncryptPKCS1v15(rand.Reader, public, data))
	for _, c := range []struct {
		wrap    Wrap
		wrapped []byte
		key     Key
	}{
		{AESGCM, gcm, aesKey}, {RSAOAEP, oaep, rsaKey}, {AESECB, ecb, aesKey}, {RSAPKCS1, pkcs1, rsaKey},
		{AESWrap, wrapAES(t, filled(32, 1), data), aesKey}, {RSAOAEP256, mixed, rsaKey}, {RSAOAEP256, plain, rsaKey},
	} {
		e := Envelope{Format: V2, Wrap: c.wrap, Content: GCM, cek: cekGCM, wrapped: c.wrapped}
		got, err := e.Unwrap(t.Context(), Opener{Key: c.key})
		if err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%s: %v", c.wrap, err)
		}
		other := e
		other.wrapped = bytes.Clone(c.wrapped)
		other.wrapped[len(other.wrapped)/2] ^= 1
		if got, err := other.Unwrap(t.Context(), Opener{Key: c.key}); err == nil && c.wrap != AESECB || bytes.Equal(got.Bytes(), data) {
			t.Errorf("%s: opened after a change", c.wrap)
		}
		wrong := rawKey(t, 32, 77)
		if c.key.Wrap() == RSAOAEP {
			wrong = aesKey
		}
		if _, err := e.Unwrap(t.Context(), Opener{Key: wrong}); err == nil {
			t.Errorf("%s: opened by another key", c.wrap)
		}
	}
	for _, w := range []Wrap{AESGCM, RSAOAEP} {
		e := Envelope{Format: V2, Wrap: w, Content: GCM, cek: cekCommitted, wrapped: map[Wrap][]byte{AESGCM: gcm, RSAOAEP: oaep}[w]}
		k := map[Wrap]Key{AESGCM: aesKey, RSAOAEP: rsaKey}[w]
		if _, err := e.Unwrap(t.Context(), Opener{Key: k}); !errors.Is(err, ErrWrongKey) {
			t.Errorf("%s: a key for other content was taken: %v", w, err)
		}
	}
	// The vector of RFC 3394, section 4.6.
	kek, _ := hex.DecodeString("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F")
	want, _ := hex.DecodeString("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
	wrapped, _ := hex.DecodeString("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21")
	if got, err := openAESWrap(kek, wrapped); err != nil || !bytes.Equal(got, want) {
		t.Errorf("RFC 3394: %x, %v", got, err)
	}
}

// TestCommitment: a data key that an object does not commit to opens nothing,
// even where the wrap is right.
func TestCommitment(t *testing.T) {
	k := rawKey(t, 32, 1)
	up, err := NewUpload(t.Context(), nil, V3, Target{Wrap: AESGCM, Key: k})
	if err != nil {
		t.Fatal(err)
	}
	e := up.Envelope()
	if _, err := e.Unwrap(t.Context(), Opener{Key: k}); err != nil {
		t.Fatal(err)
	}
	d, err := NewDataKey(filled(32, 5))
	if err != nil {
		t.Fatal(err)
	}
	swapped := e
	if swapped.wrapped, err = wrapRaw(k, d, cekCommitted); err != nil {
		t.Fatal(err)
	}
	if _, err := swapped.Unwrap(t.Context(), Opener{Key: k}); !errors.Is(err, ErrCommitment) {
		t.Errorf("another data key: %v", err)
	}
	if _, err := e.NewReader(d, bytes.NewReader(nil), 16); !errors.Is(err, ErrCommitment) {
		t.Errorf("a reader with another data key: %v", err)
	}
	for _, change := range []func(e *Envelope){
		func(e *Envelope) { e.commitment = filled(commitSize, 1) },
		func(e *Envelope) { e.messageID = filled(commitSize, 1) },
	} {
		f := e
		change(&f)
		if _, err := f.Unwrap(t.Context(), Opener{Key: k}); !errors.Is(err, ErrCommitment) {
			t.Errorf("changed: %v", err)
		}
	}
}
