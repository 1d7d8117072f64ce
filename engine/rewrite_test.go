package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// atFirstPut runs f once before the first PutObject of every key is looked at.
func atFirstPut(f func(key string)) func(object.RequestKind, string) (error, bool) {
	var seen sync.Map
	return func(kind object.RequestKind, key string) (error, bool) {
		if kind == object.ReqPut {
			if _, again := seen.LoadOrStore(key, true); !again {
				f(key)
			}
		}
		return nil, false
	}
}

// TestL2RewriteKeepsOthersWrites: every object is overwritten by somebody else
// between its GET and its PUT. The newer bytes stay, and end under the target.
func TestL2RewriteKeepsOthersWrites(t *testing.T) {
	const n = 50
	s := newMemStore(n)
	j := planOf(s, false)
	s.fault = atFirstPut(func(key string) { s.put(key, []byte("newer "+key)) })
	if err := Run(t.Context(), memConfig(s, j, object.OpRewrite)); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Done] != n {
		t.Fatalf("%v", got)
	}
	for i := range n {
		key := fmt.Sprintf("k%06d", i)
		if o := s.mu.objects[key]; string(o.body) != "newer "+key || o.Encryption.Type != object.SSEKMS {
			t.Errorf("%s: %q under %v", key, o.body, o.Encryption.Type)
		}
	}
}

// TestLateRewriteIsOurs: a PUT gets no answer and takes effect after the store was
// asked, so that the next one finds the object changed. It is this job that changed
// it, and the row tells what was there before.
func TestLateRewriteIsOurs(t *testing.T) {
	const n = 20
	s := newMemStore(n)
	j := planOf(s, false)
	var late sync.Map
	s.fault = func(kind object.RequestKind, key string) (error, bool) {
		if kind != object.ReqPut {
			return nil, false
		}
		if sent, _ := late.LoadOrStore(key, new(atomic.Int32)); sent.(*atomic.Int32).Add(1) == 1 {
			return &object.Error{Class: object.ClassTransient, Op: "PutObject", Message: "no answer"}, false
		}
		s.mu.Lock() // the first arrives, just before the second
		defer s.mu.Unlock()
		o := *s.mu.objects[key]
		o.ETag, o.Encryption = o.ETag+"-late", object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/new"}
		s.mu.objects[key] = &o
		return nil, false
	}
	if err := Run(t.Context(), memConfig(s, j, object.OpRewrite)); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Done] != n {
		t.Fatalf("%v", got)
	}
	for seq, o := range j.mu.outcomes {
		if o.Before.Type != object.SSENone || o.Operation != object.OpRewrite || o.ETagAfter == o.ETagBefore || o.After.Type != object.SSEKMS {
			t.Errorf("%d: %+v", seq, o)
		}
	}
}

// TestL2WhatComesBackLaterIsGone: a GET does not find the object, nor does a HEAD; it is
// there when anybody looks again.
func TestL2WhatComesBackLaterIsGone(t *testing.T) {
	s := newMemStore(20)
	j := planOf(s, true)
	var looks sync.Map
	s.fault = func(k object.RequestKind, key string) (error, bool) {
		n, _ := looks.LoadOrStore(key, new(atomic.Int32))
		if n.(*atomic.Int32).Add(1) <= 2 {
			op := map[object.RequestKind]string{object.ReqGet: "GetObject", object.ReqHead: "HeadObject"}[k]
			return &object.Error{Class: object.ClassGone, Op: op, HTTPStatus: 404}, false
		}
		return nil, true
	}
	if err := Run(t.Context(), memConfig(s, j, object.OpRewrite)); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Left] != 20 {
		t.Errorf("%v", got)
	}
}

// TestL2WhatComesBackIsDone: every object is deleted before it is read, and written
// again before anybody can look for it.
func TestL2WhatComesBackIsDone(t *testing.T) {
	for _, op := range []object.Operation{object.OpRewrite, object.OpCopy} {
		const n = 20
		s := newMemStore(n)
		j := planOf(s, true)
		var seen sync.Map
		s.fault = func(k object.RequestKind, key string) (error, bool) {
			if k != object.ReqGet && k != object.ReqCopy {
				return nil, true
			}
			if _, again := seen.LoadOrStore(key, true); again {
				return nil, true
			}
			s.put(key, []byte("newer "+key))
			return &object.Error{Class: object.ClassGone, Op: k.String(), HTTPStatus: 404}, false
		}
		if err := Run(t.Context(), memConfig(s, j, op)); err != nil {
			t.Fatal(err)
		}
		if got := j.states(); got[object.Done] != n {
			t.Errorf("%v: %v", op, got)
		}
	}
}

