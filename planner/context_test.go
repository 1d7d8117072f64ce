package planner

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestShownContext: on a store that shows KMS contexts, a self-copy from KMS to
// KMS must not be sent without having seen whether there is one, since that copy
// would make the object unreadable.
func TestShownContext(t *testing.T) {
	caps := minioCaps()
	caps.Source = "canary"
	unseen := object.Object{Ref: object.Ref{Bucket: "b", Key: "k"}, Size: 1, Settled: true, StorageClass: "STANDARD",
		Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:aws:kms:old"}}
	for _, c := range []struct {
		name   string
		change func(*Chooser, *object.Object)
		attrs  *object.Attributes
		untold bool
	}{
		{"nobody has looked", func(*Chooser, *object.Object) {}, nil, true},
		{"not even at the encryption", func(_ *Chooser, o *object.Object) { o.Encryption = object.Encryption{} }, nil, true},
		{"a listing showed that there is none", func(_ *Chooser, o *object.Object) { o.Plain = true }, nil, false},
		{"seen: none", func(*Chooser, *object.Object) {}, &object.Attributes{}, false},
		{"seen: one, which is resent", func(*Chooser, *object.Object) {}, &object.Attributes{KMSContext: "e30="}, false},
		{"the target brings its own", func(c *Chooser, _ *object.Object) { c.Target.Context = "e30=" }, nil, false},
		{"to SSE-S3", func(c *Chooser, _ *object.Object) { c.Target = object.Target{SSE: object.SSES3} }, nil, false},
		{"from SSE-S3", func(_ *Chooser, o *object.Object) { o.Encryption = object.Encryption{Type: object.SSES3} }, nil, false},
		{"AWS shows none to anybody", func(c *Chooser, _ *object.Object) { c.Caps.Source = "aws" }, nil, false},
	} {
		ch, o := Chooser{Target: kms("new"), Caps: caps, Facts: plainFacts()}, unseen
		c.change(&ch, &o)
		var lost lossList
		if got := ch.loseContext(&o, c.attrs, object.RouteSelfCopy, &lost); got != c.untold {
			t.Errorf("%s: untold is %v, want %v", c.name, got, c.untold)
		}
		if len(lost) > 0 {
			t.Errorf("%s: lost: %+v", c.name, lost)
		}
	}
	ch := Chooser{Target: kms("new"), Caps: caps, Facts: plainFacts()}
	if ch.loseContext(&unseen, nil, object.RouteReplace, nil) {
		t.Error("REPLACE carries no old context along, and needs no look")
	}
}
