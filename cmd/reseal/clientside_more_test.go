package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// version1 stores an object as the first clients wrote them: AES-CBC without a tag, its
// data key under a raw AES key in blocks of their own.
func (w *sealed) version1(i int, key string, text []byte) {
	w.t.Helper()
	pad := func(b []byte) []byte {
		n := aes.BlockSize - len(b)%aes.BlockSize
		return append(bytes.Clone(b), bytes.Repeat([]byte{byte(n)}, n)...)
	}
	dataKey, iv := bytes.Repeat([]byte{byte(i), 3}, 16), bytes.Repeat([]byte{byte(i)}, 16)
	kek, err := aes.NewCipher(bytes.Repeat([]byte{0xa1, 7}, 16))
	if err != nil {
		w.t.Fatal(err)
	}
	wrapped := pad(dataKey)
	for at := 0; at < len(wrapped); at += aes.BlockSize {
		kek.Encrypt(wrapped[at:], wrapped[at:])
	}
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		w.t.Fatal(err)
	}
	body := pad(text)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(body, body)
	b64 := base64.StdEncoding.EncodeToString
	o := w.full(i, key)
	o.Metadata = map[string]string{"x-amz-key": b64(wrapped), "x-amz-iv": b64(iv), "x-amz-matdesc": `{"who":"me"}`, "x-amz-unencrypted-content-length": "7", "own": "value"}
	o.Body, w.texts[key] = s3test.Bytes(body), text
	w.server.Put(sealedBucket, o)
}

// TestClientSideLeavesAlone: what is not what was encrypted, and what would lose
// something that nobody accepted, is left or failed by name, in one piece and in parts;
// nothing of it becomes visible, and no upload stays.
func TestClientSideLeavesAlone(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 5, TLS: true}, s3test.BucketConfig{Versioning: "Enabled"})
	other := w.server.KMS.CreateKey()
	under := cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA, Entries: map[string]string{"who": "me"}}
	long := bytes.Repeat([]byte("seventeen letters"), 700_000)
	put := func(i int, key string, format cse.Format, target cse.Target, text []byte, change func(body []byte, m map[string]string)) {
		body, m := w.seal(format, target, text, map[string]string{"own": "value"})
		if change != nil {
			change(body, m)
		}
		o := w.full(i, key)
		o.Body, o.Metadata = s3test.Bytes(body), m
		w.server.Put(sealedBucket, o)
	}
	flip := func(at int) func([]byte, map[string]string) {
		return func(b []byte, _ map[string]string) { b[(len(b)+at)%len(b)] ^= 1 }
	}
	put(0, "good", cse.V2, under, []byte("a text"), nil)
	one := w.get("good").Metadata
	put(2, "tag", cse.V2, under, []byte("a text"), flip(-1))
	put(4, "byte", cse.V2, under, []byte("a text"), flip(2))
	put(6, "tag of a long one", cse.V2, under, long, flip(-1))
	put(8, "byte of a long one", cse.V2, under, long, flip(6_000_000))
	put(10, "wrapped key of another", cse.V2, under, []byte("a text"), func(_ []byte, m map[string]string) { m["x-amz-key-v2"] = one["x-amz-key-v2"] })
	put(12, "committed to another key", cse.V3, under, []byte("a text"), func(_ []byte, m map[string]string) {
		_, again := w.seal(cse.V3, under, []byte("a text"), nil)
		m["x-amz-3"] = again["x-amz-3"]
	})
	put(14, "another context", cse.V2, under, []byte("a text"), func(_ []byte, m map[string]string) {
		m["x-amz-matdesc"] = `{"aws:x-amz-cek-alg":"AES/GCM/NoPadding","who":"you"}`
	})
	put(16, "two envelopes", cse.V2, under, []byte("a text"), func(_ []byte, m map[string]string) { m["x-amz-key"] = "AAAA" })
	put(18, "another key", cse.V2, cse.Target{Wrap: cse.KMSContext, KMSKeyID: other}, []byte("a text"), nil)
	put(20, "raw", cse.V2, cse.Target{Wrap: cse.AESGCM, Key: w.aes}, []byte("a text"), nil)
	full := w.full(22, "full")
	full.Body, full.Metadata = s3test.Bytes([]byte("a text")), map[string]string{"note": strings.Repeat("x", 1900)}
	w.server.Put(sealedBucket, full)
	w.version1(24, "version 1", []byte("an old text"))
	w.inFile(26, "file", cse.V2, under)
	before := w.server.Snapshot(sealedBucket)

	sum := w.remake("job", 3, "--client-side", "v3", "--cse-kms-key-id", w.keyB, "--source-cse-kms-key-id", w.keyA, "--source-cse-key-file", w.aesFile)
	if sum.Done != 1 || sum.Remaining != 0 {
		t.Errorf("%+v", sum)
	}
	rows := w.rows(t, filepath.Join(w.dir, "job"))
	for key, want := range map[string][3]string{"good": {"done", "", ""}, "tag": {"failed", "invalid", "tag"}, "byte": {"failed", "invalid", "tag"},
		"tag of a long one": {"failed", "invalid", "tag"}, "byte of a long one": {"failed", "invalid", "tag"}, "wrapped key of another": {"failed", "invalid", "tag"},
		"committed to another key": {"failed", "invalid", "commits to"}, "another context": {"failed", "invalid", "context"}, "two envelopes": {"left", "envelope", ""},
		"another key": {"left", "other-key", ""}, "raw": {"left", "cse-readers", "--accept cse-readers"}, "full": {"left", "metadata-size", ""},
		"version 1": {"left", "unauthenticated", "--accept unauthenticated"}, "file": {"left", "instruction-gap", "--accept instruction-gap"}, "file.instruction": {"left", "instruction-file", ""}} {
		if r := rows[key]; r["state"] != want[0] || r["reason"] != want[1] || !strings.Contains(r["message"], want[2]) {
			t.Errorf("%s is %s (%s: %s %s), want %v", key, r["state"], r["reason"], r["error_code"], r["message"], want)
		}
	}
	for _, o := range before.Objects {
		if now := w.get(o.Key); o.Key != "good" && now.VersionID != o.VersionID {
			t.Errorf("%s was written", o.Key)
		}
	}
	if open := w.server.Snapshot(sealedBucket).Uploads; len(open) > 0 {
		t.Errorf("uploads are left open: %+v", open)
	}
	if m := w.get("good").Metadata; maps.Equal(m, one) || m["own"] != "value" || m["x-amz-tag-len"] != "" {
		t.Errorf("good has %v", m)
	}
}

