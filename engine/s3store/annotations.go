package s3store

import (
	"context"
	"io"
	"net/http"

	"github.com/resealhq/reseal/engine/object"
)

// maxAnnotation is the longest text that S3 takes.
const maxAnnotation = 1 << 20

// annotation is a request for the annotations of an object. A store that was not seen
// to know the sub-resource must not be sent one.
func annotation(op, method string, ref object.Ref, name string) *request {
	r := newRequest(op, method, ref).version()
	r.query.Set("annotation", "")
	if name != "" {
		r.query.Set("annotationName", name)
	}
	return r
}

// Annotations lists an object's annotations, without their texts.
func (s *Store) Annotations(ctx context.Context, ref object.Ref) ([]object.Annotation, error) {
	list, token := []object.Annotation{}, ""
	var been object.Trail
	for {
		r := annotation("ListObjectAnnotations", http.MethodGet, ref, "")
		if token != "" {
			r.query.Set("continuation-token", token)
		}
		rep, err := s.read(ctx, r)
		if err != nil {
			return nil, err
		}
		var doc struct {
			Entries []struct {
				AnnotationName, ETag string
				Size                 int64
			} `xml:"Annotations>AnnotationEntry"`
			NextContinuationToken string
		}
		if err := decode(r, rep, "ListObjectAnnotationsResult", &doc); err != nil {
			return nil, err
		}
		for _, e := range doc.Entries {
			list = append(list, object.Annotation{Name: e.AnnotationName, ETag: unquote(e.ETag), Size: e.Size})
		}
		if doc.NextContinuationToken == "" {
			return list, nil
		}
		if been.Back(doc.NextContinuationToken) {
			return nil, &object.Error{Class: object.ClassUnsupported, Op: r.op, Ref: ref, // those that are missing would be lost
				Message: "the store says that there is more, and goes back to what it has given already"}
		}
		token = doc.NextContinuationToken
	}
}

// Annotation reads the text of one annotation. It is taken as it is: whatever it looks
// like, it is no error document.
func (s *Store) Annotation(ctx context.Context, ref object.Ref, name string) ([]byte, error) {
	r := annotation("GetObjectAnnotation", http.MethodGet, ref, name)
	resp, err := s.do(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnnotation+1))
	switch {
	case err != nil:
		return nil, FailedToSend(r.op, ref, ctx, err)
	case resp.ContentLength >= 0 && resp.ContentLength != int64(len(text)):
		return nil, r.fail(&reply{status: resp.StatusCode}, object.ClassTransient, "the text of the annotation is not whole")
	case leaks(s, resp, text):
		return nil, r.leaked(&reply{status: resp.StatusCode})
	}
	return text, nil
}

// PutAnnotation writes one annotation of the object that has the ETag.
func (s *Store) PutAnnotation(ctx context.Context, ref object.Ref, etag string, a *object.Annotation) error {
	r := annotation("PutObjectAnnotation", http.MethodPut, ref, a.Name)
	r.header.Set("X-Amz-Object-If-Match", quote(etag))
	r.header.Set("Content-Type", "application/octet-stream")
	r.body = a.Text
	r.md5(a.Text)
	_, err := s.call(ctx, r)
	return err
}

// LocksNewObjects says whether the bucket has a rule that locks every new object.
func (s *Store) LocksNewObjects(ctx context.Context, bucket string) (object.Finding, error) {
	lock, err := s.ObjectLock(ctx, bucket)
	if err != nil || lock.Enabled == object.Unknown {
		return object.Unknown, err
	}
	return object.Found(lock.Default), nil
}
