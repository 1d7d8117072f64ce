package planner

import (
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// An mtime that cannot be stamped leaves the object, and the message names the flag;
// without the flag, or where there is one already, the object is copied.
func TestW5AnMtimeThatHasNoRoom(t *testing.T) {
	room := func(n int) map[string]string { return map[string]string{"a": strings.Repeat("x", n-1)} }
	for name, test := range map[string]struct {
		a    object.Attributes
		left bool
	}{
		"just fits":            {object.Attributes{Metadata: room(2048 - 15)}, false},
		"one byte too many":    {object.Attributes{Metadata: room(2048 - 14)}, true},
		"more than S3 takes":   {object.Attributes{Metadata: room(4096)}, false},
		"hidden":               {object.Attributes{MissingMetadata: 1}, true},
		"hidden, and an mtime": {object.Attributes{MissingMetadata: 1, Metadata: map[string]string{"mtime": "1"}}, false},
	} {
		for _, stamp := range []bool{true, false} {
			c := Chooser{Target: object.Target{SSE: object.SSES3, StampMtime: stamp}, Caps: awsCaps(), Facts: plainFacts()}
			o := under(object.SSENone, "")
			got := c.Choose(&o, &test.a)
			if left := got.Operation == object.OpNone; left != (test.left && stamp) {
				t.Errorf("%s, stamped %v: %+v", name, stamp, got)
			}
			if got.Operation == object.OpNone && (got.Reason != object.ReasonMetadata || !strings.Contains(got.Message, "--stamp-mtime")) {
				t.Errorf("%s: left because of %s: %s", name, got.Reason, got.Message)
			}
		}
	}
}
