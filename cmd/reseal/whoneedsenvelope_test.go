package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/resealhq/reseal/engine/s3test"
	testkms "github.com/resealhq/reseal/engine/s3test/kms"
)

// TestWhoNeedsEnvelopes: who may use the key is told which envelopes of client-side encryption
// it wraps, by dry runs that show no data key; to whom it is denied, and of a key that is
// disabled, they are what is not known.
func TestWhoNeedsEnvelopes(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.put("plain", s3test.Object{})
	for i, key := range []string{st.keyA, st.keyA, st.keyA, st.keyB} {
		st.put(fmt.Sprint("sealed", i), s3test.Object{Attrs: s3test.Attrs{Metadata: st.sealedBy(t, key, i)}})
	}
	raw := st.sealedBy(t, st.keyA, 9)
	raw["x-amz-wrap-alg"], raw["x-amz-matdesc"] = "AES/GCM", "{}"
	raw["x-amz-key-v2"] = base64.StdEncoding.EncodeToString(make([]byte, 60)) // a data key under AES-GCM
	st.put("raw", s3test.Object{Attrs: s3test.Attrs{Metadata: raw}})
	other := st.server.KMS.CreateKey("alias/other")
	for _, c := range []struct {
		key             string
		code, envelopes int
		verdict         string
	}{{st.keyA, 3, 3, "needed"}, {st.keyB, 3, 1, "needed"}, {other, 0, 0, "not-needed"}} {
		var answer struct {
			Verdict string
			Sources []struct{ Envelopes, ClientSide struct{ Objects int } }
		}
		st.jsonOf(t, &answer, c.code, "who-needs", c.key, "s3://b", "--json", "--quiet")
		if answer.Verdict != c.verdict || answer.Sources[0].Envelopes.Objects != c.envelopes || answer.Sources[0].ClientSide.Objects != 0 {
			t.Errorf("%s: %+v", c.key, answer)
		}
	}
	if s := st.reseal(t, "who-needs", st.keyA, "s3://b", "--quiet"); !strings.Contains(s.stdout, "needed by 3 client-side envelopes, in 1 of 1 source") || !strings.Contains(s.stdout, "--operation rewrap") {
		t.Error(s.stdout)
	}
	for _, call := range st.server.KMS.Journal("Decrypt") {
		if !call.DryRun {
			t.Errorf("%+v", call)
		}
	}
	st.server.KMS.Deny(st.keyA, "kms:Decrypt")
	s := st.reseal(t, "who-needs", st.keyA, "s3://b", "--quiet")
	if s.code != 1 || !strings.Contains(s.stdout, "client-side encryption: what wraps their keys") {
		t.Errorf("denied: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	st.server.KMS.Deny(st.keyA)
	st.server.KMS.SetKeyState(st.keyA, testkms.Disabled)
	if s := st.reseal(t, "who-needs", st.keyA, "s3://b", "--quiet"); s.code != 1 {
		t.Errorf("disabled: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}

// TestWhoNeedsInstructionFiles: an envelope that lies in an instruction file leaves no mark on
// its object, and mostly none on the file. Whoever let its key go would lose the object.
func TestWhoNeedsInstructionFiles(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	other := st.server.KMS.CreateKey("alias/other")
	file := func(key string, envelope any, mark map[string]string) {
		text, err := json.Marshal(envelope)
		if err != nil {
			t.Fatal(err)
		}
		st.put(key+".instruction", s3test.Object{Body: s3test.Bytes(string(text)), Attrs: s3test.Attrs{Metadata: mark}})
	}
	wants := func(key string, code int, verdict string, envelopes, unknown int) {
		t.Helper()
		type amount struct{ Objects int }
		var answer struct {
			Verdict string
			Sources []struct {
				Envelopes  amount
				ClientSide amount `json:"client_side"`
			}
		}
		st.jsonOf(t, &answer, code, "who-needs", key, "s3://b", "--json", "--quiet")
		if s := answer.Sources[0]; answer.Verdict != verdict || s.Envelopes.Objects != envelopes || s.ClientSide.Objects != unknown {
			t.Errorf("%s: %+v, want %s, %d envelopes, %d not known", key, answer, verdict, envelopes, unknown)
		}
	}
	marked := map[string]string{"x-amz-crypto-instr-file": "yes"}
	st.put("two", s3test.Object{})
	file("two", st.sealedBy(t, st.keyA, 1), nil)
	st.put("old", s3test.Object{})
	file("old", st.sealedBy(t, st.keyB, 2), marked)
	st.put("the minister's.instruction", s3test.Object{})
	file("a draft", []string{"no envelope"}, nil)
	half := base64.StdEncoding.EncodeToString(make([]byte, 28))
	st.put("three", s3test.Object{Attrs: s3test.Attrs{Metadata: map[string]string{"x-amz-c": "115", "x-amz-d": half, "x-amz-i": half}}})
	file("three", map[string]string{"x-amz-3": st.wrappedBy(t, st.keyB, map[string]string{"aws:x-amz-cek-alg": "115"}), "x-amz-w": "12", "x-amz-t": `{"aws:x-amz-cek-alg":"115"}`}, nil)
	wants(st.keyA, 3, "needed", 1, 0)
	wants(st.keyB, 3, "needed", 2, 0)
	wants(other, 0, "not-needed", 0, 0)

	file("two", st.sealedBy(t, st.keyB, 3), nil) // its version before is there still
	wants(st.keyA, 3, "needed", 1, 0)
	wants(st.keyB, 3, "needed", 3, 0)

	file("torn", "half of one", marked)
	wants(other, 1, "unknown", 0, 1)
}

// sealedBy is an envelope of version 2 under a KMS key.
func (st *stage) sealedBy(t *testing.T, key string, i int) map[string]string {
	t.Helper()
	return map[string]string{"x-amz-key-v2": st.wrappedBy(t, key, sealedContext), "x-amz-iv": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i)}, 12)), "x-amz-wrap-alg": "kms+context",
		"x-amz-cek-alg": "AES/GCM/NoPadding", "x-amz-tag-len": "128", "x-amz-matdesc": `{"aws:x-amz-cek-alg":"AES/GCM/NoPadding","who":"me"}`}
}

// wrappedBy is a data key under a KMS key and an encryption context.
func (st *stage) wrappedBy(t *testing.T, key string, context map[string]string) string {
	t.Helper()
	d := s3test.DefaultCredentials
	client := kms.New(kms.Options{Region: "us-east-1", BaseEndpoint: aws.String(st.server.URL()), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(d.AccessKeyID, d.SecretAccessKey, "")})
	out, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: bytes.Repeat([]byte{7}, 32), EncryptionContext: context})
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(out.CiphertextBlob)
}
