package planner

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// --inspect never copies what the row does not tell, but only where that can
// lose nothing.
func TestUnseen(t *testing.T) {
	row := object.Object{Ref: object.Ref{Bucket: "b", Key: "k"}, Size: 1, ETag: "e"}
	base := Chooser{Unseen: true, Target: object.Target{SSE: object.SSES3},
		Caps: object.Capabilities{Encrypts: object.Yes, Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy,
			KeepsTags: object.Yes, KeepsExpires: object.Yes, Checksums: object.Yes},
		Facts: object.BucketFacts{ACLsDisabled: object.Yes, ObjectLock: object.No, Website: object.No}}
	for name, test := range map[string]struct {
		change func(c *Chooser, o *object.Object)
		want   object.Operation
	}{
		"nothing to lose":         {func(*Chooser, *object.Object) {}, object.OpCopy},
		"without --inspect never": {func(c *Chooser, _ *object.Object) { c.Unseen = false }, object.OpUndecided},
		"only updates allowed":    {func(c *Chooser, _ *object.Object) { c.Operation = UpdateOnly }, object.OpUndecided},
		"routes differ":           {func(c *Chooser, _ *object.Object) { c.Caps.EncryptedRoute = object.RouteMultipart }, object.OpUndecided},
		"a lock may be there":     {func(c *Chooser, _ *object.Object) { c.Facts.ObjectLock = object.Unknown }, object.OpUndecided},
		"Expires may be there":    {func(c *Chooser, _ *object.Object) { c.Caps.KeepsExpires = object.No }, object.OpUndecided},
		"Expires may go": {func(c *Chooser, _ *object.Object) {
			c.Caps.KeepsExpires, c.Accept = object.No, []object.Reason{ReasonExpires}
		}, object.OpCopy},
		"no condition on the source": {func(_ *Chooser, o *object.Object) { o.ETag = "" }, object.OpUndecided},
		"composite, perhaps":         {func(_ *Chooser, o *object.Object) { o.ETag = "e-3" }, object.OpUndecided},
		"noncurrent":                 {func(_ *Chooser, o *object.Object) { o.Noncurrent = true }, object.OpNone},
	} {
		c, o := base, row
		test.change(&c, &o)
		if got := c.Choose(&o, nil); got.Operation != test.want {
			t.Errorf("%s: %v %s, want %v", name, got.Operation, got.Reason, test.want)
		}
	}
}
