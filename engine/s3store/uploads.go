package s3store

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"

	"github.com/resealhq/reseal/engine/object"
)

// CreateUpload starts a multipart copy. Everything that the object is to have
// must be in c: nothing comes from the source but bytes.
func (s *Store) CreateUpload(ctx context.Context, c *object.CopyRequest) (string, object.Encryption, error) {
	r := newRequest("CreateMultipartUpload", http.MethodPost, c.Dest)
	r.ref.VersionID = ""
	r.query.Set("uploads", "")
	r.encrypt(c.Target)
	r.contentHeaders(c.Attributes)
	if c.Attributes != nil {
		r.set("X-Amz-Tagging", taggingHeader(c.Attributes.Tags))
	}
	r.destination(c)
	if c.ChecksumAlgorithm != "" {
		r.set("X-Amz-Checksum-Type", c.ChecksumType)
	}
	rep, err := s.call(ctx, r)
	if err != nil {
		return "", object.Encryption{}, err
	}
	var result struct{ UploadId string }
	if err := decode(r, rep, "InitiateMultipartUploadResult", &result); err != nil {
		return "", object.Encryption{}, err
	}
	if result.UploadId == "" {
		return "", object.Encryption{}, r.fail(rep, object.ClassTransient, "the answer says success and has no upload ID")
	}
	return result.UploadId, EncryptionOf(rep.header.Get, false), nil
}

type completedPart struct {
	PartNumber int
	ETag       string
	Checksum   *element
}

func completed(p object.Part, algorithm string) completedPart {
	c := completedPart{PartNumber: p.Number, ETag: quote(p.ETag)}
	if algorithm != "" && p.Checksum != "" {
		c.Checksum = &element{XMLName: xml.Name{Local: "Checksum" + algorithm}, Text: p.Checksum}
	}
	return c
}

// CompleteUpload puts the parts together, on the conditions of c.
func (s *Store) CompleteUpload(ctx context.Context, c *object.CompleteRequest) (object.CopyReply, error) {
	if !s.otherKey(c) {
		return s.complete(ctx, c, false)
	}
	byTheOld := !s.completesByUpload.Load()
	rep, err := s.complete(ctx, c, byTheOld)
	if !refusedKey(err) && (byTheOld || object.ClassOf(err) != object.ClassDenied) { // MinIO denies who has another key than the object's
		return rep, err
	}
	other, again := s.complete(ctx, c, !byTheOld)
	switch {
	case again == nil:
		s.completesByUpload.Store(byTheOld)
	case refusedKey(again):
		return rep, err // which is about something else
	}
	return other, again
}

// otherKey says whether the store may want another customer key than that of the upload,
// or none. MinIO checks If-Match by reading the object that is there now, so it wants
// that one's key, and refuses any other; Ceph of 2025 wants that of the upload, as AWS
// does. A key that is refused ends nothing, so that the other one is tried then, and first
// from then on.
func (s *Store) otherKey(c *object.CompleteRequest) bool {
	return !s.aws && c.DestETag != "" && c.Target != nil && (c.Target.SSE == object.SSEC || !c.Target.SourceKey.IsZero())
}

// refusedKey says whether the store did nothing since it wants another customer key.
func refusedKey(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.HTTPStatus == http.StatusBadRequest && e.Class == object.ClassInvalid
}

// complete sends the request, with the customer key of the upload or, where it is asked
// for, with that of the object that is there.
func (s *Store) complete(ctx context.Context, c *object.CompleteRequest, byTheOld bool) (object.CopyReply, error) {
	r := newRequest("CompleteMultipartUpload", http.MethodPost, c.Dest)
	r.ref.VersionID = ""
	r.query.Set("uploadId", c.UploadID)
	r.condition(c.DestETag, c.DestAbsent)
	if c.ChecksumAlgorithm != "" {
		r.set("X-Amz-Checksum-Type", c.ChecksumType)
	}
	r.set("X-Amz-Mp-Object-Size", strconv.FormatInt(c.Size, 10))
	if !byTheOld {
		r.uploadKey(c.Target)
	} else if err := s.oldKey(ctx, r, c.Target.SourceKey); err != nil {
		return object.CopyReply{}, err
	}
	body := struct {
		XMLName xml.Name        `xml:"CompleteMultipartUpload"`
		XMLNS   string          `xml:"xmlns,attr"`
		Part    []completedPart `xml:"Part"`
	}{XMLNS: s3Namespace}
	for _, p := range c.Parts {
		body.Part = append(body.Part, completed(p, c.ChecksumAlgorithm))
	}
	return s.copied(ctx, r.payload(document(body)), "CompleteMultipartUploadResult")
}

// uploadKey sends the customer key of an upload that is under SSE-C, and notes
// the KMS key for hints.
func (r *request) uploadKey(t *object.Target) {
	if t == nil {
		return
	}
	if t.SSE == object.SSEC {
		r.customerKey("", t.CustomerKey)
	} else if t.SSE.KMS() {
		r.kmsKey = t.KMSKeyID
	}
}

// oldKey sends the customer key of the object that is there, which is asked for, or none.
func (s *Store) oldKey(ctx context.Context, r *request, key object.CustomerKey) error {
	a, err := s.Address(ctx, r.ref.Bucket)
	if err != nil {
		return err
	}
	resp, err := s.sendTo(ctx, newRequest("HeadObject", http.MethodHead, r.ref), a)
	if err != nil {
		if e, ok := errors.AsType[*object.Error](err); ok {
			e.NotSent = true // of the Complete nothing was
		}
		return err
	}
	resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusBadRequest: // an SSE-C object, asked without its key
		r.customerKey("", key)
	case resp.StatusCode/100 != 2:
		// Where no answer came, neither key is the one that is wanted for certain.
		e := Classify(object.FailedReply{Op: r.op, Ref: r.ref, Status: resp.StatusCode, Header: resp.Header.Get})
		if e.Class.Retryable() {
			e.NotSent = true
			return e
		}
	}
	return nil
}

// AbortUpload ends an upload for good. One that is not there any more is an
// error of ClassNoUpload: the caller knows whether that is what it wanted.
func (s *Store) AbortUpload(ctx context.Context, dest object.Ref, id string) error {
	r := newRequest("AbortMultipartUpload", http.MethodDelete, dest)
	r.ref.VersionID = ""
	r.query.Set("uploadId", id)
	_, err := s.call(ctx, r)
	return err
}

// ListParts reads all parts of an upload, page by page.
func (s *Store) ListParts(ctx context.Context, dest object.Ref, id string, t *object.Target) ([]object.Part, error) {
	var parts []object.Part
	var been object.Trail
	marker := ""
	for {
		r := newRequest("ListParts", http.MethodGet, dest)
		r.ref.VersionID = ""
		r.query.Set("uploadId", id)
		if marker != "" {
			r.query.Set("part-number-marker", marker)
		}
		r.uploadKey(t)
		rep, err := s.call(ctx, r)
		if err != nil {
			return nil, err
		}
		var result struct {
			IsTruncated          bool
			NextPartNumberMarker string
			Part                 []struct {
				PartNumber int
				Size       int64
				copyResult
			}
		}
		if err := decode(r, rep, "ListPartsResult", &result); err != nil {
			return nil, err
		}
		for _, p := range result.Part {
			parts = append(parts, object.Part{Number: p.PartNumber, ETag: unquote(p.ETag), Size: p.Size, Checksum: p.checksum()})
		}
		if !result.IsTruncated || been.Back(result.NextPartNumberMarker) {
			return parts, nil
		}
		marker = result.NextPartNumberMarker
	}
}
