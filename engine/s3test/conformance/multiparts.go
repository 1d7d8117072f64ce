package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
)

var multipartChecks = []check{
	{name: "multipart", run: multipartCopies},
	{name: "multipart boundaries", run: sourceBoundaries},
	{name: "multipart with customer keys", needs: hasTLS, run: multipartCustomerKeys},
	{name: "multipart errors", run: multipartErrors},
}

const partSize = 5 << 20 // the least that S3 takes for all parts but the last

// big is a body of two whole parts and a bit, no two stretches alike.
func big(seed byte) string {
	b := make([]byte, 2*partSize+12345)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

var bigParts = []int64{partSize, partSize, 12345}

// multipartCopies: parts by range, listed on the way, put together in order.
func multipartCopies(e *env) {
	body := big(1)
	s := e.put("k", body, everything)
	h := e.head(e.ref("k"), noKey)
	r := e.resentPlain(&h)
	id, shownEncryption, err := e.store.CreateUpload(e.ctx(), r)
	e.must(err)
	e.fact("create shows the encryption", "sse-kms", shownEncryption.Type.String())

	var parts []object.Part
	at := int64(0)
	for i, n := range bigParts {
		reply, err := e.store.CopyPart(e.ctx(), &object.PartRequest{Source: e.ref("k"), SourceETag: s.etag, Dest: e.ref("k"),
			UploadID: id, Number: i + 1, First: at, Last: at + n - 1, Target: r.Target})
		e.must(err)
		if reply.ETag == "" {
			e.Fatal("a part without an ETag")
		}
		parts = append(parts, object.Part{Number: i + 1, ETag: reply.ETag, Size: n, Checksum: reply.Checksum})
		at += n
	}
	listed, err := e.store.ListParts(e.ctx(), e.ref("k"), id, r.Target)
	e.must(err)
	for i := range listed {
		listed[i].Checksum = ""
	}
	want := slices.Clone(parts)
	for i := range want {
		want[i].Checksum = ""
	}
	if !slices.Equal(listed, want) {
		e.Errorf("ListParts gives %+v, want %+v", listed, want)
	}
	reply, err := e.store.CompleteUpload(e.ctx(), &object.CompleteRequest{Dest: e.ref("k"), UploadID: id, Parts: parts,
		Size: int64(len(body)), DestETag: s.etag, Target: r.Target})
	e.must(err)
	after := e.head(e.ref("k"), noKey)
	if after.ETag != reply.ETag || !strings.HasSuffix(after.ETag, "-3") || !after.MultipartUploaded {
		e.Errorf("ETags: Complete %s, HEAD %s", reply.ETag, after.ETag)
	}
	if !r.Target.MetBy(after.Encryption) || after.ContentType != h.ContentType || after.TagCount != 2 {
		e.Errorf("after: %+v", after)
	}
	e.holds(e.ref("k"), noKey, body)

	sizes, _, err := e.store.Parts(e.ctx(), e.ref("k"), noKey)
	e.fact("sizes of the parts", fmt.Sprint(bigParts), sizesOutcome(e, sizes, err))
	_, err = e.store.ListParts(e.ctx(), e.ref("k"), id, r.Target)
	e.fact("list of a completed upload", "no-upload", e.outcome(err))
	if uploads := e.uploads(); len(uploads) != 0 {
		e.Errorf("left behind: %v", uploads)
	}
}

func sizesOutcome(e *env, sizes []int64, err error) string {
	e.Helper()
	if err != nil {
		return e.outcome(err)
	}
	return fmt.Sprint(sizes)
}

// resentPlain is resent without what needs a lock bucket.
func (e *env) resentPlain(h *object.Head) *object.CopyRequest {
	e.Helper()
	r := e.resent(h)
	r.RetainUntil, r.LockMode = "", ""
	return r
}

// uploads are those in progress, as the independent client sees them.
func (e *env) uploads() (ids []string) {
	e.Helper()
	// MinIO lists uploads of a key only under the whole key as prefix.
	out, err := e.client.ListMultipartUploads(e.ctx(), &s3.ListMultipartUploadsInput{Bucket: &e.bucket, Prefix: aws.String("k")})
	e.must(err)
	for _, u := range out.Uploads {
		ids = append(ids, aws.ToString(u.UploadId))
	}
	return ids
}

// seedParts uploads an object in parts with a composite checksum.
func (e *env) seedParts(key string, body string, sizes []int64, algorithm types.ChecksumAlgorithm) *s3.CompleteMultipartUploadOutput {
	e.Helper()
	up, err := e.client.CreateMultipartUpload(e.ctx(), &s3.CreateMultipartUploadInput{Bucket: &e.bucket, Key: &key, ChecksumAlgorithm: algorithm})
	e.must(err)
	done := &types.CompletedMultipartUpload{}
	at := int64(0)
	for i, n := range sizes {
		p, err := e.client.UploadPart(e.ctx(), &s3.UploadPartInput{Bucket: &e.bucket, Key: &key, UploadId: up.UploadId,
			PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader([]byte(body[at : at+n])), ChecksumAlgorithm: algorithm})
		e.must(err)
		done.Parts = append(done.Parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: p.ETag,
			ChecksumSHA256: p.ChecksumSHA256, ChecksumCRC32C: p.ChecksumCRC32C})
		at += n
	}
	out, err := e.client.CompleteMultipartUpload(e.ctx(), &s3.CompleteMultipartUploadInput{Bucket: &e.bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: done})
	e.must(err)
	return out
}

