package engine

import (
	"bytes"
	"context"
	"fmt"

	"github.com/resealhq/reseal/engine/object"
)

func (s *memStore) SendPart(ctx context.Context, r *object.SendRequest) (object.CopyReply, error) {
	err, apply := s.enter(ctx, object.ReqCopyPart, r.Dest.Key)
	if !apply {
		return object.CopyReply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.mu.uploads[r.UploadID]
	if u == nil {
		return object.CopyReply{}, &object.Error{Class: object.ClassNoUpload, Op: "UploadPart", Ref: r.Dest}
	}
	u.parts[r.Number] = bytes.Clone(r.Body)
	return object.CopyReply{ETag: fmt.Sprintf("part-%d", r.Number)}, err
}

func (s *memStore) ReadRange(ctx context.Context, r *object.RangeRequest) error {
	if err, _ := s.enter(ctx, object.ReqGet, r.Ref.Key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.mu.objects[r.Ref.Key]
	switch {
	case o == nil:
		return &object.Error{Class: object.ClassGone, Op: "GetObject", Ref: r.Ref, HTTPStatus: 404}
	case r.ETag != o.ETag:
		return &object.Error{Class: object.ClassChanged, Op: "GetObject", Ref: r.Ref, HTTPStatus: 412}
	}
	copy(r.Into, o.body[r.First:])
	return nil
}
