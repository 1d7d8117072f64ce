package cse_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// written is a way in which a judge writes, what comes out, and who reads it
// once it is under each target.
type written struct {
	by     client
	want   string // Envelope.String
	opener cse.Opener
	under  []under
}

type under struct {
	target cse.Target
	want   string
	by     []client
}

// cases are all ways of all judges. While they read, the
// old KMS key is disabled.
func (c *court) cases(k rawKeys) []written {
	entries, user := `{"who":"me"}`, map[string]string{"who": "me"}
	kmsOpener := cse.Opener{KMS: c.kms}
	toB, toContext := cse.Target{KMSKeyID: c.b}, cse.Target{Wrap: cse.KMSContext, KMSKeyID: c.b}
	v4, v3 := golang("Go v4", "-client", "v4", "-kms-key", c.b), golang("Go v3", "-client", "v3", "-kms-key", c.b)
	v4strict := golang("Go v4, strict, with the context", "-client", "v4", "-kms-key", c.b, "-strict", "-context", entries)
	v4old, v1 := golang("Go v4, legacy", "-client", "v4", "-kms-key", c.b, "-legacy"), golang("aws-sdk-go", "-client", "v1")
	rb := ruby("Ruby v2", map[string]any{"kms_key": c.b})
	rbUser := ruby("Ruby v2, with the context", map[string]any{"kms_key": c.b, "context": user})
	rbOld := ruby("Ruby v2, legacy", map[string]any{"kms_key": c.b, "legacy": true})
	rbAES, rbAES2 := ruby("Ruby v2, AES", map[string]any{"raw_key": k.aes64}), ruby("Ruby v2, the other AES", map[string]any{"raw_key": k.aes264})
	rbRSA := ruby("Ruby v2, RSA", map[string]any{"pem": k.pem})
	file := func(j client) client {
		if j.ruby == nil {
			return golang(j.name+", in a file", append(j.flags, "-instruction")...)
		}
		job := map[string]any{"instruction": true}
		for n, v := range j.ruby {
			job[n] = v
		}
		return ruby(j.name+", in a file", job)
	}
	write := func(flags ...string) client { return golang("Go "+flags[1], append(flags, "-kms-key", c.a)...) }
	rbWrites := ruby("Ruby v2, KMS", map[string]any{"kms_key": c.a})
	return []written{
		{write("-client", "v4", "-context", entries), "v3 kms+context", kmsOpener, []under{
			{toB, "v3 kms+context", []client{v4strict, v3}}, {cse.Target{Wrap: cse.AESGCM, Key: k.aes}, "v3 AES/GCM", nil}}},
		{write("-client", "v4", "-context", `{"who":"Zoë Müller"}`), "v3 kms+context", kmsOpener, []under{
			{toB, "v3 kms+context", []client{golang("Go v4", "-client", "v4", "-kms-key", c.b, "-strict", "-context", `{"who":"Zoë Müller"}`), v3}}}},
		{write("-client", "v3", "-suite", "gcm", "-context", entries), "v2 kms+context", kmsOpener, []under{
			{toB, "v2 kms+context", []client{v4, v3, v1, rbUser}}}},
		{write("-client", "v4", "-suite", "gcm"), "v2 kms+context", kmsOpener, []under{
			{cse.Target{Wrap: cse.RSAOAEP, Key: k.rsa}, "v2 RSA-OAEP-SHA1", []client{rbRSA}}}},
		{write("-client", "v1", "-context", entries), "v2 kms+context", kmsOpener, []under{{toB, "v2 kms+context", []client{v1, rbUser, v4}}}},
		{write("-client", "v1", "-wrap", "kms"), "v2 kms", kmsOpener, []under{
			{toB, "v2 kms", []client{v4old, v1, rbOld}}, {toContext, "v2 kms+context", []client{v4, v3, v1, rb}}}},
		{write("-client", "v1", "-wrap", "kms", "-content", "cbc"), "v2 kms", kmsOpener, []under{{toB, "v2 kms", []client{v4old, v1, rbOld}}}},
		{file(write("-client", "v1", "-context", entries)), "v2 kms+context instruction", kmsOpener, []under{
			{toB, "v2 kms+context instruction", []client{file(rbUser)}}}},
		{rbWrites, "v2 kms+context", kmsOpener, []under{{toB, "v2 kms+context", []client{rb, v4, v3, v1}}}},
		{file(rbWrites), "v2 kms+context instruction", kmsOpener, []under{{toB, "v2 kms+context instruction", []client{file(rb)}}}},
		{ruby("Ruby v1, KMS", map[string]any{"version": 1, "kms_key": c.a}), "v2 kms", kmsOpener, []under{{toB, "v2 kms", []client{rbOld, v4old, v1}}}},
		{rbAES, "v2 AES/GCM", cse.Opener{Key: k.aes}, []under{
			{cse.Target{Key: k.aes2, SourceKey: k.aes}, "v2 AES/GCM", []client{rbAES2}},
			{cse.Target{Wrap: cse.RSAOAEP, Key: k.rsa, SourceKey: k.aes2}, "v2 RSA-OAEP-SHA1", []client{rbRSA}},
			{cse.Target{Wrap: cse.KMSContext, KMSKeyID: c.b, SourceKey: k.rsa}, "v2 kms+context", []client{rb, v4, v3, v1}}}},
		{rbRSA, "v2 RSA-OAEP-SHA1", cse.Opener{Key: k.rsa}, []under{
			{cse.Target{Wrap: cse.AESGCM, Key: k.aes, SourceKey: k.rsa}, "v2 AES/GCM", []client{rbAES}}}},
		{file(rbAES), "v2 AES/GCM instruction", cse.Opener{Key: k.aes}, []under{
			{cse.Target{Key: k.aes2, SourceKey: k.aes}, "v2 AES/GCM instruction", []client{file(rbAES2)}},
			{cse.Target{Wrap: cse.RSAOAEP, Key: k.rsa, SourceKey: k.aes2}, "v2 RSA-OAEP-SHA1 instruction", []client{file(rbRSA)}}}},
		{ruby("Ruby v1, AES", map[string]any{"version": 1, "raw_key": k.aes64}), "v1 AES", cse.Opener{Key: k.aes}, nil},
		{ruby("Ruby v1, RSA", map[string]any{"version": 1, "pem": k.pem}), "v1 RSA", cse.Opener{Key: k.rsa}, nil},
		{file(ruby("Ruby v1, AES", map[string]any{"version": 1, "raw_key": k.aes64})), "v1 AES instruction", cse.Opener{Key: k.aes}, nil},
	}
}

