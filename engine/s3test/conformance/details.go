package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
)

var detailChecks = []check{
	{name: "tags", bucket: bucketOptions{versioned: true}, run: tags},
	{name: "grants", bucket: bucketOptions{acls: true}, run: grants},
	{name: "grants, disabled", run: grantsDisabled},
	{name: "lock", bucket: bucketOptions{versioned: true, locks: true}, run: lock},
	{name: "lock, disabled", run: lockDisabled},
}

func tags(e *env) {
	first := e.put("k", "x")
	none, err := e.store.Tags(e.ctx(), e.ref("k"))
	if err != nil || none == nil || len(none) != 0 {
		e.Errorf("an object without tags has %#v, %v; want an empty list", none, err)
	}
	e.put("k", "y")
	for _, v := range []string{"", "plain", "a b", "a+b", "a=b", "a:b/c", "_.-@", "é", "鍵"} {
		err := e.store.PutTags(e.ctx(), e.ref("k"), []object.Tag{{Key: "key", Value: v}})
		e.fact(fmt.Sprintf("value %q", v), "done", e.outcome(err))
		if err == nil {
			e.hasTags(e.ref("k"), []object.Tag{{Key: "key", Value: v}})
		}
	}
	var ten []object.Tag
	for i, v := range []string{"", "plain", "a b", "a+b", "a=b", "a:b/c", "_.-@", "UPPER lower", "9", "10"} {
		ten = append(ten, object.Tag{Key: fmt.Sprintf("key %d+=@", i), Value: v})
	}
	e.must(e.store.PutTags(e.ctx(), e.ref("k"), ten))
	e.hasTags(e.ref("k"), ten)
	e.hasTags(e.version("k", first.version), nil)
	e.must(e.store.PutTags(e.ctx(), e.version("k", first.version), ten[:1]))
	e.hasTags(e.version("k", first.version), ten[:1])
	e.hasTags(e.ref("k"), ten)

	h := e.head(e.ref("k"), noKey)
	if h.TagCount != 10 {
		e.Errorf("HEAD counts %d tags", h.TagCount)
	}
	r := &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: h.ETag, Target: toSSES3,
		ReplaceTags: true, Attributes: &object.Attributes{Tags: ten[3:]}}
	_, err = e.store.Copy(e.ctx(), r)
	e.must(err)
	e.hasTags(e.ref("k"), ten[3:])

	e.must(e.store.PutTags(e.ctx(), e.ref("k"), nil))
	e.hasTags(e.ref("k"), nil)
	_, err = e.store.Tags(e.ctx(), e.ref("nobody"))
	e.fact("of no object", "gone", e.outcome(err))
	eleven := append(slices.Clone(ten), object.Tag{Key: "one too many"})
	e.fact("eleven", "invalid", e.outcome(e.store.PutTags(e.ctx(), e.ref("k"), eleven)))
}

// hasTags asks the store and the independent client.
func (e *env) hasTags(ref object.Ref, want []object.Tag) {
	e.Helper()
	got, err := e.store.Tags(e.ctx(), ref)
	if err != nil || printedTags(got) != printedTags(want) {
		e.Errorf("%s: tags %s, %v; want %s", ref, printedTags(got), err, printedTags(want))
	}
	in := &s3.GetObjectTaggingInput{Bucket: &ref.Bucket, Key: &ref.Key}
	if ref.VersionID != "" {
		in.VersionId = &ref.VersionID
	}
	out, err := e.client.GetObjectTagging(e.ctx(), in)
	e.must(err)
	var seen []object.Tag
	for _, t := range out.TagSet {
		seen = append(seen, object.Tag{Key: aws.ToString(t.Key), Value: aws.ToString(t.Value)})
	}
	if printedTags(seen) != printedTags(want) {
		e.Errorf("%s: the SDK sees %s, want %s", ref, printedTags(seen), printedTags(want))
	}
}