// TestClientSideAccepted: what is accepted by name is done: sources without a tag, also
// long ones, which are read in order; an instruction file that stays behind; another
// kind of key; and objects that lie in the clear.
func TestClientSideAccepted(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 6, TLS: true}, s3test.BucketConfig{})
	long := bytes.Repeat([]byte("seventeen letters"), 700_000)
	w.version1(2, "version 1", []byte("an old text"))
	w.version1(4, "version 1, long", long)
	w.version1(6, "version 1, just parts", long[:10<<20])
	w.version1(8, "version 1, empty", nil)
	w.inFile(10, "file", cse.V2, cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA})
	w.put(12, "rsa", cse.V2, cse.Target{Wrap: cse.RSAOAEP, Key: w.rsa}, nil)

	w.remake("aes", 3, "--client-side", "v3", "--cse-kms-key-id", w.keyB, "--source-cse-key-file", w.aesFile, "--accept", "unauthenticated,cse-readers,instruction-gap", "--verify", "read")
	w.remake("rsa", 3, "--client-side", "v3", "--cse-kms-key-id", w.keyB, "--source-cse-key-file", w.rsaFile, "--accept", "cse-readers", "--verify", "unwrap")
	for key := range w.texts {
		m := w.get(key).Metadata
		if e, err := cse.Parse(m); err != nil || e.Format != cse.V3 || e.InFile {
			t.Errorf("%s: %v %v", key, e, err)
			continue
		}
		if strings.HasPrefix(key, "version 1") && (m["x-amz-t"] == "" || !strings.Contains(m["x-amz-t"], `"who":"me"`) || m["x-amz-unencrypted-content-length"] != "") {
			t.Errorf("%s has %v", key, m)
		}
		w.opens(key, cse.Opener{KMS: w})
	}

	// A raw key takes them back, and they come out; but not the one beside whose text the
	// old file would lie.
	w.remake("back", 3, "--client-side", "v3", "--cse-key-file", w.aesFile, "--accept", "cse-readers")
	for key := range w.texts {
		w.opens(key, cse.Opener{Key: w.aes})
	}
	w.remake("under", 3, "--client-side", "none", "--source-cse-key-file", w.aesFile, "--sse", "aws:kms", "--sse-kms-key-id", w.keyA, "--verify", "read")
	if r := w.rows(t, filepath.Join(w.dir, "under"))["file"]; r["reason"] != "instruction-gap" || !strings.Contains(r["message"], "delete file.instruction first") {
		t.Errorf("file: %v", r)
	}
	delete(w.texts, "file")
	for key, text := range w.texts {
		o := w.get(key)
		if o.Encryption.KMSKeyID != w.keyA || !bytes.Equal(o.Body.ReadAll(), text) || object.ClientSideOf(o.Metadata) != object.NoEnvelope {
			t.Errorf("%s is under %v, with %v", key, o.Encryption, o.Metadata)
		}
	}
	if s := w.reseal(t, "verify", "--job", filepath.Join(w.dir, "under"), "--source-cse-key-file", w.aesFile); !strings.HasPrefix(s.stdout, "verified  5 ") {
		t.Errorf("verify: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}

// TestClientSidePlaintext: where the store encrypts nothing by itself, an object does
// not lie in the clear unless that is accepted.
func TestClientSidePlaintext(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 13, Profile: s3test.MinIO()}, s3test.BucketConfig{})
	w.put(0, "object", cse.V3, cse.Target{Wrap: cse.AESGCM, Key: w.aes}, func(o *s3test.Object) { o.Encryption = object.Encryption{Type: object.SSENone} })
	out := []string{"--client-side", "none", "--source-cse-key-file", w.aesFile}
	if sum := w.remake("job", 3, out...); sum.Left != 1 {
		t.Errorf("%+v", sum)
	}
	if r := w.rows(t, filepath.Join(w.dir, "job"))["object"]; r["reason"] != "plaintext" {
		t.Errorf("%v", r)
	}
	w.remake("accepted", 0, append(out, "--accept", "plaintext")...)
	if o := w.get("object"); !bytes.Equal(o.Body.ReadAll(), w.texts["object"]) || o.Encryption.Type != object.SSENone {
		t.Errorf("%v", o)
	}
	if sum := w.remake("again", 0, out...); sum.Already != 1 {
		t.Errorf("%+v", sum)
	}
}

