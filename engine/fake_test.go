package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// memStore is a store without a network, so that a test can live through a night
// of fake time. Over HTTP, the same engine is tested against s3test and MinIO.
type memStore struct {
	// delay of every request, on the test's clock.
	delay  time.Duration
	delays [object.NumRequestKinds]time.Duration // on top
	// dropsTags makes every copy lose the tags, also those sent along.
	dropsTags bool
	// keepsETag gives an object the ETag that it had, as S3 does under SSE-S3.
	keepsETag bool
	// noCondition: a copy with a condition on its destination is not implemented.
	noCondition bool
	// keepsKMSKey: a copy answers success, and leaves the object under the KMS key that it
	// was under.
	keepsKMSKey bool
	// shows makes Copy's reply carry the encryption.
	shows bool
	// fault is asked before every request; a non-nil error is the answer, and
	// applied says whether the request takes effect all the same.
	fault func(kind object.RequestKind, key string) (err error, applied bool)
	// hangs is asked before that: such a request gets no answer, and half of those that end
	// something take effect once nobody waits for them any more.
	hangs func() bool

	mu struct {
		sync.Mutex
		objects  map[string]*memObject
		uploads  map[string]*memUpload
		requests [object.NumRequestKinds]int
		next     int
	}
}

type memObject struct {
	object.Object
	attrs object.Attributes
	body  []byte
	// notes are the annotations, which no copy of this store takes along.
	notes map[string]string
	// writes counts how often the object was written in place.
	writes int
}

type memUpload struct {
	ref   object.Ref
	req   *object.CopyRequest
	parts map[int][]byte
	began time.Time
}

func newMemStore(n int) *memStore {
	s := &memStore{shows: true}
	s.mu.objects = map[string]*memObject{}
	s.mu.uploads = map[string]*memUpload{}
	for i := range n {
		s.put(fmt.Sprintf("k%06d", i), []byte(fmt.Sprint("body ", i)))
	}
	return s
}

func (s *memStore) put(key string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.next++
	o := &memObject{body: body}
	o.Ref = object.Ref{Bucket: "b", Key: key}
	o.Size, o.ETag, o.LastModified = int64(len(body)), fmt.Sprintf("etag-%d", s.mu.next), time.Now()
	o.Encryption = object.Encryption{Type: object.SSENone}
	s.mu.objects[key] = o
}

// enter counts, waits, and asks for a fault. applied without an error is the
// ordinary case.
func (s *memStore) enter(ctx context.Context, kind object.RequestKind, key string) (err error, apply bool) {
	s.mu.Lock()
	s.mu.requests[kind]++
	s.mu.Unlock()
	if d := s.delay + s.delays[kind]; d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return &object.Error{Class: object.ClassCanceled, Op: kind.String(), Err: ctx.Err()}, false
		}
	}
	if s.hangs != nil && s.hangs() {
		<-ctx.Done()
		return &object.Error{Class: object.ClassCanceled, Op: kind.String(), Err: ctx.Err()}, kind != object.ReqCreateUpload && key[len(key)-1]%2 == 0
	}
	if s.fault != nil {
		if err, applied := s.fault(kind, key); err != nil {
			return err, applied
		}
	}
	return nil, true
}

func (s *memStore) count(kind object.RequestKind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.requests[kind]
}

