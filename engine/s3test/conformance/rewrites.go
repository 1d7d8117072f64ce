package conformance

import (
	"bytes"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
)

// rewriteChecks: GET, and a PUT of the same bytes on the condition that nobody wrote
// in between.
var rewriteChecks = []check{
	{name: "rewrite conditions", run: rewriteConditions},
	{name: "rewrite conditions, versioned", bucket: bucketOptions{versioned: true}, run: rewriteDeleted},
	{name: "rewrite bytes", run: rewriteBytes},
	{name: "rewrite encryptions", run: rewriteEncryptions},
	{name: "rewrite customer keys", needs: hasTLS, run: rewriteCustomerKeys},
	{name: "rewrite checksums", run: rewriteChecksums},
	{name: "kept by rewrite", bucket: bucketOptions{versioned: true, locks: true}, run: keptByRewrite},
	{name: "kept grants by rewrite", bucket: bucketOptions{acls: true}, run: keptGrantsByRewrite},
}

// got reads a whole object.
func (e *env) got(key string, customer object.CustomerKey) object.GetReply {
	e.Helper()
	g, err := e.store.Get(e.ctx(), &object.GetRequest{Ref: e.ref(key), Key: customer, Max: 8 << 20})
	e.must(err)
	return g
}

// rewritten is the PUT that writes g again, as the engine makes it.
func (e *env) rewritten(g *object.GetReply, t *object.Target) *object.PutRequest {
	e.Helper()
	attributes := g.Attributes
	tags, err := e.store.Tags(e.ctx(), g.Ref)
	e.must(err)
	attributes.Tags = tags
	r := &object.PutRequest{Body: g.Body, Checksum: g.Checksums[g.ChecksumAlgorithm], CopyRequest: object.CopyRequest{Dest: g.Ref, DestETag: g.ETag, Target: t,
		Attributes: &attributes, StorageClass: g.StorageClass, WebsiteRedirect: g.WebsiteRedirect, LockMode: g.LockMode, LegalHold: g.LegalHold,
		ChecksumAlgorithm: g.ChecksumAlgorithm}}
	if !g.RetainUntil.IsZero() {
		r.RetainUntil = g.RetainUntil.Format(time.RFC3339)
	}
	return r
}

func rewriteConditions(e *env) {
	put := func(name, aws, want string, meanwhile func(r *object.PutRequest)) {
		e.Helper()
		e.put("k", "bytes")
		g := e.got("k", noKey)
		r := e.rewritten(&g, toSSES3)
		meanwhile(r)
		_, err := e.store.Put(e.ctx(), r)
		e.fact(name, aws, e.outcome(err))
		if want == "" {
			if _, err := e.tryRead(e.ref("k"), noKey); err == nil {
				e.Errorf("%s: the object is there again", name)
			}
			return
		}
		e.holds(e.ref("k"), noKey, want)
	}
	nothing := func(*object.PutRequest) {}
	put("destination ETag, right", "done", "bytes", nothing)
	put("overwritten meanwhile", "changed", "another writer's bytes", func(*object.PutRequest) { e.put("k", "another writer's bytes") })
	put("deleted meanwhile", "gone", "", func(*object.PutRequest) { e.remove("k") })
	put("destination absent, and it is there", "changed", "bytes", func(r *object.PutRequest) { r.DestETag, r.DestAbsent = "", true })
	put("destination absent, and it is not there", "done", "bytes", func(r *object.PutRequest) {
		r.DestETag, r.DestAbsent = "", true
		e.remove("k")
	})
	g := e.got("k", noKey)
	_, err := e.store.Get(e.ctx(), &object.GetRequest{Ref: e.ref("k"), ETag: wrongETag, Max: 9})
	e.fact("read on the condition of another ETag", "changed", e.outcome(err))
	_, err = e.store.Get(e.ctx(), &object.GetRequest{Ref: e.ref("k"), ETag: g.ETag, Max: 9})
	e.fact("read on the condition of its ETag", "done", e.outcome(err))
	_, err = e.store.Get(e.ctx(), &object.GetRequest{Ref: e.ref("absent"), Max: 9})
	e.fact("read of what is not there", "gone", e.outcome(err))
}

