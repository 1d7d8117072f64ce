package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/object"
)

// inParts is a store of n objects of four parts each, and a run that copies them
// part by part.
func inParts(n int) (*memStore, *memJournal, Config) {
	s := newMemStore(n)
	for _, o := range s.mu.objects {
		o.body, o.Size = make([]byte, 4*carry.MinPartSize), 4*carry.MinPartSize
		o.attrs.Metadata = map[string]string{"owner": "\xe4"}
	}
	j := planOf(s, false)
	cfg := memConfig(s, j, object.OpMultipart)
	cfg.PartSize = carry.MinPartSize
	cfg.Caps.GetTagging = object.Yes
	return s, j, cfg
}

// alter changes an object in place without another ETag: what PutObjectTagging,
// or a copy onto itself with other metadata, does.
func (s *memStore) alter(key string, f func(*memObject)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := *s.mu.objects[key]
	f(&o)
	s.mu.objects[key] = &o
}

var alterations = map[string]struct {
	change func(*memObject)
	kept   func(*memObject) bool
}{
	"tags": {
		func(o *memObject) { o.attrs.Tags = []object.Tag{{Key: "team", Value: "new"}} },
		func(o *memObject) bool { return len(o.attrs.Tags) == 1 && o.attrs.Tags[0].Value == "new" }},
	"metadata": {
		func(o *memObject) { o.attrs.Metadata = map[string]string{"owner": "new"} },
		func(o *memObject) bool { return o.attrs.Metadata["owner"] == "new" }},
	"metadata that is not UTF-8": { // before: see inParts
		func(o *memObject) { o.attrs.Metadata = map[string]string{"owner": "\xfc"} },
		func(o *memObject) bool { return o.attrs.Metadata["owner"] == "\xfc" }},
	"expires": {
		func(o *memObject) { o.attrs.Expires = "never" },
		func(o *memObject) bool { return o.attrs.Expires == "never" }},
}

// alterAtFirstPart changes each object when the first of its parts is copied or sent.
func (s *memStore) alterAtFirstPart(change func(*memObject)) {
	var hit sync.Map
	s.fault = func(k object.RequestKind, key string) (error, bool) {
		if k == object.ReqCopyPart {
			if _, seen := hit.LoadOrStore(key, true); !seen {
				s.alter(key, change)
			}
		}
		return nil, true
	}
}

// What others change while the parts are copied survives, although no condition of
// S3 notices it, since the bytes are the same.
func TestChangesDuringALongCopySurvive(t *testing.T) {
	for name, a := range alterations {
		t.Run(name, func(t *testing.T) {
			s, j, cfg := inParts(5)
			s.alterAtFirstPart(a.change)
			if err := Run(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			checkKept(t, s, j, 5, a.kept)
		})
	}
}

// The same between the parts of one process and those of the next.
func TestChangesBetweenTwoRunsSurvive(t *testing.T) {
	for name, a := range alterations {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j, cfg := inParts(5)
				s.delay = time.Second
				ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
				defer cancel()
				if err := Run(ctx, cfg); err == nil || len(s.mu.uploads) == 0 {
					t.Fatalf("%v with %d uploads open, which is not in the middle", err, len(s.mu.uploads))
				}
				for key := range s.mu.objects {
					s.alter(key, a.change)
				}
				j.reopen()
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				checkKept(t, s, j, 5, a.kept)
			})
		})
	}
}

// leavesTags is the chooser for a store that shows how many tags an object has, and
// not which.
type leavesTags struct{ Chooser }

func (c leavesTags) Choose(o *object.Object, a *object.Attributes) object.Choice {
	if a != nil && a.TagCount > 0 && a.Tags == nil {
		return object.Choice{Operation: object.OpNone, Reason: object.ReasonTags}
	}
	return c.Chooser.Choose(o, a)
}

// TestTagsThatCannotBeReadComeDuringALongCopy: another client writes the same bytes again
// with tags, which nobody can read here, so that no request could carry them. The copy is
// given up, and the object is left with its tags.
func TestTagsThatCannotBeReadComeDuringALongCopy(t *testing.T) {
	for name, between := range map[string]bool{"in a run": false, "between two": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j, cfg := inParts(1)
				cfg.Caps.GetTagging, cfg.Chooser = object.No, leavesTags{cfg.Chooser}
				s.delay = time.Second
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s.fault = func(k object.RequestKind, key string) (error, bool) {
					if k == object.ReqCopyPart {
						s.alter(key, func(o *memObject) { o.attrs.TagCount = 1 })
						if between {
							cancel()
						}
					}
					return nil, true
				}
				if err := Run(ctx, cfg); (err != nil) != between {
					t.Fatal(err)
				}
				j.reopen()
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				out := j.mu.outcomes[0]
				if out.State != object.Left || out.Reason != object.ReasonTags || s.mu.objects["k000000"].writes > 0 || len(s.mu.uploads)+len(j.mu.uploads) > 0 {
					t.Errorf("%v %v; %d uploads open", out.State, out.Reason, len(s.mu.uploads))
				}
			})
		})
	}
}

