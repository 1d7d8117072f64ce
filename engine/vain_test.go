package engine

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// untilKept copies until copies are known to keep the KMS key, and writes again then.
type untilKept struct {
	target object.Target
	caps   object.Capabilities
	left   *atomic.Bool // leaves everything now
}

func (c untilKept) Choose(o *object.Object, _ *object.Attributes) object.Choice {
	switch {
	case c.target.MetBy(o.Encryption):
		return object.Choice{Operation: object.OpNone, Already: true}
	case c.left.Load():
		return object.Choice{Operation: object.OpNone, Reason: object.ReasonUnsupported, Message: "no way"}
	case c.caps.OtherKey == object.No:
		return object.Choice{Operation: object.OpRewrite}
	}
	return object.Choice{Operation: object.OpCopy, Route: object.RouteSelfCopy}
}

// keepingKeys is one object in a bucket with versions, on a store whose copies keep the KMS
// key.
func keepingKeys(t *testing.T) (*memStore, *memJournal, Config, *atomic.Bool) {
	t.Helper()
	s := newMemStore(1)
	s.keepsKMSKey, s.shows = true, false
	s.mu.objects["k000000"].Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/old"}
	j := planOf(s, true)
	cfg := memConfig(s, j, object.OpCopy)
	cfg.Facts.Versioning = object.VersioningEnabled
	cfg.Backoff = func(int, time.Duration) time.Duration { return time.Millisecond }
	left := new(atomic.Bool)
	cfg.Chooser = untilKept{cfg.Target, cfg.Caps, left}
	cfg.Narrow = func(caps object.Capabilities) Chooser { return untilKept{cfg.Target, caps, left} }
	return s, j, cfg, left
}

const oneMore = "one more old version of it"

// TestACopyInVainIsTold: a copy kept the KMS key, and whatever becomes of the object then,
// its row names the version that the copy is.
func TestACopyInVainIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		put  func(s *memStore, left *atomic.Bool) error // the answer to the first PutObject
		want object.State
	}{
		"written again": {nil, object.Done},
		"the write is refused": {func(*memStore, *atomic.Bool) error {
			return &object.Error{Class: object.ClassDenied, Op: "PutObject", HTTPStatus: 403}
		}, object.Failed},
		"left, since others wrote it": {func(s *memStore, left *atomic.Bool) error {
			s.put("k000000", []byte("another client's"))
			left.Store(true)
			return &object.Error{Class: object.ClassChanged, Op: "PutObject", HTTPStatus: 412}
		}, object.Left},
		"deleted by others": {func(s *memStore, _ *atomic.Bool) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.mu.objects, "k000000")
			return &object.Error{Class: object.ClassGone, Op: "PutObject", HTTPStatus: 404}
		}, object.Left},
	} {
		t.Run(name, func(t *testing.T) {
			s, j, cfg, left := keepingKeys(t)
			var sent atomic.Bool
			s.fault = func(k object.RequestKind, _ string) (error, bool) {
				if k != object.ReqPut || c.put == nil || sent.Swap(true) {
					return nil, true
				}
				return c.put(s, left), false
			}
			if err := Run(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			out := j.mu.outcomes[0]
			if out.State != c.want || strings.Count(out.Message, oneMore) != 1 || strings.Contains(out.Message, "earlier process") {
				t.Errorf("%v %q", out.State, out.Message)
			}
			if n := s.count(object.ReqCopy); n != 1 {
				t.Errorf("%d copies were sent", n)
			}
		})
	}
}

