package conformance

import (
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
)

var headChecks = []check{
	{name: "head", run: headFacts},
	{name: "zero bytes", run: zeroBytes},
	{name: "open", run: openFacts},
}

// everything gives an object all that a PUT can carry and that any server keeps.
func everything(in *s3.PutObjectInput) {
	in.ContentType = aws.String("text/x-odd; charset=utf-8")
	in.CacheControl = aws.String("max-age=7, private")
	in.ContentDisposition = aws.String(`attachment; filename="a b.txt"`)
	in.ContentEncoding = aws.String("identity")
	in.ContentLanguage = aws.String("de, en")
	in.Metadata = map[string]string{"plain": "value", "spaced": "a  b", "x-amz-key-v2": "envelope"}
	in.Tagging = aws.String("project=reseal&odd%20key=a%2Bb%20%3D%20c")
}

func headFacts(e *env) {
	before := time.Now().Add(-time.Minute)
	e.put("k", "some bytes", everything, func(in *s3.PutObjectInput) {
		in.Expires = aws.Time(time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC))
		in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	})
	h := e.head(e.ref("k"), noKey)
	for _, f := range []struct{ name, want, got string }{
		{"Content-Type", "text/x-odd; charset=utf-8", h.ContentType},
		{"Cache-Control", "max-age=7, private", h.CacheControl},
		{"Content-Disposition", `attachment; filename="a b.txt"`, h.ContentDisposition},
		{"Content-Encoding", "identity", h.ContentEncoding},
		{"Content-Language", "de, en", h.ContentLanguage},
		{"Expires", "Mon, 03 Feb 2031 04:05:06 GMT", h.Expires},
		{"metadata", "value", h.Metadata["plain"]},
		{"metadata with spaces", "a  b", h.Metadata["spaced"]},
		{"tag count", "2", itoa(h.TagCount)},
		{"storage class", "", h.StorageClass},
		{"checksum algorithm", "SHA256", h.ChecksumAlgorithm},
		{"checksum type", "FULL_OBJECT", h.ChecksumType},
	} {
		e.fact(f.name, f.want, f.got)
	}
	if !h.ClientSide.Encrypted() {
		e.Error("an object with x-amz-key-v2 is not seen as client-side encrypted")
	}
	if h.LastModified.Before(before) || h.LastModified.After(time.Now().Add(time.Minute)) || h.LastModified.Location() != time.UTC {
		e.Errorf("LastModified %v", h.LastModified)
	}
	if h.Locked() || h.WebsiteRedirect != "" || h.MultipartUploaded || h.Archived() {
		e.Errorf("Head shows what the object does not have: %+v", h)
	}
	if h.RequestID == "" {
		e.Error("no request ID")
	}

	e.put("plain", "x")
	p := e.head(e.ref("plain"), noKey)
	e.fact("encryption of a plain PUT", "sse-s3", p.Encryption.Type.String())
	if len(p.Metadata) != 0 || p.TagCount != 0 {
		e.Errorf("a plain object shows %+v", p.Attributes)
	}
}

// zeroBytes: objects without bytes are re-encrypted by every route too.
func zeroBytes(e *env) {
	s := e.put("empty", "", everything)
	if h := e.head(e.ref("empty"), noKey); h.Size != 0 {
		e.Errorf("size %d", h.Size)
	}
	_, err := e.reseal("empty", s.etag, e.toKMS(0))
	e.fact("copy", "done", e.outcome(err))
	h := e.head(e.ref("empty"), noKey)
	if !e.toKMS(0).MetBy(h.Encryption) || h.Size != 0 {
		e.Errorf("after the copy: %+v", h)
	}
	r := &object.CopyRequest{Source: e.ref("empty"), Dest: e.ref("empty"), SourceETag: h.ETag, Target: toSSES3, Attributes: &h.Attributes}
	_, err = e.multipart(r, nil, 0)
	e.fact("multipart copy", "done", e.outcome(err))
	if h := e.head(e.ref("empty"), noKey); h.Encryption.Type != object.SSES3 || h.Size != 0 {
		e.Errorf("after the multipart copy: %+v", h)
	}
}

// openFacts: reading has the right bytes, or none.
func openFacts(e *env) {
	body := strings.Repeat("0123456789", 100_000)
	s := e.put("k", body)
	if got, err := e.open(e.ref("k"), noKey, s.etag); err != nil || got != body {
		e.Errorf("%s, %v", abridged([]byte(got)), err)
	}
	_, err := e.open(e.ref("k"), noKey, strings.Repeat("0", 32))
	e.fact("another ETag", "changed", e.outcome(err))
	_, err = e.open(e.ref("nobody"), noKey, "")
	e.fact("no such key", "gone", e.outcome(err))
}

func (e *env) open(ref object.Ref, key object.CustomerKey, etag string) (string, error) {
	r, err := e.store.Open(e.ctx(), ref, key, etag)
	if err != nil {
		return "", err
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	return string(body), err
}
