package engine

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/resealhq/reseal/engine/object"
)

var someTags = []object.Tag{{Key: "team", Value: "a b"}}

// tagged is a store that drops the tags with every copy, as Ceph does, full of
// tagged objects, and a run on it.
func tagged(n int, op object.Operation) (*memStore, *memJournal, Config) {
	s := newMemStore(n)
	s.dropsTags = true
	for _, o := range s.mu.objects {
		o.attrs.Tags = someTags
	}
	j := planOf(s, false)
	cfg := memConfig(s, j, op)
	cfg.Caps.KeepsTags, cfg.Caps.PutTagging, cfg.Caps.GetTagging = object.No, object.Yes, object.Yes
	return s, j, cfg
}

func checkTags(t *testing.T, s *memStore) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range s.mu.objects {
		if !slices.Equal(o.attrs.Tags, someTags) {
			t.Errorf("%s has the tags %v", key, o.attrs.Tags)
		}
	}
}

// Tags that a copy drops are written again, also where its answer was lost and the
// store could not be asked for as long as the run lasted.
func TestTagsOfALostCopyAreWrittenAgain(t *testing.T) {
	for name, op := range map[string]object.Operation{"copy": object.OpCopy, "multipart": object.OpMultipart} {
		for _, failing := range []object.Class{object.ClassUnreachable, object.ClassDenied, object.ClassTransient} {
			t.Run(name+" "+failing.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, j, cfg := tagged(20, op)
					drain := make(chan struct{})
					cfg.Drain = drain
					var once sync.Once
					var cut sync.Map // keys whose copy was applied and not answered
					s.fault = func(k object.RequestKind, key string) (error, bool) {
						switch _, lost := cut.Load(key); {
						case k == object.ReqCopy, k == object.ReqComplete:
							cut.Store(key, true)
							return &object.Error{Class: object.ClassTransient, Op: k.String()}, true
						case lost && (k == object.ReqHead || k == object.ReqListParts):
							if failing == object.ClassUnreachable {
								once.Do(func() { close(drain) })
							}
							return &object.Error{Class: failing, Op: k.String(), NotSent: failing == object.ClassUnreachable}, false
						}
						return nil, true
					}
					_ = Run(t.Context(), cfg)
					s.fault = nil
					for seq, o := range j.mu.outcomes { // --retry-failed
						if o.State == object.Failed {
							delete(j.mu.outcomes, seq)
						}
					}
					j.reopen()
					cfg.Drain = nil
					if err := Run(t.Context(), cfg); err != nil {
						t.Fatal(err)
					}
					check(t, s, j, 20)
					checkTags(t, s)
				})
			})
		}
	}
}

// TestTagsOfOthersOutliveADeadProcess: a process has written the tags again that the copy
// dropped, and died before that was recorded. Another client has given the object other
// tags since, and the next process leaves them.
func TestTagsOfOthersOutliveADeadProcess(t *testing.T) {
	for name, op := range map[string]object.Operation{"copy": object.OpCopy, "multipart": object.OpMultipart} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j, cfg := tagged(1, op)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				copied := false
				s.fault = func(k object.RequestKind, _ string) (error, bool) {
					copied = copied || k == object.ReqCopy || k == object.ReqComplete
					if copied && k == object.ReqPutDetail {
						cancel()
						return &object.Error{Class: object.ClassCanceled, Op: k.String()}, true
					}
					return nil, true
				}
				if err := Run(ctx, cfg); err == nil || len(j.mu.uploads) != 1 {
					t.Fatalf("%v, %d records", err, len(j.mu.uploads))
				}
				theirs := []object.Tag{{Key: "set by", Value: "another"}}
				s.alter("k000000", func(o *memObject) { o.attrs.Tags = theirs })
				s.fault = nil
				j.reopen()
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				if got := s.mu.objects["k000000"].attrs.Tags; !slices.Equal(got, theirs) || j.states()[object.Done] != 1 || len(j.mu.uploads) > 0 {
					t.Errorf("tags %v, %v, %d records", got, j.states(), len(j.mu.uploads))
				}
			})
		})
	}
}

// An upload that has to be followed by more is not left open either, when its
// object has failed for good.
func TestUploadsToBeFollowedAreEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j, cfg := tagged(20, object.OpMultipart)
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			if k == object.ReqCopyPart {
				return &object.Error{Class: object.ClassTransient, Op: "UploadPartCopy", HTTPStatus: 500}, false
			}
			return nil, true
		}
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if got := j.states(); got[object.Failed] != 20 || len(s.mu.uploads) > 0 || len(j.mu.uploads) > 0 {
			t.Errorf("%v; %d uploads open in the store, %d in the journal", got, len(s.mu.uploads), len(j.mu.uploads))
		}
		checkTags(t, s)
	})
}

// A CreateMultipartUpload that got no answer is looked for in the end also where
// the object had to be followed up.
func TestLateUploadsOfTaggedObjectsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, j, cfg := tagged(20, object.OpMultipart)
		s, log := &lateUploads{memStore: m}, new(told)
		cfg.Store.Uploads = s
		log.into(&cfg)
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		s.wg.Wait()
		checkNamed(t, m, j, 20, log)
		checkTags(t, m)
	})
}
