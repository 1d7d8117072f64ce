package s3store

import (
	"slices"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestBlockKeepsOthers: to block SSE-C allows nothing again that is blocked already, known
// here or not.
func TestBlockKeepsOthers(t *testing.T) {
	for _, c := range []struct{ was, want []string }{
		{nil, []string{"SSE-C"}},
		{[]string{"NONE"}, []string{"SSE-C"}},
		{[]string{"SSE-C"}, []string{"SSE-C"}},
		{[]string{"SSE-NEW"}, []string{"SSE-NEW", "SSE-C"}},
		{[]string{"SSE-C", "SSE-NEW"}, []string{"SSE-NEW", "SSE-C"}},
	} {
		rule := encryptionRule{}
		if c.was != nil {
			rule.Blocked = &blockedTypes{EncryptionType: slices.Clone(c.was)}
		}
		change := BucketEncryptionChange{BlockSSEC: object.On}
		if change.apply(&rule); !slices.Equal(rule.Blocked.EncryptionType, c.want) {
			t.Errorf("of %v comes %v, want %v", c.was, rule.Blocked.EncryptionType, c.want)
		}
	}
}
