package main

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

func TestNotSet(t *testing.T) {
	t.Parallel()
	const arn, other = "arn:aws:kms:eu-west-1:111122223333:key/k", "arn:aws:kms:eu-west-1:111122223333:key/o"
	for name, test := range map[string]struct {
		key, shown string
		want       bool // that it counts as set
	}{
		"the same ARN":          {arn, arn, true},
		"an ID, as its ARN":     {"k", arn, true},
		"another ARN":           {arn, other, false},
		"another ID":            {"k", other, false},
		"no key":                {arn, "", false},
		"an alias":              {"alias/a", "alias/a", true},
		"another alias":         {"alias/a", "alias/b", false},
		"an alias, by its ARN":  {"alias/a", "arn:aws:kms:eu-west-1:111122223333:alias/a", true},
		"an alias, as its key":  {"alias/a", arn, true},
		"none named, one shown": {"", arn, true},
	} {
		c := s3store.BucketEncryptionChange{SSE: object.SSEKMS, KMSKeyID: test.key}
		e := s3store.BucketEncryption{Default: object.Encryption{Type: object.SSEKMS, KMSKeyID: test.shown}}
		if got := notSet(&c, &e); (got == "") != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