func (s *memStore) Head(ctx context.Context, ref object.Ref, _ object.CustomerKey) (object.Head, error) {
	if err, _ := s.enter(ctx, object.ReqHead, ref.Key); err != nil {
		return object.Head{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.mu.objects[ref.Key]
	if o == nil {
		return object.Head{}, &object.Error{Class: object.ClassGone, Op: "HeadObject", Ref: ref, HTTPStatus: 404}
	}
	h := object.Head{Object: o.Object, Attributes: o.attrs}
	h.Ref, h.Tags = ref, nil
	return h, nil
}

func (s *memStore) Copy(ctx context.Context, r *object.CopyRequest) (object.CopyReply, error) {
	err, apply := s.enter(ctx, object.ReqCopy, r.Source.Key)
	if !apply {
		return object.CopyReply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	src := s.mu.objects[r.Source.Key]
	if src == nil {
		return object.CopyReply{}, &object.Error{Class: object.ClassGone, Op: "CopyObject", Ref: r.Source}
	}
	if r.SourceETag != "" && r.SourceETag != src.ETag {
		return object.CopyReply{}, &object.Error{Class: object.ClassChanged, Op: "CopyObject", Ref: r.Source, HTTPStatus: 412}
	}
	if s.noCondition && (r.DestETag != "" || r.DestAbsent) {
		return object.CopyReply{}, &object.Error{Class: object.ClassUnsupported, Op: "CopyObject", Ref: r.Source, HTTPStatus: 501, Condition: "If-Match"}
	}
	reply := s.write(r, src.body)
	if s.keepsKMSKey {
		s.mu.objects[r.Dest.Key].Encryption.KMSKeyID = src.Encryption.KMSKeyID
	}
	return reply, err
}

func (s *memStore) Get(ctx context.Context, r *object.GetRequest) (object.GetReply, error) {
	if err, _ := s.enter(ctx, object.ReqGet, r.Ref.Key); err != nil {
		return object.GetReply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.mu.objects[r.Ref.Key]
	switch {
	case o == nil:
		return object.GetReply{}, &object.Error{Class: object.ClassGone, Op: "GetObject", Ref: r.Ref, HTTPStatus: 404}
	case r.ETag != "" && r.ETag != o.ETag:
		return object.GetReply{}, &object.Error{Class: object.ClassChanged, Op: "GetObject", Ref: r.Ref, HTTPStatus: 412}
	}
	h := object.Head{Object: o.Object, Attributes: o.attrs}
	h.Ref, h.Tags = r.Ref, nil
	if o.Size > r.Max {
		return object.GetReply{Head: h}, &object.Error{Class: object.ClassTooLarge, Op: "GetObject", Ref: r.Ref}
	}
	return object.GetReply{Head: h, Body: append(r.Into[:0], o.body...)}, nil
}

func (s *memStore) Put(ctx context.Context, r *object.PutRequest) (object.CopyReply, error) {
	err, apply := s.enter(ctx, object.ReqPut, r.Dest.Key)
	if !apply {
		return object.CopyReply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.mu.objects[r.Dest.Key]
	switch {
	case r.DestETag != "" && o == nil:
		return object.CopyReply{}, &object.Error{Class: object.ClassGone, Op: "PutObject", Ref: r.Dest, HTTPStatus: 404}
	case r.DestETag != "" && r.DestETag != o.ETag || r.DestAbsent && o != nil:
		return object.CopyReply{}, &object.Error{Class: object.ClassChanged, Op: "PutObject", Ref: r.Dest, HTTPStatus: 412}
	}
	return s.write(&r.CopyRequest, bytes.Clone(r.Body)), err
}

// write must be called with mu held.
func (s *memStore) write(r *object.CopyRequest, body []byte) object.CopyReply {
	s.mu.next++
	o := &memObject{body: body}
	if old := s.mu.objects[r.Dest.Key]; old != nil {
		o.attrs, o.writes = old.attrs, old.writes+1
	}
	if r.Replace && r.Attributes != nil {
		o.attrs.Metadata, o.attrs.Expires = r.Attributes.Metadata, r.Attributes.Expires
	}
	if r.ReplaceTags && r.Attributes != nil {
		o.attrs.Tags = r.Attributes.Tags
	}
	if s.dropsTags {
		o.attrs.Tags = nil
	}
	o.Ref = object.Ref{Bucket: r.Dest.Bucket, Key: r.Dest.Key}
	o.Size, o.ETag, o.LastModified = int64(len(body)), fmt.Sprintf("etag-%d", s.mu.next), time.Now()
	if old := s.mu.objects[r.Dest.Key]; old != nil && s.keepsETag {
		o.ETag = old.ETag
	}
	o.Encryption = object.Encryption{Type: r.Target.SSE, KMSKeyID: r.Target.KMSKeyID}
	s.mu.objects[r.Dest.Key] = o
	reply := object.CopyReply{ETag: o.ETag, RequestID: fmt.Sprint("req-", s.mu.next)}
	if s.shows {
		reply.Encryption = o.Encryption
	}
	return reply
}

func (s *memStore) Update(ctx context.Context, ref object.Ref, t *object.Target) (string, error) {
	err, apply := s.enter(ctx, object.ReqUpdate, ref.Key)
	if apply {
		s.mu.Lock()
		defer s.mu.Unlock()
		o := *s.mu.objects[ref.Key]
		o.Encryption = object.Encryption{Type: t.SSE, KMSKeyID: t.KMSKeyID}
		o.writes++
		s.mu.objects[ref.Key] = &o
	}
	return "req", err
}

func (s *memStore) CreateUpload(ctx context.Context, r *object.CopyRequest) (string, object.Encryption, error) {
	err, apply := s.enter(ctx, object.ReqCreateUpload, r.Dest.Key)
	if !apply {
		return "", object.Encryption{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.next++
	id := fmt.Sprint("upload-", s.mu.next)
	s.mu.uploads[id] = &memUpload{ref: r.Dest, req: r, parts: map[int][]byte{}, began: time.Now()}
	return id, object.Encryption{}, err
}

func (s *memStore) CopyPart(ctx context.Context, r *object.PartRequest) (object.CopyReply, error) {
	err, apply := s.enter(ctx, object.ReqCopyPart, r.Dest.Key)
	if !apply {
		return object.CopyReply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.mu.uploads[r.UploadID]
	src := s.mu.objects[r.Source.Key]
	switch {
	case u == nil:
		return object.CopyReply{}, &object.Error{Class: object.ClassNoUpload, Op: "UploadPartCopy", Ref: r.Dest}
	case src == nil:
		return object.CopyReply{}, &object.Error{Class: object.ClassGone, Op: "UploadPartCopy", Ref: r.Source}
	case src.ETag != r.SourceETag:
		return object.CopyReply{}, &object.Error{Class: object.ClassChanged, Op: "UploadPartCopy", Ref: r.Source}
	}
	body := src.body
	if r.Last >= r.First {
		body = body[r.First : r.Last+1]
	}
	u.parts[r.Number] = body
	return object.CopyReply{ETag: fmt.Sprintf("part-%d", r.Number)}, err
}

func (s *memStore) CompleteUpload(ctx context.Context, r *object.CompleteRequest) (object.CopyReply, error) {
	err, apply := s.enter(ctx, object.ReqComplete, r.Dest.Key)
	if !apply {
		return object.CopyReply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.mu.uploads[r.UploadID]
	if u == nil {
		return object.CopyReply{}, &object.Error{Class: object.ClassNoUpload, Op: "CompleteMultipartUpload", Ref: r.Dest}
	}
	if now := s.mu.objects[r.Dest.Key]; r.DestETag != "" && now.ETag != r.DestETag {
		return object.CopyReply{}, &object.Error{Class: object.ClassChanged, Op: "CompleteMultipartUpload", Ref: r.Dest}
	}
	var body []byte
	for _, p := range r.Parts {
		body = append(body, u.parts[p.Number]...)
	}
	delete(s.mu.uploads, r.UploadID)
	return s.write(u.req, body), err
}

func (s *memStore) AbortUpload(ctx context.Context, dest object.Ref, id string) error {
	err, apply := s.enter(ctx, object.ReqAbort, dest.Key)
	if !apply {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.uploads, id)
	return err
}

func (s *memStore) ListParts(ctx context.Context, dest object.Ref, id string, _ *object.Target) ([]object.Part, error) {
	if err, _ := s.enter(ctx, object.ReqListParts, dest.Key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.mu.uploads[id]
	if u == nil {
		return nil, &object.Error{Class: object.ClassNoUpload, Op: "ListParts", Ref: dest}
	}
	var parts []object.Part
	for n, b := range u.parts {
		parts = append(parts, object.Part{Number: n, ETag: fmt.Sprintf("part-%d", n), Size: int64(len(b))})
	}
	slices.SortFunc(parts, func(a, b object.Part) int { return cmp.Compare(a.Number, b.Number) })
	return parts, nil
}

func (s *memStore) ListUploads(_ context.Context, dest object.Ref) ([]object.PendingUpload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []object.PendingUpload
	for id, u := range s.mu.uploads {
		if u.ref.Key == dest.Key {
			open = append(open, object.PendingUpload{Key: dest.Key, ID: id, Initiated: u.began})
		}
	}
	return open, nil
}

func (s *memStore) ListInspected(ctx context.Context, _, prefix, after string, most int) ([]object.Object, bool, error) {
	if err, _ := s.enter(ctx, object.ReqList, after); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var objs []object.Object
	for key, o := range s.mu.objects {
		if key > after && strings.HasPrefix(key, prefix) && strings.HasPrefix(after, prefix) { // as MinIO does
			objs = append(objs, o.Object)
		}
	}
	slices.SortFunc(objs, func(a, b object.Object) int { return strings.Compare(a.Key, b.Key) })
	return objs[:min(len(objs), most)], len(objs) > most, nil
}

func (s *memStore) Open(ctx context.Context, ref object.Ref, _ object.CustomerKey, _ string) (io.ReadCloser, error) {
	if err, _ := s.enter(ctx, object.ReqGet, ref.Key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return io.NopCloser(bytes.NewReader(s.mu.objects[ref.Key].body)), nil
}

func (s *memStore) Tags(_ context.Context, ref object.Ref) ([]object.Tag, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat([]object.Tag{}, s.mu.objects[ref.Key].attrs.Tags), nil
}

func (s *memStore) PutTags(ctx context.Context, ref object.Ref, tags []object.Tag) error {
	err, apply := s.enter(ctx, object.ReqPutDetail, ref.Key)
	if apply {
		s.mu.Lock()
		defer s.mu.Unlock()
		o := *s.mu.objects[ref.Key]
		o.attrs.Tags = tags
		s.mu.objects[ref.Key] = &o
	}
	return err
}

func (s *memStore) Grants(context.Context, object.Ref) ([]object.Grant, error) { return nil, nil }
func (s *memStore) PutLock(context.Context, object.Ref, string, time.Time, bool) error {
	return errNone
}
func (s *memStore) Lock(context.Context, object.Ref) (string, time.Time, bool, error) {
	return "", time.Time{}, false, nil
}
func (s *memStore) Parts(context.Context, object.Ref, object.CustomerKey) ([]int64, string, error) {
	return nil, "", nil
}

var errNone = errors.New("memStore has no details")

func (s *memStore) store() Store { return Store{Hot: s, Uploads: s, Details: s, Reader: s} }
