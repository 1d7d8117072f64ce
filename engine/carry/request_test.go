package carry

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// The checksums that an upload is asked for are those that S3 can make of parts.
func TestUploadChecksum(t *testing.T) {
	for _, tc := range [][4]string{
		{"SHA256", "FULL_OBJECT", "SHA256", "COMPOSITE"}, // its change was accepted by name
		{"SHA1", "COMPOSITE", "SHA1", "COMPOSITE"},
		{"SHA512", "", "SHA512", "COMPOSITE"},
		{"MD5", "FULL_OBJECT", "MD5", "COMPOSITE"},
		{"XXHASH64", "FULL_OBJECT", "XXHASH64", "COMPOSITE"},
		{"XXHASH3", "FULL_OBJECT", "XXHASH3", "COMPOSITE"},
		{"XXHASH128", "FULL_OBJECT", "XXHASH128", "COMPOSITE"},
		{"CRC32", "FULL_OBJECT", "CRC32", "FULL_OBJECT"},
		{"CRC32C", "COMPOSITE", "CRC32C", "COMPOSITE"},
		{"CRC64NVME", "FULL_OBJECT", "CRC64NVME", "FULL_OBJECT"},
		{"", "", "", ""},
	} {
		o := &object.Object{ChecksumAlgorithm: tc[0], ChecksumType: tc[1]}
		if algorithm, typ := uploadChecksum(o); algorithm != tc[2] || typ != tc[3] {
			t.Errorf("%v: asked for %s %s", tc, algorithm, typ)
		}
	}
}

var (
	noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	src  = object.Ref{Bucket: "b", Key: "a/k", VersionID: "v1"}
	here = object.Ref{Bucket: "b", Key: "a/k"}
	tags = []object.Tag{{Key: "team", Value: "a"}}
	acl  = []object.Grant{{ID: "owner", Permission: "READ"}}
)

// What a copy of one object holds, under each rule that changes it.
func TestCopy(t *testing.T) {
	kms := object.Target{SSE: object.SSEKMS, KMSKeyID: "new"}
	plain := object.Object{Ref: src, ETag: "e", Size: 5, LastModified: time.Unix(1700000000, 0)}
	for _, test := range []struct {
		name  string
		rules Rules
		o     func(*object.Object)
		a     *object.Attributes
		c     object.Choice
		want  func(*object.CopyRequest)
	}{
		{name: "plain"},
		{name: "another class than STANDARD is kept", o: func(o *object.Object) { o.StorageClass = "STANDARD_IA" },
			want: func(r *object.CopyRequest) { r.StorageClass = "STANDARD_IA" }},
		{name: "STANDARD is what no header means", o: func(o *object.Object) { o.StorageClass = "STANDARD" }},
		{name: "the class that is asked for", rules: Rules{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: "new", StorageClass: "STANDARD"}},
			o:    func(o *object.Object) { o.StorageClass = "GLACIER_IR" },
			want: func(r *object.CopyRequest) { r.StorageClass = "STANDARD" }},
		{name: "a condition on the destination where it is honoured", rules: Rules{Caps: object.Capabilities{CopyIfMatch: object.Yes}},
			want: func(r *object.CopyRequest) { r.DestETag = "e" }},
		{name: "elsewhere nothing may stand", rules: Rules{Caps: object.Capabilities{CopyIfMatch: object.Yes}, Dest: Dest{Bucket: "c", Prefix: "z/", StripPrefix: "a/"}},
			want: func(r *object.CopyRequest) {
				r.Source, r.Dest, r.DestAbsent = src, object.Ref{Bucket: "c", Key: "z/k"}, true
			}},
		{name: "a lock that still protects", o: func(o *object.Object) {
			o.LockMode, o.RetainUntil, o.LegalHold = "GOVERNANCE", noon.Add(time.Hour), true
		},
			want: func(r *object.CopyRequest) {
				r.LockMode, r.RetainUntil, r.LegalHold = "GOVERNANCE", "2030-01-01T13:00:00.000Z", true
			}},
		{name: "a lock that has run out", o: func(o *object.Object) { o.LockMode, o.RetainUntil = "GOVERNANCE", noon }},
		{name: "elsewhere, a bucket without locks", rules: Rules{Facts: object.BucketFacts{ObjectLock: object.No}, Dest: Dest{Bucket: "c"}},
			o:    func(o *object.Object) { o.LegalHold = true },
			want: func(r *object.CopyRequest) { r.Source, r.Dest = src, object.Ref{Bucket: "c", Key: "a/k"} }},
		{name: "a bucket that has locks since", rules: Rules{Facts: object.BucketFacts{ObjectLock: object.No}},
			o:    func(o *object.Object) { o.LegalHold = true },
			want: func(r *object.CopyRequest) { r.LegalHold = true }},
		{name: "a source under a customer key", o: func(o *object.Object) { o.Encryption.Type = object.SSEC },
			want: func(r *object.CopyRequest) { r.SourceSSEC = true }},
		{name: "redirect and grants", a: &object.Attributes{WebsiteRedirect: "/x", Grants: acl},
			want: func(r *object.CopyRequest) { r.WebsiteRedirect, r.Grants = "/x", acl }},
		{name: "no grants where the bucket has none", rules: Rules{Facts: object.BucketFacts{ACLsDisabled: object.Yes}}, a: &object.Attributes{Grants: acl}},
		{name: "REPLACE resends", a: &object.Attributes{Tags: tags}, c: object.Choice{Operation: object.OpCopy, Route: object.RouteReplace},
			want: func(r *object.CopyRequest) { r.Replace, r.ReplaceTags = true, true }},
		{name: "parts resend, with the object's checksum", rules: Rules{Caps: object.Capabilities{UploadChecksums: object.Yes}},
			o: func(o *object.Object) { o.ChecksumAlgorithm, o.ChecksumType = "CRC32", "COMPOSITE" },
			a: &object.Attributes{}, c: object.Choice{Operation: object.OpMultipart},
			want: func(r *object.CopyRequest) {
				r.Replace, r.ReplaceTags, r.ChecksumAlgorithm, r.ChecksumType = true, true, "CRC32", "COMPOSITE"
			}},
	} {
		rules, o := test.rules, plain
		if rules.Target.SSE == object.SSEUnknown {
			rules.Target = kms
		}
		if test.o != nil {
			test.o(&o)
		}
		want := &object.CopyRequest{Source: here, Dest: here, SourceETag: "e", Target: &rules.Target, Attributes: test.a}
		if test.want != nil {
			test.want(want)
		}
		if got := rules.Copy(&o, test.a, test.c, noon); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, want)
		}
	}
}

