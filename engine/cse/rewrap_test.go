package cse

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// made is metadata with an envelope under a wrap, and the data key in it.
type made struct {
	metadata map[string]string
	key      DataKey
}

// make writes an envelope of the format under the wrap; entries are the user's.
func makeEnvelope(t testing.TB, k *memoryKMS, f Format, w Wrap, content Content, key Key, entries map[string]string) made {
	t.Helper()
	d, err := NewDataKey(filled(32, 8))
	if err != nil {
		t.Fatal(err)
	}
	e := Envelope{Format: f, Wrap: w, Content: content, cek: cekGCM, iv: filled(ivGCM, 1), Description: map[string]string{}}
	maps.Copy(e.Description, entries)
	switch content {
	case CBC:
		e.cek, e.iv = cekCBC5, filled(ivCBC, 1)
	case Committed:
		e.cek, e.messageID = cekCommitted, filled(commitSize, 2)
		if _, e.commitment, err = commitment(d, e.messageID); err != nil {
			t.Fatal(err)
		}
	}
	switch w {
	case KMSContext:
		e.Description[contextCEK] = e.cek
		e.wrapped = k.seal(keyA, "m1", d.Bytes(), e.Description)
	case KMSLegacy:
		e.Description[contextKeyID] = keyA
		e.wrapped = k.seal(keyA, "m1", d.Bytes(), e.Description)
	default:
		if e.wrapped, err = wrapRaw(key, d, e.cek); err != nil {
			t.Fatal(err)
		}
	}
	m := e.entries()
	if content == CBC {
		delete(m, nameTagLen)
	}
	m["own"], m[nameLength] = "value", "17"
	if f == V3 {
		m[nameLength] = ""
	}
	return made{m, d}
}

