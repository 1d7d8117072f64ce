package engine

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/resealhq/reseal/engine/object"
)

// echoing takes every UpdateObjectEncryption for a PutObject, as most stores do that
// do not know it: the object is the request's body then.
type echoing struct {
	*memStore
	lost    bool // the answer, too
	updates atomic.Int32
}

const updateBody = `<?xml version="1.0" encoding="UTF-8"?><ObjectEncryption xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><SSE-KMS><KMSKeyArn>k</KMSKeyArn></SSE-KMS></ObjectEncryption>`

func (s *echoing) Update(_ context.Context, ref object.Ref, _ *object.Target) (string, error) {
	s.updates.Add(1)
	s.put(ref.Key, []byte(updateBody))
	if s.lost {
		return "", classError(object.ClassTransient)()
	}
	return "req", nil
}

// A store that writes our request over an object is left at once: the run ends with
// an error that names the object, and few others are touched.
func TestL7OwnRequestStopsTheRun(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &echoing{memStore: newMemStore(500), lost: lost}
				j := planOf(s.memStore, false)
				cfg := memConfig(s.memStore, j, object.OpUpdate)
				cfg.Store.Hot = s
				err := Run(t.Context(), cfg)
				e, ok := errors.AsType[*object.Error](err)
				if !ok || e.Ref.Bucket != "b" || !strings.HasPrefix(e.Ref.Key, "k0") || !strings.Contains(err.Error(), "wrote this request over the object") {
					t.Fatalf("the run ended with %v", err)
				}
				if n := s.updates.Load(); n > 8 {
					t.Errorf("%d objects overwritten by 8 workers", n)
				}
				got := j.states()
				if got[object.Done] > 0 || got[object.Failed] == 0 {
					t.Errorf("states %v", got)
				}
			})
		})
	}
}

// An object that another client has overwritten, also by one as small as a request,
// is that client's business.
func TestL7OthersWritesDoNotStop(t *testing.T) {
	s := newMemStore(20)
	hit := oncePerKey(object.ReqUpdate, func() error { return classError(object.ClassTransient)() }, false)
	s.fault = func(k object.RequestKind, key string) (error, bool) {
		err, applied := hit(k, key)
		if err != nil {
			s.put(key, []byte("<Other>newer</Other>"))
		}
		return err, applied
	}
	j := planOf(s, false)
	if err := Run(t.Context(), memConfig(s, j, object.OpUpdate)); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Done] != 20 {
		t.Errorf("states %v", got)
	}
}

// underKeys puts the objects of a store under the old key, every fifth under one
// that was deleted.
func underKeys(s *memStore, deleted string) (dead int) {
	i := 0
	for _, o := range s.mu.objects {
		o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/old"}
		if i++; i%5 == 0 {
			o.Encryption.KMSKeyID = deleted
			dead++
		}
	}
	return dead
}

const deletedKey = "arn:aws:kms:r:1:key/deleted"

// refusingKey answers whatever makes the store use the key of an object with the one
// error that does not tell which key it means.
func refusingKey(s *memStore, key string) func(object.RequestKind, string) (error, bool) {
	return func(k object.RequestKind, name string) (error, bool) {
		switch k {
		case object.ReqCopy, object.ReqUpdate, object.ReqCopyPart, object.ReqGet:
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.mu.objects[name].Encryption.KMSKeyID == key {
				return &object.Error{Class: object.ClassKey, Op: k.String(), Code: "kms:KeyNotFound", HTTPStatus: 400}, false
			}
		}
		return nil, true
	}
}

// Objects under a key that was deleted fail by its name, and stop nobody.
func TestM7DeletedSourceKey(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore(100)
				dead := underKeys(s, deletedKey)
				s.fault = refusingKey(s, deletedKey)
				j := planOf(s, false)
				if err := Run(t.Context(), memConfig(s, j, m.op)); err != nil {
					t.Fatal(err)
				}
				if got := j.states(); got[object.Failed] != dead || got[object.Done] != 100-dead {
					t.Fatalf("states %v, want %d failed", got, dead)
				}
				for _, o := range j.mu.outcomes {
					if o.State == object.Failed && (!strings.Contains(o.Message, deletedKey) || o.ErrorCode != "kms:KeyNotFound") {
						t.Errorf("%s %q", o.ErrorCode, o.Message)
					}
				}
			})
		})
	}
}