// Ten tags as S3 allows them take up to 11 KB in a header, which is more than all
// headers may.
func TestW4TagsThatNoHeaderHolds(t *testing.T) {
	var long []object.Tag
	for i := range 10 {
		long = append(long, object.Tag{Key: fmt.Sprint(i, strings.Repeat("ä", 50)), Value: strings.Repeat("ü", 128)})
	}
	o := &object.Object{Ref: src, ETag: "e"}
	for _, op := range []object.Choice{{Operation: object.OpCopy, Route: object.RouteReplace}, {Operation: object.OpMultipart}, {Operation: object.OpRewrite}} {
		rules := Rules{Caps: object.Capabilities{KeepsTags: object.Yes, PutTagging: object.Yes}}
		a := &object.Attributes{Tags: long, ContentType: "text/plain"}
		req := rules.Copy(o, a, op, noon)
		if !req.ReplaceTags || len(req.Attributes.Tags) > 0 || req.Attributes.ContentType != "text/plain" || len(a.Tags) != 10 {
			t.Errorf("%v: sent %+v", op, req.Attributes)
		}
		if lost := rules.Lost(req, o, a, noon); !reflect.DeepEqual(lost.Tags, long) {
			t.Errorf("%v: to be written later: %v", op, lost.Tags)
		}
		short := rules.Copy(o, &object.Attributes{Tags: long[:1], ContentType: "text/plain"}, op, noon)
		if len(short.Attributes.Tags) != 1 || short.TagsLater != nil || reflect.DeepEqual(short.Carries(), req.Carries()) {
			t.Errorf("%v: one tag: %+v", op, short)
		}
		rules.Caps.PutTagging = object.Unknown // never sent where it was not seen
		if req := rules.Copy(o, a, op, noon); len(req.Attributes.Tags) != 10 {
			t.Errorf("%v: tags for a request that the store may not know", op)
		}
	}
}

