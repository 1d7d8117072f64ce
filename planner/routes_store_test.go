package planner_test

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// TestOtherKeyIsRewritten: where every copy keeps the KMS key that an object is under,
// the object goes through this process; one under the target's own key is copied.
func TestOtherKeyIsRewritten(t *testing.T) {
	const ours, theirs = "arn:aws:kms:r:1:key/ours", "arn:aws:kms:r:1:key/theirs"
	caps := object.Capabilities{Source: "canary", Encrypts: object.Yes, Route: object.RouteReplace, EncryptedRoute: object.RouteReplace,
		Replace: object.Yes, Multipart: object.Yes, CopyIfMatch: object.Yes, CompleteIfMatch: object.Yes, PutIfMatch: object.Yes,
		CopySourceIfMatch: object.Yes, KeepsTags: object.Yes, GetTagging: object.Yes, OtherKey: object.No, Checksums: object.No}
	facts := object.BucketFacts{Versioning: object.VersioningOff, ACLsDisabled: object.Yes, ObjectLock: object.No, Website: object.No}
	for _, tc := range []struct {
		e    object.Encryption
		want object.Operation
	}{
		{object.Encryption{Type: object.SSES3}, object.OpCopy},
		{object.Encryption{Type: object.SSEKMS, KMSKeyID: theirs}, object.OpRewrite},
		{object.Encryption{Type: object.DSSEKMS, KMSKeyID: ours}, object.OpCopy},
	} {
		c := planner.Chooser{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: ours}, Caps: caps, Facts: facts}
		o := object.Object{Ref: object.Ref{Bucket: "b", Key: "k"}, Size: 1000, ETag: "e", Encryption: tc.e, Settled: true}
		got := c.Choose(&o, &object.Attributes{Tags: []object.Tag{}, Grants: []object.Grant{}})
		if got.Operation != tc.want {
			t.Errorf("%+v: %+v, want %v", tc.e, got, tc.want)
		}
		c.Caps.OtherKeyRoute = object.RouteReplace // of before a copy was seen to keep the key
		if got := c.Choose(&o, &object.Attributes{Tags: []object.Tag{}, Grants: []object.Grant{}}); got.Operation != tc.want {
			t.Errorf("%+v, once copied: %+v, want %v", tc.e, got, tc.want)
		}
		c.Caps.OtherKey, c.Caps.OtherKeyRoute = object.Yes, object.RouteReplace
		if got := c.Choose(&o, &object.Attributes{Tags: []object.Tag{}, Grants: []object.Grant{}}); got.Operation != object.OpCopy {
			t.Errorf("%+v, copies change the key: %+v", tc.e, got)
		}
	}
}

// TestL6PercentIsLeft: a key with a percent sign that the store cannot find as a source
// is not copied, nor is another one's bytes taken for it.
func TestL6PercentIsLeft(t *testing.T) {
	caps := object.Capabilities{Source: "canary", Encrypts: object.Yes, Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy,
		Multipart: object.Yes, CopyIfMatch: object.Yes, CompleteIfMatch: object.Yes, PutIfMatch: object.No, KeepsTags: object.Yes, GetTagging: object.Yes}
	facts := object.BucketFacts{Versioning: object.VersioningOff, ACLsDisabled: object.Yes, ObjectLock: object.No, Website: object.No}
	for _, tc := range []struct {
		key         string
		copy, parts object.SourceEncoding
		want        object.Operation
	}{
		{"50% off", object.EncodedOnce, object.EncodedTwice, object.OpCopy},
		{"50% off", object.EncodingBroken, object.EncodedTwice, object.OpMultipart},
		{"50% off", object.EncodingBroken, object.EncodingBroken, object.OpNone},
		{"50 off", object.EncodingBroken, object.EncodingBroken, object.OpCopy},
	} {
		caps.CopySourceEncoding, caps.PartSourceEncoding = tc.copy, tc.parts
		c := planner.Chooser{Target: object.Target{SSE: object.SSES3}, Caps: caps, Facts: facts}
		o := object.Object{Ref: object.Ref{Bucket: "b", Key: tc.key}, Size: 1000, ETag: "e", Encryption: object.Encryption{Type: object.SSENone}, Settled: true}
		if got := c.Choose(&o, &object.Attributes{Tags: []object.Tag{}, Grants: []object.Grant{}}); got.Operation != tc.want {
			t.Errorf("%q, %v and %v: %+v, want %v", tc.key, tc.copy, tc.parts, got, tc.want)
		}
	}
}