// TestJudgesRewrap: what each client writes we read, and what we made of its
// envelope each client reads, with nothing but the new key. From KMS to KMS
// nobody asked for a Decrypt.
func TestJudgesRewrap(t *testing.T) {
	c := newCourt(t)
	k := newRawKeys(t)
	text := randomText(t, 1<<10+7)
	made := vectors{Text: text, AES: k.aesBytes, RSA: k.pemText}
	for i, w := range c.cases(k) {
		t.Run(fmt.Sprintf("%02d %s, %s", i, w.by.name, w.want), func(t *testing.T) {
			c.t = t
			key := c.put(w.by, text)
			if e := c.envelope(key); e.String() != w.want {
				t.Fatalf("wrote %s", e)
			}
			if got := c.text(key, w.opener); !bytes.Equal(got, text) {
				t.Fatalf("we read %d bytes that are not the text", len(got))
			}
			made.Objects = append(made.Objects, c.vector(w.by, key))
			for _, u := range w.under {
				if c.rewrap(key, u.target) {
					t.Fatal("already so, before anything was done")
				}
				if e := c.envelope(key); e.String() != u.want {
					t.Errorf("now %s, want %s", e, u.want)
				}
				c.s.KMS.SetKeyState(c.a, kms.Disabled)
				for _, by := range u.by {
					c.reads(by, key, text)
				}
				c.s.KMS.SetKeyState(c.a, kms.Enabled)
				if !c.rewrap(key, u.target) {
					t.Error("a second run was not idempotent")
				}
			}
		})
	}
	if *makeVectors && !t.Failed() {
		made.write(t)
	}
}

