package doctor

import (
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestPolicyOfEachEnd: what reads may not write, and what writes may not read the
// source; each has the key of its own side.
func TestPolicyOfEachEnd(t *testing.T) {
	n := Needs{Bucket: "from", DestBucket: "to", DestPrefix: "p/", Target: object.Target{SSE: object.SSEKMS, KMSKeyID: keyARN}, SourceKeys: []string{oldARN}}
	for end, want := range map[string]struct{ has, not []string }{
		"source": {[]string{"s3:ListBucket", "s3:GetObject", "s3:GetObjectTagging", "kms:Decrypt", oldARN}, []string{"s3:PutObject", keyARN, "arn:aws:s3:::to"}},
		"dest":   {[]string{"s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject", "kms:GenerateDataKey", keyARN, "arn:aws:s3:::to/p/*"}, []string{oldARN, "arn:aws:s3:::from"}},
	} {
		n.End = end
		text, err := Policy(n).JSON()
		if err != nil {
			t.Fatal(err)
		}
		has := func(word string) bool { return strings.Contains(string(text), `"`+word) }
		if slices.ContainsFunc(want.not, has) || !slices.ContainsFunc(want.has, has) {
			t.Errorf("%s: %s", end, text)
		}
		for _, word := range want.has {
			if !has(word) {
				t.Errorf("%s: %s is missing", end, word)
			}
		}
	}
}
