package doctor

import (
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestRewrapFindings: doctor says what a new wrap leaves as it was, and nothing about
// the server's encryption.
func TestRewrapFindings(t *testing.T) {
	f := &Facts{Bucket: "b", Rewrap: &Rewrap{}, Settings: object.BucketFacts{Versioning: object.VersioningEnabled},
		Default: object.Encryption{Type: object.SSES3}, DefaultKnown: true, Caps: object.Capabilities{Source: "aws", Encrypts: object.Yes}}
	topics := func() (all []string) {
		for _, found := range Examine(f) {
			all = append(all, found.Topic)
		}
		return all
	}
	if got := topics(); !slices.Contains(got, "readers") || !slices.Contains(got, "versions") || !slices.Contains(got, "data-keys") || slices.Contains(got, "default-encryption") {
		t.Errorf("%v", got)
	}
	before := len(topics())
	f.Rewrap.Unwrap = true
	if got := topics(); len(got) != before-1 {
		t.Errorf("with --verify unwrap: %v", got)
	}
}

// TestRewrapPolicy: from KMS to KMS nobody may decrypt but S3 for itself.
func TestRewrapPolicy(t *testing.T) {
	const oldKey, newKey = "arn:aws:kms:eu-west-1:111122223333:key/old", "arn:aws:kms:eu-west-1:111122223333:key/new"
	direct := func(n *RewrapNeeds) string {
		var all []string
		for _, s := range Policy(Needs{Bucket: "b", Region: "eu-west-1", Rewrap: n}).Statement {
			for _, a := range s.Action {
				if strings.HasPrefix(a, "kms:") && s.Condition == nil {
					all = append(all, a+" "+strings.TrimPrefix(s.Resource[0], "arn:aws:kms:eu-west-1:"))
				}
			}
		}
		return strings.Join(all, ", ")
	}
	for _, tc := range []struct {
		needs RewrapNeeds
		want  string
	}{
		{RewrapNeeds{Key: newKey, SourceKey: oldKey}, "kms:ReEncryptTo 111122223333:key/new, kms:ReEncryptFrom 111122223333:key/new, kms:DescribeKey 111122223333:key/new, kms:ReEncryptFrom 111122223333:key/old"},
		{RewrapNeeds{Key: newKey}, "kms:ReEncryptTo 111122223333:key/new, kms:DescribeKey 111122223333:key/new, kms:ReEncryptFrom *:key/*"},
		{RewrapNeeds{Key: newKey, SourceKey: oldKey, Unwrap: true}, "kms:ReEncryptTo 111122223333:key/new, kms:ReEncryptFrom 111122223333:key/new, kms:Decrypt 111122223333:key/new, kms:DescribeKey 111122223333:key/new, kms:ReEncryptFrom 111122223333:key/old"},
		{RewrapNeeds{SourceKey: oldKey, RawKey: true}, "kms:Decrypt 111122223333:key/old"},
		{RewrapNeeds{RawKey: true, RawSource: true}, ""},
	} {
		if got := direct(&tc.needs); got != tc.want {
			t.Errorf("%+v:\n%s\nwant\n%s", tc.needs, got, tc.want)
		}
	}
}
