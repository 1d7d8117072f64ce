package conformance

import (
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
)

var encryptionChecks = []check{
	{name: "encrypt", run: func(e *env) { e.everyPair(e.encryptions(false)) }},
	{name: "encrypt, multipart", run: func(e *env) { e.everyPairMultipart(e.encryptions(false)) }},
	{name: "encrypt with customer keys", needs: hasTLS, run: func(e *env) { e.everyPair(e.encryptions(true)) }},
	{name: "encrypt with customer keys, multipart", needs: hasTLS, run: func(e *env) { e.everyPairMultipart(e.encryptions(true)) }},
	{name: "KMS context", run: kmsContext},
	{name: "update", run: update},
}

// kind is one encryption, as a source to seed and as a target to reach.
type kind struct {
	name   string
	target *object.Target // nil: nothing is asked for
}

// customerKey makes the n-th key of the suite.
func customerKey(n byte) object.CustomerKey {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = n*31 + byte(i)
	}
	k, err := object.ParseCustomerKey(raw)
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	return k
}

// encryptions are all that the server can be asked for; those with customer keys
// are a matrix of their own, for the sake of time.
func (e *env) encryptions(customer bool) []kind {
	withContext := *e.toKMS(0)
	withContext.Context = base64.StdEncoding.EncodeToString([]byte(`{"project":"reseal"}`))
	if customer {
		return []kind{
			{"plain", nil},
			{"sse-s3", toSSES3},
			{"key A", e.toKMS(0)},
			{"key A with context", &withContext},
			{"customer key 1", &object.Target{SSE: object.SSEC, CustomerKey: customerKey(1)}},
			{"customer key 2", &object.Target{SSE: object.SSEC, CustomerKey: customerKey(2)}},
		}
	}
	withBucketKey := *e.toKMS(0)
	withBucketKey.BucketKey = object.On
	dsse := *e.toKMS(0)
	dsse.SSE = object.DSSEKMS
	all := []kind{
		{"plain", nil},
		{"sse-s3", toSSES3},
		{"key A", e.toKMS(0)},
		{"key A with context", &withContext},
		{"key A with bucket key", &withBucketKey},
		{"dsse A", &dsse},
	}
	if len(e.srv.Keys) > 1 {
		all = append(all, kind{"key B", e.toKMS(1)})
	}
	return all
}

// everyPair copies from every encryption to every other, and to itself.
func (e *env) everyPair(kinds []kind) {
	e.pairs(kinds, func(key, etag string, from, to kind, size int64) (object.CopyReply, error) {
		return e.reseal(key, etag, withSource(from, to), func(r *object.CopyRequest) { r.SourceSSEC = from.customer() })
	})
}

// everyPairMultipart does the same through an upload of one part.
func (e *env) everyPairMultipart(kinds []kind) {
	e.pairs(kinds, func(key, etag string, from, to kind, size int64) (object.CopyReply, error) {
		r := &object.CopyRequest{Source: e.ref(key), Dest: e.ref(key), SourceETag: etag, Target: withSource(from, to), SourceSSEC: from.customer()}
		return e.multipart(r, nil, size)
	})
}

func (e *env) pairs(kinds []kind, change func(key, etag string, from, to kind, size int64) (object.CopyReply, error)) {
	customer := slices.ContainsFunc(kinds, kind.customer)
	for _, from := range kinds {
		if from.target != nil {
			_, err := e.tryPut("seed", "x", under(from.target))
			got := "done"
			if err != nil {
				got = "refused"
			}
			e.fact("put "+from.name, "done", got)
			if err != nil {
				continue
			}
		}
		for _, to := range kinds {
			if to.target == nil || customer && !from.customer() && !to.customer() {
				continue // nothing to ask for; or a pair of the other matrix
			}
			e.pair(from, to, change)
		}
	}
}

func (e *env) pair(from, to kind, change func(key, etag string, from, to kind, size int64) (object.CopyReply, error)) {
	name := from.name + " to " + to.name
	body := "under " + name
	seed := func(*s3.PutObjectInput) {}
	if from.target != nil {
		seed = under(from.target)
	}
	s := e.put(name, body, seed)
	reply, err := change(name, s.etag, from, to, int64(len(body)))
	if err != nil {
		e.fact(name, "done", e.outcome(err))
		e.holds(e.ref(name), from.key(), body) // a refused copy changes nothing
		return
	}
	e.fact(name, "done", e.arrived(name, to, body, reply))
}