// TestClientSideUsage: what does not go together is refused before anything is asked.
func TestClientSideUsage(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 9}, s3test.BucketConfig{})
	w.refuses([]refusedFlags{
		{[]string{"--client-side", "v4"}, "v4"},
		{[]string{"--client-side", "v3"}, "--client-side v3 names no key"},
		{[]string{"--client-side", "v3", "--cse-kms-key-id", "k", "--cse-key-file", w.aesFile}, "both given"},
		{[]string{"--client-side", "v3", "--cse-key-file", w.aesFile, "--cse-wrap", "rsa-oaep"}, "no such key"},
		{[]string{"--client-side", "v3", "--cse-key-file", w.aesFile, "--cse-context", `{"a":null}`}, "no JSON object of strings"},
		{[]string{"--client-side", "v3", "--cse-key-file", w.aesFile, "--cse-context", `{"kms_cmk_id":"x"}`}, "kms_cmk_id"},
		{[]string{"--client-side", "v3", "--cse-key-file", w.aesFile, "--operation", "copy"}, "--client-side has no meaning with --operation copy"},
		{[]string{"--client-side", "none", "--cse-kms-key-id", "k"}, "--cse-kms-key-id has no meaning with --client-side none"},
		{[]string{"--client-side", "none", "--source-cse-key-file", w.aesFile, "--verify", "unwrap"}, "--verify unwrap has no meaning with --client-side none"},
		{[]string{"--client-side", "v3", "--cse-kms-key-id", w.keyB}, "unencrypted"},
	})
	args := []string{"s3://" + sealedBucket, "--client-side", "v3", "--cse-key-file", w.aesFile}
	for verb, want := range map[string]string{"doctor": "cannot read version 3", "iam-policy": "kms:Decrypt", "plan": "0 objects"} {
		verbArgs := append([]string{verb}, args...)
		if verb == "plan" {
			verbArgs = append(verbArgs, "--job", filepath.Join(w.dir, "planned"))
		}
		if s := w.reseal(t, verbArgs...); s.code != 0 || !strings.Contains(s.stdout, want) {
			t.Errorf("%s: exit code %d\n%s%s", verb, s.code, s.stdout, s.stderr)
		}
	}
}
