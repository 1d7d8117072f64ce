package planner

import (
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestChooseReupload follows the table above chooseReupload.
func TestChooseReupload(t *testing.T) {
	both := object.Capabilities{PutIfMatch: object.Yes, SendIfMatch: object.Yes, CompleteIfMatch: object.Yes, Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy,
		KeepsTags: object.Yes, KeepsClass: object.Yes, KeepsLock: object.Yes, KeepsRedirect: object.Yes, GetTagging: object.Yes, Encrypts: object.Yes}
	only := func(put, send object.Finding) object.Capabilities {
		c := both
		c.PutIfMatch, c.SendIfMatch = put, send
		return c
	}
	facts := object.BucketFacts{ACLsDisabled: object.Yes, ObjectLock: object.No}
	seen := &object.Attributes{}
	plain := object.Object{Ref: object.Ref{Bucket: "b", Key: "k"}, ETag: "e", Size: 7, Encryption: object.Encryption{Type: object.SSES3}, LastModified: time.Unix(1, 0)}
	with := func(f func(*object.Object)) object.Object {
		o := plain
		f(&o)
		return o
	}
	for _, tc := range []struct {
		name  string
		o     object.Object
		a     *object.Attributes
		caps  object.Capabilities
		op    object.Operation
		route object.Route
		why   object.Reason
	}{
		{"a delete marker", with(func(o *object.Object) { o.DeleteMarker = true }), seen, both, object.OpNone, 0, object.ReasonGone},
		{"noncurrent", with(func(o *object.Object) { o.Noncurrent = true }), seen, both, object.OpNone, 0, object.ReasonNoncurrent},
		{"not inspected", plain, nil, both, object.OpUndecided, 0, ""},
		{"unknown encryption", with(func(o *object.Object) { o.Encryption.Type = object.SSEUnknown }), seen, both, object.OpNone, 0, object.ReasonUnsupported},
		{"SSE-C", with(func(o *object.Object) { o.Encryption.Type = object.SSEC }), seen, both, object.OpNone, 0, object.ReasonMissingKey},
		{"archived", with(func(o *object.Object) { o.StorageClass = "GLACIER" }), seen, both, object.OpNone, 0, object.ReasonArchived},
		{"a checksum that nobody here makes", with(func(o *object.Object) { o.ChecksumAlgorithm = "XXHASH64" }), seen, both, object.OpNone, 0, object.ReasonComposite},
		{"small", plain, seen, both, object.OpRewrite, object.RouteRewrite, ""},
		{"just small", with(func(o *object.Object) { o.Size = MaxSentWhole }), seen, both, object.OpRewrite, object.RouteRewrite, ""},
		{"large", with(func(o *object.Object) { o.Size = MaxSentWhole + 1 }), seen, both, object.OpRewrite, object.RouteSend, ""},
		{"small, and only uploads are guarded", plain, seen, only(object.No, object.Yes), object.OpRewrite, object.RouteSend, ""},
		{"large, and only a PUT is guarded", with(func(o *object.Object) { o.Size = MaxSentWhole + 1 }), seen, only(object.Yes, object.No), object.OpNone, 0, object.ReasonUnsupported},
		{"nothing is guarded", plain, seen, only(object.No, object.No), object.OpNone, 0, object.ReasonUnsupported},
		{"metadata that HTTP hides", plain, &object.Attributes{MissingMetadata: 1}, both, object.OpNone, 0, object.ReasonMetadata},
	} {
		c := Chooser{Caps: tc.caps, Facts: facts, Reupload: &Reupload{KeepsSSE: true}}
		got := c.Choose(&tc.o, tc.a)
		if got.Operation != tc.op || got.Route != tc.route || got.Reason != tc.why {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}
