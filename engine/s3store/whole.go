package s3store

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"

	"github.com/resealhq/reseal/engine/object"
)

// checksumMode asks for the object's checksums.
func (r *request) checksumMode(ask bool) {
	if ask {
		r.header.Set("X-Amz-Checksum-Mode", "ENABLED")
	}
}

// md5 sends the digest of a body, which S3 wants where a lock may be written.
func (r *request) md5(body []byte) {
	sum := md5.Sum(body)
	r.header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
}

// integrity sends what the store compares the body with: its checksum, else its MD5.
func (r *request) integrity(algorithm, checksum string, body []byte) {
	if checksum != "" && algorithm != "" {
		r.header.Set("X-Amz-Checksum-"+algorithm, checksum)
	} else {
		r.md5(body)
	}
}

// wrote sends a request that writes, and wants the ETag of what it wrote.
func (s *Store) wrote(ctx context.Context, r *request) (rep *reply, etag string, err error) {
	if rep, err = s.call(ctx, r); err != nil {
		return nil, "", err
	}
	if etag = unquote(rep.header.Get("Etag")); etag == "" {
		return nil, "", r.fail(rep, object.ClassTransient, "the answer says success and has no ETag")
	}
	return rep, etag, nil
}

// Get reads a whole object of at most g.Max bytes. Of a larger one the reply's Head
// is returned beside an error of ClassTooLarge. As Head does, it asks for checksums,
// and without them where that is refused.
func (s *Store) Get(ctx context.Context, g *object.GetRequest) (object.GetReply, error) {
	got, err := s.get(ctx, g, true)
	if object.RefusesChecksums(err) {
		got, err = s.get(ctx, g, false)
		got.ChecksumsUntold = true
	}
	return got, err
}

func (s *Store) get(ctx context.Context, g *object.GetRequest, checksums bool) (object.GetReply, error) {
	r := newRequest("GetObject", http.MethodGet, g.Ref).version()
	r.checksumMode(checksums)
	r.customerKey("", g.Key)
	if g.ETag != "" {
		r.header.Set("If-Match", quote(g.ETag))
	}
	resp, err := s.do(ctx, r)
	if err != nil {
		return object.GetReply{}, err
	}
	defer resp.Body.Close()
	out := object.GetReply{Head: headOf(g.Ref, resp.Header)}
	rep := &reply{status: resp.StatusCode, id: out.RequestID}
	switch {
	case resp.StatusCode != http.StatusOK:
		return out, r.fail(rep, object.ClassTransient, "the reply says success and is not the whole object")
	case out.ETag == "":
		return out, r.fail(rep, object.ClassTransient, "the answer says success and has no ETag")
	case resp.ContentLength < 0 || resp.Uncompressed:
		return out, r.fail(rep, object.ClassUnsupported, "the reply does not say how long the object is")
	}
	if out.Size = resp.ContentLength; out.Size > g.Max {
		return out, r.fail(rep, object.ClassTooLarge, fmt.Sprintf("it has %d bytes, and %d are taken at most", out.Size, g.Max))
	}
	out.Body = g.Into[:0]
	if int64(cap(out.Body)) < out.Size {
		out.Body = make([]byte, out.Size)
	}
	out.Body = out.Body[:out.Size]
	if _, err := io.ReadFull(resp.Body, out.Body); err != nil {
		return object.GetReply{}, FailedToSend(r.op, g.Ref, ctx, err)
	}
	return out, nil
}

// Put writes an object from the bytes of p, with all that p carries. S3 wants a
// checksum or an MD5 wherever a lock may be written, also by the bucket's own rule,
// so one of the two is always sent. It is never repeated here: with a condition a
// second one would meet the first.
func (s *Store) Put(ctx context.Context, p *object.PutRequest) (object.CopyReply, error) {
	r := newRequest("PutObject", http.MethodPut, p.Dest)
	r.ref.VersionID = ""
	r.body = p.Body
	r.condition(p.DestETag, p.DestAbsent)
	r.encrypt(p.Target)
	r.contentHeaders(p.Attributes)
	if p.Attributes != nil {
		r.set("X-Amz-Tagging", taggingHeader(p.Attributes.Tags))
	}
	sent := p.CopyRequest
	sent.ChecksumAlgorithm, sent.ChecksumType = "", "" // of a copy: here the value itself is sent
	r.destination(&sent)
	r.integrity(p.ChecksumAlgorithm, p.Checksum, p.Body)
	if p.Checksum != "" && object.SDKsName(p.ChecksumAlgorithm) {
		r.header.Set("X-Amz-Sdk-Checksum-Algorithm", p.ChecksumAlgorithm) // Ceph keeps what this names alone
	}
	rep, etag, err := s.wrote(ctx, r)
	if err != nil {
		return object.CopyReply{}, err
	}
	out := object.CopyReply{ETag: etag, VersionID: rep.header.Get("X-Amz-Version-Id"),
		Encryption: EncryptionOf(rep.header.Get, false), RequestID: rep.id}
	if p.ChecksumAlgorithm != "" {
		out.Checksum = rep.header.Get("X-Amz-Checksum-" + p.ChecksumAlgorithm)
	}
	return out, nil
}
