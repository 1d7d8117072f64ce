package conformance

import (
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

var conditionChecks = []check{
	{name: "copy conditions", run: copyConditions},
	{name: "upload conditions", run: uploadConditions},
}

// wrongETag is the form of an ETag, and of no object.
var wrongETag = strings.Repeat("0123456789abcdef", 2)

// copyConditions: which conditions keep another writer's bytes.
func copyConditions(e *env) {
	try := func(name, aws string, key string, want string, r object.CopyRequest) {
		e.Helper()
		r.Source, r.Dest, r.Target = e.ref("source"), e.ref(key), toSSES3
		if r.Source.Key != key && want == "" {
			want = "source bytes"
		}
		_, err := e.store.Copy(e.ctx(), &r)
		got := e.outcome(err)
		e.fact(name, aws, got)
		if got != "done" && want != "" && key != "absent" {
			e.holds(e.ref(key), noKey, want)
		}
	}
	source := e.put("source", "source bytes")
	there := e.put("there", "somebody's bytes")

	try("source ETag, right", "done", "new", "", object.CopyRequest{SourceETag: source.etag})
	try("source ETag, wrong", "changed", "there", "somebody's bytes", object.CopyRequest{SourceETag: wrongETag})
	try("destination ETag, wrong", "changed", "there", "somebody's bytes", object.CopyRequest{SourceETag: source.etag, DestETag: wrongETag})
	there = e.put("there", "somebody's bytes")
	try("destination absent, and it is there", "changed", "there", "somebody's bytes", object.CopyRequest{SourceETag: source.etag, DestAbsent: true})
	there = e.put("there", "somebody's bytes")
	try("destination ETag, right", "done", "there", "", object.CopyRequest{SourceETag: source.etag, DestETag: there.etag})
	try("destination absent, and it is not there", "done", "new 2", "", object.CopyRequest{SourceETag: source.etag, DestAbsent: true})
	try("destination ETag, and it is not there", "gone", "absent", "", object.CopyRequest{SourceETag: source.etag, DestETag: wrongETag})
	self := e.put("source", "source bytes, again")
	try("onto itself, both ETags right", "done", "source", "", object.CopyRequest{SourceETag: self.etag, DestETag: self.etag})
}

// uploadConditions: the same for the parts and the end of a multipart copy.
func uploadConditions(e *env) {
	body := "bytes of the source"
	s := e.put("k", body)
	size := int64(len(body))
	request := func(etag string) *object.CopyRequest {
		return &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: etag, Target: toSSES3}
	}
	_, err := e.multipart(request(wrongETag), nil, size)
	e.fact("source ETag of a part, wrong", "changed", e.outcome(err))

	_, err = e.multipart(request(s.etag), nil, size, func(c *object.CompleteRequest) {
		e.put("k", "another writer's bytes")
		c.DestETag = s.etag
	})
	e.fact("destination ETag, overwritten meanwhile", "changed", e.outcome(err))
	e.holds(e.ref("k"), noKey, "another writer's bytes")

	s = e.put("k", body)
	_, err = e.multipart(request(s.etag), nil, size, func(c *object.CompleteRequest) { c.DestAbsent = true })
	e.fact("destination absent, and it is there", "changed", e.outcome(err))
	s = e.put("k", body)
	_, err = e.multipart(request(s.etag), nil, size, func(c *object.CompleteRequest) { c.DestETag = s.etag })
	e.fact("destination ETag, right", "done", e.outcome(err))
	e.holds(e.ref("k"), noKey, body)

	s = e.put("k", body)
	elsewhere := request(s.etag)
	elsewhere.Dest = e.ref("new")
	_, err = e.multipart(elsewhere, nil, size, func(c *object.CompleteRequest) { c.DestAbsent = true })
	e.fact("destination absent, and it is not there", "done", e.outcome(err))
	elsewhere.Dest = e.ref("absent")
	_, err = e.multipart(elsewhere, nil, size, func(c *object.CompleteRequest) { c.DestETag = wrongETag })
	e.fact("destination ETag, and it is not there", "gone", e.outcome(err))
}