// changed are the names whose values differ.
func changed(a, b map[string]string) string {
	var names []string
	for name := range a {
		if v, ok := b[name]; !ok || v != a[name] {
			names = append(names, strings.TrimPrefix(name, "x-amz-"))
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, strings.TrimPrefix(name, "x-amz-"))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestRewrap: every wrap under every target: what KMS is asked, which entries
// change and no other, the same data key inside, and that a second run finds it
// already so.
func TestRewrap(t *testing.T) {
	aes1, aes2, rsa1 := rawKey(t, 32, 1), rawKey(t, 16, 2), rsaKey(t)
	user := map[string]string{"who": "Zoë"}
	kmsB := Target{KMSKeyID: keyB}
	toContext := Target{Wrap: KMSContext, KMSKeyID: keyB, SourceKey: aes1}
	for _, c := range []struct {
		what    string
		f       Format
		w       Wrap
		content Content
		key     Key
		t       Target
		want    string // Action or reason; KMS calls; names that change
	}{
		{"v3 kms", V3, KMSContext, Committed, Key{}, kmsB, "reencrypt; ReEncrypt; 3"},
		{"v3 kms, named", V3, KMSContext, Committed, Key{}, Target{Wrap: KMSContext, KMSKeyID: "bbbbbbbb-0000-4000-8000-000000000002", SourceKMSKeyID: keyA}, "reencrypt; ReEncrypt; 3"},
		{"v3 kms, of another key", V3, KMSContext, Committed, Key{}, Target{KMSKeyID: keyB, SourceKMSKeyID: keyB}, "other-key"},
		{"v3 kms to AES", V3, KMSContext, Committed, Key{}, Target{Wrap: AESGCM, Key: aes2}, "rewrap; Decrypt; 3 m t w"},
		{"v3 kms to RSA", V3, KMSContext, Committed, Key{}, Target{Wrap: RSAOAEP, Key: rsa1}, "rewrap; Decrypt; 3 m t w"},
		{"v3 kms with other entries", V3, KMSContext, Committed, Key{}, Target{KMSKeyID: keyB, Entries: map[string]string{"who": "you"}}, "context-kept"},
		{"v3 kms with its entries", V3, KMSContext, Committed, Key{}, Target{KMSKeyID: keyB, Entries: user}, "reencrypt; ReEncrypt; 3"},
		{"v3 kms, a raw key given", V3, KMSContext, Committed, Key{}, Target{Key: aes2}, "other-wrap"},
		{"v3 AES", V3, AESGCM, Committed, aes1, Target{Key: aes2, SourceKey: aes1}, "rewrap; ; 3"},
		{"v3 AES with a description", V3, AESGCM, Committed, aes1, Target{Key: aes2, SourceKey: aes1, Entries: map[string]string{"key": "2"}}, "rewrap; ; 3 m"},
		{"v3 AES to RSA", V3, AESGCM, Committed, aes1, Target{Wrap: RSAOAEP, Key: rsa1, SourceKey: aes1}, "rewrap; ; 3 w"},
		{"v3 AES to kms", V3, AESGCM, Committed, aes1, toContext, "rewrap; Encrypt; 3 m t w"},
		{"v3 AES to kms, no key", V3, AESGCM, Committed, aes1, Target{Wrap: KMSContext, KMSKeyID: keyB}, "other-wrap"},
		{"v3 AES, a KMS key given", V3, AESGCM, Committed, aes1, kmsB, "other-wrap"},
		{"v3 AES of another key", V3, AESGCM, Committed, aes1, Target{Key: aes2, SourceKey: rawKey(t, 32, 9)}, "other-key"},
		{"v3 RSA", V3, RSAOAEP, Committed, rsa1, Target{Wrap: AESGCM, Key: aes2, SourceKey: rsa1}, "rewrap; ; 3 w"},
		{"v2 kms+context", V2, KMSContext, GCM, Key{}, kmsB, "reencrypt; ReEncrypt; key-v2"},
		{"v2 kms+context to AES", V2, KMSContext, GCM, Key{}, Target{Wrap: AESGCM, Key: aes2}, "rewrap; Decrypt; key-v2 matdesc wrap-alg"},
		{"v2 kms", V2, KMSLegacy, GCM, Key{}, kmsB, "reencrypt; ReEncrypt; key-v2 matdesc"},
		{"v2 kms upgraded", V2, KMSLegacy, GCM, Key{}, Target{Wrap: KMSContext, KMSKeyID: keyB}, "reencrypt; ReEncrypt; key-v2 matdesc wrap-alg"},
		{"v2 kms upgraded under its key", V2, KMSLegacy, GCM, Key{}, Target{Wrap: KMSContext, KMSKeyID: keyA}, "reencrypt; ReEncrypt; key-v2 matdesc wrap-alg"},
		{"v2 kms, CBC", V2, KMSLegacy, CBC, Key{}, kmsB, "reencrypt; ReEncrypt; key-v2 matdesc"},
		{"v2 kms, CBC, another wrap", V2, KMSLegacy, CBC, Key{}, Target{Wrap: KMSContext, KMSKeyID: keyB}, "cbc-content"},
		{"v2 AES", V2, AESGCM, GCM, aes1, Target{Key: aes2, SourceKey: aes1}, "rewrap; ; key-v2"},
		{"v2 AES to kms", V2, AESGCM, GCM, aes1, toContext, "rewrap; Encrypt; key-v2 matdesc wrap-alg"},
		{"v2 AES to kms, other entries", V2, AESGCM, GCM, aes1, Target{Wrap: KMSContext, KMSKeyID: keyB, SourceKey: aes1, Entries: map[string]string{"a": "b"}}, "rewrap; Encrypt; key-v2 matdesc wrap-alg"},
		{"v2 RSA to AES", V2, RSAOAEP, GCM, rsa1, Target{Wrap: AESGCM, Key: aes2, SourceKey: rsa1}, "rewrap; ; key-v2 wrap-alg"},
	} {
		k := newKMS(t)
		m := makeEnvelope(t, k, c.f, c.w, c.content, c.key, user)
		got, after := rewrapOnce(t, k, m, c.t)
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
		if after == nil {
			continue
		}
		e, err := Parse(after)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		d, err := e.Unwrap(t.Context(), Opener{KMS: k, Key: c.t.Key})
		if err != nil || !bytes.Equal(d.Bytes(), m.key.Bytes()) {
			t.Errorf("%s: another data key, %v", c.what, err)
		}
		if want := c.t.Entries; want != nil && !maps.Equal(userEntries(e.Description), want) || want == nil && !maps.Equal(userEntries(e.Description), user) {
			t.Errorf("%s: the entries are %v", c.what, e.Description)
		}
		again := c.t
		if got, _ := rewrapOnce(t, k, made{after, m.key}, again); !strings.HasSuffix(got, "already") {
			t.Errorf("%s: a second run: %s", c.what, got)
		}
	}
}

// rewrapOnce decides and does, and gives the metadata after it, nil where
// nothing is to be written.
func rewrapOnce(t *testing.T, k *memoryKMS, m made, target Target) (string, map[string]string) {
	t.Helper()
	before := maps.Clone(m.metadata)
	e, err := Parse(m.metadata)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Decide(e, target)
	if err != nil {
		t.Fatal(err)
	}
	if d.Action == Leave {
		if d.Message == "" {
			t.Error("left without a word")
		}
		return string(d.Reason), nil
	}
	clear(k.calls)
	r, err := d.Do(t.Context(), k)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return string(refusal.Reason), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if d.Decrypt != (k.calls["Decrypt"] > 0) || d.Encrypt != (k.calls["Encrypt"] > 0) {
		t.Errorf("the decision says %v and %v, KMS was asked %v", d.Decrypt, d.Encrypt, k.calls)
	}
	if r.Already {
		return "already", nil
	}
	after, err := r.Changes.Metadata(m.metadata)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, m.metadata) {
		t.Error("the metadata that was given has changed")
	}
	action := map[Action]string{ReEncrypt: "reencrypt", Rewrap: "rewrap"}[d.Action]
	return action + "; " + strings.Join(sortedNames(stringsOf(k.calls)), " ") + "; " + changed(before, after), after
}

func stringsOf(m map[string]int) map[string]string {
	out := map[string]string{}
	for name := range m {
		out[name] = ""
	}
	return out
}

// TestRewrapLegacy: what no client should write any more is left whatever the
// target is, and so are objects without a wrapped key.
func TestRewrapLegacy(t *testing.T) {
	for what, m := range map[string]map[string]string{"v1": metaV1(), "AESWrap": metaV2("AESWrap"),
		"OAEP with SHA-256": with(metaV2("RSA-OAEP-SHA1"), nameWrap, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding")} {
		for _, target := range []Target{{KMSKeyID: keyB}, {Wrap: KMSContext, KMSKeyID: keyB}, {Wrap: AESGCM, Key: rawKey(t, 32, 1), SourceKey: rawKey(t, 32, 1)}} {
			e, err := Parse(m)
			if err != nil {
				t.Fatal(err)
			}
			if d, err := Decide(e, target); err != nil || d.Action != Leave || d.Reason != ReasonLegacyWrap {
				t.Errorf("%s: %v, %v", what, d.Action, err)
			}
		}
	}
	for _, m := range []map[string]string{nil, without(metaV3("12"), nameKeyV3, nameWrapV3, nameContextV3)} {
		e, err := Parse(m)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := Decide(e, Target{KMSKeyID: keyB}); err != nil || d.Reason != ReasonNoEnvelope {
			t.Errorf("%v: %q, %v", m, d.Reason, err)
		}
	}
	e, err := Parse(with(metaV2("AES/GCM"), nameDesc, `["odd"]`))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := Decide(e, Target{Wrap: KMSContext, KMSKeyID: keyB, SourceKey: rawKey(t, 32, 1)}); err != nil || d.Reason != ReasonContextKept {
		t.Errorf("a description that is no context: %q, %v", d.Reason, err)
	}
	for _, target := range []Target{{Wrap: KMSLegacy, KMSKeyID: keyB}, {Wrap: AESWrap}, {KMSKeyID: keyB, Entries: map[string]string{contextCEK: "115"}}} {
		if d, err := Decide(e, target); err == nil {
			t.Errorf("%v: decided %v", target, d.Action)
		}
	}
}

// TestRewrapMaterial: the same key with other material is worth a rewrap; a
// service that does not tell the material is believed.
func TestRewrapMaterial(t *testing.T) {
	for _, c := range []struct {
		what  string
		spoil func(*ReEncryptReply)
		want  string
	}{
		{"rotated", nil, "reencrypt; ReEncrypt; 3"},
		{"silent", func(r *ReEncryptReply) { r.SourceKeyMaterialID = "" }, "already"},
		{"half silent", func(r *ReEncryptReply) { r.KeyMaterialID = "" }, "already"},
	} {
		k := newKMS(t)
		m := makeEnvelope(t, k, V3, KMSContext, Committed, Key{}, nil)
		if got, _ := rewrapOnce(t, k, m, Target{KMSKeyID: keyA}); got != "already" {
			t.Errorf("%s, before: %s", c.what, got)
		}
		k.material[keyA], k.spoil = "m2", c.spoil
		got, after := rewrapOnce(t, k, m, Target{KMSKeyID: keyA})
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
		if after != nil {
			if got, _ := rewrapOnce(t, k, made{after, m.key}, Target{KMSKeyID: keyA}); got != "already" {
				t.Errorf("%s, then: %s", c.what, got)
			}
		}
	}
}

// TestRewrapDistrustsKMS: an answer that names another key, or none, is an error.
func TestRewrapDistrustsKMS(t *testing.T) {
	for what, spoil := range map[string]func(*ReEncryptReply){
		"another key": func(r *ReEncryptReply) { r.KeyID = keyA }, "no blob": func(r *ReEncryptReply) { r.Wrapped = nil },
		"a huge blob":   func(r *ReEncryptReply) { r.Wrapped = make([]byte, maxWrapped+1) },
		"no source key": func(r *ReEncryptReply) { r.SourceKeyID = "" }, "no key": func(r *ReEncryptReply) { r.KeyID = "" },
	} {
		k := newKMS(t)
		k.spoil = spoil
		e, err := Parse(makeEnvelope(t, k, V3, KMSContext, Committed, Key{}, nil).metadata)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Decide(e, Target{KMSKeyID: keyB})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := d.Do(t.Context(), k); err == nil {
			t.Errorf("%s: believed: %+v", what, r)
		}
	}
}

// TestRewrapEncodedContext: a context in words of RFC 2047, encoded once or
// twice, is found by asking KMS, and comes out in ASCII.
func TestRewrapEncodedContext(t *testing.T) {
	latin := string([]rune{0xc3, 0xab}) // what Latin-1 makes of ë in UTF-8
	q := func(s string) string {
		var b strings.Builder
		b.WriteString("=?utf-8?q?")
		for _, x := range []byte(s) {
			b.WriteString("=" + strings.ToUpper(string("0123456789abcdef"[x>>4])+string("0123456789abcdef"[x&15])))
		}
		return b.String() + "?="
	}
	for _, c := range []struct{ what, meant, shown string }{
		{"encoded once", "Zoë", q(`{"aws:x-amz-cek-alg":"115","who":"Zoë"}`)},
		{"encoded twice", "Zoë", q(`{"aws:x-amz-cek-alg":"115","who":"Zo` + latin + `"}`)},
		{"encoded once, and meant so", "Zo" + latin, q(`{"aws:x-amz-cek-alg":"115","who":"Zo` + latin + `"}`)},
	} {
		for _, target := range []Target{{KMSKeyID: keyB}, {Wrap: AESGCM, Key: rawKey(t, 32, 1)}} {
			k := newKMS(t)
			m := makeEnvelope(t, k, V3, KMSContext, Committed, Key{}, map[string]string{"who": c.meant})
			m.metadata[nameContextV3] = c.shown
			got, after := rewrapOnce(t, k, m, target)
			if after == nil || target.Wrap == Keep && !strings.HasSuffix(got, "; 3 t") {
				t.Errorf("%s: %s", c.what, got)
				continue
			}
			e, err := Parse(after)
			if err != nil || e.Encoded || target.Wrap == Keep && e.Description["who"] != c.meant {
				t.Errorf("%s: %v, %v", c.what, e.Description, err)
			}
			if d, err := e.Unwrap(t.Context(), Opener{KMS: k, Key: target.Key}); err != nil || !bytes.Equal(d.Bytes(), m.key.Bytes()) {
				t.Errorf("%s: %v", c.what, err)
			}
		}
	}
}
