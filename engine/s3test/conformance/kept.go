package conformance

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
)

var keptChecks = []check{
	{name: "kept by copy", bucket: bucketOptions{versioned: true, locks: true}, run: keptByCopy},
	{name: "kept by copy, all resent", bucket: bucketOptions{versioned: true, locks: true}, run: keptByReplace},
	{name: "kept by multipart, all resent", bucket: bucketOptions{versioned: true, locks: true}, run: keptByMultipart},
	{name: "kept grants", bucket: bucketOptions{acls: true}, run: keptGrants},
	{name: "metadata", run: metadata},
}

var retainUntil = time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)

const rareClass = "REDUCED_REDUNDANCY" // every server here knows it

// seedRich puts an object that has all that a copy can lose, grants excepted.
func (e *env) seedRich() (etag string, before object.Head) {
	e.Helper()
	s := e.put("k", "some bytes", everything, func(in *s3.PutObjectInput) {
		in.Expires = aws.Time(retainUntil)
		in.StorageClass = types.StorageClass(rareClass)
		in.WebsiteRedirectLocation = aws.String("/elsewhere")
		in.ObjectLockMode = types.ObjectLockModeGovernance
		in.ObjectLockRetainUntilDate = aws.Time(retainUntil)
		in.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn
		in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	})
	return s.etag, e.head(e.ref("k"), noKey)
}

// attributes names all that an object has, for comparison.
func (e *env) attributes(h *object.Head) map[string]string {
	e.Helper()
	tags, err := e.store.Tags(e.ctx(), h.Ref)
	e.must(err)
	all := map[string]string{
		"Content-Type": h.ContentType, "Cache-Control": h.CacheControl, "Content-Disposition": h.ContentDisposition,
		"Content-Encoding": h.ContentEncoding, "Content-Language": h.ContentLanguage, "Expires": h.Expires,
		"redirect": h.WebsiteRedirect, "storage class": h.StorageClass, "lock mode": h.LockMode,
		"retain until": h.RetainUntil.UTC().Format(time.RFC3339), "legal hold": "",
		"checksum": strings.TrimSpace(h.ChecksumAlgorithm + " " + h.ChecksumType + " " + h.Checksums[h.ChecksumAlgorithm]),
		"tags":     printedTags(tags), "metadata": printedMetadata(h.Metadata),
	}
	if h.RetainUntil.IsZero() {
		all["retain until"] = ""
	}
	if h.LegalHold {
		all["legal hold"] = "on"
	}
	return all
}

func printedTags(tags []object.Tag) string {
	var all []string
	for _, t := range tags {
		all = append(all, strconv.Quote(t.Key)+"="+strconv.Quote(t.Value))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func printedMetadata(m map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, k+"="+strconv.Quote(m[k]))
	}
	return strings.Join(all, " ")
}

// kept states for each attribute whether it arrived. otherwise are those that
// AWS does not carry, and what becomes of them.
func (e *env) kept(before *object.Head, otherwise map[string]string) {
	e.Helper()
	after := e.head(e.ref("k"), noKey)
	was, is := e.attributes(before), e.attributes(&after)
	for _, name := range slices.Sorted(maps.Keys(was)) {
		got := "kept"
		switch {
		case was[name] == "":
			got = "was not stored"
		case is[name] == "":
			got = "lost"
		case is[name] != was[name]:
			got = "changed"
			e.Logf("%s was %s, is %s", name, was[name], is[name])
		}
		e.fact(name, cmp.Or(otherwise[name], "kept"), got)
	}
	e.holds(e.ref("k"), noKey, "some bytes")
}

// keptByCopy: directives COPY, nothing sent along.
func keptByCopy(e *env) {
	etag, before := e.seedRich()
	_, err := e.reseal("k", etag, e.toKMS(0))
	e.must(err)
	e.kept(&before, map[string]string{"redirect": "lost", "storage class": "lost", "lock mode": "lost", "retain until": "lost", "legal hold": "lost"})
}

// resent is the request that carries all that before has.
func (e *env) resent(before *object.Head) *object.CopyRequest {
	e.Helper()
	attributes := before.Attributes
	tags, err := e.store.Tags(e.ctx(), before.Ref)
	e.must(err)
	attributes.Tags = tags
	return &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: before.ETag, Target: e.toKMS(0),
		StorageClass: before.StorageClass, Attributes: &attributes, WebsiteRedirect: before.WebsiteRedirect,
		LockMode: before.LockMode, RetainUntil: before.RetainUntil.Format(time.RFC3339), LegalHold: before.LegalHold}
}

