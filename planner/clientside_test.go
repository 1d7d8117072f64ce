package planner

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestOnlyClientSide: each word against each kind of object; what nobody has looked at
// has to be.
func TestOnlyClientSide(t *testing.T) {
	for _, tc := range []struct {
		words []string
		key   string
		shown object.ClientSide
		want  Verdict
	}{
		{nil, "k", "", Yes},
		{[]string{"v3"}, "k", "", Inspect},
		{[]string{"none"}, "k", object.NoEnvelope, Yes},
		{[]string{"none"}, "k", "v2 kms", No},
		{[]string{"v1", "v2"}, "k", "v2 kms AES-CBC", Yes},
		{[]string{"v1", "v2"}, "k", "v3 kms+context", No},
		{[]string{"v3"}, "k", "v3 instruction", Yes},
		{[]string{"instruction"}, "k", "v3 instruction", Yes},
		{[]string{"instruction"}, "k.instruction", object.InstructionFile, Yes},
		{[]string{"instruction"}, "k.instruction", object.NoEnvelope, Yes},
		{[]string{"instruction"}, "k", object.NoEnvelope, No},
		{[]string{"wrap=kms"}, "k", "v2 kms AES-CBC", Yes},
		{[]string{"wrap=kms"}, "k", "v2 kms+context", No},
		{[]string{"wrap=KMS+Context"}, "k", "v3 kms+context", Yes},
		{[]string{"wrap=aes/gcm", "none"}, "k", "v3 AES/GCM", Yes},
		{[]string{"v2"}, "k", object.SomeEnvelope, No},
	} {
		var s Selection
		for _, w := range tc.words {
			f, err := ParseClientSideFilter(w)
			if err != nil {
				t.Fatal(err)
			}
			s.OnlyClientSide = append(s.OnlyClientSide, f)
		}
		o := object.Object{Ref: object.Ref{Key: tc.key}, ClientSide: tc.shown}
		if got := s.Match(&o); got != tc.want {
			t.Errorf("%v of %q (%s): %v, want %v", tc.words, tc.shown, tc.key, got, tc.want)
		}
	}
	for _, bad := range []string{"", "v4", "wrap=", "wrap=a b", "sse-s3"} {
		if _, err := ParseClientSideFilter(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