// TestL2RewriteNeverResurrects: what was deleted between GET and PUT stays away.
func TestL2RewriteNeverResurrects(t *testing.T) {
	s := newMemStore(20)
	j := planOf(s, false)
	s.fault = atFirstPut(func(key string) {
		s.mu.Lock()
		delete(s.mu.objects, key)
		s.mu.Unlock()
	})
	if err := Run(t.Context(), memConfig(s, j, object.OpRewrite)); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Left] != 20 || len(s.mu.objects) != 0 {
		t.Errorf("%v, and %d objects are there", got, len(s.mu.objects))
	}
}

// TestRewriteInspectsByReading: a row that promises a rewrite costs a GET and a PUT
// and nothing else; one that has grown, or is not what it was, is decided on anew.
func TestRewriteInspectsByReading(t *testing.T) {
	s := newMemStore(3)
	j := planOf(s, true)
	for i := range j.mu.tasks {
		j.mu.tasks[i].Object.Settled = true
	}
	s.put("k000001", []byte(strings.Repeat("grown ", 100)))
	cfg := memConfig(s, j, object.OpRewrite)
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Done] != 3 {
		t.Fatalf("%v", got)
	}
	if o := s.mu.objects["k000001"]; !strings.HasPrefix(string(o.body), "grown grown") || o.Encryption.Type != object.SSEKMS {
		t.Errorf("%q under %v", o.body, o.Encryption.Type)
	}
	if gets, puts, heads := s.count(object.ReqGet), s.count(object.ReqPut), s.count(object.ReqHead); gets != 4 || puts != 3 || heads != 1 {
		t.Errorf("%d GETs, %d PUTs, %d HEADs: the one that has grown takes one GET and one HEAD more", gets, puts, heads)
	}
}

// TestRewriteOfASourceWhoseKeyIsGone fails that object, and the run goes on.
func TestRewriteOfASourceWhoseKeyIsGone(t *testing.T) {
	s := newMemStore(40)
	j := planOf(s, false)
	s.fault = func(kind object.RequestKind, key string) (error, bool) {
		if kind == object.ReqGet && key < "k000020" {
			return &object.Error{Class: object.ClassKey, Op: "GetObject", HTTPStatus: 400, Code: "KMS.NotFoundException"}, false
		}
		return nil, false
	}
	if err := Run(t.Context(), memConfig(s, j, object.OpRewrite)); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Done] != 20 || got[object.Failed] != 20 {
		t.Errorf("%v", got)
	}
}

// cutting answers the first GET of every key as a proxy does that loses the body:
// with the object's headers, an empty body, and a length that fits it.
type cutting struct {
	*memStore
	seen *sync.Map
}

func (c cutting) Get(ctx context.Context, r *object.GetRequest) (object.GetReply, error) {
	got, err := c.memStore.Get(ctx, r)
	if _, again := c.seen.LoadOrStore(r.Ref.Key, true); err == nil && !again {
		got.Body, got.Size = got.Body[:0], 0
	}
	return got, err
}

// TestL2RewriteOfACutBody: bytes that are not as many as the object has never take
// its place, whatever the reply says of itself.
func TestL2RewriteOfACutBody(t *testing.T) {
	const n = 20
	s := newMemStore(n)
	want := map[string]string{}
	for key, o := range s.mu.objects {
		want[key] = string(o.body)
	}
	j := planOf(s, false)
	cfg := memConfig(s, j, object.OpRewrite)
	cfg.Store.Hot = cutting{s, new(sync.Map)}
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Done] != n {
		t.Fatalf("%v", got)
	}
	for key, o := range s.mu.objects {
		if string(o.body) != want[key] || len(want[key]) == 0 {
			t.Errorf("%s holds %q, want %q", key, o.body, want[key])
		}
	}
}