// keptByReplace: directives REPLACE, all sent along.
func keptByReplace(e *env) {
	_, before := e.seedRich()
	r := e.resent(&before)
	r.Replace, r.ReplaceTags = true, true
	_, err := e.store.Copy(e.ctx(), r)
	e.must(err)
	e.kept(&before, nil)
}

// keptByMultipart: a one-part upload, all sent along.
func keptByMultipart(e *env) {
	_, before := e.seedRich()
	r := e.resent(&before)
	r.ChecksumAlgorithm = before.ChecksumAlgorithm
	_, err := e.multipart(r, nil, before.Size)
	e.fact("with a checksum", "done", e.outcome(err))
	if err != nil {
		r.ChecksumAlgorithm = ""
		_, err = e.multipart(r, nil, before.Size)
		e.must(err)
	}
	// SHA-256 can only be COMPOSITE in an upload, so its value changes.
	e.kept(&before, map[string]string{"checksum": "changed"})
}

const everybody = "http://acs.amazonaws.com/groups/global/AllUsers"

// keptGrants: an ACL is lost unless sent, by every route.
func keptGrants(e *env) {
	s, err := e.tryPut("k", "x", func(in *s3.PutObjectInput) { in.ACL = types.ObjectCannedACLPublicRead })
	e.must(err)
	before, err := e.store.Grants(e.ctx(), e.ref("k"))
	e.fact("read", "owner and everybody", grantsOutcome(e, before, err))
	if len(before) == 0 {
		return
	}
	reply, err := e.reseal("k", s.etag, toSSES3)
	e.must(err)
	after, err := e.store.Grants(e.ctx(), e.ref("k"))
	e.fact("copied", "owner alone", grantsOutcome(e, after, err))
	reply, err = e.reseal("k", reply.ETag, toSSES3, func(r *object.CopyRequest) { r.Grants = before })
	e.must(err)
	after, err = e.store.Grants(e.ctx(), e.ref("k"))
	e.fact("copied with grants", "owner and everybody", grantsOutcome(e, after, err))
	_, err = e.multipart(&object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: reply.ETag, Target: toSSES3, Grants: before}, nil, 1)
	e.must(err)
	after, err = e.store.Grants(e.ctx(), e.ref("k"))
	e.fact("multipart with grants", "owner and everybody", grantsOutcome(e, after, err))
}

func grantsOutcome(e *env, grants []object.Grant, err error) string {
	e.Helper()
	if err != nil {
		return e.outcome(err)
	}
	if len(grants) == 0 {
		return "owner alone"
	}
	others := 0
	for _, g := range grants {
		if g.URI == everybody && g.Permission == "READ" {
			others++
		}
	}
	if others == 1 && len(grants) == 2 {
		return "owner and everybody"
	}
	return "something else"
}

// metadata: values come back as the bytes that HEAD showed before, by each route.
func metadata(e *env) {
	values := map[string]string{
		"ascii":     "value",
		"utf-8":     "žluťoučký kůň 鍵 🔐",
		"encoded":   "=?UTF-8?Q?my_k=C5=AF=C5=88?=",
		"quotes":    `"a", 'b'`,
		"equals":    "a=b; c=d, e",
		"long":      strings.Repeat("v", 1000),
		"UPPERCASE": "Value",
	}
	s := e.put("k", "x", func(in *s3.PutObjectInput) { in.Metadata = values })
	before := e.head(e.ref("k"), noKey)
	if len(before.Metadata) != len(values) {
		e.Fatalf("Head shows %d values of %d: %q", len(before.Metadata), len(values), before.Metadata)
	}
	for _, name := range []string{"ascii", "encoded", "quotes", "equals", "long"} {
		if before.Metadata[name] != values[name] {
			e.Errorf("%s is shown as %q", name, before.Metadata[name])
		}
	}
	compare := func(route string, err error) string {
		e.Helper()
		if err != nil {
			return e.outcome(err)
		}
		after := e.head(e.ref("k"), noKey)
		if maps.Equal(before.Metadata, after.Metadata) {
			return "kept"
		}
		e.Logf("%s: before %q\nafter %q", route, before.Metadata, after.Metadata)
		return "changed"
	}
	reply, err := e.reseal("k", s.etag, toSSES3)
	e.fact("copied", "kept", compare("copied", err))
	replace := func(r *object.CopyRequest) { r.Replace, r.Attributes = true, &before.Attributes }
	reply, err = e.reseal("k", reply.ETag, toSSES3, replace)
	e.fact("resent", "kept", compare("resent", err))
	r := &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: reply.ETag, Target: toSSES3, Attributes: &before.Attributes}
	_, err = e.multipart(r, nil, 1)
	e.fact("multipart", "kept", compare("multipart", err))
}
