package folder

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// nothing is what a folder has not: copies within it, versions, tags, locks and grants.
// What is asked is answered with none; what would have to be done is refused.
type nothing struct{}

func refused(op string, ref object.Ref) error {
	return &object.Error{Class: object.ClassUnsupported, Op: op, Ref: ref, Message: "a folder has no such operation", NotSent: true}
}

func (nothing) Copy(_ context.Context, r *object.CopyRequest) (object.CopyReply, error) {
	return object.CopyReply{}, refused("CopyObject", r.Dest)
}

func (nothing) Update(_ context.Context, ref object.Ref, _ *object.Target) (string, error) {
	return "", refused("UpdateObjectEncryption", ref)
}

func (nothing) CopyPart(_ context.Context, r *object.PartRequest) (object.CopyReply, error) {
	return object.CopyReply{}, refused("UploadPartCopy", r.Dest)
}

func (nothing) Put(_ context.Context, r *object.PutRequest) (object.CopyReply, error) {
	return object.CopyReply{}, refused("PutObject", r.Dest)
}

func (nothing) CreateUpload(_ context.Context, r *object.CopyRequest) (string, object.Encryption, error) {
	return "", object.Encryption{}, refused("CreateMultipartUpload", r.Dest)
}

func (nothing) SendPart(_ context.Context, r *object.SendRequest) (object.CopyReply, error) {
	return object.CopyReply{}, refused("UploadPart", r.Dest)
}

func (nothing) CompleteUpload(_ context.Context, r *object.CompleteRequest) (object.CopyReply, error) {
	return object.CopyReply{}, refused("CompleteMultipartUpload", r.Dest)
}

func (nothing) AbortUpload(_ context.Context, dest object.Ref, _ string) error {
	return refused("AbortMultipartUpload", dest)
}

func (nothing) ListParts(_ context.Context, dest object.Ref, _ string, _ *object.Target) ([]object.Part, error) {
	return nil, &object.Error{Class: object.ClassNoUpload, Op: "ListParts", Ref: dest, Message: "there is no such upload"}
}

func (nothing) Tags(context.Context, object.Ref) ([]object.Tag, error) { return nil, nil }

func (nothing) PutTags(_ context.Context, ref object.Ref, _ []object.Tag) error {
	return refused("PutObjectTagging", ref)
}

func (nothing) Grants(context.Context, object.Ref) ([]object.Grant, error) { return nil, nil }

func (nothing) Lock(context.Context, object.Ref) (string, time.Time, bool, error) {
	return "", time.Time{}, false, nil
}

func (nothing) PutLock(_ context.Context, ref object.Ref, _ string, _ time.Time, _ bool) error {
	return refused("PutObjectRetention", ref)
}

func (nothing) Parts(context.Context, object.Ref, object.CustomerKey) ([]int64, string, error) {
	return nil, "", nil
}

func (nothing) Annotations(context.Context, object.Ref) ([]object.Annotation, error) {
	return nil, nil
}

func (nothing) Annotation(_ context.Context, ref object.Ref, _ string) ([]byte, error) {
	return nil, refused("GetObjectAnnotation", ref)
}

func (nothing) PutAnnotation(_ context.Context, ref object.Ref, _ string, _ *object.Annotation) error {
	return refused("PutObjectAnnotation", ref)
}

func (nothing) LocksNewObjects(context.Context, string) (object.Finding, error) {
	return object.No, nil
}
