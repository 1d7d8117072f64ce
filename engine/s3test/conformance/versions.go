package conformance

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
)

var versionChecks = []check{
	{name: "versions", bucket: bucketOptions{versioned: true}, run: versions},
	{name: "delete markers", bucket: bucketOptions{versioned: true}, run: deleteMarkers},
	{name: "null versions", run: nullVersions},
}

// versions: a copy makes a new version and leaves the old one as it was.
func versions(e *env) {
	first := e.put("k", "first")
	second := e.put("k", "second")
	if first.version == "" || first.version == second.version {
		e.Fatalf("versions %q and %q", first.version, second.version)
	}
	reply, err := e.reseal("k", second.etag, e.toKMS(0))
	e.must(err)
	now := e.look(e.ref("k"), noKey)
	told := "told"
	if reply.VersionID == "" {
		told = "not told"
	} else if reply.VersionID != aws.ToString(now.VersionId) {
		e.Errorf("the reply says version %s, HEAD %s", reply.VersionID, aws.ToString(now.VersionId))
	}
	e.fact("version of a copy", "told", told)
	if id := aws.ToString(now.VersionId); id == first.version || id == second.version {
		e.Error("the copy made no new version")
	}
	if h := e.head(e.ref("k"), noKey); h.ShownVersionID != aws.ToString(now.VersionId) {
		e.Errorf("Head shows version %q, the SDK %q", h.ShownVersionID, aws.ToString(now.VersionId))
	}
	if h := e.head(e.version("k", second.version), noKey); h.Encryption.Type.KMS() || h.ETag != second.etag {
		e.Errorf("the old version changed: %+v", h)
	}

	_, err = e.store.Copy(e.ctx(), &object.CopyRequest{Source: e.version("k", first.version), Dest: e.ref("k"), SourceETag: first.etag, Target: toSSES3})
	e.must(err)
	e.holds(e.ref("k"), noKey, "first")
	e.holds(e.version("k", first.version), noKey, "first")

	h := e.head(e.ref("k"), noKey)
	r := &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: h.ETag, Target: e.toKMS(0)}
	done, err := e.multipart(r, nil, h.Size)
	e.must(err)
	now = e.look(e.ref("k"), noKey)
	told = "told"
	if done.VersionID == "" {
		told = "not told"
	} else if done.VersionID != aws.ToString(now.VersionId) {
		e.Errorf("Complete says version %s, HEAD %s", done.VersionID, aws.ToString(now.VersionId))
	}
	e.fact("version of an upload", "told", told)
	if got := e.listAllVersions(object.ListRequest{Bucket: e.bucket}); len(got) != 5 {
		e.Errorf("%d versions, want 5", len(got))
	}

	_, err = e.store.Head(e.ctx(), e.version("k", likeAVersion(first.version)), noKey)
	e.fact("head of a version that does not exist", "gone", e.outcome(err))
	_, err = e.store.Copy(e.ctx(), &object.CopyRequest{Source: e.version("k", likeAVersion(first.version)), Dest: e.ref("k"), Target: toSSES3})
	e.fact("copy of a version that does not exist", "gone", e.outcome(err))
}

// likeAVersion is an ID of the server's own form that it has not given.
func likeAVersion(id string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r < '9' || r >= 'a' && r < 'f' || r >= 'A' && r < 'F':
			return r + 1
		}
		return r
	}, id)
}

// deleteMarkers: a deleted object is gone, whichever way it is asked for.
func deleteMarkers(e *env) {
	s := e.put("k", "x")
	out, err := e.client.DeleteObject(e.ctx(), &s3.DeleteObjectInput{Bucket: &e.bucket, Key: aws.String("k")})
	e.must(err)
	marker := aws.ToString(out.VersionId)
	_, err = e.store.Head(e.ctx(), e.ref("k"), noKey)
	e.fact("head, a marker is the current version", "gone", e.outcome(err))
	_, err = e.reseal("k", s.etag, toSSES3)
	e.fact("copy, a marker is the current version", "gone", e.outcome(err))
	_, err = e.store.Head(e.ctx(), e.version("k", marker), noKey)
	e.fact("head of the marker", "gone", e.outcome(err))
	_, err = e.store.Copy(e.ctx(), &object.CopyRequest{Source: e.version("k", marker), Dest: e.ref("k"), Target: toSSES3})
	e.fact("copy of the marker", "invalid", e.outcome(err))
	if got := e.listAllVersions(object.ListRequest{Bucket: e.bucket}); !slices.Equal(got, []string{"k!", "k"}) {
		e.Errorf("listed %q", got)
	}
	if got := e.listAll(object.ListRequest{Bucket: e.bucket}); len(got) != 0 {
		e.Errorf("current objects: %q", got)
	}
	if h := e.head(e.version("k", s.version), noKey); h.ETag != s.etag {
		e.Errorf("the version behind the marker: %+v", h)
	}
}

// nullVersions: what was written before versioning, and while it is suspended.
func nullVersions(e *env) {
	before := e.put("k", "before versioning")
	e.versioning(types.BucketVersioningStatusEnabled)
	if h := e.head(e.version("k", "null"), noKey); h.ETag != before.etag {
		e.Errorf("the null version: %+v", h)
	}
	if _, err := e.store.Copy(e.ctx(), &object.CopyRequest{Source: e.version("k", "null"), Dest: e.ref("k"), SourceETag: before.etag, Target: toSSES3}); err != nil {
		e.Error(err)
	}
	e.holds(e.version("k", "null"), noKey, "before versioning")
	rows := e.versionRows()
	if len(rows) != 2 || rows[0].Noncurrent || !rows[1].Noncurrent || rows[1].VersionID != "null" {
		e.Errorf("enabled: %+v", rows)
	}

	e.versioning(types.BucketVersioningStatusSuspended)
	h := e.head(e.ref("k"), noKey)
	if _, err := e.reseal("k", h.ETag, e.toKMS(0)); err != nil {
		e.Error(err)
	}
	rows = e.versionRows()
	if len(rows) != 2 || rows[0].VersionID != "null" || rows[0].Noncurrent {
		e.Errorf("suspended: the copy should take the place of the null version: %+v", rows)
	}
	if h := e.head(e.version("k", "null"), noKey); !e.toKMS(0).MetBy(h.Encryption) {
		e.Errorf("the null version shows %+v", h.Encryption)
	}
}

func (e *env) versionRows() []object.Object {
	e.Helper()
	page, err := e.store.ListVersionsPage(e.ctx(), object.ListRequest{Bucket: e.bucket})
	e.must(err)
	return page.Objects
}