// sourceBoundaries: with the parts of the source, the composite checksum and the
// ETag's shape survive; by CopyObject they do not.
func sourceBoundaries(e *env) {
	body, sizes := big(2), []int64{partSize + 1000, partSize + 11345}
	e.seedParts("k", body, sizes, types.ChecksumAlgorithmSha256)
	before := e.head(e.ref("k"), noKey)
	e.fact("checksum type of an upload", "SHA256 COMPOSITE", before.ChecksumAlgorithm+" "+before.ChecksumType)
	got, kind, err := e.store.Parts(e.ctx(), e.ref("k"), noKey)
	e.fact("sizes of the parts", fmt.Sprint(sizes), sizesOutcome(e, got, err))
	e.fact("checksum type with the parts", "COMPOSITE", kind)

	r := &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: before.ETag, Target: toSSES3,
		Attributes: &before.Attributes, ChecksumAlgorithm: before.ChecksumAlgorithm, ChecksumType: before.ChecksumType}
	_, err = e.multipart(r, sizes, int64(len(body)))
	e.fact("with a checksum", "done", e.outcome(err))
	if err != nil {
		r.ChecksumAlgorithm, r.ChecksumType = "", ""
		_, err = e.multipart(r, sizes, int64(len(body)))
		e.must(err)
	}
	after := e.head(e.ref("k"), noKey)
	e.fact("composite checksum by the same parts", "kept", same(before.Checksums["SHA256"], after.Checksums["SHA256"]))
	if !strings.HasSuffix(after.ETag, "-2") {
		e.Errorf("ETag %s", after.ETag)
	}
	e.holds(e.ref("k"), noKey, body)

	_, err = e.reseal("k", after.ETag, e.toKMS(0))
	e.must(err)
	single := e.head(e.ref("k"), noKey)
	e.fact("composite checksum by copy", "changed", same(before.Checksums["SHA256"], single.Checksums["SHA256"]))
	e.fact("checksum type by copy", "FULL_OBJECT", single.ChecksumType)
	e.holds(e.ref("k"), noKey, body)
}

func same(before, after string) string {
	switch {
	case before == "":
		return "there was none"
	case after == "":
		return "lost"
	case before != after:
		return "changed"
	}
	return "kept"
}