// TestJudgesRotate: new material under the same key is worth one rewrap, and the
// reader does not notice.
func TestJudgesRotate(t *testing.T) {
	c := newCourt(t)
	text := randomText(t, 99)
	v4 := golang("Go v4", "-client", "v4", "-kms-key", c.a, "-strict")
	key, same := c.put(v4, text), cse.Target{KMSKeyID: c.a}
	if !c.rewrap(key, same) {
		t.Error("the same key and material was rewrapped")
	}
	c.rotate(c.a)
	if c.rewrap(key, same) || !c.rewrap(key, same) {
		t.Error("new material is not worth exactly one rewrap")
	}
	c.reads(v4, key, text)
	other := cse.Target{KMSKeyID: c.b, SourceKMSKeyID: c.b}
	d, err := cse.Decide(c.envelope(key), other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Do(t.Context(), c.kms); !isReason(err, cse.ReasonOtherKey) {
		t.Errorf("an object of another key: %v", err)
	}
}

// TestJudgesReadUploads: what we encrypt by pieces, the clients read whole, in
// their strictest mode, at every kind of size.
func TestJudgesReadUploads(t *testing.T) {
	c := newCourt(t)
	k := newRawKeys(t)
	user := map[string]string{"who": "me"}
	strict := golang("Go v4, strict", "-client", "v4", "-kms-key", c.b, "-strict", "-context", `{"who":"me"}`)
	v4, v3 := golang("Go v4", "-client", "v4", "-kms-key", c.b), golang("Go v3", "-client", "v3")
	v1, rb := golang("aws-sdk-go", "-client", "v1"), ruby("Ruby v2", map[string]any{"kms_key": c.b, "context": user})
	for _, u := range []struct {
		format cse.Format
		target cse.Target
		sizes  []int
		by     []client
	}{
		{cse.V3, cse.Target{Wrap: cse.KMSContext, KMSKeyID: c.b, Entries: user}, []int{0, 1, 16, 6<<20 + 5}, []client{strict}},
		{cse.V3, cse.Target{Wrap: cse.KMSContext, KMSKeyID: c.b, Entries: user}, []int{1000}, []client{v3}},
		{cse.V2, cse.Target{Wrap: cse.KMSContext, KMSKeyID: c.b, Entries: user}, []int{0, 65537}, []client{v4, v1, rb}},
		{cse.V2, cse.Target{Wrap: cse.AESGCM, Key: k.aes}, []int{1000}, []client{ruby("Ruby v2, AES", map[string]any{"raw_key": k.aes64})}},
		{cse.V2, cse.Target{Wrap: cse.RSAOAEP, Key: k.rsa}, []int{1000}, []client{ruby("Ruby v2, RSA", map[string]any{"pem": k.pem})}},
	} {
		for _, n := range u.sizes {
			text := randomText(t, n)
			key := c.upload(u.format, u.target, text)
			for _, by := range u.by {
				c.reads(by, key, text)
			}
		}
	}
}

// upload writes an object through an Upload, its pieces from the last to the
// first.
func (c *court) upload(f cse.Format, target cse.Target, text []byte) string {
	c.t.Helper()
	up, err := cse.NewUpload(c.t.Context(), c.kms, f, target)
	if err != nil {
		c.t.Fatal(err)
	}
	m, err := up.Metadata(map[string]string{"own": "value", "x-amz-iv": "left over"})
	if err != nil {
		c.t.Fatal(err)
	}
	const piece = 1 << 20
	body := make([]byte, len(text), len(text)+16)
	for at := (len(text) - 1) / piece * piece; at >= 0 && len(text) > 0; at -= piece {
		end := min(at+piece, len(text))
		if err := up.Part(body[at:end], text[at:end], int64(at)); err != nil {
			c.t.Fatal(err)
		}
	}
	tag, err := up.Finish(cse.Unencrypted(int64(len(text))))
	if err != nil {
		c.t.Fatal(err)
	}
	c.n++
	key := fmt.Sprintf("up-%03d", c.n)
	if _, err := c.s3.PutObject(c.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Metadata: m, Body: bytes.NewReader(append(body, tag...))}); err != nil {
		c.t.Fatal(err)
	}
	return key
}