func checkKept(t *testing.T, s *memStore, j *memJournal, n int, kept func(*memObject) bool) {
	t.Helper()
	if got := j.states(); got[object.Done] != n || len(s.mu.uploads) > 0 || len(j.mu.uploads) > 0 {
		t.Fatalf("%v; %d uploads open in the store, %d in the journal", got, len(s.mu.uploads), len(j.mu.uploads))
	}
	for key, o := range s.mu.objects {
		if !kept(o) || o.Encryption.Type != object.SSEKMS || o.writes != 1 {
			t.Errorf("%s: %+v under %v, written %d times", key, o.attrs, o.Encryption.Type, o.writes)
		}
	}
}

// lateUpload loses the first CreateMultipartUpload, which takes effect when the first part
// of the second upload comes; then is called at that moment.
func lateUpload(s *memStore, then func()) func(object.RequestKind, string) (error, bool) {
	var step atomic.Int32
	return func(k object.RequestKind, key string) (error, bool) {
		switch {
		case k == object.ReqCreateUpload && step.CompareAndSwap(0, 1):
			return classError(object.ClassTransient)(), false
		case k == object.ReqCopyPart && step.CompareAndSwap(1, 2):
			s.mu.Lock()
			defer s.mu.Unlock()
			s.mu.uploads["late"] = &memUpload{ref: object.Ref{Bucket: "b", Key: key}, parts: map[int][]byte{}, began: time.Now()}
			then()
		}
		return nil, true
	}
}

// TestCopyNamesLateUploads: the first creation got no answer and takes effect while the
// second one's parts are copied, and then the process dies. The next one, which goes on
// with the second, names the first.
func TestCopyNamesLateUploads(t *testing.T) {
	for name, goesOn := range map[string]bool{"goes on": true, "begins anew": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j, cfg := inParts(1)
				s.delay = time.Second
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s.fault = lateUpload(s, cancel)
				if err := Run(ctx, cfg); err == nil {
					t.Fatal("it ended in time")
				}
				s.fault = nil
				if !goesOn {
					for key := range s.mu.objects {
						s.alter(key, alterations["metadata"].change)
					}
				}
				j.reopen()
				var log bytes.Buffer
				cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(log.String(), "upload=late") {
					t.Errorf("no log names the late upload: %s", log.String())
				}
				if len(s.mu.uploads) != 1 || len(j.mu.uploads) != 0 {
					t.Errorf("%d uploads open in the store, %d in the journal", len(s.mu.uploads), len(j.mu.uploads))
				}
			})
		})
	}
}

// TestDrainWhileALongCopyMayNotGoOn: the window closes, or the run is paused, between two
// parts. A run that is asked to stop ends all the same, and the next one goes on with the
// parts that there are.
func TestDrainWhileALongCopyMayNotGoOn(t *testing.T) {
	for name, of := range map[string]func(int) (*memStore, *memJournal, Config){"copied": inParts, "sent": resendsIn5} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j, cfg := of(2)
				var closed atomic.Bool
				s.fault = func(k object.RequestKind, _ string) (error, bool) {
					if k == object.ReqCopyPart {
						closed.Store(true)
					}
					return nil, true
				}
				cfg.PartsInFlight = 1
				cfg.Gate = func(ctx context.Context) error {
					for closed.Load() && ctx.Err() == nil {
						time.Sleep(100 * time.Millisecond)
					}
					return ctx.Err()
				}
				drain := make(chan struct{})
				cfg.Drain = drain
				time.AfterFunc(time.Minute, func() { close(drain) })
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				if err := Run(ctx, cfg); !errors.Is(err, ErrDrained) || time.Since(began) > 2*time.Minute {
					t.Fatalf("after %v: %v", time.Since(began), err)
				}
				j.reopen()
				s.fault = nil
				cfg.Gate, cfg.Drain = nil, nil
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				if n := len(s.mu.uploads); n != 0 || j.states()[object.Done] != 2 {
					t.Errorf("%d uploads are open, states %v", n, j.states())
				}
			})
		})
	}
}