// multipartCustomerKeys: keys on every part, and again where parts are listed
// with checksums.
func multipartCustomerKeys(e *env) {
	body := big(3)
	one, two := customerKey(1), customerKey(2)
	s := e.put("k", body, under(&object.Target{SSE: object.SSEC, CustomerKey: one}))
	t := &object.Target{SSE: object.SSEC, CustomerKey: two, SourceKey: one}
	r := &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: s.etag, Target: t, SourceSSEC: true}
	_, err := e.multipart(r, bigParts, int64(len(body)), func(c *object.CompleteRequest) { c.DestETag = s.etag })
	e.must(err)
	h := e.head(e.ref("k"), two)
	if !t.MetBy(h.Encryption) {
		e.Errorf("shows %+v", h.Encryption)
	}
	e.holds(e.ref("k"), two, body)
	sizes, _, err := e.store.Parts(e.ctx(), e.ref("k"), two)
	e.fact("sizes of the parts", fmt.Sprint(bigParts), sizesOutcome(e, sizes, err))

	out := *e.toKMS(0)
	out.SourceKey = two
	r = &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: h.ETag, Target: &out, SourceSSEC: true}
	_, err = e.multipart(r, bigParts, int64(len(body)))
	e.must(err)
	e.holds(e.ref("k"), noKey, body)
}

// multipartErrors: each wrong step, and that nothing is left behind.
func multipartErrors(e *env) {
	body := "bytes of the source"
	size := int64(len(body))
	s := e.put("k", body)
	r := &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: s.etag, Target: toSSES3}
	complete := func(change func(*object.CompleteRequest)) string {
		e.Helper()
		s = e.put("k", body)
		r.SourceETag = s.etag
		_, err := e.multipart(r, nil, size, change)
		return e.outcome(err)
	}
	e.fact("complete with another ETag", "invalid", complete(func(c *object.CompleteRequest) { c.Parts[0].ETag = wrongETag }))
	e.fact("complete without parts", "invalid", complete(func(c *object.CompleteRequest) { c.Parts = nil }))
	e.fact("complete with a part that is missing", "invalid", complete(func(c *object.CompleteRequest) { c.Parts[0].Number = 2 }))
	e.fact("complete with another size", "invalid", complete(func(c *object.CompleteRequest) { c.Size++ }))
	e.holds(e.ref("k"), noKey, body)

	s = e.put("k", body)
	id, _, err := e.store.CreateUpload(e.ctx(), r)
	e.must(err)
	part := object.PartRequest{Source: e.ref("k"), SourceETag: s.etag, Dest: e.ref("k"), UploadID: id, Number: 1, First: 0, Last: size, Target: toSSES3}
	_, err = e.store.CopyPart(e.ctx(), &part)
	e.fact("a range past the end", "invalid", e.outcome(err))
	part.Last, part.Source = -1, e.ref("nobody")
	_, err = e.store.CopyPart(e.ctx(), &part)
	e.fact("a source that is not there", "gone", e.outcome(err))
	e.must(e.store.AbortUpload(e.ctx(), e.ref("k"), id))

	part.Source = e.ref("k")
	_, err = e.store.CopyPart(e.ctx(), &part)
	e.fact("a part of an aborted upload", "no-upload", e.outcome(err))
	_, err = e.store.ListParts(e.ctx(), e.ref("k"), id, toSSES3)
	e.fact("list of an aborted upload", "no-upload", e.outcome(err))
	_, err = e.store.CompleteUpload(e.ctx(), &object.CompleteRequest{Dest: e.ref("k"), UploadID: id, Size: size, Target: toSSES3,
		Parts: []object.Part{{Number: 1, ETag: wrongETag, Size: size}}})
	e.fact("complete of an aborted upload", "no-upload", e.outcome(err))
	e.fact("abort of an aborted upload", "no-upload", e.outcome(e.store.AbortUpload(e.ctx(), e.ref("k"), id)))
	if uploads := e.uploads(); len(uploads) != 0 {
		e.Errorf("left behind: %v", uploads)
	}
}
