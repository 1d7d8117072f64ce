package object

import (
	"strings"
	"testing"
)

// TestMayBeBucket: buckets of us-east-1 that were made before 2018 may have upper case,
// underscores and two dots in a row.
func TestMayBeBucket(t *testing.T) {
	for name, want := range map[string]bool{
		"docs": true, "my.docs-2": true, "My_Docs": true, "my..docs": true, "arn:aws:s3:us-east-1:111122223333:accesspoint/a": true,
		"": false, ".": false, "..": false, "../docs": false, "my docs": false, "s3://docs": false, strings.Repeat("a", 256): false,
	} {
		if MayBeBucket(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
}
