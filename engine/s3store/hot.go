package s3store

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Head asks for everything that one HEAD tells. key reads an SSE-C object. It asks
// for checksums, and once more without where that is refused: S3 wants kms:Decrypt
// for them, and some stores do not know the question.
func (s *Store) Head(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.Head, error) {
	h, err := s.head(ctx, ref, key, true)
	if object.RefusesChecksums(err) {
		h, err = s.head(ctx, ref, key, false)
		h.ChecksumsUntold = true
	}
	return h, err
}

func (s *Store) head(ctx context.Context, ref object.Ref, key object.CustomerKey, checksums bool) (object.Head, error) {
	r := newRequest("HeadObject", http.MethodHead, ref).version()
	r.checksumMode(checksums)
	r.customerKey("", key)
	resp, err := s.do(ctx, r)
	if err != nil {
		return object.Head{}, err
	}
	resp.Body.Close()
	h := headOf(ref, resp.Header)
	if s.Whose(r.op, h.RequestID != "", hasAmz(resp.Header)) {
		return h, object.Foreign(r.op, ref, resp.StatusCode)
	}
	if h.ETag == "" { // a page of somebody on the way, which shows no encryption either
		return h, r.fail(&reply{status: resp.StatusCode, id: h.RequestID}, object.ClassTransient, "the answer says success and has no ETag")
	}
	return h, nil
}

func headOf(ref object.Ref, header http.Header) object.Head {
	return HeadOf(ref, header.Get, func(yield func(name, value string)) {
		for name, values := range header {
			if len(values) > 0 {
				yield(name, strings.Join(values, ","))
			}
		}
	})
}

// copyResult is both <CopyObjectResult> and <CopyPartResult>. Its checksum is of
// whatever algorithm: S3 goes on learning new ones.
type copyResult struct {
	ETag string
	Rest []element `xml:",any"`
}

// element is one with text, by its name.
type element struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

func (c *copyResult) checksum() string {
	for _, e := range c.Rest {
		if strings.HasPrefix(e.XMLName.Local, "Checksum") && e.XMLName.Local != "ChecksumType" && e.XMLName.Local != "ChecksumAlgorithm" {
			return e.Text
		}
	}
	return ""
}

// Copy sends one CopyObject. A 200 that holds an error, nothing or no ETag is an
// error: the copy may have happened all the same, which is why it is transient,
// and whoever retries asks first.
func (s *Store) Copy(ctx context.Context, c *object.CopyRequest) (object.CopyReply, error) {
	r := newRequest("CopyObject", http.MethodPut, c.Dest)
	r.ref.VersionID = "" // a copy always writes the current version
	r.copyFrom(c.Source, c.SourceETag, c.SourceTwice)
	r.condition(c.DestETag, c.DestAbsent)
	r.encrypt(c.Target)
	r.sourceKey(c.Target, c.SourceSSEC)
	if c.Replace {
		r.set("X-Amz-Metadata-Directive", "REPLACE")
		r.contentHeaders(c.Attributes)
	}
	if c.ReplaceTags {
		r.set("X-Amz-Tagging-Directive", "REPLACE")
		if c.Attributes != nil {
			r.set("X-Amz-Tagging", taggingHeader(c.Attributes.Tags))
		}
	}
	r.destination(c)
	return s.copied(ctx, r, "CopyObjectResult")
}

// copied sends r and reads what all copies answer with.
func (s *Store) copied(ctx context.Context, r *request, root string) (object.CopyReply, error) {
	rep, err := s.call(ctx, r)
	if err != nil {
		return object.CopyReply{}, err
	}
	var result copyResult
	if err := decode(r, rep, root, &result); err != nil {
		return object.CopyReply{}, err
	}
	if result.ETag == "" {
		return object.CopyReply{}, r.fail(rep, object.ClassTransient, "the answer says success and has no ETag")
	}
	return object.CopyReply{ETag: unquote(result.ETag), VersionID: rep.header.Get("X-Amz-Version-Id"),
		Encryption: EncryptionOf(rep.header.Get, false), Checksum: result.checksum(), RequestID: rep.id}, nil
}

func (r *request) copyFrom(source object.Ref, etag string, twice bool) {
	name := CopySource
	if twice {
		name = CopySourceTwice
	}
	r.header.Set("X-Amz-Copy-Source", name(source))
	if etag != "" {
		r.header.Set("X-Amz-Copy-Source-If-Match", quote(etag))
	}
}

// condition sends the preconditions on the destination.
func (r *request) condition(etag string, absent bool) {
	if etag != "" {
		r.header.Set("If-Match", quote(etag))
	}
	if absent {
		r.header.Set("If-None-Match", "*")
	}
}

// CopyPart sends one UploadPartCopy.
func (s *Store) CopyPart(ctx context.Context, p *object.PartRequest) (object.CopyReply, error) {
	r := newRequest("UploadPartCopy", http.MethodPut, p.Dest)
	r.ref.VersionID = ""
	r.query.Set("partNumber", strconv.Itoa(p.Number))
	r.query.Set("uploadId", p.UploadID)
	r.copyFrom(p.Source, p.SourceETag, p.SourceTwice)
	if p.Last >= p.First {
		r.header.Set("X-Amz-Copy-Source-Range", fmt.Sprintf("bytes=%d-%d", p.First, p.Last))
	}
	if p.Target != nil {
		if p.Target.SSE == object.SSEC {
			r.customerKey("", p.Target.CustomerKey)
		} else if p.Target.SSE.KMS() {
			r.kmsKey = p.Target.KMSKeyID // for hints: the headers go on Create only
		}
	}
	r.sourceKey(p.Target, p.SourceSSEC)
	return s.copied(ctx, r, "CopyPartResult")
}

// objectEncryption is the body of UpdateObjectEncryption.
type objectEncryption struct {
	XMLName xml.Name `xml:"ObjectEncryption"`
	XMLNS   string   `xml:"xmlns,attr"`
	SSEKMS  struct {
		KMSKeyArn        string
		BucketKeyEnabled bool
	} `xml:"SSE-KMS"`
}

// Update sends UpdateObjectEncryption.
//
// Call it only on AWS hosts or where Probe saw it work: most other stores take
// it for a PutObject and replace the object by the request.
func (s *Store) Update(ctx context.Context, ref object.Ref, t *object.Target) (string, error) {
	r := newRequest("UpdateObjectEncryption", http.MethodPut, ref).version()
	r.query.Set("encryption", "")
	if t.SSE != object.SSEKMS {
		return "", &object.Error{Class: object.ClassInvalid, Op: r.op, Ref: ref,
			Message: "only SSE-KMS can be the target of UpdateObjectEncryption"}
	}
	body := objectEncryption{XMLNS: s3Namespace}
	body.SSEKMS.KMSKeyArn = t.KMSKeyID
	body.SSEKMS.BucketKeyEnabled = t.BucketKey == object.On // always explicit: S3's default is false
	r.kmsKey = t.KMSKeyID
	rep, err := s.call(ctx, r.payload(document(body)))
	if err != nil {
		return "", err
	}
	return rep.id, nil
}