// arrived looks at what a successful copy has made.
func (e *env) arrived(name string, to kind, body string, reply object.CopyReply) string {
	e.Helper()
	h := e.head(e.ref(name), to.key())
	if h.ETag != reply.ETag {
		e.Errorf("%s: the reply says ETag %s, HEAD %s", name, reply.ETag, h.ETag)
	}
	// What a reply shows is optional, what it shows wrongly is not.
	if reply.Encryption.Type != object.SSEUnknown && reply.Encryption.Type != h.Encryption.Type {
		e.Errorf("%s: the reply shows %+v, HEAD %+v", name, reply.Encryption, h.Encryption)
	}
	got, err := e.tryRead(e.ref(name), to.key())
	switch {
	case err != nil:
		e.Logf("%s: %v", name, err)
		return "cannot be read any more"
	case string(got) != body:
		return "other bytes"
	case to.target.MetBy(h.Encryption):
		return "done"
	}
	without := *to.target
	without.BucketKey = object.Default
	if without.MetBy(h.Encryption) {
		return "done, the bucket key ignored"
	}
	return fmt.Sprintf("done, and shows %+v", h.Encryption)
}

// kmsContext: where HEAD shows the context, a copy that sends it again keeps the
// object readable. Without it, see the facts of encrypt.
func kmsContext(e *env) {
	const context = "eyJwcm9qZWN0IjoicmVzZWFsIn0="
	t := *e.toKMS(0)
	t.Context = context
	s := e.put("k", "some bytes", under(&t))
	h := e.head(e.ref("k"), noKey)
	e.fact("shown by HEAD", "", h.KMSContext)
	h2, err := e.reseal("k", s.etag, &t)
	e.must(err)
	e.holds(e.ref("k"), noKey, "some bytes")
	if len(e.srv.Keys) > 1 {
		t = *e.toKMS(1)
		t.Context = context
		_, err = e.reseal("k", h2.ETag, &t)
		e.must(err)
		e.holds(e.ref("k"), noKey, "some bytes")
	}
	page, err := e.store.ListPage(e.ctx(), object.ListRequest{Bucket: e.bucket, Metadata: true})
	e.must(err)
	if len(page.Objects) != 1 || page.Objects[0].Plain {
		e.Errorf("a listing calls an object with a context plain: %+v", page.Objects)
	}
}

func (k kind) customer() bool { return k.target != nil && k.target.SSE == object.SSEC }

func (k kind) key() object.CustomerKey {
	if !k.customer() {
		return object.CustomerKey{}
	}
	return k.target.CustomerKey
}

func withSource(from, to kind) *object.Target {
	t := *to.target
	t.SourceKey = from.key()
	return &t
}

// update asks for UpdateObjectEncryption on an object that nobody misses. On a
// store that does not know it, the object is gone afterwards, which is the fact
// to know.
func update(e *env) {
	body := "bytes that an update must not touch"
	s := e.put("k", body, everything, under(toSSES3))
	_, err := e.store.Update(e.ctx(), e.ref("k"), e.toKMS(0))
	got := e.outcome(err)
	if err == nil && string(e.read(e.ref("k"), noKey)) != body {
		got = "the object is overwritten"
	}
	e.fact("sse-s3 to key A", "done", got)
	if got != "done" {
		return
	}
	h := e.head(e.ref("k"), noKey)
	if !e.toKMS(0).MetBy(h.Encryption) || h.ETag != s.etag || h.Metadata["plain"] != "value" || h.TagCount != 2 {
		e.Errorf("after the update: %+v", h)
	}
	if len(e.srv.Keys) > 1 {
		if _, err := e.store.Update(e.ctx(), e.ref("k"), e.toKMS(1)); err != nil {
			e.Error(err)
		}
		if h := e.head(e.ref("k"), noKey); !e.toKMS(1).MetBy(h.Encryption) {
			e.Errorf("after the second update: %+v", h.Encryption)
		}
	}
	withBucketKey := *e.toKMS(0)
	withBucketKey.BucketKey = object.On
	if _, err := e.store.Update(e.ctx(), e.ref("k"), &withBucketKey); err != nil {
		e.Error(err)
	}
	if h := e.head(e.ref("k"), noKey); !h.Encryption.BucketKey {
		e.Errorf("the bucket key was not turned on: %+v", h.Encryption)
	}
	_, err = e.store.Update(e.ctx(), e.ref("nobody"), e.toKMS(0))
	e.fact("no such key", "gone", e.outcome(err))
}