// Where the objects' own keys work and the error comes all the same, it is the
// target's key: the run stops, and no object is blamed.
func TestM7TargetKeyStopsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(100)
		underKeys(s, "arn:aws:kms:r:1:key/third")
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			if k == object.ReqCopy {
				return &object.Error{Class: object.ClassKey, Op: "CopyObject", Code: "kms:KeyNotFound"}, false
			}
			return nil, true
		}
		j := planOf(s, false)
		if err := Run(t.Context(), memConfig(s, j, object.OpCopy)); object.ClassOf(err) != object.ClassKey {
			t.Fatal(err)
		}
		if got := j.states(); got[object.Failed] > 0 || s.count(object.ReqCopy) > 2*8 {
			t.Errorf("states %v, %d copies", got, s.count(object.ReqCopy))
		}
	})
}

// ceph answers Complete without an ETag although it has done it, and every later
// request for the upload as if there were no object.
type ceph struct{ *memStore }

func (s ceph) CompleteUpload(ctx context.Context, r *object.CompleteRequest) (object.CopyReply, error) {
	_, err := s.memStore.CompleteUpload(ctx, r)
	if object.ClassOf(err) == object.ClassNoUpload {
		return object.CopyReply{}, noSuchKey("CompleteMultipartUpload", r.Dest)
	}
	return object.CopyReply{}, &object.Error{Class: object.ClassTransient, Op: "CompleteMultipartUpload", HTTPStatus: 200, Message: "the answer says success and has no ETag"}
}

func (s ceph) ListParts(ctx context.Context, dest object.Ref, id string, t *object.Target) ([]object.Part, error) {
	parts, err := s.memStore.ListParts(ctx, dest, id, t)
	if object.ClassOf(err) == object.ClassNoUpload {
		err = noSuchKey("ListParts", dest)
	}
	return parts, err
}

func noSuchKey(op string, ref object.Ref) error {
	return &object.Error{Class: object.ClassGone, Op: op, Ref: ref, Code: "NoSuchKey", HTTPStatus: 404}
}

// A Complete whose success shows no ETag is decided on by HEAD, and what the copy
// dropped is written again.
func TestL5CompleteWithoutETag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j, cfg := tagged(20, object.OpMultipart)
		cfg.Store.Uploads = ceph{s}
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		check(t, s, j, 20)
		checkTags(t, s)
	})
}

// An object that HEAD shows is never told to be gone, whatever another request says.
func TestL5NotGoneWhereHEADShowsIt(t *testing.T) {
	s := newMemStore(10)
	s.fault = func(k object.RequestKind, key string) (error, bool) {
		if k == object.ReqCopy {
			return noSuchKey("CopyObject", object.Ref{Bucket: "b", Key: key}), false
		}
		return nil, true
	}
	j := planOf(s, false)
	if err := Run(t.Context(), memConfig(s, j, object.OpCopy)); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Failed] != 10 {
		t.Errorf("states %v, want 10 failed", got)
	}
	for _, o := range j.mu.outcomes {
		if o.Reason == object.ReasonGone || o.ErrorCode != "NoSuchKey" {
			t.Errorf("%s %q: %s", o.Reason, o.ErrorCode, o.Message)
		}
	}
}

// decoding reads "xA" where a part's source is "x%41".
type decoding struct {
	*memStore
	md5 bool // the parts' ETags are the MD5 of their bytes
}

func (s decoding) CopyPart(ctx context.Context, r *object.PartRequest) (object.CopyReply, error) {
	q := *r
	q.Source.Key = strings.ReplaceAll(r.Source.Key, "%41", "A")
	s.mu.Lock()
	src := s.mu.objects[q.Source.Key]
	q.SourceETag = src.ETag // the store's mistake passes the condition
	s.mu.Unlock()
	reply, err := s.memStore.CopyPart(ctx, &q)
	if s.md5 && err == nil {
		reply.ETag = sum(src.body)
	}
	return reply, err
}

func sum(b []byte) string { return fmt.Sprintf("%x", md5.Sum(b)) }

