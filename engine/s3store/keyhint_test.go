package s3store

import (
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestHintNamesTheKeyThatKMSNames: where a wrap is made anew, the key that is disabled may be the
// old one, and whoever enabled the new one would run again for nothing.
func TestHintNamesTheKeyThatKMSNames(t *testing.T) {
	const old, target = "arn:aws:kms:us-east-1:111122223333:key/1", "arn:aws:kms:us-east-1:111122223333:key/2"
	for code, want := range map[string]string{"DisabledException": "enable " + old, "KMSInvalidStateException": old + " is pending deletion", "NotFoundException": old + " exists"} {
		e := &object.Error{Class: object.ClassKey, Code: code, Message: old + " is not to be used."}
		if got := hint(e, object.FailedReply{KMSKey: target}, ""); !strings.Contains(got, want) || strings.Contains(got, target) {
			t.Errorf("%s: %s", code, got)
		}
	}
}
