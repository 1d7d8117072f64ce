package object

import (
	"strings"
	"testing"
)

func TestClientSideOf(t *testing.T) {
	m := func(pairs ...string) map[string]string {
		out := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	long := strings.Repeat("A", 344)
	for _, c := range []struct {
		metadata map[string]string
		want     ClientSide
		content  string
	}{
		{nil, NoEnvelope, ""},
		{m("mtime", "1"), NoEnvelope, ""},
		{m("x-amz-key", "AAAA"), "v1 AES", "AES-CBC"},
		{m("x-amz-key", long), "v1 RSA", "AES-CBC"},
		{m("x-amz-key-v2", "AAAA", "x-amz-wrap-alg", "kms+context", "x-amz-cek-alg", "AES/GCM/NoPadding"), "v2 kms+context", "AES-GCM"},
		{m("x-amz-key-v2", "AAAA", "x-amz-wrap-alg", "kms", "x-amz-cek-alg", "AES/CBC/PKCS5Padding"), "v2 kms AES-CBC", "AES-CBC"},
		{m("x-amz-key-v2", "AAAA", "x-amz-wrap-alg", "kms", "x-amz-cek-alg", "ROT13"), SomeEnvelope, ""},
		{m("x-amz-key-v2", "AAAA", "x-amz-wrap-alg", "another", "x-amz-cek-alg", "AES/GCM/NoPadding"), SomeEnvelope, ""},
		{m("x-amz-3", "AAAA", "x-amz-w", "12"), "v3 kms+context", "AES-GCM, committed"},
		{m("x-amz-3", "AAAA", "x-amz-w", "99"), SomeEnvelope, ""},
		{m("x-amz-c", "115", "x-amz-d", "A", "x-amz-i", "A"), "v3 instruction", "AES-GCM, committed"},
		{m("x-amz-c", "115"), SomeEnvelope, ""},
		{m("x-amz-cek-alg", "AES/GCM/NoPadding"), SomeEnvelope, ""},
		{m("x-amz-key", "AAAA", "x-amz-3", "AAAA"), SomeEnvelope, ""},
		{m("x-amz-key-v2", ""), SomeEnvelope, ""},
		{m("x-amz-crypto-instr-file", ""), InstructionFile, ""},
	} {
		got := ClientSideOf(c.metadata)
		if got != c.want || got.Content() != c.content {
			t.Errorf("%v is %q with content %q, want %q, %q", c.metadata, got, got.Content(), c.want, c.content)
		}
		if got.Encrypted() != (got != NoEnvelope && got != InstructionFile) {
			t.Errorf("%q is taken for encrypted: %v", got, got.Encrypted())
		}
	}
}