func grants(e *env) {
	e.put("k", "x")
	none, err := e.store.Grants(e.ctx(), e.ref("k"))
	if err != nil || none == nil || len(none) != 0 {
		e.Errorf("a private object has %#v, %v; want an empty list", none, err)
	}
	list := []object.Grant{{URI: everybody, Permission: "READ"}}
	err = e.store.PutGrants(e.ctx(), e.ref("k"), list)
	e.fact("put", "done", e.outcome(err))
	if err == nil {
		got, err := e.store.Grants(e.ctx(), e.ref("k"))
		if err != nil || !slices.Contains(got, list[0]) {
			e.Errorf("grants %+v, %v", got, err)
		}
		e.must(e.store.PutGrants(e.ctx(), e.ref("k"), nil))
		if got, err := e.store.Grants(e.ctx(), e.ref("k")); err != nil || len(got) != 0 {
			e.Errorf("after taking them away: %+v, %v", got, err)
		}
	}
	_, err = e.store.Grants(e.ctx(), e.ref("nobody"))
	e.fact("of no object", "gone", e.outcome(err))
}

// grantsDisabled: BucketOwnerEnforced, which every new bucket has.
func grantsDisabled(e *env) {
	e.put("k", "x")
	got, err := e.store.Grants(e.ctx(), e.ref("k"))
	if err != nil || len(got) != 0 {
		e.Errorf("%+v, %v", got, err)
	}
	err = e.store.PutGrants(e.ctx(), e.ref("k"), []object.Grant{{URI: everybody, Permission: "READ"}})
	e.fact("put", "invalid", e.outcome(err))
}

func lock(e *env) {
	e.put("k", "x")
	e.isLocked(e.ref("k"), "", time.Time{}, false)
	e.must(e.store.PutLock(e.ctx(), e.ref("k"), "GOVERNANCE", retainUntil, true))
	e.isLocked(e.ref("k"), "GOVERNANCE", retainUntil, true)
	h := e.head(e.ref("k"), noKey)
	if h.LockMode != "GOVERNANCE" || !h.RetainUntil.Equal(retainUntil) || !h.LegalHold || !h.Locked() {
		e.Errorf("Head shows %q %v %v", h.LockMode, h.RetainUntil, h.LegalHold)
	}

	e.put("held", "x")
	e.must(e.store.PutLock(e.ctx(), e.ref("held"), "", time.Time{}, true))
	e.isLocked(e.ref("held"), "", time.Time{}, true)
	e.put("kept", "x")
	e.must(e.store.PutLock(e.ctx(), e.ref("kept"), "COMPLIANCE", time.Now().Add(time.Hour).UTC().Truncate(time.Second), false))
	if mode, _, hold, err := e.store.Lock(e.ctx(), e.ref("kept")); err != nil || mode != "COMPLIANCE" || hold {
		e.Errorf("%q, %v, %v", mode, hold, err)
	}
	_, _, _, err := e.store.Lock(e.ctx(), e.ref("nobody"))
	e.fact("of no object", "gone", e.outcome(err))
}

func (e *env) isLocked(ref object.Ref, mode string, until time.Time, hold bool) {
	e.Helper()
	gotMode, gotUntil, gotHold, err := e.store.Lock(e.ctx(), ref)
	if err != nil || gotMode != mode || !gotUntil.Equal(until) || gotHold != hold {
		e.Errorf("%s: lock %q %v %v, %v; want %q %v %v", ref, gotMode, gotUntil, gotHold, err, mode, until, hold)
	}
}

// lockDisabled: a bucket that cannot hold locks has none, and takes none.
func lockDisabled(e *env) {
	e.put("k", "x")
	mode, _, hold, err := e.store.Lock(e.ctx(), e.ref("k"))
	got := e.outcome(err)
	if err == nil && (mode != "" || hold) {
		got = "locked"
	}
	e.fact("read", "invalid", got)
	err = e.store.PutLock(e.ctx(), e.ref("k"), "GOVERNANCE", retainUntil, false)
	e.fact("put", "invalid", e.outcome(err))
}