func (e *env) remove(key string) {
	e.Helper()
	_, err := e.client.DeleteObject(e.ctx(), &s3.DeleteObjectInput{Bucket: &e.bucket, Key: &key})
	e.must(err)
}

// rewriteDeleted: a delete marker is no object that a condition could hold for.
func rewriteDeleted(e *env) {
	e.put("k", "bytes")
	g := e.got("k", noKey)
	r := e.rewritten(&g, toSSES3)
	e.remove("k")
	_, err := e.store.Put(e.ctx(), r)
	e.fact("deleted meanwhile", "gone", e.outcome(err))
	if _, err := e.tryRead(e.ref("k"), noKey); err == nil {
		e.Error("the object is there again")
	}
	e.put("k", "bytes")
	g = e.got("k", noKey)
	reply, err := e.store.Put(e.ctx(), e.rewritten(&g, toSSES3))
	e.must(err)
	if h := e.head(e.ref("k"), noKey); reply.VersionID == "" || reply.VersionID != h.ShownVersionID || reply.VersionID == g.ShownVersionID {
		e.Errorf("read version %q, the reply says %q, HEAD shows %q", g.ShownVersionID, reply.VersionID, h.ShownVersionID)
	}
}

// rewriteBytes: every length that is sent in another way.
func rewriteBytes(e *env) {
	for _, n := range []int{0, 1, 16 << 10, 16<<10 + 1, 100_000, 3<<20 + 7} {
		body := bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n]
		e.put("k", string(body))
		g := e.got("k", noKey)
		if !bytes.Equal(g.Body, body) || g.Size != int64(n) {
			e.Fatalf("of %d bytes %d were read", n, len(g.Body))
		}
		reply, err := e.store.Put(e.ctx(), e.rewritten(&g, toSSES3))
		e.must(err)
		if h := e.head(e.ref("k"), noKey); h.ETag != reply.ETag || h.Encryption.Type != object.SSES3 {
			e.Errorf("%d bytes: the reply says %q, HEAD %q under %s", n, reply.ETag, h.ETag, h.Encryption.Type)
		}
		e.holds(e.ref("k"), noKey, string(body))
	}
	_, err := e.store.Get(e.ctx(), &object.GetRequest{Ref: e.ref("k"), Max: 3 << 20})
	if got := e.outcome(err); got != object.ClassTooLarge.String() {
		e.Errorf("larger than is taken: %s", got)
	}
}

// rewriteEncryptions: from key to key, and what the reply tells of it.
func rewriteEncryptions(e *env) {
	for _, from := range []struct {
		name string
		t    *object.Target
	}{{"a plain PUT", nil}, {"sse-s3", toSSES3}, {"key A", e.toKMS(0)}} {
		for _, to := range []struct {
			name string
			t    *object.Target
		}{{"sse-s3", toSSES3}, {"key B", e.toKMS(len(e.srv.Keys) - 1)}} {
			e.put("k", "bytes", func(in *s3.PutObjectInput) {
				if from.t != nil {
					under(from.t)(in)
				}
			})
			g := e.got("k", noKey)
			if h := e.head(e.ref("k"), noKey); g.Encryption != h.Encryption || g.ETag != h.ETag {
				e.Errorf("GET shows %+v, HEAD %+v", g.Object, h.Object)
			}
			reply, err := e.store.Put(e.ctx(), e.rewritten(&g, to.t))
			got := e.outcome(err)
			if err == nil && !to.t.MetBy(e.head(e.ref("k"), noKey).Encryption) {
				got = "done, and under another encryption"
			}
			e.fact(from.name+" to "+to.name, "done", got)
			e.fact("the reply to "+from.name+" to "+to.name, "shows it", map[bool]string{true: "shows it", false: "shows nothing"}[to.t.MetBy(reply.Encryption)])
			e.holds(e.ref("k"), noKey, "bytes")
		}
	}
}