// TestACopyInVainOfAnEarlierProcessIsTold: the process ended between the copy and its
// record. The next one sees that the object was written since the plan, and by whom it may
// have been. What nobody has written is not said to have one more version.
func TestACopyInVainOfAnEarlierProcessIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		since func(s *memStore)
		known bool // by now it is known that copies keep the key
		told  bool
		want  string
	}{
		"known by now":     {copyInVain, true, true, "not copied again"},
		"found out anew":   {copyInVain, false, true, "copied first"},
		"found as wanted":  {func(s *memStore) { copyInVain(s); underNewKey(s) }, false, true, "found as wanted"},
		"nothing was sent": {func(*memStore) {}, true, false, "not copied, since"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j, cfg, _ := keepingKeys(t)
			j.mu.tasks[0].InDoubt = true
			c.since(s)
			if err := cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			r := newRun(&cfg)
			if c.known { // by the work on another object
				r.refuse(keepsKey, errKeptKey)
			}
			out, err := r.do(t.Context(), new(item), &j.mu.tasks[0], false)
			if err != nil {
				t.Fatal(err)
			}
			if told := strings.Contains(out.Message, "a copy of an earlier process"); out.State != object.Done || told != c.told || !strings.HasPrefix(out.Message, c.want) {
				t.Errorf("%v %q", out.State, out.Message)
			}
		})
	}
}

func copyInVain(s *memStore) {
	o := *s.mu.objects["k000000"]
	o.ETag = "etag of a copy in vain"
	s.mu.objects["k000000"] = &o
}

func underNewKey(s *memStore) {
	s.mu.objects["k000000"].Encryption.KMSKeyID = "arn:aws:kms:r:1:key/new"
}

// TestALostUpdateLeavesNoVersion: an update makes none, and a row does not say that one may
// have.
func TestALostUpdateLeavesNoVersion(t *testing.T) {
	s := newMemStore(1)
	j := planOf(s, true)
	cfg := memConfig(s, j, object.OpUpdate)
	cfg.Facts.Versioning = object.VersioningEnabled
	cfg.Backoff = func(int, time.Duration) time.Duration { return time.Millisecond }
	var left atomic.Bool
	cfg.Chooser = leavesOnce{cfg.Chooser, &left}
	s.fault = func(k object.RequestKind, _ string) (error, bool) {
		switch {
		case k != object.ReqUpdate:
			return nil, true
		case s.mu.requests[k] == 1:
			return classError(object.ClassTransient)(), false
		}
		left.Store(true)
		return &object.Error{Class: object.ClassChanged, Op: "UpdateObjectEncryption"}, false
	}
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if out := j.mu.outcomes[0]; out.State != object.Left || out.Message != "no way" {
		t.Errorf("%v %q", out.State, out.Message)
	}
}

// TestTagsOutliveACopyInVain: such a copy drops the tags as every other does. The process died
// before it had written them again, or its answer was lost; then the object is written again
// with them.
func TestTagsOutliveACopyInVain(t *testing.T) {
	for name, lost := range map[string]bool{"died": false, "no answer": true} {
		t.Run(name, func(t *testing.T) {
			s, j, cfg, _ := keepingKeys(t)
			s.dropsTags = true
			s.mu.objects["k000000"].attrs.Tags = someTags
			j.mu.tasks[0].Object.Settled = false // so that it is looked at
			cfg.Caps.KeepsTags, cfg.Caps.PutTagging, cfg.Caps.GetTagging = object.No, object.Yes, object.Yes
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			copied := false
			s.fault = func(k object.RequestKind, _ string) (error, bool) {
				switch {
				case k == object.ReqCopy && lost && !copied:
					copied = true
					return classError(object.ClassTransient)(), true
				case k == object.ReqCopy:
					copied = true
				case copied && !lost && k == object.ReqPutDetail:
					cancel()
					return &object.Error{Class: object.ClassCanceled, Op: k.String()}, false
				}
				return nil, true
			}
			err := Run(ctx, cfg)
			if !lost {
				if err == nil || len(j.mu.uploads) != 1 {
					t.Fatalf("%v, %d records", err, len(j.mu.uploads))
				}
				s.fault = nil
				j.reopen()
				err = Run(t.Context(), cfg)
			}
			if err != nil {
				t.Fatal(err)
			}
			checkTags(t, s)
			if out := j.mu.outcomes[0]; out.State != object.Done || out.Operation != object.OpRewrite || len(j.mu.uploads) > 0 {
				t.Errorf("%v by %s %q, %d records", out.State, out.Operation, out.Message, len(j.mu.uploads))
			}
		})
	}
}