// The modification time is stamped once, and into a copy of the metadata.
func TestStamp(t *testing.T) {
	rules := Rules{Target: object.Target{SSE: object.SSES3, StampMtime: true}}
	o := &object.Object{Ref: src, LastModified: time.Unix(1700000000, 0)}
	for _, test := range []struct {
		metadata map[string]string
		want     string
		replace  bool
	}{
		{nil, "1700000000", true},
		{map[string]string{"owner": "x"}, "1700000000", true},
		{map[string]string{"mtime": "1"}, "1", false},
	} {
		a := &object.Attributes{Metadata: test.metadata}
		n := len(test.metadata)
		got := rules.Copy(o, a, object.Choice{Operation: object.OpCopy}, noon)
		if got.Attributes.Metadata["mtime"] != test.want || got.Replace != test.replace || len(test.metadata) != n {
			t.Errorf("%v: stamped %v, REPLACE %v", test.metadata, got.Attributes.Metadata, got.Replace)
		}
	}
}

// A KMS context that the store shows goes along, unless the target names one or has
// none.
func TestContext(t *testing.T) {
	for _, test := range []struct {
		target object.Target
		want   string
	}{
		{object.Target{SSE: object.SSEKMS}, "shown"},
		{object.Target{SSE: object.SSEKMS, Context: "wanted"}, "wanted"},
		{object.Target{SSE: object.SSES3}, ""},
	} {
		rules := Rules{Target: test.target}
		got := rules.Copy(&object.Object{Ref: src}, &object.Attributes{KMSContext: "shown"}, object.Choice{}, noon).Target
		if got.Context != test.want || rules.Target.Context != test.target.Context {
			t.Errorf("%+v: sent %q, and the rules have %q", test.target, got.Context, rules.Target.Context)
		}
	}
}

// What has to be written again is what the store drops and was seen to take.
func TestLost(t *testing.T) {
	locked := &object.Object{LockMode: "GOVERNANCE", RetainUntil: noon.Add(time.Hour), LegalHold: true}
	a := &object.Attributes{Tags: tags}
	for _, test := range []struct {
		name  string
		caps  object.Capabilities
		facts object.BucketFacts
		dest  Dest
		ahead time.Duration // the store's clock, of this machine's
		now   time.Duration // after noon, by this machine's
		a     *object.Attributes
		want  object.Reapply
	}{
		{name: "all is kept", caps: object.Capabilities{KeepsTags: object.Yes, KeepsLock: object.Yes, PutTagging: object.Yes, PutRetention: object.Yes}, a: a},
		{name: "tags", caps: object.Capabilities{KeepsTags: object.No, PutTagging: object.Yes}, a: a, want: object.Reapply{Tags: tags}},
		{name: "tags that the store was not seen to take", caps: object.Capabilities{KeepsTags: object.No}, a: a},
		{name: "a lock", caps: object.Capabilities{KeepsLock: object.No, PutRetention: object.Yes}, a: a,
			want: object.Reapply{LockMode: "GOVERNANCE", RetainUntil: noon.Add(time.Hour), LegalHold: true}},
		{name: "a bucket without locks", caps: object.Capabilities{KeepsLock: object.No, PutRetention: object.Yes}, facts: object.BucketFacts{ObjectLock: object.No}, dest: Dest{Bucket: "elsewhere"}, a: a},
		{name: "a bucket that has locks since", caps: object.Capabilities{KeepsLock: object.No, PutRetention: object.Yes}, facts: object.BucketFacts{ObjectLock: object.No}, a: a,
			want: object.Reapply{LockMode: "GOVERNANCE", RetainUntil: noon.Add(time.Hour), LegalHold: true}},
		{name: "a clock that is ahead of the store's", caps: object.Capabilities{KeepsLock: object.No, PutRetention: object.Yes}, ahead: -2 * time.Hour, now: 2*time.Hour + time.Minute, a: a,
			want: object.Reapply{LockMode: "GOVERNANCE", RetainUntil: noon.Add(time.Hour), LegalHold: true}},
		{name: "nobody has looked", caps: object.Capabilities{KeepsTags: object.No, PutTagging: object.Yes}},
	} {
		rules := Rules{Caps: test.caps, Facts: test.facts, Dest: test.dest, Ahead: func() time.Duration { return test.ahead }}
		if got := rules.Lost(&object.CopyRequest{}, locked, test.a, noon.Add(test.now)); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}