// rewriteCustomerKeys: into SSE-C, from one customer key to another, and out of it.
func rewriteCustomerKeys(e *env) {
	a, b := customerKey(1), customerKey(2)
	for _, step := range []struct {
		name     string
		from, to object.CustomerKey
	}{{"into it", noKey, a}, {"from key to key", a, b}, {"out of it", b, noKey}} {
		e.put("k", "bytes", func(in *s3.PutObjectInput) {
			if !step.from.IsZero() {
				under(&object.Target{SSE: object.SSEC, CustomerKey: step.from})(in)
			}
		})
		g := e.got("k", step.from)
		t := toSSES3
		if !step.to.IsZero() {
			t = &object.Target{SSE: object.SSEC, CustomerKey: step.to}
		}
		_, err := e.store.Put(e.ctx(), e.rewritten(&g, t))
		e.fact(step.name, "done", e.outcome(err))
		if err == nil {
			e.holds(e.ref("k"), step.to, "bytes")
		}
		e.put("k", "bytes", func(in *s3.PutObjectInput) {
			if !step.from.IsZero() {
				under(&object.Target{SSE: object.SSEC, CustomerKey: step.from})(in)
			}
		})
		g = e.got("k", step.from)
		r := e.rewritten(&g, t)
		e.put("k", "another writer's bytes")
		_, err = e.store.Put(e.ctx(), r)
		e.fact(step.name+", overwritten meanwhile", "changed", e.outcome(err))
		e.holds(e.ref("k"), noKey, "another writer's bytes")
	}
}

// rewriteChecksums: each algorithm's value is kept, and one that is not that of the
// bytes is refused.
func rewriteChecksums(e *env) {
	for _, algorithm := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c,
		types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256} {
		e.put("k", "bytes", func(in *s3.PutObjectInput) { in.ChecksumAlgorithm = algorithm })
		g := e.got("k", noKey)
		before := e.head(e.ref("k"), noKey)
		_, err := e.store.Put(e.ctx(), e.rewritten(&g, toSSES3))
		e.must(err)
		after, got := e.head(e.ref("k"), noKey), "kept"
		if after.ChecksumAlgorithm != string(algorithm) || after.Checksums[string(algorithm)] != before.Checksums[string(algorithm)] ||
			before.Checksums[string(algorithm)] == "" || after.ChecksumType != before.ChecksumType {
			got = "lost"
			e.Logf("before %v %s, after %v %s", before.Checksums, before.ChecksumType, after.Checksums, after.ChecksumType)
		}
		e.fact(string(algorithm), "kept", got)

		g = e.got("k", noKey)
		r := e.rewritten(&g, toSSES3)
		r.Body = []byte("bytez")
		_, err = e.store.Put(e.ctx(), r)
		e.fact(string(algorithm)+" of other bytes", "invalid", e.outcome(err))
		e.holds(e.ref("k"), noKey, "bytes")
	}
}

// keptByRewrite: all sent along.
func keptByRewrite(e *env) {
	_, before := e.seedRich()
	g := e.got("k", noKey)
	_, err := e.store.Put(e.ctx(), e.rewritten(&g, e.toKMS(0)))
	e.must(err)
	e.kept(&before, nil)
}

func keptGrantsByRewrite(e *env) {
	_, err := e.tryPut("k", "x", func(in *s3.PutObjectInput) { in.ACL = types.ObjectCannedACLPublicRead })
	e.must(err)
	before, err := e.store.Grants(e.ctx(), e.ref("k"))
	e.fact("read", "owner and everybody", grantsOutcome(e, before, err))
	if len(before) == 0 {
		return
	}
	g := e.got("k", noKey)
	r := e.rewritten(&g, toSSES3)
	r.Grants = before
	_, err = e.store.Put(e.ctx(), r)
	e.must(err)
	after, err := e.store.Grants(e.ctx(), e.ref("k"))
	e.fact("rewritten with grants", "owner and everybody", grantsOutcome(e, after, err))
}