// A part that was copied from another object never takes the object's place.
func TestL6PartOfAnotherObject(t *testing.T) {
	for _, test := range []struct {
		name  string
		md5   bool
		other string // the bytes of xA
	}{
		{"another size", false, "longer than body"},
		{"the same size, and ETags that tell", true, "BODY"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newMemStore(0)
			bodies := map[string]string{"a": "first", "xA": test.other, "x%41": "body"}
			for key, body := range bodies {
				s.put(key, []byte(body))
				s.mu.objects[key].ETag = sum([]byte(body))
			}
			j := planOf(s, false)
			cfg := memConfig(s, j, object.OpMultipart)
			cfg.Store.Hot, cfg.Workers = decoding{s, test.md5}, 1
			if err := Run(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			for key, body := range bodies {
				if got := string(s.mu.objects[key].body); got != body {
					t.Errorf("%s holds %q", key, got)
				}
			}
			got := j.states()
			if got[object.Done] != 2 || got[object.Left] != 1 || len(s.mu.uploads) > 0 || len(j.mu.uploads) > 0 {
				t.Errorf("states %v, %d uploads open", got, len(s.mu.uploads))
			}
			for _, o := range j.mu.outcomes {
				if o.State == object.Left && o.Reason != object.ReasonSource {
					t.Errorf("left for %q: %s", o.Reason, o.Message)
				}
			}
		})
	}
}

// versions deletes every object right after its copy, and keeps the version.
type versions struct{ *memStore }

func (s versions) Copy(ctx context.Context, r *object.CopyRequest) (object.CopyReply, error) {
	reply, err := s.memStore.Copy(ctx, r)
	if err == nil {
		reply.VersionID = "v2"
		s.mu.Lock()
		defer s.mu.Unlock()
		s.mu.objects[r.Dest.Key+"?v2"] = s.mu.objects[r.Dest.Key]
		delete(s.mu.objects, r.Dest.Key)
	}
	return reply, err
}

func (s versions) Head(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.Head, error) {
	if ref.VersionID != "" {
		ref.Key += "?" + ref.VersionID
	}
	return s.memStore.Head(ctx, ref, key)
}

// What was copied and then deleted by another client is done, and its old version is
// counted.
func TestM6DeletedAfterTheCopy(t *testing.T) {
	s := newMemStore(20)
	s.shows = false
	j := planOf(s, false)
	cfg := memConfig(s, j, object.OpCopy)
	cfg.Facts.Versioning = object.VersioningEnabled
	cfg.Store.Hot = versions{s}
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Done] != 20 {
		t.Fatalf("states %v", got)
	}
	for _, o := range j.mu.outcomes {
		if !o.OldVersionKept || o.NewVersionID != "v2" || o.After.Type != object.SSEKMS || !strings.Contains(o.Message, "deleted by another client") {
			t.Errorf("%+v", o)
		}
	}
}

// A store that puts copies into another class than asked for is told so; its
// encryption is not doubted.
func TestM9DifferenceOfClass(t *testing.T) {
	s := newMemStore(5)
	s.shows = false
	j := planOf(s, false)
	cfg := memConfig(s, j, object.OpCopy)
	cfg.Target.StorageClass = "STANDARD_IA"
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, o := range j.mu.outcomes {
		if o.State != object.Failed || !strings.Contains(o.Message, "storage class STANDARD instead of STANDARD_IA") {
			t.Errorf("%v %q", o.State, o.Message)
		}
	}
}

// An object whose class is the name of a remote tier is left by reason.
func TestM9ClassThatIsATier(t *testing.T) {
	s := newMemStore(5)
	for _, o := range s.mu.objects {
		o.StorageClass = "COLDTIER"
	}
	s.fault = func(k object.RequestKind, _ string) (error, bool) {
		if k == object.ReqCopy {
			return &object.Error{Class: object.ClassInvalid, Op: "CopyObject", Code: "InvalidStorageClass", HTTPStatus: 400}, false
		}
		return nil, true
	}
	j := planOf(s, false)
	if err := Run(t.Context(), memConfig(s, j, object.OpCopy)); err != nil {
		t.Fatal(err)
	}
	for _, o := range j.mu.outcomes {
		if o.State != object.Left || o.Reason != object.ReasonClass || !strings.Contains(o.Message, "COLDTIER") {
			t.Errorf("%v %s %q", o.State, o.Reason, o.Message)
		}
	}
}
